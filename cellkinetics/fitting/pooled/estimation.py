"""`pool`: one population fit, from a cohort to a result that says what is known and how well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled.focei import estimate_focei
from cellkinetics.fitting.pooled.importance import importance_sample
from cellkinetics.fitting.pooled.marginal import estimate_marginal
from cellkinetics.fitting.pooled.modes import conditional_modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.start import population_start
from cellkinetics.fitting.pooled.summary import summarise
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import use_compilation_cache
from cellkinetics.models.registry import get_model

FloatArray = NDArray[np.float64]
Method = Literal["importance", "focei"]

FOCEI_ITERATIONS = 200
MARGINAL_ITERATIONS = 60
MIN_PATIENTS = 3
FINAL_DRAWS = 200_000
"""Draws over all patients that likelihood and standard errors rest on at least."""
LEAST_START = np.log(0.1)
"""Of ln omega, where the search on the exact likelihood begins."""


def pool(
    cohort: Cohort,
    *,
    model: str | Model = "ecp",
    method: Method = "importance",
    start: Mapping[str, float] | None = None,
    fix: Mapping[str, float] | None = None,
    seed: int = 0,
    target_se: float = 0.2,
    progress: Callable[[int, int], None] | None = None,
) -> PopulationFit:
    """Fit one population to all patients: typical values, between-patient SDs and the residual.

        h(theta_i) = mu + eta_i,  eta_i ~ N(0, diag(omega^2)),  ln y_ij = ln C(t_ij; theta_i) + sigma * eps_ij

    Samples below quantification enter as left-censored (M3). Methods:

        ============  =====================================================================================
        importance    maximum likelihood on the exact marginal likelihood (importance sampling), from focei
        focei         conditional modes with Gauss-Newton curvature; fast, an approximation at a change point
        ============  =====================================================================================

    Whatever the method, -2LL is computed by importance sampling with fresh draws, and comes with its
    Monte-Carlo standard error. Standard errors are from the observed information of that likelihood, and
    are left out where the optimum was not reached.

    Args:
        cohort: one analyte, one profile a subject.
        model: name of a model, or a `Model`.
        method: ``importance`` or ``focei``.
        start: typical values to start from, natural scale, by parameter.
        fix: typical values that are not estimated.
        seed: of all random draws; recorded.
        target_se: Monte-Carlo standard error of -2LL to reach.
        progress: called as ``progress(done, total)``; steps left over are skipped at convergence.

    Raises:
        FitError: if fewer than three patients can take part, or there is nothing to start from.
        ModelError: for an unknown model or parameter.
        SettingsError: for an unknown method.

    Source: Wang Y 2007, doi:10.1007/s10928-007-9060-6 (FOCEI); Beal SL 2001, doi:10.1023/A:1012299115260 (M3).

    Example:
        >>> from cellkinetics.data.reading import read
        >>> from cellkinetics.models.published import library
        >>> trial = library["stein2019"].simulate(12, [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84], lloq=50, seed=1)
        >>> fit = pool(read(trial.samples), method="focei")
        >>> fit.n_subjects
        12
    """
    if method not in get_args(Method):
        raise SettingsError(f"method {method!r} does not exist; choose one of {', '.join(get_args(Method))}")
    if seed < 0:
        raise SettingsError(f"seed {seed} is negative; give a whole number from 0")
    use_compilation_cache()
    problem = PooledProblem.from_cohort(cohort, get_model(model), fix=fix)
    if problem.n_real < MIN_PATIENTS:
        raise FitError(
            f"{problem.n_real} of {len(cohort)} patients can take part in a population fit, at least "
            f"{MIN_PATIENTS} are needed; see the faults of the data (cellkinetics check)"
        )
    total = FOCEI_ITERATIONS + (MARGINAL_ITERATIONS if method == "importance" else 0) + 1

    def tell(offset: int) -> Callable[[int, float], None]:
        def report(iteration: int, _: float) -> None:
            if progress is not None:
                progress(min(offset + iteration, total - 1), total)

        return report

    first = population_start(problem, cohort, start)
    approximate = estimate_focei(problem, first, max_iterations=FOCEI_ITERATIONS, on_iteration=tell(0))
    x, settled = approximate.x, approximate.settled
    work = {"focei_iterations": approximate.iterations, "focei_evaluations": approximate.evaluations}
    if method == "importance":
        # A random effect that FOCEI gave up has no slope left to come back by.
        p = problem.n_parameters
        x = x.copy()
        x[p : 2 * p] = np.maximum(x[p : 2 * p], LEAST_START)
        exact = estimate_marginal(
            problem,
            x,
            approximate.modes,
            seed=seed,
            # The optimum moves by far less than a standard error at twice the noise, and costs a quarter.
            target_se=2 * target_se,
            max_iterations=MARGINAL_ITERATIONS,
            on_iteration=tell(FOCEI_ITERATIONS),
        )
        x, settled = exact.x, exact.converged
        work["importance_iterations"] = exact.iterations

    modes = conditional_modes(problem, x, known=approximate.modes)
    # Fresh draws: the draws that a maximum was found with flatter it.
    likelihood = importance_sample(
        problem, x, modes, seed=seed, stream=1, target_se=target_se, min_draws=FINAL_DRAWS // problem.n_real
    )
    work["importance_draws_per_patient"] = likelihood.draws
    result = summarise(
        problem,
        cohort,
        x,
        modes,
        likelihood,
        method=method,
        seed=seed,
        settled=settled,
        focei=approximate,
        work=work,
    )
    if progress is not None:
        progress(total, total)
    return result
