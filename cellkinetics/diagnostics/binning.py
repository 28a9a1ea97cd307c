"""Bins of time for a visual predictive check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellkinetics.data.cohort import FloatArray, IntArray
from cellkinetics.errors import SettingsError

FEWEST_SHARE = 0.1
"""A bin holds at least this share of as many samples as there are patients."""
FEWEST = 5
"""A bin holds at least this many samples."""
BINS = (3, 24)
"""Fewest and most bins of times that have to be grouped."""
MANY = 0.9
"""Of the patients so many have no more samples than there are bins: a visit that many missed is one too."""
MOST_CANDIDATES = 250
"""Different times among which the bins' ends are searched; of more, the widest gaps part them."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins of time.

    Attributes:
        index: number of each sample's bin, from 0 in order of time ``(n,)``.
        start, end: first and last time in each bin ``(k,)``.
        middle: median time in each bin, or the bin's nominal time ``(k,)``.
        rule: how they were made: ``nominal``, ``natural breaks`` or ``given``.
    """

    index: IntArray
    start: FloatArray
    end: FloatArray
    middle: FloatArray
    rule: str

    def __len__(self) -> int:
        return len(self.start)


def time_bins(time: FloatArray, nominal: FloatArray, sizes: IntArray, *, edges: FloatArray | None = None) -> Bins:
    """Group samples by time.

    With ``edges`` a bin is what lies between two of them, the first included. Else with a nominal time for every
    sample each nominal time is a bin. Else the bins are the natural breaks of the square root of time, the groups
    with the least sum of squares within; there are as many as a patient has samples of whom 9 in 10 have no more
    (3 to 24). In the latter two cases the smallest bin is joined with its nearer neighbour until each holds 5
    samples and a tenth of the number of patients.

    Args:
        time: times ``(n,)``.
        nominal: nominal times ``(n,)``, NaN where unknown.
        sizes: number of samples of each patient.
        edges: ends of the bins, ascending; samples outside raise.

    Raises:
        SettingsError: for edges that do not ascend, or samples outside of them.

    Source: natural breaks, Fisher WD. J Am Stat Assoc 1958;53:789-798, doi:10.1080/01621459.1958.10501479; for
    predictive checks, Lavielle M, Bleakley K. J Pharmacokinet Pharmacodyn 2011;38:861-871,
    doi:10.1007/s10928-011-9223-3 (its criterion chooses the number of bins too; ours is that of the samples).

    Example:
        >>> day = np.repeat([1.0, 7.0, 28.0], 6)
        >>> bins = time_bins(day + 0.1 * np.arange(18) / 18, day, np.full(6, 3))
        >>> bins.middle.tolist(), bins.rule
        ([1.0, 7.0, 28.0], 'nominal')
    """
    time = np.asarray(time, dtype=float)
    if not len(time):
        raise SettingsError("there is no sample to put into bins")
    if edges is not None:
        edges = np.asarray(edges, dtype=float)
        if edges.ndim != 1 or len(edges) < 2 or (np.diff(edges) <= 0).any():
            raise SettingsError("bins are the times between which they lie, in rising order, such as [0, 5, 10, 28]")
        if time.min() < edges[0] or time.max() > edges[-1]:
            raise SettingsError(
                f"the bins go from {edges[0]:g} to {edges[-1]:g}, and samples from {time.min():g} to {time.max():g}: "
                "widen the bins"
            )
        label = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, len(edges) - 2)
        return _described(time, None, np.unique(label, return_inverse=True)[1], "given")
    if np.isfinite(nominal).all():
        rule, index = "nominal", np.unique(nominal, return_inverse=True)[1]
    else:
        rule, index = "natural breaks", _natural(time, sizes)
    fewest = max(FEWEST, int(np.ceil(FEWEST_SHARE * len(sizes))))
    return _described(time, nominal if rule == "nominal" else None, _joined(time, index, fewest), rule)


def _natural(time: FloatArray, sizes: IntArray) -> IntArray:
    """Return the natural breaks of the times, by Fisher's dynamic programme."""
    root = np.sign(time) * np.sqrt(np.abs(time))
    places, index, weight = np.unique(root, return_inverse=True, return_counts=True)
    if len(places) > MOST_CANDIDATES:
        widest = np.argsort(-np.diff(places), kind="stable")[: MOST_CANDIDATES - 1]
        index = np.searchsorted(np.sort(widest), index, side="left")
        weight = np.bincount(index)
        places = np.bincount(index, weights=root) / weight
    wanted = int(np.clip(np.ceil(np.quantile(sizes, MANY)), *BINS))
    if len(places) <= wanted:
        return index.astype(np.int64)
    total, first, second = (np.concatenate([[0.0], np.cumsum(weight * places**power)]) for power in (0, 1, 2))
    # Sum of squares of the places from i (included) to j (excluded).
    i, j = np.arange(len(places))[:, None], np.arange(1, len(places) + 1)[None, :]
    count = np.maximum(total[j] - total[i], 1.0)
    cost = np.where(j > i, second[j] - second[i] - (first[j] - first[i]) ** 2 / count, np.inf)
    best, back = cost[0], []
    for _ in range(1, wanted):
        whole = best[:-1, None] + cost[1:, :]
        back.append(whole.argmin(axis=0))
        best = whole.min(axis=0)
    ends, at = [], len(places) - 1
    for step in reversed(back):
        at = int(step[at])
        ends.append(at)
    return np.searchsorted(np.array(ends[::-1]), np.arange(len(places)), side="left")[index].astype(np.int64)


def _joined(time: FloatArray, index: IntArray, fewest: int) -> IntArray:
    """Join the smallest bin with its nearer neighbour until each holds ``fewest`` samples, or one is left."""
    index = index.copy()
    while True:
        size = np.bincount(index)
        if len(size) < 2 or size.min() >= fewest:
            return index
        root = np.array([np.median(np.sqrt(np.maximum(time[index == k], 0.0))) for k in range(len(size))])
        k = int(size.argmin())
        left = root[k] - root[k - 1] if k else np.inf
        right = root[k + 1] - root[k] if k + 1 < len(size) else np.inf
        into = k - 1 if left <= right else k
        index = np.where(index > into, index - 1, index)


def _described(time: FloatArray, nominal: FloatArray | None, index: IntArray, rule: str) -> Bins:
    order = range(int(index.max()) + 1)
    middle = time if nominal is None else nominal
    return Bins(
        index,
        np.array([time[index == k].min() for k in order]),
        np.array([time[index == k].max() for k in order]),
        np.array([np.median(middle[index == k]) for k in order]),
        rule,
    )
