"""Positions in arrays that hold one profile a column: numpy's argmax is slow along the first axis."""

from __future__ import annotations

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray


def first_true(mask: BoolArray) -> IntArray:
    """Return the first position that is True in each column, 0 where none is.

    Args:
        mask: ``(positions, n)``, at least one position.

    Returns:
        ``(n,)``.

    Example:
        >>> first_true(np.array([[False, True, False], [True, True, False]])).tolist()
        [1, 0, 0]
    """
    m = len(mask)
    return (m - (mask * np.arange(m, 0, -1, dtype=np.int32)[:, None]).max(axis=0).astype(np.int64)) % m


def last_true(mask: BoolArray) -> IntArray:
    """Return the last position that is True in each column, the last of all where none is.

    Args:
        mask: ``(positions, n)``, at least one position.

    Returns:
        ``(n,)``.

    Example:
        >>> last_true(np.array([[True, True, False], [False, True, False]])).tolist()
        [0, 1, 1]
    """
    m = len(mask)
    return ((mask * np.arange(1, m + 1, dtype=np.int32)[:, None]).max(axis=0).astype(np.int64) - 1) % m


def first_largest(value: FloatArray) -> IntArray:
    """Return the first position of the largest value of each column; NaN is never one.

    Args:
        value: ``(positions, n)``, at least one position.

    Returns:
        ``(n,)``.

    Example:
        >>> first_largest(np.array([[1.0, 2.0], [3.0, 2.0]])).tolist()
        [1, 0]
    """
    return first_true(value == np.fmax.reduce(value, axis=0))
