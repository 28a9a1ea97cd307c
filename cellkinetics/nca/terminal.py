"""The terminal line: which samples belong to it, and its slope.

Source: Phoenix WinNonlin, "Lambda Z or slope estimation settings" (the best-fit rule); Gabrielsson J,
Weiner D. Pharmacokinetic and Pharmacodynamic Data Analysis, 5th ed. (2016), section 2.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.nca.curve import Curve
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.picks import Picks, same_time
from cellkinetics.nca.positions import last_true
from cellkinetics.nca.reasons import Why

_LN2 = float(np.log(2.0))


@dataclass(frozen=True, eq=False)
class Terminal:
    """The terminal line of each profile, ln C = intercept - lambda_z * t; NaN where there is none.

    All arrays are ``(n,)``: ``lambda_z`` (1/time), ``intercept`` (of ln C at time zero), ``r2``,
    ``r2adj``, ``corrxy``, ``n_points``, ``lower`` and ``upper`` (time of the first and last point),
    ``se`` (standard error of lambda_z), ``n_censored`` (points below quantification, which none of the
    others counts) and ``why`` (a `Why` where there is no line).
    """

    lambda_z: FloatArray
    intercept: FloatArray
    r2: FloatArray
    r2adj: FloatArray
    corrxy: FloatArray
    n_points: FloatArray
    lower: FloatArray
    upper: FloatArray
    se: FloatArray
    n_censored: FloatArray
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
    time: FloatArray,
    log_value: FloatArray,
    candidate: BoolArray,
    options: NCAOptions,
    *,
    weight: FloatArray | None = None,
    whole: BoolArray | None = None,
) -> tuple[IntArray, BoolArray]:
    """Choose the first point of each terminal line, from the last points backwards.

    1. Lines are drawn through the last 3, 4, 5, ... candidates, up to the most that are allowed; those
       with too short a span do not take part.
    2. Only lines that fall take part.
    3. The one with the largest adjusted R2 wins; a line with more points wins over it if its
       adjusted R2 is at most ``lambda_z_tolerance`` below the largest.

    In the order ``pknca`` the largest adjusted R2 is that of all lines, and of those less than the
    tolerance below it the falling one with most points wins.

        adjusted R2 = 1 - (1 - R2) (k - 1)/(k - 2)   for k points

    Args:
        time: ``(positions, n)``; what stands where ``candidate`` is False does not matter.
        log_value: ln C, same shape.
        candidate: ``(positions, n)``.
        options: for the rules.
        weight: of each point, same shape; None for 1.
        whole: ``(n,)``, profiles whose line goes through all candidates, at least 3, whatever the rules.

    Returns:
        The position of the first point, ``(n,)``, and whether there is a line.
    """
    n = time.shape[1]
    # sums are taken from the last candidate as the origin, which keeps the digits that late times would cost
    last = last_true(candidate)
    profiles = np.arange(n)
    origin_x, origin_y = time[last, profiles], log_value[last, profiles]
    total = candidate.sum(axis=0)
    k, sx, sy, sxx, sxy, syy = (np.zeros(n) for _ in range(6))
    mass = k if weight is None else np.zeros(n)
    best, start, found = np.full(n, -np.inf), np.zeros(n, np.int64), np.zeros(n, bool)
    scores: list[tuple[int, FloatArray]] = []
    for position in range(len(time) - 1, -1, -1):
        here = candidate[position]
        if not here.any():
            continue
        x = np.where(here, time[position] - origin_x, 0.0)
        y = np.where(here, log_value[position] - origin_y, 0.0)
        k += here
        if weight is None:
            sx += x
            sy += y
            sxx += x * x
            sxy += x * y
            syy += y * y
        else:
            w = np.where(here, weight[position], 0.0)
            mass += w
            sx += w * x
            sy += w * y
            sxx += w * (x * x)
            sxy += w * (x * y)
            syy += w * (y * y)
        cxy, cxx = sxy - sx * sy / mass, sxx - sx * sx / mass
        r2 = cxy * cxy / (cxx * (syy - sy * sy / mass))
        adjusted = 1.0 - (1.0 - r2) * ((k - 1.0) / (k - 2.0))
        allowed = here & (k >= options.lambda_z_min_points)
        if options.lambda_z_max_points is not None:
            allowed &= k <= options.lambda_z_max_points
        if options.lambda_z_min_span > 0:
            allowed &= x * (cxy / cxx) / _LN2 >= options.lambda_z_min_span * (1.0 - 1e-9)
        if whole is not None:
            allowed = np.where(whole, here & (k == total) & (k >= 3), allowed)
        allowed &= np.isfinite(adjusted)
        falls = allowed & (cxy < 0)
        if options.lambda_z_order == "pknca":
            best = np.where(allowed & (adjusted > best), adjusted, best)
            scores.append((position, np.where(falls, adjusted, -np.inf)))
            continue
        take = falls & (adjusted >= best - options.lambda_z_tolerance)
        start[take] = position
        best = np.where(falls & (adjusted > best), adjusted, best)
        found |= falls
    for position, score in scores:
        take = np.isfinite(score) & ((score > best - options.lambda_z_tolerance) | (score == best))
        start[take] = position
        found |= take
    return start, found


def fit_line(
    time: FloatArray, log_value: FloatArray, points: BoolArray, weight: FloatArray | None = None
) -> tuple[FloatArray, ...]:
    """Return slope, intercept and correlation of the least-squares lines through ``points``.

        slope = Sxy/Sxx,  intercept = mean(y) - slope * mean(x),  r = Sxy/sqrt(Sxx Syy)

    with sums of deviations from the means, all weighted where weights are given. Arrays are
    ``(positions, n)``; the results ``(n,)``.

    Example:
        >>> time, y = np.array([[0.0], [1.0], [2.0]]), np.array([[3.0], [2.0], [1.0]])
        >>> [float(x[0]) for x in fit_line(time, y, np.full((3, 1), True))]
        [-1.0, 3.0, -1.0]
    """
    k = np.zeros(time.shape[1])
    mean_x, mean_y, sxx, sxy, syy = (np.zeros_like(k) for _ in range(5))
    if weight is not None:
        return _fit_weighted(time, log_value, np.where(points, weight, 0.0))
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


def _fit_weighted(time: FloatArray, log_value: FloatArray, weight: FloatArray) -> tuple[FloatArray, ...]:
    mass, mean_x, mean_y, sxx, sxy, syy = (np.zeros(time.shape[1]) for _ in range(6))
    for x, y, w in zip(time, log_value, weight, strict=True):
        mass += w
        mean_x += w * x
        mean_y += w * y
    mean_x /= mass
    mean_y /= mass
    for x, y, w in zip(time, log_value, weight, strict=True):
        sxx += w * ((x - mean_x) * (x - mean_x))
        sxy += w * ((x - mean_x) * (y - mean_y))
        syy += w * ((y - mean_y) * (y - mean_y))
    slope = sxy / sxx
    return slope, mean_y - slope * mean_x, sxy / np.sqrt(sxx * syy)


@dataclass(frozen=True, eq=False)
class Choice:
    """A terminal line, and the samples that it was chosen from.

    Attributes:
        line: the lines.
        candidate: ``(positions, n)``, samples that could be points.
        left_out: same shape, candidates that were excluded by hand.
        censored: ``(samples, n)``, sorted samples below quantification that take part in the line.
    """

    line: Terminal
    candidate: BoolArray
    left_out: BoolArray
    censored: BoolArray


def choose_line(curve: Curve, peak: IntArray, options: NCAOptions, picks: Picks | None) -> Choice:
    """Choose and fit the terminal line of every profile, by the rules or by hand.

    Args:
        curve: the samples.
        peak: ``(n,)``, position of Cmax.
        options: the rules.
        picks: what was chosen by hand.
    """
    candidate = candidates(curve.quantified, peak, with_peak=options.route == "bolus")
    if options.lambda_z_not_before is not None:
        candidate &= curve.time >= options.lambda_z_not_before
    if options.lambda_z_not_after is not None:
        candidate &= curve.time <= options.lambda_z_not_after
    left_out = np.zeros_like(candidate)
    whole: BoolArray | None = None
    if picks is not None:
        whole = ~np.isnan(picks.first)
        within = curve.quantified & (curve.time >= picks.first) & (curve.time <= picks.last)
        candidate = np.where(whole, within, candidate)
        for i, choices in enumerate(picks.excluded):
            for time, _ in choices:
                left_out[:, i] |= candidate[:, i] & same_time(curve.time[:, i], time)
    line = terminal_line(curve.time, curve.value, candidate & ~left_out, options, whole=whole)
    choice = Choice(line, candidate, left_out, np.zeros(curve.role.shape, bool))
    if options.lambda_z_method == "best-fit":
        return choice
    from cellkinetics.nca.tobit import with_censored  # it needs scipy.special, which takes a while to load

    return with_censored(choice, curve, options, picks)


def terminal_line(
    time: FloatArray, value: FloatArray, candidate: BoolArray, options: NCAOptions, *, whole: BoolArray | None = None
) -> Terminal:
    """Choose and fit the terminal line of every profile (see `choose_start` for the rule).

    Args:
        time: ``(positions, n)``.
        value: same shape.
        candidate: ``(positions, n)``, see `candidates`.
        options: the rules.
        whole: see `choose_start`.
    """
    level = np.where(candidate, value, 1.0)
    log_value = np.log(level)
    power = {"1": 0, "1/y": 1, "1/y2": 2}[options.lambda_z_weights]
    weight = None if power == 0 else (level / level.max(axis=0)) ** -power
    x = np.where(candidate, time, 0.0)
    start, found = choose_start(x, log_value, candidate, options, weight=weight, whole=whole)
    points = candidate & (np.arange(len(time))[:, None] >= start)
    slope, intercept, r = fit_line(x, log_value, points, weight)
    k = points.sum(axis=0).astype(float)
    r2 = np.minimum(r * r, 1.0)
    profiles = np.arange(time.shape[1])
    last = last_true(candidate)

    def where_found(array: FloatArray) -> FloatArray:
        return np.where(found, array, np.nan)

    fewest = options.lambda_z_min_points if whole is None else np.where(whole, 3, options.lambda_z_min_points)
    few = candidate.sum(axis=0) < fewest
    return Terminal(
        lambda_z=where_found(-slope),
        intercept=where_found(intercept),
        r2=where_found(r2),
        r2adj=where_found(1.0 - (1.0 - r2) * ((k - 1.0) / (k - 2.0))),
        corrxy=where_found(np.maximum(r, -1.0)),
        n_points=where_found(k),
        lower=where_found(time[start, profiles]),
        upper=where_found(time[last, profiles]),
        se=where_found(-slope * np.sqrt(np.maximum(1.0 / r2 - 1.0, 0.0) / (k - 2.0))),
        n_censored=where_found(np.zeros_like(k)),
        why=np.where(found, Why.CALCULATED, np.where(few, Why.TOO_FEW_POINTS, Why.SLOPE_NOT_NEGATIVE)).astype(np.int8),
    )
