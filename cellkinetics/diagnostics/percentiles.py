"""Percentiles of samples of which some are only known to lie below, or above, a limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellkinetics.data.cohort import FloatArray

BELOW, ABOVE = -np.inf, np.inf
"""What a censored sample counts as: below, above everything that was quantified."""


def percentiles(values: FloatArray, shares: Sequence[float]) -> FloatArray:
    """Return percentiles along the last axis; where one falls among censored samples it is -inf or inf.

        Q(s) = (1 - w) x_(k) + w x_(k+1),   k + w = 1 + s (n - 1)

    Args:
        values: ``(..., n)``, `BELOW` or `ABOVE` where a sample is censored.
        shares: from 0 to 1.

    Returns:
        Array ``(..., len(shares))``; NaN where there is no sample.

    Source: definition 7 of Hyndman RJ, Fan Y. Am Stat 1996;50:361-365, doi:10.2307/2684934.

    Example:
        >>> percentiles(np.array([3.0, BELOW, 1.0, 2.0, BELOW]), [0.1, 0.5, 0.9]).tolist()
        [-inf, 1.0, 2.6]
    """
    n = values.shape[-1]
    if not n:
        return np.full((*values.shape[:-1], len(shares)), np.nan)
    ordered = np.sort(values, axis=-1)
    place = np.asarray(shares, dtype=float) * (n - 1)
    # 0.95 * 20 is 19.000000000000004 or 18.999999999999996 by its rounding: a whole place is that sample.
    place = np.where(np.abs(place - np.round(place)) < 1e-9, np.round(place), place)
    left = np.floor(place).astype(int)
    right, weight = np.minimum(left + 1, n - 1), place - left
    low, high = ordered[..., left], ordered[..., right]
    with np.errstate(invalid="ignore"):
        inner = low + weight * (high - low)
    # Between a censored and a quantified sample the percentile may be either: it counts as censored.
    found = np.where(np.isfinite(low) & np.isfinite(high), inner, np.where(np.isfinite(low), high, low))
    return np.where(weight == 0, low, found)
