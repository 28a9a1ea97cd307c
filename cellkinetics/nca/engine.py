"""The engine: every parameter of every profile, by array operations on all profiles at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from cellkinetics.data.cohort import BoolArray, Cohort, FloatArray
from cellkinetics.nca import acceptance, integrate
from cellkinetics.nca.column import Column, FlagArray, Key, ReasonArray
from cellkinetics.nca.curve import Curve, Samples, arrange
from cellkinetics.nca.options import NCAOptions, Window, parse_windows
from cellkinetics.nca.parameters import BY_CODE, required, select
from cellkinetics.nca.peak import first_position, last_position, peak_position
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.result import NCAResult
from cellkinetics.nca.terminal import Terminal, candidates, terminal_line
from cellkinetics.nca.window import Segments, extrapolated_area, observed_area

BLOCK = 4096  # profiles at a time: the arrays of one block stay in the processor's cache

Parts = dict[Key, tuple[FloatArray, ReasonArray]]


def compute(samples: Samples, options: NCAOptions, keys: Sequence[Key] | None = None) -> dict[Key, Column]:
    """Calculate the parameters of every profile: arrays in, arrays out, no table.

    Args:
        samples: ``(n, m)`` arrays.
        options: the rules.
        keys: which parameters, see `cellkinetics.nca.parameters.select`; by default the core.

    Returns:
        One `Column` a key. A value is finite, or NaN with a reason.

    Example:
        >>> cohort = Cohort.from_arrays([[0.0, 7.0, 14.0]], [[0.0, 900.0, 400.0]])
        >>> float(compute(Samples.of(cohort), NCAOptions(auc_method="linear"))[Key("AUCLST")].value[0])
        7700.0
    """
    keys = select("core", options) if keys is None else tuple(keys)
    with np.errstate(all="ignore"):
        return _compute(arrange(samples, options), options, keys)


def _compute(curve: Curve, options: NCAOptions, keys: Sequence[Key]) -> dict[Key, Column]:
    needs = required(keys)
    n = len(curve.fault)
    profiles = np.arange(n)
    has = curve.quantified.any(axis=0)
    peak = peak_position(curve.value, curve.quantified, options.tmax_tie)
    last = last_position(curve.quantified)
    tmax = np.where(has, curve.time[peak, profiles], np.nan)
    tlast = np.where(has, curve.time[last, profiles], np.nan)
    clast = np.where(has, curve.value[last, profiles], np.nan)
    unquantified = np.where(has, Why.CALCULATED, Why.NO_QUANTIFIABLE).astype(np.int8)

    parts: Parts = {}

    def put(code: str, value: FloatArray, why: ReasonArray = unquantified) -> None:
        parts[Key(code)] = (value, why)

    put("CMAX", np.where(has, curve.value[peak, profiles], np.nan))
    put("TMAX", tmax)
    put("CLST", clast)
    put("TLST", tlast)
    put("TFQ", np.where(has, curve.time[first_position(curve.quantified), profiles], np.nan))
    lag = curve.before_first
    lag = np.where(np.isnan(lag) & curve.imputed, 0.0, lag)
    put("TLAG", lag, _first_of(unquantified, np.isnan(lag), Why.NO_TIME_ZERO))
    c0 = np.where(curve.imputed, curve.value[0], np.where(curve.time[1] == 0, curve.value[1], np.nan))
    put("C0", c0, _first_of(unquantified, np.isnan(c0), Why.NO_TIME_ZERO))
    put("NSAMPLE", curve.n_samples.astype(float), np.zeros(n, np.int8))
    put("NQUANT", curve.quantified.sum(axis=0).astype(float), np.zeros(n, np.int8))

    segments = cut(curve, tmax, options)
    to_last = segments.exists & (np.arange(1, len(curve.time))[:, None] <= last)
    no_interval = ~np.where(has, to_last.any(axis=0), curve.end > 0)
    no_interval_all = ~(segments.exists.any(axis=0) | (~has & (curve.end > 0)))
    auclst = _sum(segments.area, to_last)
    put("AUCLST", auclst, _first_of(np.zeros(n, np.int8), no_interval, Why.NO_INTERVAL))
    put(
        "AUCALL",
        _sum(segments.area, segments.exists),
        _first_of(np.zeros(n, np.int8), no_interval_all, Why.NO_INTERVAL),
    )

    terminal_marks = np.zeros(n, np.int16)
    extrapolated: dict[str, FloatArray] = {}
    if "LAMZ" in needs:
        line = terminal_line(
            curve.time,
            curve.value,
            candidates(curve.quantified, peak, with_peak=options.route == "bolus"),
            min_points=options.lambda_z_min_points,
            tolerance=options.lambda_z_tolerance,
        )
        span = (line.upper - line.lower) * line.lambda_z / np.log(2.0)
        terminal_marks = acceptance.terminal_flags(line.r2adj, span, options)
        why = np.where(has, line.why, Why.NO_QUANTIFIABLE).astype(np.int8)
        _put_line(put, line, span, why)
        infinite_why = np.where(no_interval & (why == Why.CALCULATED), Why.NO_INTERVAL, why).astype(np.int8)
        predicted = np.exp(line.intercept - line.lambda_z * tlast)
        for suffix, end in (("O", clast), ("P", predicted)):
            area = auclst + end / line.lambda_z
            share = 100.0 * ((area - auclst) / area)
            extrapolated[f"AUCPE{suffix}"] = share
            put(f"AUCIF{suffix}", area, infinite_why)
            put(f"AUCPE{suffix}", share, infinite_why)
        if "AUCINT" in needs:
            _windows(parts, extrapolated, keys, curve, segments, line, terminal_marks, tlast, clast, predicted, options)
    if "AUMCLST" in needs:
        _moments(put, parts, curve, segments, to_last, tlast, options, "LAMZ" in needs)
    return _finish(parts, extrapolated, keys, curve, terminal_marks, tmax, options)


def _first_of(why: ReasonArray, condition: BoolArray, reason: Why) -> ReasonArray:
    """Add a reason where there is none yet and the condition holds."""
    return np.where((why == Why.CALCULATED) & condition, reason, why).astype(np.int8)


def _sum(rows: FloatArray, which: BoolArray) -> FloatArray:
    """Add up position by position, so that the order of the sum does not depend on the batch."""
    total = np.zeros(rows.shape[1])
    for row, here in zip(rows, which, strict=True):
        np.add(total, row, out=total, where=here)
    return total


def cut(curve: Curve, tmax: FloatArray, options: NCAOptions) -> Segments:
    """Cut the curves at their samples, choose the rule of each segment and integrate it."""
    t1, t2, c1, c2 = curve.time[:-1], curve.time[1:], curve.value[:-1], curve.value[1:]
    exists = curve.used[:-1] & curve.used[1:]
    log = exists & integrate.log_segments(options.auc_method, t1, c1, c2, tmax)
    area = np.where(exists, integrate.linear_area(t1, c1, t2, c2), 0.0)
    area[log] = integrate.log_area(t1[log], c1[log], t2[log], c2[log])
    return Segments(curve.time, curve.value, exists, log, area)


def _put_line(
    put: Callable[[str, FloatArray, ReasonArray], None], line: Terminal, span: FloatArray, why: ReasonArray
) -> None:
    """Write the terminal line's own parameters."""
    for code, value in (
        ("LAMZ", line.lambda_z),
        ("LAMZHL", np.log(2.0) / line.lambda_z),
        ("LAMZNPT", line.n_points),
        ("LAMZLL", line.lower),
        ("LAMZUL", line.upper),
        ("LAMZSPN", span),
        ("LAMZICPT", line.intercept),
        ("R2", line.r2),
        ("R2ADJ", line.r2adj),
        ("CORRXY", line.corrxy),
    ):
        put(code, value, why)


