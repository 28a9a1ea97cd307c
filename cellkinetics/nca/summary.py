"""Descriptive statistics of parameters, as numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import FloatArray

STATISTICS = (
    "n",
    "n_missing",
    "mean",
    "sd",
    "cv_percent",
    "n_geometric",
    "geometric_mean",
    "geometric_cv_percent",
    "geometric_sd",
    "median",
    "q1",
    "q3",
    "min",
    "max",
    "ci_low",
    "ci_high",
)
SUMMARY_COLUMNS = (*STATISTICS, "n_flagged", "missing_reasons", "reason")
"""Columns of a summary behind those that say of what it is."""

_SPREAD = ("sd", "cv_percent", "ci_low", "ci_high")
_GEOMETRIC_SPREAD = ("geometric_sd", "geometric_cv_percent")


def describe(values: NDArray[np.float64], *, confidence: float = 0.95) -> dict[str, float]:
    """Describe one parameter; NaN is missing, and a statistic that cannot be had is NaN.

        cv_percent = 100 sd/mean,   geometric mean = exp(mean(ln x)),   geometric SD = exp(s),
        geometric CV % = 100 sqrt(exp(s^2) - 1),   s = sd(ln x)
        confidence interval of the mean = mean +- t(n - 1) sd/sqrt(n)

    Standard deviations have n - 1 below the line; quartiles are interpolated linearly (Hyndman and
    Fan, type 7). The geometric statistics are those of the values above zero, and ``n_geometric``
    says how many these are.

    Args:
        values: ``(n,)``.
        confidence: level of the interval.

    Example:
        >>> table = describe(np.array([1.0, 100.0, np.nan, 0.0]))
        >>> table["n"], table["n_missing"], table["n_geometric"], round(table["geometric_mean"], 9)
        (3.0, 1.0, 2.0, 10.0)
    """
    x = values[~np.isnan(values)]
    out = dict.fromkeys(STATISTICS, float("nan"))
    out["n"], out["n_missing"] = float(len(x)), float(len(values) - len(x))
    positive = x[x > 0]
    out["n_geometric"] = float(len(positive))
    if not len(x):
        return out
    with np.errstate(all="ignore"):
        mean, sd = _mean_sd(x)
        out.update(mean=mean, sd=sd, min=float(x.min()), max=float(x.max()))
        out["cv_percent"] = 100.0 * sd / mean if mean else float("nan")
        out["q1"], out["median"], out["q3"] = (float(q) for q in np.quantile(x, [0.25, 0.5, 0.75]))
        if len(x) > 1:
            # Not above: the import takes longer than most analyses.
            from scipy.special import stdtrit

            half = float(stdtrit(len(x) - 1, 0.5 + confidence / 2)) * sd / np.sqrt(len(x))
            out.update(ci_low=mean - half, ci_high=mean + half)
        if len(positive):
            log_mean, s = _mean_sd(np.log(positive))
            out["geometric_mean"] = float(np.exp(log_mean))
            out["geometric_sd"] = float(np.exp(s))
            out["geometric_cv_percent"] = float(100.0 * np.sqrt(np.expm1(s * s)))
    return {name: value if np.isfinite(value) else float("nan") for name, value in out.items()}


def gaps(statistics: Mapping[str, float]) -> str:
    """Say why statistics of `describe` are missing, in words; empty if none is.

    Example:
        >>> gaps(describe(np.array([5.0, np.nan])))
        'one value: no spread and no interval'
    """
    n, positive = statistics["n"], statistics["n_geometric"]
    if not n:
        return "no value"
    reasons = []
    if n == 1:
        reasons.append("one value: no spread and no interval")
    elif statistics["mean"] == 0:
        reasons.append("the mean is zero: no CV")
    if not positive:
        reasons.append("no value above zero: no geometric mean")
    elif positive == 1 < n:
        reasons.append("one value above zero: no geometric spread")
    known = {"n_missing", *(_SPREAD if n == 1 else ()), *(("cv_percent",) if statistics["mean"] == 0 else ())}
    known |= {"geometric_mean", *_GEOMETRIC_SPREAD} if not positive else set()
    known |= set(_GEOMETRIC_SPREAD) if positive == 1 else set()
    beyond = [name for name in STATISTICS if name not in known and np.isnan(statistics[name])]
    if beyond:
        reasons.append(f"{', '.join(beyond)}: beyond the range of double-precision numbers")
    return "; ".join(reasons)


def _mean_sd(x: FloatArray) -> tuple[float, float]:
    """Return mean and standard deviation (NaN for a single value)."""
    return float(x.mean()), float(x.std(ddof=1)) if len(x) > 1 else float("nan")
