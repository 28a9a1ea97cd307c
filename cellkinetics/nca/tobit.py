"""The terminal line with samples below quantification as left-censored: a Tobit regression of ln C.

    ln C = a - lambda_z t + sigma e,   e ~ N(0, 1)
    log L = sum over quantified [ln phi((ln C - mu)/sigma) - ln sigma] + sum over BLQ ln Phi((ln LLOQ - mu)/sigma)

Sources: Tobin J. Econometrica 1958;26:24-36, doi:10.2307/1907382 (the model); Olsen RJ. Econometrica
1978;46:1211-1215, doi:10.2307/1911445 (in 1/sigma and beta/sigma the log likelihood is concave, so that its
maximum is the only one); Beal SL. J Pharmacokinet Pharmacodyn 2001;28:481-504, doi:10.1023/A:1012299115260
(method M3, the same likelihood of a sample below quantification).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx, log_ndtr

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.nca.column import because
from cellkinetics.nca.curve import Curve, Role
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.picks import Picks, same_time
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.terminal import Choice, Terminal, fit_line

FEWEST_QUANTIFIED = 2
_LEVEL = 1e-10  # a fall of ln C so small over the points is rounding
_EXACT = 1e-9  # residuals so small beside the spread of ln C are rounding
_ITERATIONS = 100
_HALVINGS = 60
_DONE = 1e-20  # Newton decrement: twice the log likelihood that is still to be had


def with_censored(choice: Choice, curve: Curve, options: NCAOptions, picks: Picks | None) -> Choice:
    """Fit the terminal lines anew, with the samples below quantification that follow their first point.

    1. The quantified points are those of the best-fit rule. Where it finds no line they are all candidates
       (the last ``lambda_z_max_points`` of them), if these are at least two and, with the censored ones, at
       least ``lambda_z_min_points``: what has fallen below quantification tells of the slope too.
    2. Every sample below quantification with an LLOQ from the first of these points on is a censored
       point: between them and after them, not after ``lambda_z_not_after``; with times chosen by hand,
       those between these times.
    3. The line must fall, and span ``lambda_z_min_span`` half-lives between its quantified points.

    R2 is 1 - RSS/TSS of the quantified points about this line, at least 0; LAMZNPT, LAMZLL and LAMZUL are
    theirs too. The rule for the points is our own.

    Args:
        choice: by the best-fit rule.
        curve: the samples.
        options: the rules.
        picks: what was chosen by hand.
    """
    best = choice.line
    n = len(best.why)
    allowed = choice.candidate & ~choice.left_out
    whole = np.zeros(n, bool) if picks is None else ~np.isnan(picks.first)
    if options.lambda_z_max_points is not None:
        later = np.cumsum(allowed[::-1], axis=0)[::-1]
        allowed &= whole | (later <= options.lambda_z_max_points)
    lower = np.where(allowed, curve.time, np.inf).min(axis=0)
    lower = np.where(best.why == Why.CALCULATED, best.lower, lower)
    points = allowed & (curve.time >= lower)
    time = curve.sample_time
    below = (curve.role == Role.SUBSTITUTED) | (curve.role == Role.DROPPED)
    censored = below & (curve.lloq > 0) & (time >= lower)
    if options.lambda_z_not_after is not None:
        censored &= whole | (time <= options.lambda_z_not_after)
    if picks is not None:
        censored &= ~whole | ((time >= picks.first) & (time <= picks.last))
        for i, choices in enumerate(picks.excluded):
            for left_out, _ in choices:
                censored[:, i] &= ~same_time(time[:, i], left_out)

    x, y = np.where(points, curve.time, 0.0), np.log(np.where(points, curve.value, 1.0))
    at, limit = np.where(censored, time, 0.0), np.log(np.where(censored, curve.lloq, 1.0))
    fit = fit_censored(x, y, points, at, limit, censored)
    k, k_censored = points.sum(axis=0), censored.sum(axis=0)
    upper = np.where(points, curve.time, -np.inf).max(axis=0)
    span = -fit.slope * (upper - lower) / np.log(2.0)
    few = (k < FEWEST_QUANTIFIED) | (k + k_censored < np.where(whole, 3, options.lambda_z_min_points))
    short = span < options.lambda_z_min_span * (1.0 - 1e-9)
    why = because(
        n,
        (few, Why.TOO_FEW_POINTS),
        ((k == FEWEST_QUANTIFIED) & (fit.sigma == 0), Why.LIKELIHOOD_UNBOUNDED),
        (~(fit.slope * (lower - upper) > _LEVEL) | short, Why.SLOPE_NOT_NEGATIVE),
    )
    found = why == Why.CALCULATED
    correlation = fit_line(x, y, points)[2]
    mean = _total(y) / k
    rss = _total(np.where(points, y - (fit.intercept + fit.slope * x), 0.0) ** 2)
    r2 = np.maximum(1.0 - rss / _total(np.where(points, y - mean, 0.0) ** 2), 0.0)
    scattered = found & (k > 2)

    def where(which: BoolArray, array: FloatArray) -> FloatArray:
        return np.where(which, array, np.nan)

    line = Terminal(
        lambda_z=where(found, -fit.slope),
        intercept=where(found, fit.intercept),
        r2=where(scattered, r2),
        r2adj=where(scattered, 1.0 - (1.0 - r2) * ((k - 1.0) / (k - 2.0))),
        corrxy=where(scattered, np.clip(correlation, -1.0, 1.0)),
        n_points=where(found, k.astype(float)),
        lower=where(found, lower),
        upper=where(found, upper),
        se=where(scattered, fit.slope_se),
        n_censored=where(found, k_censored.astype(float)),
        why=why,
    )
    return Choice(line, choice.candidate, choice.left_out, censored & found)


@dataclass(frozen=True, eq=False)
class CensoredLine:
    """Lines of maximum likelihood, arrays ``(n,)``; NaN where the points do not hold a line.

    Attributes:
        slope: of ln C.
        intercept: ln C at time zero.
        sigma: residual SD of ln C, its maximum-likelihood value; 0 where the line meets every condition exactly.
        slope_se: standard error of the slope from the observed information, times sqrt(k/(k - 2)) for k
            quantified points, so that without a censored one it is that of least squares; NaN for k = 2.
    """

    slope: FloatArray
    intercept: FloatArray
    sigma: FloatArray
    slope_se: FloatArray


def fit_censored(
    time: FloatArray,
    log_value: FloatArray,
    points: BoolArray,
    censored_time: FloatArray,
    log_limit: FloatArray,
    censored: BoolArray,
) -> CensoredLine:
    """Fit the lines by Newton's method in gamma = beta/sigma, theta = 1/sigma, from the least-squares lines.

    Two quantified points at different times are needed. If the least-squares line goes through all
    quantified points and lies below the limits at all censored ones, the likelihood has no bound as
    sigma goes to 0; it grows towards that line, which is the result, with sigma = 0.

    Args:
        time: ``(positions, n)``.
        log_value: ln C, same shape.
        points: same shape, the quantified points.
        censored_time: ``(others, n)``.
        log_limit: ln LLOQ, same shape.
        censored: same shape, the censored points.

    Example:
        >>> day, y = np.array([[14.0], [21], [28]]), np.log([[200.0], [90], [110]])
        >>> late, limit = np.array([[42.0], [56]]), np.log([[50.0], [50]])
        >>> line = fit_censored(day, y, np.full((3, 1), True), late, limit, np.full((2, 1), True))
        >>> round(float(-np.log(2) / line.slope[0]), 2)  # the three alone: 16.23
        12.52
    """
    with np.errstate(all="ignore"):
        slope, intercept, _ = fit_line(time, log_value, points)
        k = _total(points.astype(float))
        held = (k >= 2) & np.isfinite(slope)
        middle = _total(np.where(points, time, 0.0)) / k
        scale = np.where(points, np.abs(time - middle), 0.0).max(axis=0, initial=0.0)
        # Residuals from the least-squares line take the place of ln C: nothing cancels however good the fit.
        rest = np.where(points, log_value - (intercept + slope * time), 0.0)
        room = np.where(censored, log_limit - (intercept + slope * censored_time), np.inf)
        level = np.where(points, log_value, np.nan)
        spread = np.fmax.reduce(level, axis=0) - np.fmin.reduce(level, axis=0)
        exact = (k == 2) | (np.abs(rest).max(axis=0) <= _EXACT * spread)
        free = room.min(axis=0, initial=np.inf) >= -_EXACT * np.fmax(spread, 1.0)
        sigma = np.where(exact & free, 0.0, np.sqrt(_total(rest * rest) / k))
        sxx = _total(np.where(points, (time - middle) ** 2, 0.0))
        slope_se = np.where(k > 2, sigma * np.sqrt(k / (k - 2.0) / sxx), np.nan)
        at = np.flatnonzero(held & censored.any(axis=0) & ~(exact & free))
        if at.size:
            u = np.where(points[:, at], (time[:, at] - middle[at]) / scale[at], 0.0)
            v = np.where(censored[:, at], (censored_time[:, at] - middle[at]) / scale[at], 0.0)
            shift, tilt, sd, se = _climb(u, rest[:, at], points[:, at], v, room[:, at], censored[:, at])
            slope[at] += tilt / scale[at]
            intercept[at] += shift - tilt * middle[at] / scale[at]
            sigma[at] = sd
            slope_se[at] = np.where(k[at] > 2, se * np.sqrt(k[at] / (k[at] - 2.0)) / scale[at], np.nan)
    return CensoredLine(*(np.where(held, array, np.nan) for array in (slope, intercept, sigma, slope_se)))


def _climb(
    u: FloatArray, y: FloatArray, points: BoolArray, v: FloatArray, limit: FloatArray, censored: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return intercept, slope, sigma and standard error of the slope, ``(n,)`` each, in units of ``u`` and ``y``."""
    k = _total(points.astype(float))
    limit = np.where(censored, limit, 0.0)
    above = np.minimum(limit, 0.0)
    theta = np.sqrt(k / (_total(y * y) + _total(above * above)))
    state = np.stack([np.zeros_like(theta), np.zeros_like(theta), theta])

    def value_at(at: FloatArray) -> FloatArray:
        residual = np.where(points, at[2] * y - at[0] - at[1] * u, 0.0)
        z = at[2] * limit - at[0] - at[1] * v
        return k * np.log(at[2]) - 0.5 * _total(residual * residual) + _total(np.where(censored, log_ndtr(z), 0.0))

    value = value_at(state)
    for _ in range(_ITERATIONS):
        gradient, information = _derivatives(state, u, y, points, v, limit, censored, k)
        step = _solve(information, gradient)
        gain = (gradient * step).sum(axis=0)
        active = gain > _DONE
        if not active.any():
            break
        length = active.astype(float)
        for _ in range(_HALVINGS):
            trial = state + length * step
            found = value_at(trial)
            # Close to the top the gain is below the rounding of the log likelihood, and Newton's step is right.
            good = ~active | ((trial[2] > 0) & ((found >= value + 1e-4 * length * gain) | (gain < 1e-8)))
            if good.all():
                break
            length = np.where(good, length, 0.5 * length)
        state = np.where(active & good, trial, state)
        value = np.where(active & good, found, value)
    _, information = _derivatives(state, u, y, points, v, limit, censored, k)
    theta = state[2]
    # beta = gamma/theta: the delta method
    direction = np.stack([np.zeros_like(theta), 1.0 / theta, -state[1] / theta**2])
    variance = (direction * _solve(information, direction)).sum(axis=0)
    return state[0] / theta, state[1] / theta, 1.0 / theta, np.sqrt(variance)