def _windows(
    parts: Parts,
    extrapolated: dict[str, FloatArray],
    keys: Sequence[Key],
    curve: Curve,
    segments: Segments,
    line: Terminal,
    terminal_marks: FlagArray,
    tlast: FloatArray,
    clast: FloatArray,
    predicted: FloatArray,
    options: NCAOptions,
) -> None:
    """Calculate the partial area of each window and the part of it that is extrapolated.

    | the window ends | area |
    |---|---|
    | at or before the last sample of the curve | observed, ends interpolated |
    | after it, where later samples are below quantification and the curve has come down to zero | observed |
    | after the last sample | observed to Tlast, then the terminal exponential, if accepted |
    """
    n = len(curve.fault)
    profiles = np.arange(n)
    final = curve.used.shape[0] - 1 - np.argmax(curve.used[::-1], axis=0)
    covered = np.where(curve.used[final, profiles], curve.time[final, profiles], -np.inf)
    covered = np.where(curve.value[final, profiles] == 0, np.maximum(covered, curve.end), covered)
    begins = np.where(curve.imputed, 0.0, curve.time[1])
    has_line = line.why == Why.CALCULATED
    accepted = has_line & (terminal_marks == 0)
    height = predicted if options.window_end == "predicted" else clast
    windows: tuple[Window, ...] = tuple(
        dict.fromkeys((key.start, key.end) for key in keys if key.start is not None and key.end is not None)
    )
    for start, end in windows:
        beyond = end > covered
        why = np.zeros(n, np.int8)
        tail = np.zeros(n)
        if options.window_end == "zero":
            area = observed_area(segments, start, np.full(n, end))
        else:
            area = observed_area(segments, start, np.where(beyond & accepted, np.minimum(tlast, end), end))
            if options.window_end == "missing":
                why[beyond] = Why.WINDOW_NOT_COVERED
            else:
                tail = np.where(beyond, extrapolated_area(height, line.lambda_z, tlast, start, end), 0.0)
                why[beyond & ~accepted] = Why.LAMBDA_Z_NOT_ACCEPTED
                why[beyond & ~has_line] = Why.WINDOW_NOT_COVERED
        why[start < begins] = Why.NO_TIME_ZERO
        area = area + tail
        share = np.where(area == 0, 0.0, 100.0 * (tail / area))
        parts[Key("AUCINT", start, end)] = (area, why)
        parts[Key("AUCINTPE", start, end)] = (share, why)
        extrapolated[Key("AUCINT", start, end).column] = np.where(why == Why.CALCULATED, share, np.nan)


