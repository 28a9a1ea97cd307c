"""Standard errors and intervals of one patient's fit, from the curvature of its likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtr, chdtri, stdtrit

from cellkinetics.data.cohort import FloatArray

WEAK_SE = 2.0
"""SE on the log or logit scale beyond which a parameter counts as not identifiable: its 95 % interval
spans a factor of 50 to either side."""
_FLAT = 1e-6
# A direction flatter than this is taken as this flat: an SE of 1000, far beyond WEAK_SE.


def covariance(
    hessian: FloatArray, free: NDArray[np.bool_], n: int, k: int, at_bound: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Return the covariance of ``x``: the inverse of half the Hessian of -2LL over the free elements.

        cov = 2 * H^-1 * n / (n - k)

    The last factor is that of least squares: the maximum likelihood sigma is too small by its root, which
    matters with as few samples as one patient has.

    A parameter at a bound is free in this sense: taken as known it would make the others too sure. But where
    -2LL still falls beyond the bound, and is curved the wrong way there, it has no minimum to be expanded
    around, and the bound holds.

    Rows and columns that are not free are 0. A direction in which the likelihood is flat, or curved
    the wrong way, gets a very large variance, so that every parameter in it is seen to be undetermined
    and the others keep theirs.

    Args:
        hessian: of -2LL, shape ``(q, q)``.
        free: elements that were searched and are not at a kink, shape ``(q,)``.
        n: number of quantified samples.
        k: number of searched parameters without sigma; the factor is left out unless n > k.
        at_bound: elements that ended at a bound, shape ``(q,)``.
    """
    out = np.zeros_like(hessian)
    index = np.flatnonzero(free)
    if at_bound is not None and at_bound.any() and len(index):
        inside = np.linalg.eigvalsh(hessian[np.ix_(index, index)])
        index = np.flatnonzero(free & ~at_bound) if inside[0] < -_FLAT * inside[-1] else index
    if len(index):
        block = 0.5 * hessian[np.ix_(index, index)]
        values, vectors = np.linalg.eigh(0.5 * (block + block.T))
        out[np.ix_(index, index)] = (vectors / np.maximum(values, _FLAT)) @ vectors.T
    return out * (n / (n - k)) if n > k else out


def between_intervals(
    x: FloatArray,
    minus2ll: float,
    others: Sequence[tuple[float, FloatArray]],
    free: NDArray[np.bool_],
    n: int,
    k: int,
) -> FloatArray:
    """Return the covariance that comes from Tmax lying, perhaps, in another sampling interval.

        sum_s w_s (x_s - x)(x_s - x)^T / (1 + sum_s w_s),   w_s = exp(-(n - k)/n * (-2LL_s + 2LL) / 2)

    The Hessian sees one interval; the optimum of another, little worse, may be elsewhere. This rule is
    our own, in the manner of averaging over models.

    Args:
        x: the best point, shape ``(q,)``.
        minus2ll: -2LL there.
        others: -2LL and best point of every other interval searched.
        free: elements that take part, shape ``(q,)``.
        n: number of quantified samples.
        k: number of searched parameters without sigma; the factor is left out unless n > k.
    """
    shrink = (n - k) / n if n > k else 1.0
    total, out = 1.0, np.zeros((len(x), len(x)))
    for other, end in others:
        weight = float(np.exp(-0.5 * shrink * max(other - minus2ll, 0.0))) if np.isfinite(other) else 0.0
        step = np.where(free, end - x, 0.0)
        total += weight
        out += weight * np.outer(step, step)
    return out / total


def aicc(minus2ll: float, n: int, k: int) -> float:
    """Return -2LL + 2 k + 2 k (k + 1)/(n - k - 1), infinite without that many samples.

    Source: Hurvich CM, Tsai CL. Biometrika 1989;76:297-307, doi:10.1093/biomet/76.2.297.

    Example:
        >>> aicc(20.0, 13, 5), aicc(5.0, 7, 6)
        (38.57142857142857, inf)
    """
    return minus2ll + 2.0 * k + 2.0 * k * (k + 1) / (n - k - 1) if n > k + 1 else float("inf")


