"""Partial areas: the curve between two times, observed or extrapolated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.nca.curve import Curve
from cellkinetics.nca.integrate import interpolate, linear_area, log_area, log_segments
from cellkinetics.nca.options import NCAOptions


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
    area[log] = log_area(t1[log], c1[log], t2[log], c2[log])
    return Segments(curve.time, curve.value, exists, log, area)


def covered_to(curve: Curve) -> FloatArray:
    """Return the time up to which each curve is known, ``(n,)``.

    That is its last sample; where it has come down to zero there, also the later samples below quantification.
    """
    profiles = np.arange(curve.time.shape[1])
    final = len(curve.used) - 1 - np.argmax(curve.used[::-1], axis=0)
    time, level = curve.time[final, profiles], curve.value[final, profiles]
    return np.where(level == 0, np.maximum(time, curve.end), time)


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


def _add_piece(
    total: FloatArray, segments: Segments, j: IntArray, begin: FloatArray, end: FloatArray, which: BoolArray
) -> None:
    """Add to ``total`` the area of segment ``j`` between ``begin`` and ``end``."""
    last = len(segments.exists) - 1
    at = np.flatnonzero(which & (j >= 0) & (j <= last))
    at = at[segments.exists[j[at], at]] if last >= 0 else at[:0]
    if not at.size:
        return
    j, x, y = j[at], begin[at], end[at]
    t1, c1, t2, c2 = segments.time[j, at], segments.value[j, at], segments.time[j + 1, at], segments.value[j + 1, at]
    log = segments.log[j, at]
    cx, cy = interpolate(x, t1, c1, t2, c2, log), interpolate(y, t1, c1, t2, c2, log)
    log = log & (cx != cy)
    area = linear_area(x, cx, y, cy)
    area[log] = log_area(x[log], cx[log], y[log], cy[log])
    total[at] += area


def extrapolated_area(
    last_value: FloatArray, lambda_z: FloatArray, last_time: FloatArray, start: float, end: float
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
