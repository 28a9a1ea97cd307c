"""The days on which a fitted curve is drawn."""

from __future__ import annotations

import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.models.base import Model

POINTS = 160


def curve_times(model: Model, theta: FloatArray, time: FloatArray, *others: FloatArray) -> FloatArray:
    """Return `POINTS` days from the first sample (not before infusion) to the last, denser near the first.

    Change points of the model (its parameters that are times) lie on the grid, so that a peak is drawn
    as high as it is.

    Args:
        model: the model of the curve.
        theta: its parameters on the natural scale, shape ``(p,)``.
        time: sampling days, shape ``(m,)``.
        others: parameters of further curves on the same days, whose change points lie on the grid too.

    Example:
        >>> from cellkinetics.models.ecp import ECP
        >>> days = curve_times(ECP, np.array([24e3, 9.3, 3900, 0.16, 0.0079, 0.0032]), np.array([1.0, 365.0]))
        >>> len(days), bool((days == 9.3).any())
        (160, True)
    """
    first, last = max(float(time.min()), 0.0), max(float(time.max()), 0.0)
    # A year of follow-up after a peak in the second week: even steps would draw the rise with three points.
    grid = first + (last - first) * np.linspace(0.0, 1.0, POINTS) ** 2
    free = np.ones(POINTS, dtype=bool)
    free[[0, -1]] = False
    for values in (theta, *others):
        for parameter, value in zip(model.parameters, values, strict=True):
            if parameter.unit == "time" and first < value < last:
                place = int(np.argmin(np.where(free, np.abs(grid - value), np.inf)))
                grid[place], free[place] = value, False
    return np.sort(grid)
