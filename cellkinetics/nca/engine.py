"""The engine: every parameter of every profile, by array operations on all profiles at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellkinetics.data.cohort import BoolArray, Cohort, FloatArray
from cellkinetics.errors import SettingsError
from cellkinetics.nca import acceptance
from cellkinetics.nca.aboveuloq import rests_above
from cellkinetics.nca.acceptance import Flag
from cellkinetics.nca.biphasic import Below, find_break, two_phases
from cellkinetics.nca.cellular import CODES, PHASE_CODES, put_cellular, put_phases
from cellkinetics.nca.column import Column, FlagArray, Key, Part, Parts, ReasonArray, because
from cellkinetics.nca.curve import BLOCK, Curve, Samples, arrange
from cellkinetics.nca.drug import put_drug
from cellkinetics.nca.moments import MEAN_TIMES, put_mean_times, put_moments, tails
from cellkinetics.nca.occasions import CODES as COMPARISONS
from cellkinetics.nca.occasions import compare, first_occasions, sources
from cellkinetics.nca.options import NCAOptions, Window
from cellkinetics.nca.parameters import BY_CODE, required, select
from cellkinetics.nca.peak import Landmarks, landmarks
from cellkinetics.nca.persistence import put_persistence
from cellkinetics.nca.picks import Picks
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.result import NCAResult
from cellkinetics.nca.steady import CODES as STEADY_CODES
from cellkinetics.nca.steady import put_interval, put_steady
from cellkinetics.nca.terminal import Terminal, candidates, choose_line
from cellkinetics.nca.window import Beyond, Segments, add_up, beyond, cut, partial_area, to_last
from cellkinetics.units import is_day

_NO_SCATTER = 1e-7  # a relative standard error so small is rounding


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
        return _compute(arrange(samples, options), options, keys, Given.of(samples, options), picks)


@dataclass(frozen=True, eq=False)
class Given:
    """What was given, ``(n,)``: the dose, and the duration of its infusion; NaN where unknown."""

    dose: FloatArray
    duration: FloatArray

    @classmethod
    def of(cls, samples: Samples, options: NCAOptions) -> Given:
        """Take one number for all from the options, where there is one, else those of the data."""
        n = len(samples)
        return cls(
            samples.dose if options.dose is None else np.full(n, options.dose),
            samples.infusion_duration if options.infusion_duration is None else np.full(n, options.infusion_duration),
        )


def _compute(
    curve: Curve, options: NCAOptions, keys: Sequence[Key], given: Given, picks: Picks | None
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
        below = Below.after_peak(curve, marks.tmax) if options.lambda_z_method == "tobit" else None
        put_phases(parts, two_phases(curve.time, curve.value, decline, below), marks)
    interval = bool(needs & STEADY_CODES) or (curve.steady.any() and bool(needs & MEAN_TIMES))
    if "LAMZ" in needs or interval:
        line = choose_line(curve, marks.peak, options, picks).line
        _put_line(parts, line, marks)
        missed = acceptance.terminal_flags(line.r2adj, parts[Key("LAMZSPN")].value, line.n_points, options)
        if straddle:
            missed |= acceptance.straddle_flags(
                line.lower, line.upper, find_break(curve.time, curve.value, decline).time
            )
        extrapolated = {key: parts[key].value for key in (Key("AUCPEO"), Key("AUCPEP"))}
        after = beyond(curve, marks, line, missed == 0, options)
        if "AUCINT" in needs:
            windows = dict.fromkeys(
                (k.start, k.end) for k in keys if k.start is not None and k.end is not None and BY_CODE[k.code].windowed
            )
            extrapolated |= _put_windows(parts, windows, segments, marks, after)
        if interval:
            # The last sample may lie minutes before tau: a line that misses a threshold marks what it adds there.
            every = beyond(curve, marks, line, np.ones(n, bool), options)
            extrapolated[Key("AUCTAU")] = put_interval(parts, curve, segments, marks, every)
            put_steady(parts, given.dose)
    if "AUMCLST" in needs:
        put_moments(parts, segments, marks, line)
        duration = given.duration if options.route == "infusion" else np.zeros(n)
        put_mean_times(parts, curve.steady, duration)
    if needs & CODES:
        put_cellular(parts, curve, segments, marks, keys, options)
        put_persistence(parts, curve, marks)
    put_drug(parts, keys, curve, segments, given.dose, options)
    for key in keys:
        if key.code in COMPARISONS:
            parts[key] = Part(np.full(n, np.nan), because(n, (np.full(n, True), Why.NO_OTHER_OCCASION)))
    above = rests_above(keys, curve, marks, line, extrapolated)
    return _finish(parts, extrapolated, keys, curve, missed, marks.tmax, above, options)


def _put_samples(parts: Parts, curve: Curve, marks: Landmarks) -> None:
    """Write what is read off single samples."""
    n = len(curve.fault)
    none = because(n, (~marks.has, Why.NO_QUANTIFIABLE))
    no_peak = because(n, (~marks.has, Why.NO_QUANTIFIABLE), (np.isnan(marks.cmax), Why.NOTHING_IN_INTERVAL))
    parts[Key("CMAX")], parts[Key("TMAX")] = Part(marks.cmax, no_peak), Part(marks.tmax, no_peak)
    for code, value in (
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
    for code, which in (("AUCLST", to_last(segments, marks)), ("AUCALL", segments.exists)):
        spans = np.where(marks.has, which.any(axis=0), curve.end > 0)
        area = np.where(marks.has, add_up(segments.area, which), 0.0)
        parts[Key(code)] = Part(area, because(len(spans), (~spans, Why.NO_INTERVAL)))


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
        ("LAMZNBLQ", line.n_censored),
    ):
        parts[Key(code)] = Part(value, why)
    calculated = why == Why.CALCULATED
    two = np.where(calculated & (line.n_points <= 2), Why.NO_SCATTER, why).astype(np.int8)
    for code, value in (("R2", line.r2), ("R2ADJ", line.r2adj), ("CORRXY", line.corrxy)):
        parts[Key(code)] = Part(value, two)
    exact = np.where(calculated & ~(line.se > _NO_SCATTER * line.lambda_z), Why.NO_SCATTER, why).astype(np.int8)
    for code, value in (("LAMZSE", line.se), ("LAMZHLSE", np.log(2.0) / line.lambda_z * (line.se / line.lambda_z))):
        parts[Key(code)] = Part(value, exact)
    observed = parts[Key("AUCLST")]
    why = np.where(why == Why.CALCULATED, observed.why, why)
    for suffix, tail in tails(line, marks):
        area = observed.value + tail
        parts[Key(f"AUCIF{suffix}")] = Part(area, why)
        parts[Key(f"AUCPE{suffix}")] = Part(100.0 * (tail / area), why)


def _put_windows(
    parts: Parts, windows: Iterable[Window], segments: Segments, marks: Landmarks, after: Beyond
) -> dict[Key, FloatArray]:
    """Write the partial area of each window and the percentage of it that is extrapolated.

    Returns the percentages by the key of the AUCINT.
    """
    percentages = {}
    for start, end in windows:
        area, share, why = partial_area(segments, after, marks.has, start, np.full(len(marks.has), end))
        key = Key("AUCINT", start, end)
        parts[key], parts[Key("AUCINTPE", start, end)] = Part(area, why), Part(share, why)
        percentages[key] = share
    return percentages


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
    faulty = curve.fault != Why.CALCULATED
    any_fault = bool(faulty.any())
    for key in keys:
        value, why = parts[key]
        if any_fault:
            lost = faulty & (curve.fault != Why.NO_SAMPLES) if key.code in counted else faulty
            why = np.where(lost, curve.fault, why)
        if options.route not in BY_CODE[key.code].routes:
            why = np.full_like(why, Why.NOT_FOR_ROUTE)
        done = why == Why.CALCULATED
        infinite = done & ~np.isfinite(value)
        if infinite.any():
            why, done = np.where(infinite, np.int8(Why.OVERFLOW), why), done & ~infinite
        values[key], reasons[key] = np.where(done, value, np.nan), why.astype(np.int8)
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
    **rules: Any,
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
        rules: single options by the names of `NCAOptions`, such as ``route="bolus"``; instead of those of ``options``.

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
        >>> float(noncompartmental(cohort, auc_method="linear", blq="winnonlin").wide["AUCLST"].iloc[0])
        11200.0
    """
    if rules:
        options = NCAOptions(**{**({} if options is None else options.model_dump()), **rules})
    options = NCAOptions() if options is None else options
    check_times(options, nominal=bool(np.isfinite(cohort.nominal_time).any()))
    return analyse(cohort, windows=windows, options=options, parameters=parameters, progress=progress)


