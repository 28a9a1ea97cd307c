"""`vpc`: visual predictive checks of a population fit, plain, prediction-corrected, and of what is below the LLOQ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellkinetics.data.cohort import FloatArray, IntArray
from cellkinetics.data.grouping import labels_of
from cellkinetics.diagnostics.binning import Bins, time_bins
from cellkinetics.diagnostics.observed import Observed, observed
from cellkinetics.diagnostics.predictive_check import (
    BLQ,
    CORRECTED,
    PERCENTILE,
    Cell,
    CheckedSamples,
    correction,
    outside_counts,
    predictive_check,
)
from cellkinetics.diagnostics.simulation import check_simulations, replicates, typical_predictions
from cellkinetics.drawing import Drawable
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

SIMULATIONS = 500
MOST_STRATA = 12
COLUMNS = (
    *("check", "stratum", "bin", "time_start", "time_end", "time", "n", "n_below", "percentile"),
    *("observed", "low", "median", "high", "outside", "reason"),
)
CHECKS = {PERCENTILE: "vpc", CORRECTED: "pcvpc", BLQ: "blq"}
"""What a check is called in the table."""


@dataclass(frozen=True, eq=False, repr=False)
class VisualPredictiveCheck(Drawable):
    """Visual predictive checks of a population fit.

    Attributes:
        table: one row a check, stratum, bin and percentile, the file ``vpc.csv``; levels as they are measured.
        points: the samples behind it: ``stratum, time, value, corrected, censored, lloq``.
        simulations: number of simulated data sets.
        rule: how the bins were made.
        by: what the strata are of, empty for one stratum.
        time_unit, value_unit: for the axes.
    """

    table: pd.DataFrame
    points: pd.DataFrame
    simulations: int
    rule: str
    by: str
    time_unit: str
    value_unit: str

    def __repr__(self) -> str:
        lines = [
            f"VisualPredictiveCheck: {self.table['bin'].nunique()} bins by {self.rule}, {self.simulations} simulations"
        ]
        for name in dict.fromkeys(self.table["check"]):
            outside, judged = outside_counts(self.table, name)
            lines.append(f"  {name}: {outside} of {judged} outside the interval of the simulations")
        return "\n".join(lines)


def vpc(
    fit: PopulationFit,
    *,
    simulations: int = SIMULATIONS,
    seed: int | None = None,
    by: str | None = None,
    percentiles: Sequence[float] = (5.0, 50.0, 95.0),
    interval: float = 95.0,
    bins: Sequence[float] | None = None,
) -> VisualPredictiveCheck:
    """Compare percentiles of the samples over time with those of data sets simulated from the fit.

    Every data set has the patients' days, covariates and limits, with new random effects and residuals. A sample
    below its LLOQ counts as below everything: a percentile that falls among such samples is empty, on either side,
    with a reason. All checks come from the same simulations:

        ==========  ========================================================================================
        ``vpc``     percentiles of the samples
        ``pcvpc``   the same, prediction-corrected: each sample moved to its bin's median typical prediction
        ``blq``     share of the samples below the LLOQ
        ==========  ========================================================================================

    Args:
        fit: what `pool` returned.
        simulations: number of data sets.
        seed: of the simulations; by default that of the fit.
        by: ``group``, ``occasion`` or a covariate with few values: a check for each.
        percentiles: from 0 to 100.
        interval: percentage of the simulated data sets that the intervals hold.
        bins: ends of the bins, in days; by default nominal times, else natural breaks (see
            `cellkinetics.diagnostics.binning.time_bins`).

    Raises:
        SettingsError: for an unknown column, percentiles out of their range, or bins that do not hold the samples.

    Sources: Bergstrand M et al. AAPS J 2011;13:143-151, doi:10.1208/s12248-011-9255-z; for censored samples
    Bergstrand M, Karlsson MO. AAPS J 2009;11:371-380, doi:10.1208/s12248-009-9112-5.
    """
    if not percentiles or not all(0 <= one <= 100 for one in percentiles):
        raise SettingsError(f"percentiles are numbers from 0 to 100, such as [5, 50, 95], not {list(percentiles)}")
    if not 0 < interval < 100:
        raise SettingsError(f"interval is {interval}; give a percentage between 0 and 100")
    chosen = fit.seed if seed is None else seed
    check_simulations(simulations, chosen)
    samples = observed(fit)
    mask = samples.mask
    time = samples.time[mask]
    cut = None if bins is None else np.asarray(bins, dtype=float)
    grouped = time_bins(time, samples.nominal_time[mask], mask.sum(axis=1), edges=cut)
    names, stratum = _strata(samples, by)
    checked = CheckedSamples(
        y=samples.y[mask],
        censored=samples.censored[mask],
        lloq=samples.lloq[mask],
        uloq=samples.uloq[mask],
        typical=typical_predictions(samples)[mask],
        additive=samples.problem.residual.scale == "log",
        bin=grouped.index,
        stratum=stratum,
    )
    blocks = (block[:, mask] for block in replicates(samples, simulations, chosen))
    cells = predictive_check(checked, blocks, shares=[one / 100 for one in percentiles], interval=interval / 100)
    cohort = samples.cohort
    return VisualPredictiveCheck(
        table=_table(cells, grouped, names, samples),
        points=_points(checked, time, names, samples),
        simulations=simulations,
        rule=grouped.rule,
        by=by or "",
        time_unit=cohort.time_unit,
        value_unit=cohort.value_unit[samples.problem.index[0]],
    )


def _strata(samples: Observed, by: str | None) -> tuple[list[str], IntArray]:
    """Return the names of the strata, and the number of each sample's one."""
    if by is None:
        return [""], np.zeros(int(samples.mask.sum()), np.int64)
    labels = np.asarray(labels_of(samples.cohort, by))
    texts = np.array([f"{one:.6g}" if isinstance(one, float) else str(one) for one in labels.tolist()], dtype=object)
    own = texts[samples.profile[samples.mask]]
    names = list(dict.fromkeys(own.tolist()))
    if len(names) > MOST_STRATA:
        raise SettingsError(
            f"{by} has {len(names)} different values, and a check is made for each: take a column with at most "
            f"{MOST_STRATA}, such as a grouping of it"
        )
    return names, np.array([names.index(one) for one in own], np.int64)


