"""Intervals from bootstrap replicates: percentile, and bias-corrected and accelerated (BCa)."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FEWEST = 20
"""Replicates below this have no 2.5 % tail to speak of."""
_NORMAL = NormalDist()
_NONE = float("nan")


@dataclass(frozen=True)
class ReplicateInterval:
    """What the replicates of one quantity say; NaN where they cannot say it.

    Attributes:
        bias: mean of the replicates less the estimate.
        se: their standard deviation.
        low, high: percentile interval.
        bca_low, bca_high: BCa interval.
        reason: why something is missing, or what to know.
    """

    bias: float
    se: float
    low: float
    high: float
    bca_low: float
    bca_high: float
    reason: str = ""


def acceleration(influence: FloatArray) -> FloatArray:
    """Return the acceleration of BCa intervals from the influence of each patient, ``(n, d)`` to ``(d,)``.

        a = sum U_i^3 / (6 (sum U_i^2)^1.5)

    0 for a quantity that no patient influences, such as a fixed one.

    Source: Efron B. J Am Stat Assoc 1987;82:171-185, doi:10.1080/01621459.1987.10478410, Section 7.

    Example:
        >>> acceleration(np.array([[1.0], [1.0], [-2.0]])).round(4)
        array([-0.068])
    """
    square = (influence**2).sum(0)
    with np.errstate(invalid="ignore"):
        return np.where(square > 0, (influence**3).sum(0) / (6 * square**1.5), 0.0)


def replicate_interval(
    estimate: float, replicates: FloatArray, *, acceleration: float = 0.0, level: float = 0.95
) -> ReplicateInterval:
    """Return intervals of one quantity from its replicates ``(b,)``.

        percentile   quantiles of the replicates at alpha and 1 - alpha, alpha = (1 - level)/2
        BCa          quantiles at Phi(z0 + (z0 + z)/(1 - a (z0 + z))) with z the normal quantiles of alpha, 1 - alpha,
                     and z0 that of the share of replicates below the estimate

    A quantile at p is the order statistic number p (b + 1), interpolated.

    Args:
        estimate: from the data themselves.
        replicates: finite numbers.
        acceleration: ``a``; see `acceleration`.
        level: of the interval.

    Source: Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall 1993, Sections 13.3 and 14.3.

    Example:
        >>> found = replicate_interval(50.0, np.arange(1.0, 100.0))
        >>> round(found.low, 6), round(found.high, 6), found.bias
        (2.5, 97.5, 0.0)
    """
    b = len(replicates)
    if b < 2:
        return ReplicateInterval(_NONE, _NONE, _NONE, _NONE, _NONE, _NONE, f"{b} replicates could be used")
    bias, se = float(replicates.mean() - estimate), float(replicates.std(ddof=1))
    if b < FEWEST:
        reason = f"{b} replicates could be used: too few for an interval"
        return ReplicateInterval(bias, se, np.nan, np.nan, np.nan, np.nan, reason)
    if np.ptp(replicates) == 0:
        same = float(replicates[0])
        return ReplicateInterval(bias, se, same, same, same, same)
    alpha = 0.5 * (1 - level)
    low, high = _quantiles(replicates, (alpha, 1 - alpha))
    below = float((replicates < estimate).mean() + 0.5 * (replicates == estimate).mean())
    if not 0 < below < 1:
        side = "above" if below == 0 else "below"
        reason = f"all replicates lie {side} the estimate: no BCa interval"
        return ReplicateInterval(bias, se, low, high, np.nan, np.nan, reason)
    z0 = _NORMAL.inv_cdf(below)
    shares = []
    for p in (alpha, 1 - alpha):
        z = z0 + _NORMAL.inv_cdf(p)
        divisor = 1 - acceleration * z
        if divisor <= 0:
            reason = "a few patients decide over the estimate: no BCa interval"
            return ReplicateInterval(bias, se, low, high, np.nan, np.nan, reason)
        shares.append(_NORMAL.cdf(z0 + z / divisor))
    edge = 1 / (b + 1)
    beyond = not edge <= shares[0] <= shares[1] <= 1 - edge
    reason = "an end of the BCa interval is the outermost replicate: take more replicates" if beyond else ""
    return ReplicateInterval(bias, se, low, high, *_quantiles(replicates, shares), reason)


def _quantiles(values: FloatArray, shares: tuple[float, float] | list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, shares, method="weibull")
    return float(low), float(high)