def check_times(options: NCAOptions, *, nominal: bool) -> None:
    """Refuse nominal times for data that have none at all.

    Raises:
        SettingsError: in that case.
    """
    if options.time == "nominal" and not nominal:
        raise SettingsError("the data have no nominal time; name its column, or use the actual time")


def analyse(
    cohort: Cohort,
    *,
    options: NCAOptions,
    windows: str | Iterable[tuple[float, float]] | None = None,
    parameters: str | Iterable[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NCAResult:
    """Analyse a part of a larger cohort as `noncompartmental` does, which looks at what all profiles share first."""
    options = _resolved(options, windows, cohort.time_unit)
    keys = select(parameters, options)
    samples, picks = Samples.of(cohort, options.time), Picks.of(cohort, options)
    n = len(cohort)
    unusable = np.array([fault is not None for fault in cohort.unusable], dtype=bool)
    needed = (*keys, *sources(keys))
    blocks: list[dict[Key, Column]] = []
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        chosen = None if picks is None else picks.take(np.arange(start, stop))
        blocks.append(compute(samples.block(start, stop), options, needed, chosen))
        if progress is not None:
            progress(stop, n)
    columns = {
        key: Column(
            np.where(unusable, np.nan, np.concatenate([np.zeros(0), *(block[key].value for block in blocks)])),
            np.concatenate([np.zeros(0, np.int8), *(block[key].why for block in blocks)]),
            np.concatenate([np.zeros(0, np.int16), *(block[key].flags for block in blocks)]),
        )
        for key in needed
    }
    lost = cohort.n_lost > 0
    for column in columns.values():
        column.flags[lost & (column.why == Why.CALCULATED)] |= Flag.SAMPLE_LEFT_OUT
        column.why[unusable], column.flags[unusable] = Why.UNUSABLE_PROFILE, 0
    compared = [key for key in keys if key.code in COMPARISONS and options.route in BY_CODE[key.code].routes]
    if compared:
        reference = first_occasions(cohort)
        tau = cohort.tau if options.tau is None else np.full(n, options.tau)
        columns |= {key: compare(key.code, columns, reference, tau) for key in compared}
    return NCAResult(cohort=cohort, options=options, columns={key: columns[key] for key in keys})


def _resolved(options: NCAOptions, windows: Any, time_unit: str) -> NCAOptions:
    """Return the options as they are followed, and recorded, for data in this unit of time."""
    changed: dict[str, object] = {}
    if windows is not None:
        listed = isinstance(windows, str) or not isinstance(windows, Iterable)
        changed["windows"] = windows if listed else tuple(windows)
    if not is_day(time_unit):
        changed["acceptance"] = {**options.acceptance.model_dump(), "tmax_min": None}
    return NCAOptions(**{**options.model_dump(), **changed}) if changed else options