def _moments(
    put: Callable[[str, FloatArray, ReasonArray], None],
    parts: Parts,
    curve: Curve,
    segments: Segments,
    to_last: BoolArray,
    tlast: FloatArray,
    options: NCAOptions,
    with_line: bool,
) -> None:
    """Calculate first moments and mean residence times.

    AUMC to infinity = AUMC to Tlast + C (Tlast/lambda_z + 1/lambda_z^2);
    MRT = AUMC/AUC, less half the infusion's duration.
    """
    t1, t2, c1, c2 = segments.time[:-1], segments.time[1:], segments.value[:-1], segments.value[1:]
    moment = np.where(segments.exists, integrate.linear_moment(t1, c1, t2, c2), 0.0)
    log = segments.log
    moment[log] = integrate.log_moment(t1[log], c1[log], t2[log], c2[log])
    aumclst = _sum(moment, to_last)
    put("AUMCLST", aumclst, parts[Key("AUCLST")][1])
    ends = ["LST"]
    if with_line:
        lambda_z, why = parts[Key("LAMZ")][0], parts[Key("AUCIFO")][1]
        predicted = np.exp(parts[Key("LAMZICPT")][0] - lambda_z * tlast)
        for suffix, end in (("O", parts[Key("CLST")][0]), ("P", predicted)):
            total = aumclst + end / lambda_z * (tlast + 1.0 / lambda_z)
            put(f"AUMCIF{suffix}", total, why)
            put(f"AUMCPE{suffix}", 100.0 * ((total - aumclst) / total), why)
            ends.append(f"IF{suffix}")
    less = options.infusion_duration / 2.0 if options.route == "infusion" else 0.0
    for end_name in ends:
        area, why = parts[Key(f"AUC{end_name}")]
        mean_time = parts[Key(f"AUMC{end_name}")][0] / area - less
        why = _first_of(why, area == 0, Why.ZERO_AREA)
        for prefix in ("MRTEV", "MRTIB", "MRTIC"):
            put(f"{prefix}{end_name}", mean_time, why)


