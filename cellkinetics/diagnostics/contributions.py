"""`population_contributions`: what each patient adds to -2LL, how well it is known, and what it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED
from cellkinetics.diagnostics.observed import observed
from cellkinetics.drawing import Drawable

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

COLUMNS = (
    *("subject", "analyte", "specimen", "group", "n", "n_below", "minus2ll", "mc_se", "effective_draws", "draws"),
    *("distance", "influence", "most_moved", "moved_by", "reason"),
)


@dataclass(frozen=True, eq=False, repr=False)
class Contributions(Drawable):
    """Contributions of the patients of a population fit.

    Attributes:
        table: one row a patient, the file ``population_contributions.csv``.
    """

    table: pd.DataFrame

    def __repr__(self) -> str:
        most = self.table.dropna(subset="influence").sort_values("influence", ascending=False).head(3)
        named = [f"{row['subject']} ({row['influence']:.2g})" for row in most.to_dict("records")]
        return f"Contributions: {len(self.table)} patients; most influence: {', '.join(named) or 'not known'}"


def population_contributions(fit: PopulationFit) -> Contributions:
    """Return each patient's part of -2LL and its influence on the estimates.

        minus2ll_i = -2 ln p(y_i),   influence_i = s_i' V s_i,   moved_i = V s_i / SE

    with s_i the patient's score and V the covariance of the estimates: ``influence`` is the generalised Cook's
    distance of leaving the patient out, to first order, and ``moved_by`` by how many standard errors the parameter
    ``most_moved`` would change. ``distance`` is that of the conditional mean of the random effects from the typical
    patient (of the patient's class in a mixture), in units of Omega: a large one is an unusual patient.

    Source: Cook RD. J R Stat Soc B 1986;48:133-169; one step from the estimates, Pregibon D. Ann Stat
    1981;9:705-724, doi:10.1214/aos/1176345513.
    """
    import pandas as pd

    from cellkinetics.fitting.pooled.patients import within_class

    problem, found = fit.problem, fit.importance
    samples, cohort = observed(fit), fit.cohort
    first = list(problem.index)
    q = problem.structure.n_random
    distance = np.linalg.norm(within_class(problem.structure.values(fit.x), found.mean[:, :q]), axis=1)
    influence = moved = np.full(problem.n_real, np.nan)
    names = np.full(problem.n_real, "", dtype=object)
    reason = "the fit has no standard errors, which influence is measured in"
    if fit.covariance is not None:
        free = [problem.labels.index(label) for label in fit.labels]
        scores = found.scores[:, free]
        change = scores @ fit.covariance / np.sqrt(np.diag(fit.covariance))
        influence = np.einsum("ij,jk,ik->i", scores, fit.covariance, scores)
        most = np.abs(change).argmax(axis=1)
        # Leaving the patient out moves the estimates the other way.
        names, moved = np.array(fit.labels, dtype=object)[most], -change[np.arange(len(most)), most]
        reason = ""
    table = pd.DataFrame(
        {
            **{name: [getattr(cohort, name)[i] for i in first] for name in ("subject", "analyte", "specimen", "group")},
            "n": samples.mask.sum(axis=1),
            "n_below": (samples.mask & (samples.censored == LEFT_CENSORED)).sum(axis=1),
            "minus2ll": -2 * found.log_likelihood,
            "mc_se": 2 * found.log_likelihood_se,
            "effective_draws": found.effective,
            "draws": found.draws,
            "distance": distance,
            "influence": influence,
            "most_moved": names,
            "moved_by": moved,
            "reason": reason,
        }
    )
    return Contributions(table[list(COLUMNS)])