def _table(cells: Sequence[Cell], bins: Bins, names: Sequence[str], samples: Observed) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for cell in cells:
        ends = np.array([cell.observed, cell.low, cell.median, cell.high])
        shown = np.where(np.isfinite(ends), ends, np.nan)
        if cell.check != BLQ:
            shown = samples.natural(shown)
        rows.append(
            (
                CHECKS[cell.check],
                names[cell.stratum],
                cell.bin + 1,
                bins.start[cell.bin],
                bins.end[cell.bin],
                bins.middle[cell.bin],
                cell.n,
                cell.n_below,
                100 * cell.share,
                *shown.tolist(),
                cell.outside,
                _reason(ends),
            )
        )
    return pd.DataFrame.from_records(rows, columns=list(COLUMNS))


def _reason(ends: FloatArray) -> str:
    words = np.array(COLUMNS[9:13])
    parts = [
        f"{', '.join(words[there])} {where}"
        for there, where in ((ends == -np.inf, "below the LLOQ"), (ends == np.inf, "above the ULOQ"))
        if there.any()
    ]
    return "; ".join(parts)


def _points(checked: CheckedSamples, time: FloatArray, names: Sequence[str], samples: Observed) -> pd.DataFrame:
    import pandas as pd

    shift = correction(checked)
    moved = checked.y + shift if checked.additive else checked.y * shift
    columns: dict[str, Any] = {
        "stratum": [names[k] for k in checked.stratum],
        "time": time,
        "value": samples.natural(checked.y),
        "corrected": samples.natural(moved),
        "censored": checked.censored,
        "lloq": samples.natural(checked.lloq),
    }
    return pd.DataFrame(columns)