def _finish(
    parts: Parts,
    extrapolated: dict[str, FloatArray],
    keys: Sequence[Key],
    curve: Curve,
    terminal_marks: FlagArray,
    tmax: FloatArray,
    options: NCAOptions,
) -> dict[Key, Column]:
    """Let every value be finite or have a reason, then mark what misses a threshold."""
    values: dict[Key, FloatArray] = {}
    reasons: dict[Key, ReasonArray] = {}
    counted = {"NSAMPLE", "NQUANT"}
    for key in keys:
        value, why = parts[key]
        keep = (curve.fault == Why.CALCULATED) | ((curve.fault == Why.NO_SAMPLES) & (key.code in counted))
        why = np.where(keep, why, curve.fault).astype(np.int8)
        if options.route not in BY_CODE[key.code].routes:
            why = np.full_like(why, Why.NOT_FOR_ROUTE)
        why = _first_of(why, ~np.isfinite(value), Why.OVERFLOW)
        values[key], reasons[key] = np.where(why == Why.CALCULATED, value, np.nan), why
    flags = acceptance.flag(
        keys,
        values,
        terminal=terminal_marks,
        tmax=tmax,
        extrapolated=extrapolated,
        above_uloq=curve.above_uloq,
        options=options,
    )
    return {key: Column(values[key], reasons[key], flags[key]) for key in keys}


def noncompartmental(
    cohort: Cohort,
    *,
    windows: str | Iterable[tuple[float, float]] | None = None,
    options: NCAOptions | None = None,
    parameters: str | Iterable[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NCAResult:
    """Analyse every profile of a cohort without a model.

    A profile of which nothing can be calculated stays in the result, with the reason in each row.

    Args:
        cohort: the samples.
        windows: partial areas, as pairs or as ``"0-28,0-84"``; instead of those of ``options``.
        options: the rules; `NCAOptions` by default.
        parameters: ``core`` (default), ``all``, or codes; see `cellkinetics.nca.parameters.select`.
        progress: called as ``progress(done, total)`` with numbers of profiles.

    Returns:
        An `NCAResult` with ``.table``, ``.wide``, ``.points`` and ``.summary()``.

    Raises:
        SettingsError: for an option or a parameter that does not exist.

    Example:
        >>> cohort = Cohort.from_arrays([[0.0, 7.0, 14.0, 28.0]], [[0.0, 900.0, 400.0, 100.0]])
        >>> result = noncompartmental(cohort, windows="0-28", parameters="CMAX,TMAX,AUCINT")
        >>> result.wide[["CMAX", "TMAX", "AUCINT_0_28"]].round(1).to_dict("records")
        [{'CMAX': 900.0, 'TMAX': 7.0, 'AUCINT_0_28': 10495.7}]
    """
    options = NCAOptions() if options is None else options
    if windows is not None:
        parsed = parse_windows(windows) if isinstance(windows, str) else tuple(windows)
        options = NCAOptions(**{**options.model_dump(), "windows": parsed})
    keys = select(parameters, options)
    samples = Samples.of(cohort)
    n = len(cohort)
    unusable = np.array([fault is not None for fault in cohort.unusable], dtype=bool)
    blocks: list[dict[Key, Column]] = []
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        blocks.append(compute(samples.block(start, stop), options, keys))
        if progress is not None:
            progress(stop, n)
    columns = {
        key: Column(
            np.where(unusable, np.nan, np.concatenate([np.zeros(0), *(block[key].value for block in blocks)])),
            np.concatenate([np.zeros(0, np.int8), *(block[key].why for block in blocks)]),
            np.concatenate([np.zeros(0, np.int16), *(block[key].flags for block in blocks)]),
        )
        for key in keys
    }
    for column in columns.values():
        column.why[unusable], column.flags[unusable] = Why.UNUSABLE_PROFILE, 0
    return NCAResult(cohort=cohort, options=options, columns=columns)