def _derivatives(
    state: FloatArray,
    u: FloatArray,
    y: FloatArray,
    points: BoolArray,
    v: FloatArray,
    limit: FloatArray,
    censored: BoolArray,
    k: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the gradient, ``(3, n)``, and minus the Hessian as its six entries 00, 01, 02, 11, 12, 22, ``(6, n)``.

    With h = phi(z)/Phi(z): d ln Phi/dz = h and its second derivative -h (z + h).
    """
    intercept, slope, theta = state
    residual = np.where(points, theta * y - intercept - slope * u, 0.0)
    z = theta * limit - intercept - slope * v
    hazard = np.where(censored, np.sqrt(2.0 / np.pi) / erfcx(-z / np.sqrt(2.0)), 0.0)
    curvature = np.clip(hazard * (z + hazard), 0.0, 1.0)
    gradient = np.stack(
        [
            _total(residual) - _total(hazard),
            _total(residual * u) - _total(hazard * v),
            k / theta - _total(residual * y) + _total(hazard * limit),
        ]
    )
    information = np.stack(
        [
            k + _total(curvature),
            _total(np.where(points, u, 0.0)) + _total(curvature * v),
            -_total(np.where(points, y, 0.0)) - _total(curvature * limit),
            _total(u * u) + _total(curvature * v * v),
            -_total(u * y) - _total(curvature * v * limit),
            k / theta**2 + _total(y * y) + _total(curvature * limit * limit),
        ]
    )
    return gradient, information


def _solve(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solve symmetric 3 x 3 systems by Cholesky's method; ``matrix`` is ``(6, n)``, ``right`` ``(3, n)``."""
    a00, a01, a02, a11, a12, a22 = matrix
    r00 = np.sqrt(a00)
    r01, r02 = a01 / r00, a02 / r00
    r11 = np.sqrt(a11 - r01 * r01)
    r12 = (a12 - r01 * r02) / r11
    r22 = np.sqrt(a22 - r02 * r02 - r12 * r12)
    b0 = right[0] / r00
    b1 = (right[1] - r01 * b0) / r11
    b2 = (right[2] - r02 * b0 - r12 * b1) / r22
    x2 = b2 / r22
    x1 = (b1 - r12 * x2) / r11
    return np.stack([(b0 - r01 * x1 - r02 * x2) / r00, x1, x2])


def _total(rows: FloatArray) -> FloatArray:
    """Add up position by position, so that no digit depends on how many profiles there are."""
    total = np.zeros(rows.shape[1])
    for row in rows:
        total += row
    return total
