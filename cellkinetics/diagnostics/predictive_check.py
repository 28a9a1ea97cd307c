"""Visual predictive checks on arrays: percentiles of observed samples beside those of simulated data sets.

    percentile       of the samples of a bin, those below an LLOQ as below everything, those above a ULOQ as above
    corrected        ln y + ln PRED_bin - ln PRED,  PRED_bin the median of the bin's typical predictions
    below            share of the samples of a bin that is below its LLOQ

Observed and simulated samples are treated alike: a simulated sample is censored by the limits of the observed one.

Sources: Bergstrand M et al. AAPS J 2011;13:143-151, doi:10.1208/s12248-011-9255-z (prediction correction);
Bergstrand M, Karlsson MO. AAPS J 2009;11:371-380, doi:10.1208/s12248-009-9112-5 (censored samples).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED, RIGHT_CENSORED, BoolArray, FloatArray, IntArray
from cellkinetics.diagnostics.percentiles import ABOVE, BELOW, percentiles

if TYPE_CHECKING:
    import pandas as pd

PERCENTILE, CORRECTED, BLQ = "percentile", "corrected", "below"
"""The three checks."""


@dataclass(frozen=True)
class Cell:
    """One quantity of one bin: what was observed, and its interval over the simulated data sets.

    Numbers are on the scale of the samples; -inf and inf stand for what is among the censored samples.
    """

    check: str
    stratum: int
    bin: int
    share: float
    n: int
    n_below: int
    observed: float
    low: float
    median: float
    high: float

    @property
    def outside(self) -> bool:
        """Whether what was observed lies outside the interval of the simulations."""
        return self.observed < self.low or self.observed > self.high


@dataclass(frozen=True, eq=False)
class CheckedSamples:
    """Samples of a check, each array ``(N,)``, on the scale on which residuals are added.

    Attributes:
        y: observations.
        censored: 0 quantified, 1 below the LLOQ, -1 above the ULOQ.
        lloq, uloq: limits, NaN where there is none.
        typical: typical predictions.
        additive: whether the scale is logarithmic: then the correction is a difference, else a ratio.
        bin, stratum: number of each sample's bin and stratum.
    """

    y: FloatArray
    censored: IntArray
    lloq: FloatArray
    uloq: FloatArray
    typical: FloatArray
    additive: bool
    bin: IntArray
    stratum: IntArray


def predictive_check(
    samples: CheckedSamples,
    simulated: Iterable[FloatArray],
    *,
    shares: Sequence[float] = (0.05, 0.5, 0.95),
    interval: float = 0.95,
) -> list[Cell]:
    """Return the cells of all three checks, by check, stratum, bin and share.

    Args:
        samples: what was observed.
        simulated: blocks ``(b, N)`` of simulated data sets, not censored.
        shares: percentiles, as shares of 1.
        interval: share of the simulated data sets that the intervals hold.
    """
    cells = [
        (int(s), int(k), np.flatnonzero((samples.stratum == s) & (samples.bin == k)))
        for s in np.unique(samples.stratum)
        for k in np.unique(samples.bin[samples.stratum == s])
    ]
    shift = correction(samples)
    below, above = samples.censored == LEFT_CENSORED, samples.censored == RIGHT_CENSORED
    seen = _statistics(samples, shift, cells, shares, samples.y[None], below[None], above[None])
    blocks = []
    for block in simulated:
        with np.errstate(invalid="ignore"):
            blocks.append(_statistics(samples, shift, cells, shares, block, block < samples.lloq, block > samples.uloq))
    spread = np.concatenate(blocks)
    ends = ((1 - interval) / 2, 0.5, (1 + interval) / 2)
    summary = percentiles(np.moveaxis(spread, 0, -1), ends)
    k = len(shares)
    checks = [(PERCENTILE, i, share) for i, share in enumerate(shares)]
    checks += [(CORRECTED, k + i, share) for i, share in enumerate(shares)]
    checks += [(BLQ, 2 * k, np.nan)]
    found = [
        Cell(
            check,
            stratum,
            number,
            share,
            len(places),
            int(below[places].sum()),
            float(seen[0, c, at]),
            *(float(end) for end in summary[c, at]),
        )
        for check, at, share in checks
        for c, (stratum, number, places) in enumerate(cells)
    ]
    order = {PERCENTILE: 0, CORRECTED: 1, BLQ: 2}
    return sorted(found, key=lambda cell: (order[cell.check], cell.stratum, cell.bin))


def correction(samples: CheckedSamples) -> FloatArray:
    """Return what each sample is moved by (or multiplied by) to stand at its bin's typical prediction."""
    middle = np.empty(len(samples.y))
    for k in np.unique(samples.bin):
        here = samples.bin == k
        middle[here] = np.median(samples.typical[here])
    if samples.additive:
        return middle - samples.typical
    with np.errstate(all="ignore"):
        return np.where(samples.typical > 0, middle / samples.typical, 1.0)


def _statistics(
    samples: CheckedSamples,
    shift: FloatArray,
    cells: Sequence[tuple[int, int, IntArray]],
    shares: Sequence[float],
    y: FloatArray,
    below: BoolArray,
    above: BoolArray,
) -> FloatArray:
    """Return percentiles, corrected percentiles and shares below the LLOQ, ``(b, cells, 2 k + 1)``."""
    moved = y + shift if samples.additive else y * shift
    plain, corrected = (np.where(below, BELOW, np.where(above, ABOVE, values)) for values in (y, moved))
    found = [
        np.concatenate(
            [
                percentiles(plain[:, places], shares),
                percentiles(corrected[:, places], shares),
                below[:, places].mean(axis=1, keepdims=True),
            ],
            axis=1,
        )
        for _, _, places in cells
    ]
    return np.stack(found, axis=1)


def outside_counts(table: pd.DataFrame, check: str) -> tuple[int, int]:
    """Return how many rows of a check lie outside their interval, and how many can be judged at all.

    A percentile that is censored in the samples and in all of its interval agrees whatever the model is.

    Args:
        table: rows as in ``vpc.csv``.
        check: ``vpc``, ``pcvpc`` or ``blq``.
    """
    rows = table[table["check"] == check]
    judged = rows[["observed", "low", "high"]].notna().any(axis=1)
    return int((rows["outside"].astype(str).eq("True") & judged).sum()), int(judged.sum())
