"""Where the curve is highest, and where it is last above quantification."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray


def peak_position(value: FloatArray, quantified: BoolArray, tie: Literal["first", "last"]) -> IntArray:
    """Return the position of Cmax, the largest quantified value; of equal ones the first or the last.

    Args:
        value: ``(positions, n)``.
        quantified: same shape; a substituted or imputed value is never a peak.
        tie: which of several equal maxima.

    Returns:
        ``(n,)``; 0 where nothing is quantified.

    Example:
        >>> value, quantified = np.array([[1.0], [5.0], [5.0]]), np.full((3, 1), True)
        >>> peak_position(value, quantified, "first").tolist(), peak_position(value, quantified, "last").tolist()
        ([1], [2])
    """
    height = np.where(quantified, value, -1.0)
    if tie == "first":
        return np.argmax(height, axis=0)
    position = len(height) - 1 - np.argmax(height[::-1], axis=0)
    return np.where(quantified.any(axis=0), position, 0)


def last_position(quantified: BoolArray) -> IntArray:
    """Return the position of the last quantified sample, shape ``(n,)``; 0 where there is none.

    Example:
        >>> last_position(np.array([[True], [True], [False]])).tolist()
        [1]
    """
    position = len(quantified) - 1 - np.argmax(quantified[::-1], axis=0)
    return np.where(quantified.any(axis=0), position, 0)


def first_position(quantified: BoolArray) -> IntArray:
    """Return the position of the first quantified sample, shape ``(n,)``; 0 where there is none.

    Example:
        >>> first_position(np.array([[False], [True], [True]])).tolist()
        [1]
    """
    return np.argmax(quantified, axis=0)
