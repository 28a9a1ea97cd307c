"""`pool`: one population fit, from a cohort to a result that says what is known and how well."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled.estimate import Estimate, Report
from cellkinetics.fitting.pooled.importance import SLOPED_DRAWS, ImportanceResult, importance_sample
from cellkinetics.fitting.pooled.modes import CENTRES, Modes, conditional_modes
from cellkinetics.fitting.pooled.problem import Blq, PooledProblem
from cellkinetics.fitting.pooled.proposal import Proposal
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.start import population_start
from cellkinetics.fitting.pooled.summary import UNCERTAINTIES, summarise
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import use_compilation_cache
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import Residual, get_residual

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.data.comedication import Comedication
    from cellkinetics.fitting.interchange.estimates import StartingValues
    from cellkinetics.fitting.pooled.bayes import Sampling

    Given = Comedication | pd.DataFrame | str | os.PathLike[str] | Mapping[str, str]

FloatArray = NDArray[np.float64]
Method = Literal["saem", "importance", "focei", "laplace", "agq", "two-stage", "naive", "bayes"]

MIN_PATIENTS = 3
STEPS = 100
"""Of the progress that is told."""
FINAL_DRAWS = 200_000
"""Draws over all patients that likelihood and standard errors rest on at least."""


def pool(
    cohort: Cohort,
    *,
    model: str | Model = "ecp",
    method: str = "saem",
    residual: str | Residual = "log-constant",
    start: Mapping[str, float] | StartingValues | str | os.PathLike[str] | None = None,
    fix: Mapping[str, float] | None = None,
    omega: str = "diagonal",
    covariates: str | Sequence[str] = (),
    missing_covariates: str = "error",
    iov: str | Sequence[str] = (),
    mixture: str | Sequence[str] = (),
    comedication: Given | None = None,
    blq: Blq = "m3",
    uncertainty: str = "information",
    seed: int = 0,
    target_se: float = 0.2,
    sampling: Sampling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PopulationFit:
    """Fit one population to all patients: typical values, between-patient SDs and the residual.

        h(theta_i) = mu + eta_i,  eta_i ~ N(0, diag(omega^2)),  ln y_ij = ln C(t_ij; theta_i) + sigma * eps_ij

    Samples below quantification enter as left-censored (M3). Methods:

        ============  =====================================================================================
        saem          the default: stochastic EM from any start, then as importance
        importance    maximum likelihood on the exact marginal likelihood (importance sampling), from focei
        focei         conditional modes with Gauss-Newton curvature; fast, an approximation at a change point
        laplace       the same with the Hessian at the modes
        agq           adaptive Gauss-Hermite quadrature, for few random effects; ``agq:5`` for 5 nodes along each
        two-stage     each patient's own fit, then their population with its uncertainty taken off
        naive         all samples as if they were one patient's: no variability between patients
        bayes         draws from the posterior by NUTS, of the model with a smooth switch at the peak
        ============  =====================================================================================

    Whatever the method, -2LL is computed by importance sampling with fresh draws, and comes with its
    Monte-Carlo standard error. Standard errors are from the observed information of that likelihood, and
    are left out where the optimum was not reached. Only two-stage has its own.

    Args:
        cohort: one analyte, one profile a subject.
        model: name of a model, or a `Model`.
        method: as above.
        residual: name of a residual, see `cellkinetics.models.residual.residuals`.
        start: values to start from, natural scale, by label (``cmax``, ``omega_cmax``, ``sigma``); or a file of
            estimates, or its folder: of NONMEM, of nlmixr2, see `cellkinetics.fitting.interchange.estimates`, or the
            ``population.json`` of a fit.
        fix: values that are not estimated, likewise; ``{"omega_beta": 0}`` takes the random effect of beta away.
        omega: ``diagonal``, ``full``, or blocks such as ``cmax,foldx;alpha,beta``.
        covariates: formulas such as ``cmax ~ group``, see `cellkinetics.fitting.covariates.parse_terms`.
        missing_covariates: what a missing value means: ``error``, ``reference`` (the patient counts as one at the
            covariate's reference) or ``drop`` (the patient is left out).
        iov: parameters that vary between the occasions of a patient.
        mixture: parameters whose typical value differs between two sub-populations.
        comedication: table of subject, drug, start and end, for a model with inputs.
        blq: ``m3``; ``drop`` and ``half`` (LLOQ/2) are for comparisons only.
        uncertainty: ``information`` or ``sandwich``, where the standard errors come from.
        seed: of all random draws; recorded.
        target_se: Monte-Carlo standard error of -2LL to reach with up to 100 patients; with more, the root of their
            number over 100 times as much, so that a patient always costs the same.
        sampling: chains, draws and priors of ``bayes``, see `cellkinetics.fitting.pooled.bayes.Sampling`.
        progress: called as ``progress(done, total)``; steps left over are skipped at convergence.

    Raises:
        FitError: if fewer than three patients can take part, or there is nothing to start from.
        ModelError: for an unknown model or parameter.
        SettingsError: for an unknown method, or a structure that makes no sense.

    Source: Kuhn E, Lavielle M 2005, doi:10.1016/j.csda.2004.07.002 (SAEM);
    Wang Y 2007, doi:10.1007/s10928-007-9060-6 (FOCEI); Beal SL 2001, doi:10.1023/A:1012299115260 (M3).

    Example:
        >>> from cellkinetics.data.reading import read
        >>> from cellkinetics.models.published import library
        >>> trial = library["stein2019"].simulate(12, [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84], lloq=50, seed=1)
        >>> fit = pool(read(trial.samples), method="focei")
        >>> fit.n_subjects
        12
    """
    _check_types(cohort, fix, seed)
    covariates = (covariates,) if isinstance(covariates, str) else covariates
    iov, mixture = _names(iov), _names(mixture)
    estimator = estimator_of(method)
    if uncertainty not in UNCERTAINTIES:
        raise SettingsError(f"uncertainty {uncertainty!r} does not exist; choose one of {', '.join(UNCERTAINTIES)}")
    if seed < 0:
        raise SettingsError(f"seed {seed} is negative; give a whole number from 0")
    use_compilation_cache()
    chosen = get_model(model)
    cohort, covariates, of_covariates = _covariates(cohort, covariates, chosen, missing_covariates)
    windows, notes = _windows(comedication, cohort, chosen, fix or {})
    notes = (*of_covariates, *notes)
    if method == "bayes":
        from cellkinetics.fitting.pooled.bayes import smooth_twin

        if uncertainty != "information":
            raise SettingsError(f"uncertainty {uncertainty} does not go with method bayes, which has its posterior")
        chosen, note = smooth_twin(chosen)
        notes = (*notes, note) if note else notes
        estimator = partial(_bayes, sampling=sampling)
    elif sampling is not None:
        raise SettingsError(f"sampling (chains, draws, priors) belongs to method bayes, and the method is {method}")
    problem = PooledProblem.from_cohort(
        cohort,
        chosen,
        residual=get_residual(residual),
        fix=fix,
        omega=omega,
        covariates=covariates,
        iov=iov,
        mixture=mixture,
        given=windows,
        notes=notes,
        blq=blq,
        naive=method == "naive",
    )
    if problem.n_real < MIN_PATIENTS:
        raise FitError(
            f"{problem.n_real} of {len(cohort)} patients can take part in a population fit, at least "
            f"{MIN_PATIENTS} are needed; see the faults of the data (cellkinetics check)"
        )
    furthest = 0

    def report(share: float) -> None:
        nonlocal furthest
        furthest = max(furthest, min(int(STEPS * share), STEPS - 1))
        if progress is not None:
            progress(furthest, STEPS)

    target_se *= max(1.0, np.sqrt(problem.n_real / 100))
    first = _start(problem, cohort, start)
    estimate = estimator(problem, first, seed, target_se, report)
    modes = _modes(problem, estimate)
    likelihood = _likelihood(problem, estimate, estimate.proposal or modes, seed, target_se)
    result = summarise(problem, cohort, estimate, modes, likelihood, method=method, seed=seed, uncertainty=uncertainty)
    if method == "bayes":
        from cellkinetics.fitting.pooled.bayes import with_posterior

        result = with_posterior(result, estimate)
    if progress is not None:
        progress(STEPS, STEPS)
    return result


def _check_types(cohort: Any, fix: Any, seed: Any) -> None:
    """Refuse a path for a cohort, a list for fixed values, or a seed that is no whole number."""
    if not isinstance(cohort, Cohort):
        file = repr(str(cohort)) if isinstance(cohort, (str, os.PathLike)) else "..."
        kind = type(cohort).__name__
        raise SettingsError(f"a population is fitted to a cohort, not to a {kind}; write ck.pool(ck.read({file}))")
    if fix is not None and not isinstance(fix, Mapping):
        raise SettingsError(f"fix names values, as in fix={{'foldx': 3900}}, and is a {type(fix).__name__}")
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
        raise SettingsError(f"seed is {seed!r}; give a whole number from 0")


def _names(given: Sequence[str]) -> Sequence[str]:
    """Return names that may have been given as one text, such as ``cmax,foldx``."""
    return tuple(name.strip() for name in given.split(",")) if isinstance(given, str) else given


def _covariates(
    cohort: Cohort, formulas: Sequence[str], model: Model, missing: str
) -> tuple[Cohort, Sequence[str], tuple[str, ...]]:
    """Return the cohort after the rule for missing covariates, formulas with their references, and what to know."""
    from cellkinetics.fitting.covariates import check_missing, complete, parse_terms, remarks

    check_missing(missing)
    if not formulas:
        return cohort, (), ()

    terms = parse_terms(formulas, model, cohort)
    cohort, notes = complete(cohort, terms, missing)
    usable = [i for i in range(len(cohort)) if cohort.unusable[i] is None]
    return cohort, tuple(str(term) for term in terms), (*notes, *remarks(terms, cohort, usable))


def _windows(
    given: Given | None, cohort: Cohort, model: Model, fixed: Mapping[str, float]
) -> tuple[FloatArray | None, tuple[str, ...]]:
    """Return when the model's inputs were given, one entry a profile, and what to know of it."""
    if given is None:
        return None, ()
    from cellkinetics.data.comedication import comedication_of, never_given

    windows, notes = comedication_of(given, cohort).windows(cohort, model.inputs)
    absent = [name for name in never_given(windows, model.inputs) if f"f_{name}" not in fixed]
    if absent:
        raise SettingsError(
            f"no patient of these data was given {' or '.join(absent)}, so that its effect cannot be estimated; fix "
            f"it (f_{absent[0]}=1), or name the drugs that were given, as in ecp+comedication={model.inputs[0]}"
        )
    return windows, notes


def _start(
    problem: PooledProblem,
    cohort: Cohort,
    start: Mapping[str, float] | StartingValues | str | os.PathLike[str] | None,
) -> FloatArray:
    """Return the flat vector to start from."""
    if start is None or isinstance(start, Mapping):
        return population_start(problem, cohort, start)
    from cellkinetics.fitting.interchange.estimates import starting_point

    return starting_point(problem, cohort, start)


def _modes(problem: PooledProblem, estimate: Estimate) -> Modes:
    """Return the conditional modes at the estimate: near what the method knows, else searched thoroughly."""
    if estimate.proposal is None:
        return conditional_modes(problem, estimate.x, known=estimate.modes)
    centres = np.asarray(estimate.proposal.centre)[:, :CENTRES]
    known = Modes(centres[:, 0], centres[:, 0, 0], centres[:, 0, 0] > 0, centres)
    return conditional_modes(problem, estimate.x, known=known, thorough=False, exact=False)


def _likelihood(
    problem: PooledProblem, estimate: Estimate, known: Modes | Proposal, seed: int, target_se: float
) -> ImportanceResult:
    """Return -2LL and what comes with it, to be reported."""
    if not problem.structure.n_latent:
        from cellkinetics.fitting.pooled.naive import naive_likelihood

        return naive_likelihood(problem, estimate.x)
    # Fresh draws: the draws that a maximum was found with flatter it.
    sloped = estimate.sloped_draws or SLOPED_DRAWS
    return importance_sample(
        problem,
        estimate.x,
        known,
        seed=seed,
        stream=1,
        target_se=target_se,
        min_draws=max(FINAL_DRAWS, sloped) // problem.n_real,
        sloped_draws=sloped,
    )


def _saem(problem: PooledProblem, x: FloatArray, seed: int, target_se: float, report: Report) -> Estimate:
    from cellkinetics.fitting.pooled.saem import estimate_saem

    return estimate_saem(problem, x, seed=seed, target_se=target_se, report=report)


def _importance(problem: PooledProblem, x: FloatArray, seed: int, target_se: float, report: Report) -> Estimate:
    from cellkinetics.fitting.pooled.marginal import estimate_importance

    return estimate_importance(problem, x, seed=seed, target_se=target_se, report=report)


def _focei(problem: PooledProblem, x: FloatArray, seed: int, target_se: float, report: Report) -> Estimate:
    from cellkinetics.fitting.pooled.laplace import estimate_laplace

    return estimate_laplace(problem, x, report=report)


def _laplace(problem: PooledProblem, x: FloatArray, seed: int, target_se: float, report: Report) -> Estimate:
    from cellkinetics.fitting.pooled.laplace import estimate_laplace

    return estimate_laplace(problem, x, exact=True, report=report)


def _agq(
    problem: PooledProblem, x: FloatArray, seed: int, target_se: float, report: Report, nodes: int | None = None
) -> Estimate:
    from cellkinetics.fitting.pooled.agq import estimate_agq

    return estimate_agq(problem, x, nodes=nodes, report=report)


def _two_stage(problem: PooledProblem, x: FloatArray, seed: int, target_se: float, report: Report) -> Estimate:
    from cellkinetics.fitting.pooled.two_stage import estimate_two_stage

    return estimate_two_stage(problem, x, report=report)


def _naive(problem: PooledProblem, x: FloatArray, seed: int, target_se: float, report: Report) -> Estimate:
    from cellkinetics.fitting.pooled.naive import estimate_naive

    return estimate_naive(problem, x, report=report)


def _bayes(
    problem: PooledProblem,
    x: FloatArray,
    seed: int,
    target_se: float,
    report: Report,
    sampling: Sampling | None = None,
) -> Estimate:
    from cellkinetics.fitting.pooled.bayes import estimate_bayes

    return estimate_bayes(problem, x, seed=seed, sampling=sampling, report=report)


Estimator = Callable[[PooledProblem, FloatArray, int, float, Report], Estimate]
METHODS: Mapping[str, Estimator] = {
    "saem": _saem,
    "importance": _importance,
    "focei": _focei,
    "laplace": _laplace,
    "agq": _agq,
    "two-stage": _two_stage,
    "naive": _naive,
    "bayes": _bayes,
}


def estimator_of(method: str) -> Estimator:
    """Return what estimates by a method; ``agq:5`` is ``agq`` with 5 nodes along each random effect.

    Raises:
        SettingsError: for an unknown method, or nodes that are no number.

    Example:
        >>> estimator_of("agq:many")
        Traceback (most recent call last):
        ...
        cellkinetics.errors.SettingsError: method 'agq:many': the number of nodes is a whole number, as in agq:5
    """
    if method in METHODS:
        return METHODS[method]
    name, _, nodes = method.partition(":")
    if name != "agq":
        raise SettingsError(f"method {method!r} does not exist; choose one of {', '.join(get_args(Method))}")
    if not nodes.isdecimal():
        raise SettingsError(f"method {method!r}: the number of nodes is a whole number, as in agq:5")
    return partial(_agq, nodes=int(nodes))
