"""Where the curve is highest, and where it is last above quantification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.nca.curve import Curve
from cellkinetics.nca.positions import first_largest, first_true, last_true


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The quantified samples that name a curve, arrays ``(n,)``; NaN where nothing is quantified.

    Attributes:
        has: whether anything is quantified.
        peak: position of Cmax, 0 if there is none.
        last: position of the last quantified sample, 0 if there is none.
        cmax: largest quantified value, in the dosing interval where there is one.
        tmax: its time.
        clast: last quantified value.
        tlast: its time.
        tfirst: time of the first quantified value.
    """

    has: BoolArray
    peak: IntArray
    last: IntArray
    cmax: FloatArray
    tmax: FloatArray
    clast: FloatArray
    tlast: FloatArray
    tfirst: FloatArray


def landmarks(curve: Curve, tie: Literal["first", "last"]) -> Landmarks:
    """Find first, highest and last quantified sample of every curve."""
    has = np.asarray(curve.quantified.any(axis=0))
    profiles = np.arange(len(has))
    inside = curve.quantified
    if np.isfinite(curve.tau).any():
        inside = inside & (curve.time <= curve.tau)
    peak = peak_position(curve.value, inside, tie)
    last = last_position(curve.quantified)
    first = first_true(curve.quantified)

    found = np.asarray(inside.any(axis=0))

    def at(array: FloatArray, position: IntArray, where: BoolArray = has) -> FloatArray:
        return np.where(where, array[position, profiles], np.nan)

    return Landmarks(
        has=has,
        peak=peak,
        last=last,
        cmax=at(curve.value, peak, found),
        tmax=at(curve.time, peak, found),
        clast=at(curve.value, last),
        tlast=at(curve.time, last),
        tfirst=at(curve.time, first),
    )


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
        return first_largest(height)
    position = last_true(height == height.max(axis=0))
    return np.where(quantified.any(axis=0), position, 0)


def last_position(quantified: BoolArray) -> IntArray:
    """Return the position of the last quantified sample, shape ``(n,)``; 0 where there is none.

    Example:
        >>> last_position(np.array([[True], [True], [False]])).tolist()
        [1]
    """
    position = last_true(quantified)
    return np.where(quantified.any(axis=0), position, 0)
