"""Samples of patients as arrays of few shapes, as a compiled likelihood takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED, NOT_CENSORED, BoolArray, Cohort, FloatArray, IntArray
from cellkinetics.fitting.observations import Observations

PATIENT_BLOCK = 16
SAMPLE_BLOCK = 8
"""Arrays are padded to whole blocks, so that cohorts of similar size share one compiled program."""


class Padded(NamedTuple):
    """Samples of n patients, m at most, each array ``(n, m)``; see `cellkinetics.fitting.pooled.problem.Samples`.

    Attributes:
        lower: None where no sample is censored to an interval.
    """

    time: FloatArray
    y: FloatArray
    censored: IntArray
    mask: BoolArray
    lower: FloatArray | None
    occasion: IntArray


def padded(
    cohort: Cohort,
    chosen: Observations,
    used: BoolArray,
    members: Sequence[Sequence[int]],
    *,
    log: bool,
    half: bool = False,
) -> Padded:
    """Return the samples of patients, all occasions of one in a row.

    Args:
        cohort: whose samples they are.
        chosen: what enters as what.
        used: which samples enter, ``(profiles, samples)`` as in the cohort.
        members: places of each patient's profiles in the cohort.
        log: the residual is on the logarithmic scale.
        half: samples below quantification enter as LLOQ/2, as if they had been measured.

    Example:
        >>> from cellkinetics.fitting.observations import observations
        >>> cohort = Cohort.from_arrays([[7, 14], [9]], [[900, 0], [400]], lloq=50.0)
        >>> chosen = observations(cohort)
        >>> found = padded(cohort, chosen, chosen.used, [[0], [1]], log=False)
        >>> found.y.shape, found.y[:2, :2].tolist(), found.censored[:2, :2].tolist()
        ((16, 8), [[900.0, 50.0], [400.0, 0.0]], [[0, 1], [0, 0]])
    """
    rows = [[(k, i, j) for k, i in enumerate(own) for j in np.flatnonzero(used[i])] for own in members]
    n, m = blocks(len(members), PATIENT_BLOCK), blocks(max(1, *map(len, rows)), SAMPLE_BLOCK)
    time, y, lower = np.zeros((n, m)), np.zeros((n, m)), np.full((n, m), -np.inf)
    censored, occasion = np.zeros((n, m), dtype=np.int64), np.zeros((n, m), dtype=np.int64)
    mask = np.zeros((n, m), dtype=bool)
    values, ends, flags = chosen.y, chosen.lower, cohort.censored
    if half:
        below = flags == LEFT_CENSORED
        values, flags = np.where(below, values / 2, values), np.where(below, NOT_CENSORED, flags)
        ends = np.where(below, np.nan, ends)
    if log:
        with np.errstate(all="ignore"):
            values, ends = np.log(values), np.log(ends)
    for u, row in enumerate(rows):
        if not row:
            continue
        k, i, j = np.array(row).T
        place: tuple[Any, ...] = (u, slice(len(row)))
        time[place], y[place], censored[place] = cohort.time[i, j], values[i, j], flags[i, j]
        mask[place], occasion[place] = True, k
        lower[place] = np.where(np.isfinite(ends[i, j]), ends[i, j], -np.inf)
    return Padded(time, y, censored, mask, lower if np.isfinite(lower).any() else None, occasion)


def over_patients(values: FloatArray) -> FloatArray:
    """Return values of patients, one entry each, with zeros for the patients that only pad."""
    array = np.zeros((blocks(len(values), PATIENT_BLOCK), *values.shape[1:]))
    array[: len(values)] = values
    return array


def blocks(count: int, size: int) -> int:
    """Return the least multiple of ``size`` that is not below ``count``.

    Example:
        >>> blocks(9, 8), blocks(8, 8)
        (16, 8)
    """
    return -(-count // size) * size
