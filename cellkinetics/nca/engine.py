"""The engine: every parameter of every profile, by array operations on all profiles at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from cellkinetics.data.cohort import BoolArray, Cohort, FloatArray
from cellkinetics.errors import SettingsError
from cellkinetics.nca import acceptance, integrate
from cellkinetics.nca.aboveuloq import rests_above
from cellkinetics.nca.acceptance import Flag
from cellkinetics.nca.biphasic import find_break, two_phases
from cellkinetics.nca.cellular import CODES, PHASE_CODES, put_cellular, put_phases
from cellkinetics.nca.column import Column, FlagArray, Key, Part, Parts, ReasonArray, because
from cellkinetics.nca.curve import Curve, Samples, arrange
from cellkinetics.nca.drug import put_drug
from cellkinetics.nca.options import NCAOptions, Window
from cellkinetics.nca.parameters import BY_CODE, required, select
from cellkinetics.nca.peak import Landmarks, landmarks
from cellkinetics.nca.persistence import put_persistence
from cellkinetics.nca.picks import Picks
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.result import NCAResult
from cellkinetics.nca.terminal import Terminal, candidates, choose_line
from cellkinetics.nca.window import Segments, covered_to, cut, extrapolated_area, observed_area
from cellkinetics.units import is_day

BLOCK = 4096  # profiles at a time: the arrays of one block stay in the processor's cache


def compute(
    samples: Samples, options: NCAOptions, keys: Sequence[Key] | None = None, picks: Picks | None = None
) -> dict[Key, Column]:
    """Calculate the parameters of every profile: arrays in, arrays out, no table.

    Args:
        samples: ``(n, m)`` arrays.
        options: the rules.
        keys: which parameters, see `cellkinetics.nca.parameters.select`; by default the core.
        picks: terminal lines chosen by hand.

    Returns:
        One `Column` a key. A value is finite, or NaN with a reason.

    Example:
        >>> cohort = Cohort.from_arrays([[0.0, 7.0, 14.0]], [[0.0, 900.0, 400.0]])
        >>> float(compute(Samples.of(cohort), NCAOptions(auc_method="linear"))[Key("AUCLST")].value[0])
        7700.0
    """
    keys = select("core", options) if keys is None else tuple(keys)
    with np.errstate(all="ignore"):
        dose = samples.dose if options.dose is None else np.full(len(samples), options.dose)
        return _compute(arrange(samples, options), options, keys, dose, picks)


def _compute(
    curve: Curve, options: NCAOptions, keys: Sequence[Key], dose: FloatArray, picks: Picks | None
) -> dict[Key, Column]:
    needs = required(keys)
    marks = landmarks(curve, options.tmax_tie)
    segments = cut(curve, marks.tmax, options)
    parts: Parts = {}
    _put_samples(parts, curve, marks)
    _put_areas(parts, curve, segments, marks)
    n = len(curve.fault)
    missed, extrapolated = np.zeros(n, np.int16), dict[Key, FloatArray]()
    line = None
    straddle = "LAMZ" in needs and options.acceptance.straddle and options.route == "cells"
    decline = candidates(curve.quantified, marks.peak, with_peak=True)
    if needs & PHASE_CODES:
        put_phases(parts, two_phases(curve.time, curve.value, decline), marks)
    if "LAMZ" in needs:
        line = choose_line(curve, marks.peak, options, picks).line
        _put_line(parts, line, marks)
        missed = acceptance.terminal_flags(line.r2adj, parts[Key("LAMZSPN")].value, options)
        if straddle:
            missed |= acceptance.straddle_flags(
                line.lower, line.upper, find_break(curve.time, curve.value, decline).time
            )
        extrapolated = {key: parts[key].value for key in (Key("AUCPEO"), Key("AUCPEP"))}
        if "AUCINT" in needs:
            windows = dict.fromkeys(
                (k.start, k.end) for k in keys if k.start is not None and k.end is not None and BY_CODE[k.code].windowed
            )
            extrapolated |= _put_windows(parts, tuple(windows), curve, segments, marks, line, missed == 0, options)
    if "AUMCLST" in needs:
        _put_moments(parts, segments, marks, line, options)
    if needs & CODES:
        put_cellular(parts, curve, segments, marks, keys, options)
        put_persistence(parts, curve, marks)
    put_drug(parts, keys, curve, segments, dose, options)
    above = rests_above(keys, curve, marks, line, extrapolated)
    return _finish(parts, extrapolated, keys, curve, missed, marks.tmax, above, options)


def _put_samples(parts: Parts, curve: Curve, marks: Landmarks) -> None:
    """Write what is read off single samples."""
    n = len(curve.fault)
    none = because(n, (~marks.has, Why.NO_QUANTIFIABLE))
    for code, value in (
        ("CMAX", marks.cmax),
        ("TMAX", marks.tmax),
        ("CLST", marks.clast),
        ("TLST", marks.tlast),
        ("TFQ", marks.tfirst),
    ):
        parts[Key(code)] = Part(value, none)
    c0 = np.where(curve.imputed, curve.value[0], np.where(curve.time[1] == 0, curve.value[1], np.nan))
    for code, value in (("TLAG", curve.before_first), ("C0", c0)):
        parts[Key(code)] = Part(
            value, because(n, (~marks.has, Why.NO_QUANTIFIABLE), (np.isnan(value), Why.NO_TIME_ZERO))
        )
    parts[Key("NSAMPLE")] = Part(curve.n_samples.astype(float), because(n))
    parts[Key("NQUANT")] = Part(curve.quantified.sum(axis=0).astype(float), because(n))


def _put_areas(parts: Parts, curve: Curve, segments: Segments, marks: Landmarks) -> None:
    """Write the areas of the samples; without a quantified sample they are 0 over the time observed."""
    to_last = _to_last(segments, marks)
    for code, which in (("AUCLST", to_last), ("AUCALL", segments.exists)):
        spans = np.where(marks.has, which.any(axis=0), curve.end > 0)
        area = np.where(marks.has, _sum(segments.area, which), 0.0)
        parts[Key(code)] = Part(area, because(len(spans), (~spans, Why.NO_INTERVAL)))


def _to_last(segments: Segments, marks: Landmarks) -> BoolArray:
    """Return the segments that end at the last quantified sample or before it."""
    return segments.exists & (np.arange(1, len(segments.time))[:, None] <= marks.last)


def _sum(rows: FloatArray, which: BoolArray) -> FloatArray:
    """Add up position by position, so that the order of the sum does not depend on the batch."""
    total = np.zeros(rows.shape[1])
    for row, here in zip(rows, which, strict=True):
        np.add(total, row, out=total, where=here)
    return total


def _put_line(parts: Parts, line: Terminal, marks: Landmarks) -> None:
    """Write the terminal line's own parameters and the areas to infinity.

    AUC to infinity = AUCLST + C/lambda_z, C being Clast (obs) or the line's value at Tlast (pred).
    """
    why = np.where(marks.has, line.why, Why.NO_QUANTIFIABLE).astype(np.int8)
    for code, value in (
        ("LAMZ", line.lambda_z),
        ("LAMZHL", np.log(2.0) / line.lambda_z),
        ("LAMZNPT", line.n_points),
        ("LAMZLL", line.lower),
        ("LAMZUL", line.upper),
        ("LAMZSPN", (line.upper - line.lower) * line.lambda_z / np.log(2.0)),
        ("LAMZICPT", line.intercept),
        ("R2", line.r2),
        ("R2ADJ", line.r2adj),
        ("CORRXY", line.corrxy),
    ):
        parts[Key(code)] = Part(value, why)
    observed = parts[Key("AUCLST")]
    why = np.where(why == Why.CALCULATED, observed.why, why)
    for suffix, tail in _tails(line, marks):
        area = observed.value + tail
        parts[Key(f"AUCIF{suffix}")] = Part(area, why)
        parts[Key(f"AUCPE{suffix}")] = Part(100.0 * (tail / area), why)


def _tails(line: Terminal, marks: Landmarks) -> tuple[tuple[str, FloatArray], ...]:
    """Return the areas beyond Tlast, C/lambda_z, from the observed and the predicted last value."""
    return ("O", marks.clast / line.lambda_z), ("P", line.at(marks.tlast) / line.lambda_z)


def _put_windows(
    parts: Parts,
    windows: Sequence[Window],
    curve: Curve,
    segments: Segments,
    marks: Landmarks,
    line: Terminal,
    accepted: BoolArray,
    options: NCAOptions,
) -> dict[Key, FloatArray]:
    """Write the partial area of each window and the percentage of it that is extrapolated.

    | the window ends | area |
    |---|---|
    | at or before the last sample of the curve | observed, ends interpolated |
    | after it, where later samples are below quantification and the curve has come down to zero | observed |
    | after the last sample | observed to Tlast, then the terminal exponential, if accepted |

    Returns the percentages by the key of the AUCINT.
    """
    n = len(curve.fault)
    covered = covered_to(curve)
    begins = np.where(curve.imputed, 0.0, curve.time[1])
    has_line = line.why == Why.CALCULATED
    extrapolates = options.window_end in {"observed", "predicted"}
    height = line.at(marks.tlast) if options.window_end == "predicted" else marks.clast
    percentages = {}
    for start, end in windows:
        beyond = end > covered
        by_line = beyond & has_line & accepted & extrapolates
        area = observed_area(segments, start, np.where(by_line, np.minimum(marks.tlast, end), end))
        tail = np.where(by_line, extrapolated_area(height, line.lambda_z, marks.tlast, start, end), 0.0)
        area = np.where(marks.has, area + tail, 0.0)
        lost = beyond & ~by_line & (options.window_end != "zero")
        why = because(
            n,
            (start < begins, Why.NO_TIME_ZERO),
            (lost & has_line & extrapolates, Why.LAMBDA_Z_NOT_ACCEPTED),
            (lost, Why.WINDOW_NOT_COVERED),
        )
        share = np.where(area == 0, 0.0, 100.0 * (tail / area))
        key = Key("AUCINT", start, end)
        parts[key], parts[Key("AUCINTPE", start, end)] = Part(area, why), Part(share, why)
        percentages[key] = share
    return percentages


def _put_moments(
    parts: Parts, segments: Segments, marks: Landmarks, line: Terminal | None, options: NCAOptions
) -> None:
    """Write first moments and mean residence times.

    AUMC to infinity = AUMCLST + C (Tlast/lambda_z + 1/lambda_z^2);
    MRT = AUMC/AUC, less half the infusion's duration.
    """
    t1, t2, c1, c2 = segments.time[:-1], segments.time[1:], segments.value[:-1], segments.value[1:]
    moment = np.where(segments.exists, integrate.linear_moment(t1, c1, t2, c2), 0.0)
    log = segments.log
    moment[log] = integrate.log_moment(t1[log], c1[log], t2[log], c2[log])
    aumclst = _sum(moment, _to_last(segments, marks))
    parts[Key("AUMCLST")] = Part(aumclst, parts[Key("AUCLST")].why)
    ends = ["LST"]
    if line is not None:
        for suffix, tail in _tails(line, marks):
            why = parts[Key(f"AUCIF{suffix}")].why
            beyond = tail * (marks.tlast + 1.0 / line.lambda_z)
            total = aumclst + beyond
            parts[Key(f"AUMCIF{suffix}")] = Part(total, why)
            parts[Key(f"AUMCPE{suffix}")] = Part(100.0 * (beyond / total), why)
            ends.append(f"IF{suffix}")
    less = options.infusion_duration / 2.0 if options.route == "infusion" else 0.0
    for end in ends:
        area, why = parts[Key(f"AUC{end}")]
        mean_time = parts[Key(f"AUMC{end}")].value / area - less
        why = np.where((why == Why.CALCULATED) & (area == 0), Why.ZERO_AREA, why).astype(np.int8)
        for prefix in ("MRTEV", "MRTIB", "MRTIC"):
            parts[Key(f"{prefix}{end}")] = Part(mean_time, why)


def _finish(
    parts: Parts,
    extrapolated: dict[Key, FloatArray],
    keys: Sequence[Key],
    curve: Curve,
    missed: FlagArray,
    tmax: FloatArray,
    above: dict[Key, BoolArray],
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
        why = np.where((why == Why.CALCULATED) & ~np.isfinite(value), Why.OVERFLOW, why).astype(np.int8)
        values[key], reasons[key] = np.where(why == Why.CALCULATED, value, np.nan), why
    flags = acceptance.flag(
        keys,
        values,
        terminal=missed,
        tmax=tmax,
        extrapolated=extrapolated,
        above=above,
        single=curve.quantified.sum(axis=0) == 1,
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
        options: the rules; `NCAOptions` by default. The credible Tmax is in days, and is not looked at
            where the cohort's time unit is another.
        parameters: ``core`` (default), another group, ``all``, or codes; see `cellkinetics.nca.parameters.select`.
        progress: called as ``progress(done, total)`` with numbers of profiles.

    Returns:
        An `NCAResult` with ``.table``, ``.wide``, ``.points`` and ``.summary()``.

    Raises:
        SettingsError: for an option or a parameter that does not exist, or windows that are none; for nominal
            times or choices by hand that the data do not have.

    Example:
        >>> cohort = Cohort.from_arrays([[0.0, 7.0, 14.0, 28.0]], [[0.0, 900.0, 400.0, 100.0]])
        >>> result = noncompartmental(cohort, windows="0-28", parameters="CMAX,TMAX,AUCINT")
        >>> result.wide[["CMAX", "TMAX", "AUCINT_0_28"]].round(1).to_dict("records")
        [{'CMAX': 900.0, 'TMAX': 7.0, 'AUCINT_0_28': 10495.7}]
    """
    options = _resolved(NCAOptions() if options is None else options, windows, cohort.time_unit)
    keys = select(parameters, options)
    if options.time == "nominal" and not np.isfinite(cohort.nominal_time).any():
        raise SettingsError("the data have no nominal time; name its column, or use the actual time")
    samples, picks = Samples.of(cohort, options.time), Picks.of(cohort, options)
    n = len(cohort)
    unusable = np.array([fault is not None for fault in cohort.unusable], dtype=bool)
    blocks: list[dict[Key, Column]] = []
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        chosen = None if picks is None else picks.take(np.arange(start, stop))
        blocks.append(compute(samples.block(start, stop), options, keys, chosen))
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
    lost = cohort.n_lost > 0
    for column in columns.values():
        column.flags[lost & (column.why == Why.CALCULATED)] |= Flag.SAMPLE_LEFT_OUT
        column.why[unusable], column.flags[unusable] = Why.UNUSABLE_PROFILE, 0
    return NCAResult(cohort=cohort, options=options, columns=columns)


def _resolved(options: NCAOptions, windows: Any, time_unit: str) -> NCAOptions:
    """Return the options as they are followed, and recorded, for data in this unit of time."""
    changed: dict[str, object] = {}
    if windows is not None:
        listed = isinstance(windows, str) or not isinstance(windows, Iterable)
        changed["windows"] = windows if listed else tuple(windows)
    if not is_day(time_unit):
        changed["acceptance"] = {**options.acceptance.model_dump(), "tmax_min": None}
    return NCAOptions(**{**options.model_dump(), **changed}) if changed else options
