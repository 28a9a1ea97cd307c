"""The terminal line: which samples belong to it, and its slope.

Source: Phoenix WinNonlin, "Lambda Z or slope estimation settings" (the best-fit rule); Gabrielsson J,
Weiner D. Pharmacokinetic and Pharmacodynamic Data Analysis, 5th ed. (2016), section 2.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.nca.reasons import Why


@dataclass(frozen=True, eq=False)
class Terminal:
    """The terminal line of each profile, ln C = intercept - lambda_z * t; NaN where there is none.

    All arrays are ``(n,)``: ``lambda_z`` (1/time), ``intercept`` (of ln C at time zero), ``r2``,
    ``r2adj``, ``corrxy``, ``n_points``, ``lower`` and ``upper`` (time of the first and last point)
    and ``why`` (a `Why` where there is no line).
    """

    lambda_z: FloatArray
    intercept: FloatArray
    r2: FloatArray
    r2adj: FloatArray
    corrxy: FloatArray
    n_points: FloatArray
    lower: FloatArray
    upper: FloatArray
    why: NDArray[np.int8]

    def at(self, time: FloatArray) -> FloatArray:
        """Return the line's value at a time, exp(intercept - lambda_z * time)."""
        return np.exp(self.intercept - self.lambda_z * time)


def candidates(quantified: BoolArray, peak: IntArray, *, with_peak: bool) -> BoolArray:
    """Return the samples that may be terminal: quantified and after Cmax (from Cmax on for a bolus).

    Example:
        >>> candidates(np.full((4, 1), True), np.array([1]), with_peak=False)[:, 0].tolist()
        [False, False, True, True]
    """
    position = np.arange(len(quantified))[:, None]
    return quantified & (position >= peak if with_peak else position > peak)


def choose_start(
    time: FloatArray, log_value: FloatArray, candidate: BoolArray, *, min_points: int, tolerance: float
) -> tuple[IntArray, BoolArray]:
    """Choose the first point of each terminal line, from the last points backwards.

    1. Lines are drawn through the last 3, 4, 5, ... candidates.
    2. Only lines that fall take part.
    3. The one with the largest adjusted R2 wins; a line with more points wins over it if its
       adjusted R2 is at most ``tolerance`` below the largest.

        adjusted R2 = 1 - (1 - R2) (k - 1)/(k - 2)   for k points

    Args:
        time: ``(positions, n)``; what stands where ``candidate`` is False does not matter.
        log_value: ln C, same shape.
        candidate: ``(positions, n)``.
        min_points: fewest points of a line.
        tolerance: see 3.

    Returns:
        The position of the first point, ``(n,)``, and whether there is a line.
    """
    n = time.shape[1]
    # sums are taken from the last candidate as the origin, which keeps the digits that late times would cost
    last = len(time) - 1 - np.argmax(candidate[::-1], axis=0)
    profiles = np.arange(n)
    origin_x, origin_y = time[last, profiles], log_value[last, profiles]
    k, sx, sy, sxx, sxy, syy = (np.zeros(n) for _ in range(6))
    best, start, found = np.full(n, -np.inf), np.zeros(n, np.int64), np.zeros(n, bool)
    for position in range(len(time) - 1, -1, -1):
        here = candidate[position]
        if not here.any():
            continue
        x = np.where(here, time[position] - origin_x, 0.0)
        y = np.where(here, log_value[position] - origin_y, 0.0)
        k += here
        sx += x
        sy += y
        sxx += x * x
        sxy += x * y
        syy += y * y
        cxy = sxy - sx * sy / k
        r2 = cxy * cxy / ((sxx - sx * sx / k) * (syy - sy * sy / k))
        adjusted = 1.0 - (1.0 - r2) * ((k - 1.0) / (k - 2.0))
        falls = here & (k >= min_points) & (cxy < 0) & np.isfinite(adjusted)
        take = falls & (adjusted >= best - tolerance)
        start[take] = position
        best = np.where(falls & (adjusted > best), adjusted, best)
        found |= falls
    return start, found


def fit_line(time: FloatArray, log_value: FloatArray, points: BoolArray) -> tuple[FloatArray, ...]:
    """Return slope, intercept and correlation of the least-squares lines through ``points``.

        slope = Sxy/Sxx,  intercept = mean(y) - slope * mean(x),  r = Sxy/sqrt(Sxx Syy)

    with sums of deviations from the means. Arrays are ``(positions, n)``; the results ``(n,)``.

    Example:
        >>> time, y = np.array([[0.0], [1.0], [2.0]]), np.array([[3.0], [2.0], [1.0]])
        >>> [float(x[0]) for x in fit_line(time, y, np.full((3, 1), True))]
        [-1.0, 3.0, -1.0]
    """
    k = np.zeros(time.shape[1])
    mean_x, mean_y, sxx, sxy, syy = (np.zeros_like(k) for _ in range(5))
    for x, y, here in zip(time, log_value, points, strict=True):
        k += here
        mean_x += np.where(here, x, 0.0)
        mean_y += np.where(here, y, 0.0)
    mean_x /= k
    mean_y /= k
    for x, y, here in zip(time, log_value, points, strict=True):
        dx, dy = np.where(here, x - mean_x, 0.0), np.where(here, y - mean_y, 0.0)
        sxx += dx * dx
        sxy += dx * dy
        syy += dy * dy
    slope = sxy / sxx
    return slope, mean_y - slope * mean_x, sxy / np.sqrt(sxx * syy)


def terminal_line(
    time: FloatArray, value: FloatArray, candidate: BoolArray, *, min_points: int, tolerance: float
) -> Terminal:
    """Choose and fit the terminal line of every profile (see `choose_start` for the rule).

    Args:
        time: ``(positions, n)``.
        value: same shape.
        candidate: ``(positions, n)``, see `candidates`.
        min_points: fewest points, at least 3.
        tolerance: of the adjusted R2.
    """
    log_value = np.log(np.where(candidate, value, 1.0))
    x = np.where(candidate, time, 0.0)
    start, found = choose_start(x, log_value, candidate, min_points=min_points, tolerance=tolerance)
    points = candidate & (np.arange(len(time))[:, None] >= start)
    slope, intercept, r = fit_line(x, log_value, points)
    k = points.sum(axis=0).astype(float)
    r2 = np.minimum(r * r, 1.0)
    profiles = np.arange(time.shape[1])
    last = len(time) - 1 - np.argmax(candidate[::-1], axis=0)

    def where_found(array: FloatArray) -> FloatArray:
        return np.where(found, array, np.nan)

    few = candidate.sum(axis=0) < min_points
    return Terminal(
        lambda_z=where_found(-slope),
        intercept=where_found(intercept),
        r2=where_found(r2),
        r2adj=where_found(1.0 - (1.0 - r2) * ((k - 1.0) / (k - 2.0))),
        corrxy=where_found(np.maximum(r, -1.0)),
        n_points=where_found(k),
        lower=where_found(time[start, profiles]),
        upper=where_found(time[last, profiles]),
        why=np.where(found, Why.CALCULATED, np.where(few, Why.TOO_FEW_POINTS, Why.SLOPE_NOT_NEGATIVE)).astype(np.int8),
    )
