"""How every area came about: one row an interval, with the rule that held in it and the areas it is part of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellkinetics.data.cohort import BoolArray, Cohort, FloatArray, IntArray
from cellkinetics.nca.column import Column, Key
from cellkinetics.nca.curve import BLOCK, Curve, Role, Samples, arrange
from cellkinetics.nca.integrate import interpolate
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.peak import Landmarks, landmarks
from cellkinetics.nca.picks import Picks
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.terminal import Terminal, choose_line
from cellkinetics.nca.window import Beyond, Segments, beyond, cut, extrapolated_area, piece

INTERVAL_COLUMNS = (
    "subject",
    "analyte",
    "occasion",
    "specimen",
    "group",
    "interval",
    "start",
    "end",
    "start_value",
    "end_value",
    "start_row",
    "end_row",
    "start_point",
    "end_point",
    "rule",
    "area",
    "cumulative_area",
    "areas",
)
_WINDOWS = frozenset({"AUCINT", "AUCTAU"})
_AREAS = _WINDOWS | {"AUCLST", "AUCALL", "AUCIFO", "AUCIFP"}
_KINDS = ("whole", "part", "tail")
_POINTS = ("quantified", "below_quantification", "imputed", "interpolated", "line", "infinity")
_QUANTIFIED, _BLQ, _IMPUTED, _INTERPOLATED, _LINE, _INFINITY = range(len(_POINTS))
_RULES = ("linear", "log", "lambda_z")
_LINEAR, _LOG, _LAMBDA_Z = range(len(_RULES))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of the table, arrays ``(k,)``; ``member`` is ``(k, areas)``, which areas each row is part of."""

    profile: IntArray
    kind: IntArray
    start: FloatArray
    end: FloatArray
    start_value: FloatArray
    end_value: FloatArray
    start_row: FloatArray
    end_row: FloatArray
    start_point: IntArray
    end_point: IntArray
    rule: IntArray
    area: FloatArray
    cumulative: FloatArray
    member: BoolArray


@dataclass(frozen=True, eq=False)
class _Analysed:
    """Curves of the profiles that can be used, and what is found on them; all as in the engine."""

    curve: Curve
    marks: Landmarks
    segments: Segments
    line: Terminal
    after: Beyond  # of all lines: where one is not accepted, no window that needs it was calculated
    cumulative: FloatArray  # (positions - 1, n), area from the curve's first point to the end of each segment
    point: IntArray  # (positions, n), a number in `_POINTS`
    row: FloatArray  # (positions, n), line in the file; NaN for an imputed point
    healthy: BoolArray  # (n,)


def interval_table(cohort: Cohort, columns: Mapping[Key, Column], options: NCAOptions) -> pd.DataFrame:
    """Return one row an interval of every curve, with its area and the calculated areas that it is part of.

    | ``interval`` | what it is |
    |---|---|
    | ``whole`` | between two points of the curve that follow each other |
    | ``part`` | of such an interval, the part inside a window that ends or begins within it |
    | ``tail`` | beyond the last quantified sample, by lambda_z, to the end of a window or to infinity |

    ``rule`` is ``linear``, ``log`` or ``lambda_z``. ``start_point`` and ``end_point`` say what stands at the
    ends: ``quantified``, ``below_quantification`` (a sample that counts as the value here), ``imputed`` (at
    time zero), ``interpolated``, ``line`` (on the terminal exponential) or ``infinity`` (``end`` is empty).
    ``cumulative_area`` is the area of the curve from its first point to ``end``. ``areas`` names the values
    of the analysis, ``;`` between them: a value is the sum of ``area`` over the rows that name it. One
    that no row names is zero (a profile without a quantifiable sample), or was not calculated.

    Args:
        cohort: what was analysed.
        columns: the values, by `Key`; of these AUCLST, AUCALL, AUCIFO, AUCIFP, AUCINT and AUCTAU are taken apart.
        options: the rules that were followed.
    """
    usable = np.flatnonzero([fault is None for fault in cohort.unusable])
    found = {key: column for key, column in columns.items() if key.code in _AREAS}
    blocks = [usable[start : start + BLOCK] for start in range(0, max(1, len(usable)), BLOCK)]
    frames = [_frame(cohort, block, _rows(cohort, block, found, options), found) for block in blocks]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _rows(cohort: Cohort, usable: IntArray, columns: Mapping[Key, Column], options: NCAOptions) -> _Rows:
    """Return the rows of some profiles."""
    keys = list(columns)
    wanted = {key: columns[key].why[usable] == Why.CALCULATED for key in keys}
    with np.errstate(all="ignore"):
        found = _analyse(cohort, usable, options)
        rows = [_whole_rows(found, keys, wanted)]
        for place, key in enumerate(keys):
            if key.code in _WINDOWS:
                rows += _window_rows(found, key, place, len(keys), wanted[key], options)
        for place, key in enumerate(keys):
            if key.code in {"AUCIFO", "AUCIFP"}:
                rows.append(_infinite_rows(found, key, place, len(keys), wanted[key]))
    return _Rows(*(np.concatenate([getattr(part, name) for part in rows]) for name in _Rows.__dataclass_fields__))


