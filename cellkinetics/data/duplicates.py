"""Several samples of one profile at one time: a fault, or the first, the mean or the greatest of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED, NOT_CENSORED, RIGHT_CENSORED, BoolArray, FloatArray, IntArray

DUPLICATE_RULES = ("error", "first", "mean", "max")


@dataclass(frozen=True, eq=False)
class Samples:
    """Usable samples, all arrays ``(k,)``; ``row`` is the position of the sample's row in the table."""

    row: IntArray
    profile: IntArray
    time: FloatArray
    nominal_time: FloatArray
    value: FloatArray
    censored: IntArray
    lloq: FloatArray
    uloq: FloatArray
    lower: FloatArray

    def pick(self, index: IntArray | BoolArray) -> Samples:
        """Return some samples, in the order of ``index``."""
        return Samples(**{name: getattr(self, name)[index] for name in self.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class Resolved:
    """Samples in order of profile and time after a rule for equal times.

    Attributes:
        samples: one a profile and time, unless the rule is ``error``.
        group_start: position of the first sample of each set of equal times, before the rule ``(g,)``.
        group_size: number of samples of each set ``(g,)``.
        ordered: the samples before the rule, in order of profile, time and, within a set, of precedence.
    """

    samples: Samples
    group_start: IntArray
    group_size: IntArray
    ordered: Samples


def resolve_duplicates(samples: Samples, rule: str) -> Resolved:
    """Sort samples by profile and time, and make one of those with the same time.

        first  the one that stands first in the file
        mean   mean of the quantified ones; without any, of those above the ULOQ, then those below the LLOQ
        max    greatest; a sample above the ULOQ is greater than any number, one below the LLOQ smaller

    Under ``mean`` and ``max`` the limits are the greatest LLOQ and the smallest ULOQ of the samples
    that count, so that the numbers do not depend on the order of rows; the lower end of an interval is
    forgotten where several count. ``error`` only sorts.
    """
    precedence = np.zeros(len(samples.row), np.int64)
    if rule == "mean":
        order_of = {NOT_CENSORED: 0, RIGHT_CENSORED: 1, LEFT_CENSORED: 2}
    else:
        order_of = {RIGHT_CENSORED: 0, NOT_CENSORED: 1, LEFT_CENSORED: 2}
    within = samples.row.astype(np.float64)
    if rule in ("mean", "max"):
        for flag, place in order_of.items():
            precedence[samples.censored == flag] = place
        # Sums of floats depend on their order: the values' own order, not that of the rows.
        within = np.where(np.isnan(samples.value), np.inf, samples.value)
    order = np.lexsort((samples.row, within, precedence, samples.time, samples.profile))
    ordered, precedence = samples.pick(order), precedence[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (np.diff(ordered.profile) != 0) | (np.diff(ordered.time) != 0)
    start = np.flatnonzero(fresh)
    size = np.diff(np.append(start, len(order)))
    if rule == "error" or not len(order):
        return Resolved(ordered, start, size, ordered)
    first = ordered.pick(start)
    if rule == "first":
        return Resolved(first, start, size, ordered)

    counts = precedence == np.repeat(precedence[start], size)

    def over(ufunc: np.ufunc, values: FloatArray) -> FloatArray:
        return ufunc.reduceat(np.where(counts, values, np.nan), start)

    number = np.add.reduceat(counts.astype(np.int64), start)
    value = over(np.fmax, ordered.value)
    if rule == "mean":
        with np.errstate(over="ignore"):
            total = np.add.reduceat(np.where(counts, ordered.value, 0.0), start)
        parts = np.add.reduceat(np.where(counts, ordered.value / np.repeat(number, size), 0.0), start)
        mean = np.where(np.isfinite(total), total / number, parts)
        value = np.where((first.censored == NOT_CENSORED) & (number > 1), mean, value)
    merged = replace(
        first,
        value=value,
        lloq=over(np.fmax, ordered.lloq),
        uloq=over(np.fmin, ordered.uloq),
        nominal_time=over(np.fmin, ordered.nominal_time),
        lower=np.where(number > 1, np.nan, first.lower),
    )
    return Resolved(merged, start, size, ordered)
