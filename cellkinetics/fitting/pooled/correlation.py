"""How the errors of estimates hang together: correlations, and the condition number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

FloatArray = NDArray[np.float64]

COLUMNS = ("parameter", "other", "correlation", "covariance", "uncertainty")


def correlation_of(covariance: FloatArray) -> FloatArray:
    """Return the correlation matrix of a covariance matrix ``(k, k)``.

    Example:
        >>> correlation_of(np.array([[4.0, 1.0], [1.0, 1.0]])).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    sd = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / np.outer(sd, sd))


def condition_number(covariance: FloatArray) -> float:
    """Return the ratio of the largest to the smallest eigenvalue of the correlation matrix.

    Above about 1000 some estimates can hardly be told apart: a sum or a ratio of parameters is known, but not each.

    Source: Montgomery DC, Peck EA, Vining GG. Introduction to Linear Regression Analysis. 5th ed., Wiley 2012,
    Section 9.4.3.

    Example:
        >>> round(condition_number(np.array([[4.0, 1.0], [1.0, 1.0]])), 6)
        3.0
    """
    values = np.linalg.eigvalsh(correlation_of(covariance))
    return float(values[-1] / values[0]) if values[0] > 0 else float("inf")


def correlation_table(fit: PopulationFit) -> pd.DataFrame:
    """Return a row for each pair of estimated parameters, on the working scale: ``population_correlation.csv``.

    A parameter with itself has the correlation 1 and its variance. Without standard errors there are no rows.
    """
    import pandas as pd

    if fit.covariance is None:
        return pd.DataFrame(columns=list(COLUMNS))
    correlation = correlation_of(fit.covariance)
    rows = [
        (label, other, float(correlation[i, j]), float(fit.covariance[i, j]), fit.uncertainty)
        for i, label in enumerate(fit.labels)
        for j, other in enumerate(fit.labels[: i + 1])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