def _analyse(cohort: Cohort, usable: IntArray, options: NCAOptions) -> _Analysed:
    """Make the curves again, as the engine does."""
    picks = Picks.of(cohort, options)
    picks = None if picks is None else picks.take(usable)
    curve = arrange(Samples.of(cohort, options.time).take(usable), options)
    marks = landmarks(curve, options.tmax_tie)
    segments = cut(curve, marks.tmax, options)
    row = np.full(curve.time.shape, np.nan)
    # the curve's position p >= 1 is the p-th sorted sample that counts
    counts = (curve.role == Role.QUANTIFIED) | (curve.role == Role.SUBSTITUTED)
    rank = np.argsort(~counts, axis=0, kind="stable")
    if cohort.row.shape[1]:
        row[1:] = cohort.row[usable[None, :], np.take_along_axis(curve.order, rank, axis=0)]
    line = choose_line(curve, marks.peak, options, picks).line
    point = np.where(curve.quantified, _QUANTIFIED, _BLQ)
    point[0] = _IMPUTED
    return _Analysed(
        curve=curve,
        marks=marks,
        segments=segments,
        line=line,
        after=beyond(curve, marks, line, np.ones(len(usable), bool), options),
        cumulative=np.cumsum(np.where(segments.exists, segments.area, 0.0), axis=0),
        point=point,
        row=row,
        healthy=curve.fault == Why.CALCULATED,
    )


def _window(found: _Analysed, key: Key) -> tuple[float, FloatArray]:
    """Return start and end of a window; AUCTAU has the dosing interval of each profile, ``(n,)``."""
    if key.start is None or key.end is None:
        return 0.0, np.where(np.isfinite(found.curve.tau), found.curve.tau, 0.0)
    return key.start, np.full(len(found.healthy), key.end)


def _within(found: _Analysed, key: Key) -> BoolArray:
    """Return the whole segments of an area, ``(positions - 1, n)``."""
    begins, ends = found.segments.time[:-1], found.segments.time[1:]
    if key.code == "AUCALL":
        return found.segments.exists & found.marks.has
    until = found.marks.tlast
    since = 0.0
    if key.code in _WINDOWS:
        since, until = _window(found, key)[0], found.after.takes_over(_window(found, key)[1])[1]
    return found.segments.exists & found.marks.has & (begins >= since) & (ends <= until)


def _whole_rows(found: _Analysed, keys: list[Key], wanted: Mapping[Key, BoolArray]) -> _Rows:
    segments = found.segments
    i, j = np.nonzero((segments.exists & found.healthy).T)
    member = np.zeros((len(i), len(keys)), bool)
    for place, key in enumerate(keys):
        member[:, place] = (_within(found, key) & wanted[key])[j, i]
    return _Rows(
        profile=i,
        kind=np.zeros_like(i),
        start=segments.time[j, i],
        end=segments.time[j + 1, i],
        start_value=segments.value[j, i],
        end_value=segments.value[j + 1, i],
        start_row=found.row[j, i],
        end_row=found.row[j + 1, i],
        start_point=found.point[j, i],
        end_point=found.point[j + 1, i],
        rule=np.where(segments.log[j, i], _LOG, _LINEAR),
        area=segments.area[j, i],
        cumulative=found.cumulative[j, i],
        member=member,
    )


def _window_rows(
    found: _Analysed, key: Key, place: int, n_areas: int, wanted: BoolArray, options: NCAOptions
) -> list[_Rows]:
    """Return the parts of segments at the ends of a window, and its extrapolated tail."""
    segments = found.segments
    start, end = _window(found, key)
    by_line, until = found.after.takes_over(end)
    wanted = wanted & found.marks.has & found.healthy
    begins, ends = segments.time[:-1], segments.time[1:]
    split = segments.exists & wanted & (begins < until) & (ends > start) & ~_within(found, key)
    i, j = np.nonzero(split.T)
    t1, c1 = segments.time[j, i], segments.value[j, i]
    t2, c2 = segments.time[j + 1, i], segments.value[j + 1, i]
    log = segments.log[j, i]
    x, y = np.maximum(t1, start), np.minimum(t2, until[i])
    cx, cy = interpolate(x, t1, c1, t2, c2, log), interpolate(y, t1, c1, t2, c2, log)
    parts = _Rows(
        profile=i,
        kind=np.ones_like(i),
        start=x,
        end=y,
        start_value=cx,
        end_value=cy,
        start_row=np.where(x == t1, found.row[j, i], np.nan),
        end_row=np.where(y == t2, found.row[j + 1, i], np.nan),
        start_point=np.where(x == t1, found.point[j, i], _INTERPOLATED),
        end_point=np.where(y == t2, found.point[j + 1, i], _INTERPOLATED),
        rule=np.where(log, _LOG, _LINEAR),
        area=piece(x, cx, y, cy, log),
        cumulative=found.cumulative[j, i] - segments.area[j, i] + piece(t1, c1, y, cy, log),
        member=_member(len(i), place, n_areas),
    )
    i = np.flatnonzero(by_line & wanted)
    observed = options.window_end == "observed"
    tail = _tail_rows(found, i, place, n_areas, observed=observed, start=start, end=end[i])
    return [parts, tail]


