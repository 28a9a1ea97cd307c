"""Partial areas: the curve between two times, observed or extrapolated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.nca.column import ReasonArray, because
from cellkinetics.nca.curve import Curve
from cellkinetics.nca.integrate import interpolate, linear_area, linear_moment, log_area, log_moment, log_segments
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.peak import Landmarks
from cellkinetics.nca.positions import last_true
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.terminal import Terminal


@dataclass(frozen=True, eq=False)
class Segments:
    """The curve cut at its samples.

    ``time`` and ``value`` are ``(positions, n)``, +inf after the last sample and -inf at an unused
    first position; segment ``j`` runs from position ``j`` to ``j + 1``, and ``exists``, ``log`` and
    ``area`` are ``(positions - 1, n)``.
    """

    time: FloatArray
    value: FloatArray
    exists: BoolArray
    log: BoolArray
    area: FloatArray


def cut(curve: Curve, tmax: FloatArray, options: NCAOptions) -> Segments:
    """Cut the curves at their samples, choose the rule of each segment and integrate it."""
    t1, t2, c1, c2 = curve.time[:-1], curve.time[1:], curve.value[:-1], curve.value[1:]
    exists = curve.used[:-1] & curve.used[1:]
    log = exists & log_segments(options.auc_method, t1, c1, c2, tmax)
    area = np.where(exists, linear_area(t1, c1, t2, c2), 0.0)
    at = np.flatnonzero(log)  # numbers of segments are faster than a mask
    np.put(area, at, log_area(*(np.take(array, at) for array in (t1, c1, t2, c2))))
    return Segments(curve.time, curve.value, exists, log, area)


def to_last(segments: Segments, marks: Landmarks) -> BoolArray:
    """Return the segments that end at the last quantified sample or before it, ``(positions - 1, n)``."""
    return segments.exists & (np.arange(1, len(segments.time))[:, None] <= marks.last)


def add_up(rows: FloatArray, which: BoolArray) -> FloatArray:
    """Add up position by position, so that the order of the sum does not depend on the batch."""
    total = np.zeros(rows.shape[1])
    for row, here in zip(rows, which, strict=True):
        np.add(total, row, out=total, where=here)
    return total


def covered_to(curve: Curve) -> FloatArray:
    """Return the time up to which each curve is known, ``(n,)``.

    That is its last sample; where it has come down to zero there, also the later samples below quantification.
    """
    profiles = np.arange(curve.time.shape[1])
    final = last_true(curve.used)
    time, level = curve.time[final, profiles], curve.value[final, profiles]
    return np.where(level == 0, np.maximum(time, curve.end), time)


@dataclass(frozen=True, eq=False)
class Beyond:
    """What each curve is taken for beyond its samples, arrays ``(n,)``.

    Attributes:
        begins: where it begins.
        covered: up to where it is known, see `covered_to`.
        line: whether there is a terminal line, and the options let it extrapolate.
        follows: whether that line is accepted, too, so that the curve follows it.
        zero: whether the options take the curve for zero.
        start, height, rate: Tlast, the level that the exponential has there, and lambda_z.
    """

    begins: FloatArray
    covered: FloatArray
    line: BoolArray
    follows: BoolArray
    zero: bool
    start: FloatArray
    height: FloatArray
    rate: FloatArray

    def takes_over(self, end: FloatArray) -> tuple[BoolArray, FloatArray]:
        """Return which curves follow the terminal line at ``end``, and until when each follows its samples."""
        by_line = self.follows & (end > self.covered)
        return by_line, np.where(by_line, np.minimum(self.start, end), end)

    def why(self, start: float | FloatArray, end: float | FloatArray) -> ReasonArray:
        """Return why the curve is not known from ``start`` to ``end``."""
        lost = (end > self.covered) & ~self.follows & (not self.zero)
        return because(
            len(self.begins),
            (np.asarray(start < self.begins), Why.NO_TIME_ZERO),
            (lost & self.line, Why.LAMBDA_Z_NOT_ACCEPTED),
            (lost, Why.WINDOW_NOT_COVERED),
        )


def beyond(curve: Curve, marks: Landmarks, line: Terminal, accepted: BoolArray, options: NCAOptions) -> Beyond:
    """Say what the curves are beyond their samples; ``accepted`` are the lines that may extrapolate, ``(n,)``."""
    known = (line.why == Why.CALCULATED) & (options.window_end in {"observed", "predicted"})
    return Beyond(
        begins=np.where(curve.imputed, 0.0, curve.time[1]),
        covered=covered_to(curve),
        line=known,
        follows=known & accepted,
        zero=options.window_end == "zero",
        start=marks.tlast,
        height=line.at(marks.tlast) if options.window_end == "predicted" else marks.clast,
        rate=line.lambda_z,
    )


def partial_area(
    segments: Segments, after: Beyond, has: BoolArray, start: float, end: FloatArray
) -> tuple[FloatArray, FloatArray, ReasonArray]:
    """Return areas from ``start`` to ``end``, the percentage of each that is extrapolated, and why there is none.

    | the window ends | area |
    |---|---|
    | at or before the last sample of the curve | observed, ends interpolated |
    | after it, where later samples are below quantification and the curve has come down to zero | observed |
    | after the last sample | observed to Tlast, then the terminal exponential, if accepted |

    Args:
        segments: the curves.
        after: what they are beyond their samples.
        has: ``(n,)``, whether anything is quantified; else the area is 0.
        start: one time for all profiles.
        end: ``(n,)``.
    """
    by_line, until = after.takes_over(end)
    area = observed_area(segments, start, until)
    tail = np.where(by_line, extrapolated_area(after.height, after.rate, after.start, start, end), 0.0)
    area = np.where(has, area + tail, 0.0)
    return area, np.where(area == 0, 0.0, 100.0 * (tail / area)), after.why(start, end)


def observed_area(segments: Segments, start: float, end: FloatArray) -> FloatArray:
    """Return the area from ``start`` to ``end``, with ends inside a segment interpolated by its rule.

    Beyond the last sample the curve counts as zero.

    Args:
        segments: the curves.
        start: one time for all profiles.
        end: ``(n,)``; a profile with ``end <= start`` has area 0.

    Returns:
        ``(n,)``.
    """
    time = segments.time
    n = time.shape[1]
    profiles = np.arange(n)
    low = (time <= start).sum(axis=0) - 1
    high = (time <= end).sum(axis=0) - 1
    total = np.zeros(n)
    for j, area in enumerate(segments.area):
        # the segment that holds ``start`` is whole where it begins there
        whole = (j < high) & ((j > low) | ((j == low) & (time[j] == start)))
        np.add(total, area, out=total, where=whole)
    split = (low < high) & (time[low, profiles] < start)
    _add_piece(total, segments, low, np.full(n, start), time[np.minimum(low + 1, len(time) - 1), profiles], split)
    begin = np.maximum(time[high, profiles], start)
    _add_piece(total, segments, high, begin, end, begin < end)
    return total


def segment_moments(segments: Segments) -> FloatArray:
    """Return the first moment of each segment by its rule, 0 where there is none; ``(positions - 1, n)``."""
    t1, t2, c1, c2 = segments.time[:-1], segments.time[1:], segments.value[:-1], segments.value[1:]
    moment = np.where(segments.exists, linear_moment(t1, c1, t2, c2), 0.0)
    at = np.flatnonzero(segments.log)
    np.put(moment, at, log_moment(*(np.take(array, at) for array in (t1, c1, t2, c2))))
    return moment


def observed_moment(segments: Segments, end: FloatArray) -> FloatArray:
    """Return the first moment of each curve up to ``end``, as `observed_area` returns the area.

    Args:
        segments: the curves.
        end: ``(n,)``; where the curve begins at ``end`` or after it the moment is 0.

    Returns:
        ``(n,)``.
    """
    time = segments.time
    profiles = np.arange(time.shape[1])
    high = (time <= end).sum(axis=0) - 1
    total = np.zeros(len(profiles))
    for j, moment in enumerate(segment_moments(segments)):
        np.add(total, moment, out=total, where=j < high)
    begin = time[high, profiles]
    _add_piece(total, segments, high, begin, end, (high >= 0) & (begin < end), (linear_moment, log_moment))
    return total


_Rule = Callable[[FloatArray, FloatArray, FloatArray, FloatArray], FloatArray]


def _add_piece(
    total: FloatArray,
    segments: Segments,
    j: IntArray,
    begin: FloatArray,
    end: FloatArray,
    which: BoolArray,
    rules: tuple[_Rule, _Rule] = (linear_area, log_area),
) -> None:
    """Add to ``total`` the area, or the moment, of segment ``j`` between ``begin`` and ``end``."""
    last = len(segments.exists) - 1
    at = np.flatnonzero(which & (j >= 0) & (j <= last))
    at = at[segments.exists[j[at], at]] if last >= 0 else at[:0]
    if not at.size:
        return
    j, x, y = j[at], begin[at], end[at]
    t1, c1, t2, c2 = segments.time[j, at], segments.value[j, at], segments.time[j + 1, at], segments.value[j + 1, at]
    log = segments.log[j, at]
    cx, cy = interpolate(x, t1, c1, t2, c2, log), interpolate(y, t1, c1, t2, c2, log)
    total[at] += piece(x, cx, y, cy, log, rules)


def piece(
    x: FloatArray,
    cx: FloatArray,
    y: FloatArray,
    cy: FloatArray,
    log: BoolArray,
    rules: tuple[_Rule, _Rule] = (linear_area, log_area),
) -> FloatArray:
    """Return the area, or the moment, of pieces from ``x`` to ``y`` by the rule of the segment of each; ``(k,)``."""
    log = log & (cx != cy)
    linear, logarithmic = rules
    total = linear(x, cx, y, cy)
    total[log] = logarithmic(x[log], cx[log], y[log], cy[log])
    return total


def level_at(curve: Curve, segments: Segments, has: BoolArray, time: float | FloatArray) -> FloatArray:
    """Return the level of each curve at a time: a sample, or interpolated by the rule of the segment.

    Args:
        curve: the curves.
        segments: the same, cut at their samples.
        has: ``(n,)``, whether anything is quantified.
        time: one for all profiles, or ``(n,)``.

    Returns:
        ``(n,)``; 0 beyond the last sample of the curve, and where nothing is quantified.
    """
    profiles = np.arange(len(has))
    final = last_true(curve.used)
    ends = curve.time[final, profiles]
    at = np.maximum((curve.time <= time).sum(axis=0) - 1, 0)
    value = np.where(has & (at <= final) & (time <= ends), curve.value[at, profiles], 0.0)
    between = np.flatnonzero(has & (curve.time[at, profiles] < time) & (time < ends))
    j = at[between]
    t1, t2 = (curve.time[position, between] for position in (j, j + 1))
    c1, c2 = (curve.value[position, between] for position in (j, j + 1))
    when = np.broadcast_to(time, has.shape)[between]
    value[between] = interpolate(when, t1, c1, t2, c2, segments.log[j, between])
    return value


def extrapolated_area(
    last_value: FloatArray, lambda_z: FloatArray, last_time: FloatArray, start: float, end: float | FloatArray
) -> FloatArray:
    """Return the area under the terminal exponential from the later of ``start`` and Tlast to ``end``.

        Clast/lambda_z * (exp(-lambda_z (max(start, Tlast) - Tlast)) - exp(-lambda_z (end - Tlast)))

    Example:
        >>> area = extrapolated_area(np.array([100.0]), np.array([np.log(2) / 7]), np.array([28.0]), 0.0, 35.0)
        >>> round(float(area[0]), 4)  # half of 100 * 7/ln 2
        504.9433
    """
    begin = np.maximum(start, last_time)
    height = last_value * np.exp(-lambda_z * (begin - last_time))
    return height * (-np.expm1(-lambda_z * (end - begin)) / lambda_z)


def extrapolated_moment(
    last_value: FloatArray, lambda_z: FloatArray, last_time: FloatArray, end: FloatArray
) -> FloatArray:
    """Return the first moment of the terminal exponential from Tlast to ``end``.

        Clast/lambda_z * (Tlast + 1/lambda_z - (end + 1/lambda_z) exp(-lambda_z (end - Tlast)))

    Example:
        >>> moment = extrapolated_moment(*np.array([[100.0], [0.1], [0.0], [1e9]]))
        >>> moment.round(6).tolist()  # 100/0.1^2
        [10000.0]
    """
    span = end - last_time
    far = np.exp(-lambda_z * span)
    part = -np.expm1(-lambda_z * span) * (last_time + 1.0 / lambda_z) - span * far
    return last_value / lambda_z * part
