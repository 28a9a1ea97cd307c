"""The cellular group: expansion, contraction, persistence and levels at days, for cells that multiply.

Sources: Stein AM et al. CPT Pharmacometrics Syst Pharmacol 2019;8:285-295, doi:10.1002/psp4.12388 (expansion
rate, doubling time, fold expansion, alpha and beta). Every formula stands in its row of `CELLULAR`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.nca.biphasic import Biphasic
from cellkinetics.nca.column import Key, Part, Parts, because
from cellkinetics.nca.curve import Curve
from cellkinetics.nca.integrate import log_ratio
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.parameter import OWN, STEIN, Parameter
from cellkinetics.nca.peak import Landmarks
from cellkinetics.nca.persistence import PERSISTENCE
from cellkinetics.nca.positions import first_true, last_true
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.terminal import fit_line
from cellkinetics.nca.window import Segments, level_at


def _row(
    code: str,
    label: str,
    unit_kind: str,
    formula: str,
    depends: tuple[str, ...] = (),
    *,
    windowed: bool = False,
    daily: bool = False,
    source: str = OWN,
) -> Parameter:
    return Parameter(
        code,
        label,
        unit_kind,
        formula,
        depends,
        "cellular",
        cdisc=False,
        routes=("cells",),
        windowed=windowed,
        daily=daily,
        source=source,
    )


PHASES: tuple[Parameter, ...] = (
    _row(
        "ALPHA",
        "Contraction Rate",
        "rate",
        "- slope of ln C from Cmax to the break, or to Tlast",
        ("TMAX",),
        source=STEIN,
    ),
    _row("ALPHAHL", "Contraction Half-Life", "time", "ln 2 / alpha", ("ALPHA",), source=STEIN),
    _row("ALPHANPT", "Number of Points for Contraction", "count", "points of the contraction line", ("ALPHA",)),
    _row("BETA", "Persistence Rate", "rate", "- slope of ln C from the break to Tlast", ("TMAX",), source=STEIN),
    _row("BETAHL", "Persistence Half-Life", "time", "ln 2 / beta", ("BETA",), source=STEIN),
    _row("BETANPT", "Number of Points for Persistence", "count", "points of the persistence line", ("BETA",)),
    _row("BREAKT", "Time of Break Between the Phases", "time", "where the two lines of ln C meet", ("TMAX",)),
    _row("BICDELTA", "BIC of One Phase less that of Two", "none", "k ln(RSS1/RSS2) - 3 ln k", ("TMAX",)),
)

CELLULAR: tuple[Parameter, ...] = (
    _row(
        "EXPRATE",
        "Expansion Rate",
        "rate",
        "slope of ln C from the first quantified sample to Cmax",
        ("TMAX",),
        source=STEIN,
    ),
    _row("EXPDT", "Doubling Time of Expansion", "time", "ln 2 / expansion rate", ("EXPRATE",), source=STEIN),
    _row("EXPNPT", "Number of Points for Expansion", "count", "points of the expansion line", ("EXPRATE",)),
    _row(
        "EXPFOLD", "Fold Expansion", "none", "Cmax / first quantified value: at least so much", ("CMAX",), source=STEIN
    ),
    _row("T10CMAX", "Time to 10 % of CMAX", "time", "first time at which the curve is 0.1 Cmax", ("CMAX",)),
    _row("T50CMAX", "Time to 50 % of CMAX", "time", "first time at which the curve is 0.5 Cmax", ("CMAX",)),
    *PHASES,
    _row("CDAY", "Conc at a Day", "value", "the integrated curve at that day", daily=True),
    _row("CDAYCMAX", "Conc at a Day / CMAX", "none", "CDAY / CMAX", ("CDAY", "CMAX"), daily=True),
    _row("TABOVE", "Time Above Threshold", "time", "total time at which the curve is at or above the threshold"),
    *PERSISTENCE,
    _row("WCOVER", "Observed Part of a Window", "percent", "100 * time observed / length of the window", windowed=True),
)
"""Rows of the registry, in the order of the tables; all codes are ours."""

CODES = frozenset(parameter.code for parameter in CELLULAR)
PHASE_CODES = frozenset(parameter.code for parameter in PHASES)


def put_cellular(
    parts: Parts, curve: Curve, segments: Segments, marks: Landmarks, keys: Iterable[Key], options: NCAOptions
) -> None:
    """Write the parameters of the group apart from phases and persistence.

    Args:
        parts: what is written to.
        curve: the samples.
        segments: the curve, cut at its samples.
        marks: peak and last sample.
        keys: what was asked for; windows and days are taken from them.
        options: for the threshold.
    """
    put_rise(parts, curve, segments, marks)
    put_time_above(parts, curve, segments, marks, options.threshold)
    for key in keys:
        if key.start is not None and key.end is not None:
            if key.code in {"CDAY", "CDAYCMAX"}:
                put_day(parts, curve, segments, marks, key.start)
            elif key.code == "WCOVER":
                put_coverage(parts, curve, key.start, key.end)


def put_phases(parts: Parts, phases: Biphasic, marks: Landmarks) -> None:
    """Write contraction and persistence; see `cellkinetics.nca.biphasic.two_phases`."""
    for code, value, why in (
        ("ALPHA", phases.alpha, phases.why_alpha),
        ("ALPHAHL", np.log(2.0) / phases.alpha, phases.why_alpha),
        ("ALPHANPT", phases.n_alpha, phases.why_alpha),
        ("BETA", phases.beta, phases.why_beta),
        ("BETAHL", np.log(2.0) / phases.beta, phases.why_beta),
        ("BETANPT", phases.n_beta, phases.why_beta),
        ("BREAKT", phases.break_time, phases.why_break),
        ("BICDELTA", phases.delta_bic, phases.why_bic),
    ):
        parts[Key(code)] = Part(value, np.where(marks.has, why, Why.NO_QUANTIFIABLE).astype(np.int8))


def put_rise(parts: Parts, curve: Curve, segments: Segments, marks: Landmarks) -> None:
    """Write what the way up to the peak says.

        expansion rate = slope of the least-squares line of ln C on t, first quantified sample to Cmax
        doubling time = ln 2 / rate,   fold expansion = Cmax / C(first quantified sample)

    The first quantified level is that of cells that have multiplied already, so that the fold expansion is
    a lower bound. The times to a part of Cmax are interpolated by the rule of the area.
    """
    n = len(curve.fault)
    profiles = np.arange(n)
    points = curve.quantified & (np.arange(len(curve.time))[:, None] <= marks.peak)
    x = np.where(points, curve.time, 0.0)
    slope, _, _ = fit_line(x, np.log(np.where(points, curve.value, 1.0)), points)
    k = points.sum(axis=0)
    none, no_rise = (~marks.has, Why.NO_QUANTIFIABLE), (k < 2, Why.NO_RISE)
    why = because(n, none, no_rise, (~(slope > 0), Why.NOT_RISING))
    for code, value in (("EXPRATE", slope), ("EXPDT", np.log(2.0) / slope), ("EXPNPT", k.astype(float))):
        parts[Key(code)] = Part(value, why)
    first = curve.value[first_true(curve.quantified), profiles]
    parts[Key("EXPFOLD")] = Part(marks.cmax / first, because(n, none, no_rise))
    start = np.where(curve.used[0], 0, 1)
    for code, share in (("T10CMAX", 0.1), ("T50CMAX", 0.5)):
        level = share * marks.cmax
        after = first_true(curve.used & (curve.value >= level))
        from_start = after <= start
        before = np.maximum(after, 1) - 1
        t1, t2 = (curve.time[position, profiles] for position in (before, before + 1))
        c1, c2 = (curve.value[position, profiles] for position in (before, before + 1))
        time = crossing_time(level, t1, c1, t2, c2, segments.log[before, profiles])
        parts[Key(code)] = Part(time, because(n, none, (from_start, Why.ABOVE_FROM_THE_START)))


def crossing_time(
    level: FloatArray, t1: FloatArray, c1: FloatArray, t2: FloatArray, c2: FloatArray, log: BoolArray
) -> FloatArray:
    """Return when a segment is at a level between ``c1`` and ``c2``, by the rule of the segment.

        linear: t1 + (t2 - t1) (level - c1)/(c2 - c1),   logarithmic: t1 + (t2 - t1) ln(level/c1)/ln(c2/c1)

    Example:
        >>> level, t1, c1, t2, c2 = np.array([[50.0], [0.0], [100.0], [10.0], [25.0]])
        >>> crossing_time(level, t1, c1, t2, c2, np.array([True])).tolist()
        [5.0]
    """
    share = (level - c1) / (c2 - c1)
    if log.any():
        level = np.broadcast_to(level, share.shape)
        share[log] = log_ratio(c1[log], level[log]) / log_ratio(c1[log], c2[log])
    return t1 + (t2 - t1) * share


def put_time_above(parts: Parts, curve: Curve, segments: Segments, marks: Landmarks, threshold: float | None) -> None:
    """Write the total time, until the last sample, at which the curve is at or above the threshold.

    The threshold is the profile's largest LLOQ if none is given. The curve falls to the zero of a sample
    below quantification in a straight line, and crosses the threshold on the way.
    """
    n = len(curve.fault)
    level = curve.limit if threshold is None else np.full(n, threshold)
    t1, t2, c1, c2 = segments.time[:-1], segments.time[1:], segments.value[:-1], segments.value[1:]
    starts, ends = c1 >= level, c2 >= level
    time = np.where(starts & ends, t2 - t1, 0.0)
    crosses = segments.exists & (starts != ends)
    j, i = np.nonzero(crosses)
    at = crossing_time(level[i], t1[j, i], c1[j, i], t2[j, i], c2[j, i], segments.log[j, i])
    time[j, i] = np.where(starts[j, i], at - t1[j, i], t2[j, i] - at)
    total = np.cumsum(np.where(segments.exists, time, 0.0), axis=0)[-1]
    spans = np.where(marks.has, segments.exists.any(axis=0), curve.end > 0)
    blind = curve.has_blq & (level < curve.limit)
    parts[Key("TABOVE")] = Part(
        np.where(marks.has, total, 0.0),
        because(n, (np.isnan(level), Why.NO_THRESHOLD), (blind, Why.THRESHOLD_BELOW_LLOQ), (~spans, Why.NO_INTERVAL)),
    )


def put_day(parts: Parts, curve: Curve, segments: Segments, marks: Landmarks, day: float) -> None:
    """Write the level at a day and its ratio to Cmax.

    It is that of the curve that is integrated: a sample of that day, else interpolated by the rule of the
    area, 0 where the curve has come down to 0 and later samples are below quantification. Nothing is
    extrapolated.
    """
    n = len(curve.fault)
    profiles = np.arange(n)
    final = last_true(curve.used)
    ends, level = curve.time[final, profiles], curve.value[final, profiles]
    covered = np.where(marks.has & (level > 0), ends, np.maximum(curve.end, np.where(marks.has, ends, -np.inf)))
    value = level_at(curve, segments, marks.has, day)
    why = because(n, ((day < _begin(curve)) | (day > covered), Why.NOT_OBSERVED))
    parts[Key("CDAY", day, day)] = Part(value, why)
    why = np.where(marks.has, why, Why.NO_QUANTIFIABLE).astype(np.int8)
    parts[Key("CDAYCMAX", day, day)] = Part(value / marks.cmax, why)


def put_coverage(parts: Parts, curve: Curve, start: float, end: float) -> None:
    """Write how much of a window lies between the first and the last sample, quantifiable or not.

        100 (min(end, last) - max(start, first)) / (end - start),   at least 0

    A time zero that is imputed counts as observed: the infusion is known.
    """
    observed = np.minimum(end, curve.end) - np.maximum(start, _begin(curve))
    share = 100.0 * np.maximum(observed, 0.0) / (end - start)
    parts[Key("WCOVER", start, end)] = Part(share, because(len(share)))


def _begin(curve: Curve) -> FloatArray:
    """Return the time of the first sample, 0 where time zero is imputed, shape ``(n,)``."""
    return np.where(curve.imputed, 0.0, curve.sample_time[0])