def _infinite_rows(found: _Analysed, key: Key, place: int, n_areas: int, wanted: BoolArray) -> _Rows:
    """Return the tails from Tlast to infinity."""
    i = np.flatnonzero(wanted & found.marks.has & found.healthy)
    return _tail_rows(found, i, place, n_areas, observed=key.code == "AUCIFO", start=-np.inf, end=None)


def _tail_rows(
    found: _Analysed, i: IntArray, place: int, n_areas: int, *, observed: bool, start: float, end: FloatArray | None
) -> _Rows:
    """Return terminal exponentials from the later of ``start`` and Tlast to ``end``, without one to infinity."""
    marks = found.marks
    tlast, rate = marks.tlast[i], found.line.lambda_z[i]
    height = (marks.clast if observed else found.line.at(marks.tlast))[i]
    begin = np.maximum(start, tlast)
    at_sample = (begin == tlast) & observed
    before = np.where(marks.last[i] > 0, found.cumulative[np.maximum(marks.last[i], 1) - 1, i], 0.0)
    whole = height / rate if end is None else extrapolated_area(height, rate, tlast, -np.inf, end)
    return _Rows(
        profile=i,
        kind=np.full(len(i), 2),
        start=begin,
        end=np.full(len(i), np.nan) if end is None else end,
        start_value=height * np.exp(-rate * (begin - tlast)),
        end_value=np.zeros(len(i)) if end is None else height * np.exp(-rate * (end - tlast)),
        start_row=np.where(at_sample, found.row[marks.last[i], i], np.nan),
        end_row=np.full(len(i), np.nan),
        start_point=np.where(at_sample, _QUANTIFIED, _LINE),
        end_point=np.full(len(i), _INFINITY if end is None else _LINE),
        rule=np.full(len(i), _LAMBDA_Z),
        area=whole if end is None else extrapolated_area(height, rate, tlast, start, end),
        cumulative=before + whole,
        member=_member(len(i), place, n_areas),
    )


def _member(k: int, place: int, n_areas: int) -> BoolArray:
    member = np.zeros((k, n_areas), bool)
    member[:, place] = True
    return member


def _frame(cohort: Cohort, usable: IntArray, rows: _Rows, keys: Iterable[Key]) -> pd.DataFrame:
    """Write the rows with their words, profile by profile: whole intervals in order of time, then the others."""
    order = np.argsort(rows.profile * len(_KINDS) + rows.kind, kind="stable")
    profile = usable[rows.profile[order]]

    def text(items: Any, at: NDArray[Any]) -> pd.Series[str]:
        return pd.Series(np.array(items, dtype=object)[at], dtype="str")

    def line(numbers: FloatArray) -> pd.Series[Any]:
        return pd.Series(numbers[order], dtype="float64").astype("Int64")

    names = [key.column for key in keys]
    # few combinations of areas occur, whatever the number of rows
    combinations, which = np.unique(rows.member[order], axis=0, return_inverse=True)
    areas = [";".join(name for name, here in zip(names, one, strict=True) if here) for one in combinations]
    return pd.DataFrame(
        {
            "subject": text(cohort.subject, profile),
            "analyte": text(cohort.analyte, profile),
            "occasion": text(cohort.occasion, profile),
            "specimen": text(cohort.specimen, profile),
            "group": text(cohort.group, profile),
            "interval": text(_KINDS, rows.kind[order]),
            "start": rows.start[order],
            "end": rows.end[order],
            "start_value": rows.start_value[order],
            "end_value": rows.end_value[order],
            "start_row": line(rows.start_row),
            "end_row": line(rows.end_row),
            "start_point": text(_POINTS, rows.start_point[order]),
            "end_point": text(_POINTS, rows.end_point[order]),
            "rule": text(_RULES, rows.rule[order]),
            "area": rows.area[order],
            "cumulative_area": rows.cumulative[order],
            "areas": text(areas, which.ravel()),
        }
    )