def rise_of_profile(n: int, k: int, *, sigma_known: bool = False) -> float:
    """Return how far the profile of -2LL rises at the ends of a 95 % interval of a parameter of the curve.

        n * ln(1 + t^2 / (n - k))   sigma estimated;   z^2 = 3.84   sigma known

    with t the 97.5 % point of Student's distribution with n - k degrees of freedom. With sigma at its
    maximum, -2LL = n ln RSS + const, and RSS(v)/RSS = 1 + F/(n - k) with F(1, n - k): exact for a curve that
    is linear in its parameters and samples that are all quantified. It tends to the 3.84 of chi-squared,
    from which 9 degrees of freedom are far: there it is 6.8.

    Args:
        n: number of quantified samples.
        k: number of searched parameters without sigma; the rise is infinite unless n > k.
        sigma_known: whether sigma is held.

    Source: Bates DM, Watts DG. Nonlinear Regression Analysis and Its Applications. Wiley 1988, section 6.1.

    Example:
        >>> round(rise_of_profile(15, 6), 2), round(rise_of_profile(10**6, 6), 2), rise_of_profile(6, 6)
        (6.75, 3.84, inf)
    """
    if sigma_known:
        return float(chdtri(1, 0.05))
    return float(n * np.log1p(stdtrit(n - k, 0.975) ** 2 / (n - k))) if n > k else float("inf")


@cache
def rise_of_sigma(n: int, k: int) -> float:
    """Return how far the profile of -2LL in sigma rises at the ends of its 95 % interval.

        n (r - 1 - ln r),   r = RSS / (n sigma^2),   n r ~ chi-squared(n - k)

    The rise q is the one with P(n (r - 1 - ln r) <= q) = 95 %, exact where `rise_of_profile` is.

    Example:
        >>> round(rise_of_sigma(10**5, 6), 2), rise_of_sigma(15, 6) > 10
        (3.84, True)
    """
    if n <= k:
        return float("inf")

    from scipy.optimize import brentq  # not at the top: few need it, and it takes longer to import than a fit

    def missed(q: float) -> float:
        sides = [brentq(lambda r: r - 1.0 - np.log(r) - q / n, *ends) for ends in ((1e-300, 1.0), (1.0, 50.0 + 2 * q))]
        low, high = (float(chdtr(n - k, n * r)) for r in sides)
        return high - low - 0.95

    return float(brentq(missed, 1e-3, 600.0 * n if n < 10 else 20.0 * n))


class Interval(NamedTuple):
    """Precision of one estimate on the natural scale, in its own unit but for ``rse_percent``."""

    se: float
    rse_percent: float
    ci_low: float
    ci_high: float


def interval(transform: str, estimate: float, se: float, df: float = np.inf) -> Interval:
    """Return SE, RSE and 95 % interval on the natural scale from the SE on the transformed scale.

        log:       se * x,            x * exp(-+ t se)
        logit:     se * x * (1 - x),  expit(logit(x) -+ t se)
        identity:  se,                x -+ t se

    with t the 97.5 % point of Student's distribution with ``df`` degrees of freedom (normal by default).
    The first column is the delta method; the interval is mapped back from the transformed scale, so it
    stays inside the parameter's range.

    Example:
        >>> se, rse, low, high = interval("log", 100.0, 0.1, df=10)
        >>> se, round(low, 2), round(high, 2)
        (10.0, 80.03, 124.96)
    """
    half = float(stdtrit(df, 0.975)) * se
    if transform == "log":
        with np.errstate(over="ignore"):
            slope, low, high = estimate, estimate * np.exp(-half), estimate * np.exp(half)
    elif transform == "logit":
        odds = estimate / (1.0 - estimate)
        slope = estimate * (1.0 - estimate)
        low, high = (1.0 / (1.0 + np.exp(-np.array([-half, half])) / odds)).tolist()
    else:
        slope, low, high = 1.0, estimate - half, estimate + half
    natural = float(se * slope)
    relative = 100.0 * natural / abs(estimate) if estimate else float("nan")
    return Interval(natural, relative, float(low), float(high))


def reach_down(ci: Interval, estimate: float, se: float, power: float, df: float) -> Interval:
    """Widen an interval for a rate that may be 0, and whatever goes as ``rate**power``.

        ends at most / at least at   estimate * max(0, 1 - t se)**power

    with ``se`` that of ln rate. Near a plateau the samples are informed about the rate, not its
    logarithm, so that an interval symmetric on the log scale stays too far from 0.

    Example:
        >>> reach_down(interval("log", 0.01, 0.2), 0.01, 0.2, 1.0, np.inf).ci_low < 0.0062
        True
    """
    left = max(0.0, 1.0 - float(stdtrit(df, 0.975)) * se)
    end = estimate * left**power if left > 0 or power > 0 else float("inf")
    return ci._replace(ci_low=min(ci.ci_low, end), ci_high=max(ci.ci_high, end))
