"""A population fit made by hand, of one sample and without any search."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import cellkinetics as ck
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.result import Objective, PopulationEstimate, PopulationFit
from cellkinetics.models.ecp import ECP


def population_fit(
    estimates: Sequence[PopulationEstimate],
    *,
    typical: Mapping[str, float],
    omega_sd: Mapping[str, float],
    sigma: float,
    n_subjects: int = 1,
) -> PopulationFit:
    """A fit that ended at the given population, with these rows of estimates."""
    cohort = ck.Cohort.from_arrays([[7.0]], [[900.0]])
    problem = PooledProblem.from_cohort(cohort, ECP)
    return PopulationFit(
        model="ecp",
        method="focei",
        seed=0,
        converged=True,
        status="",
        warnings=(),
        n_subjects=n_subjects,
        n_observations=0,
        n_censored=0,
        estimates=tuple(estimates),
        labels=(),
        covariance=None,
        uncertainty="",
        effects=(),
        objective=Objective(0.0, "", 0.0, 0, 0.0, ""),
        aic=0.0,
        bic=0.0,
        bicc=0.0,
        work={},
        cohort=cohort,
        problem=problem,
        population=PopulationModel(problem.form, problem.pack(typical, omega_sd, (sigma,))),
        importance=cast("Any", None),
        modes=cast("Any", None),
    )
