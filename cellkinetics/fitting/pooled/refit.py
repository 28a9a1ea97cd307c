"""Many fits of models that differ by their covariates, each from where another ended, on the same patients.

Every fit ends at the maximum of the marginal likelihood itself (Newton steps on importance-sampling estimates), so
that likelihood ratios compare maxima; -2LL is then computed with fresh draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.comedication import Comedication
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.covariates import check_design, covariate_values, design_of
from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.criteria import criteria
from cellkinetics.fitting.pooled.estimation import estimator_of
from cellkinetics.fitting.pooled.importance import importance_sample
from cellkinetics.fitting.pooled.marginal import LONGEST_STEP, MarginalEstimate, estimate_marginal, newton_step
from cellkinetics.fitting.pooled.modes import conditional_modes
from cellkinetics.fitting.pooled.occasions import require_same_covariates
from cellkinetics.fitting.pooled.problem import Blq, PooledProblem
from cellkinetics.fitting.pooled.start import population_start
from cellkinetics.fitting.pooled.structure import Coefficient
from cellkinetics.fitting.terms import Term
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import use_compilation_cache
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import get_residual

FloatArray = NDArray[np.float64]

FINER = 0.4
"""Of the Monte-Carlo error, where a decision is looked at again."""
SEARCH_SE = 0.4
"""Monte-Carlo error of -2LL with which a maximum is looked for; it moves by far less than that."""
APPROXIMATE = {
    "focei": "it finds the maximum of an approximation of the likelihood",
    "laplace": "it finds the maximum of an approximation of the likelihood",
    "agq": "it finds the maximum of an approximation of the likelihood",
    "naive": "it takes all patients for one",
    "two-stage": "it does not maximise the likelihood of the population",
    "bayes": "it has no maximum of the likelihood",
}
MOST_LEFT = 2.0
"""Of -2LL: a last step that promises more is not what the search calls converged."""
_STREAM = 1  # of the draws of -2LL: those of the search flatter the maximum that they found


@dataclass(frozen=True)
class Setting:
    """What all the fits have in common, see `cellkinetics.fitting.pooled.estimation.pool`.

    Attributes:
        terms: every covariate term that a fit may have.
        start: of the first fit.
    """

    cohort: Cohort
    terms: tuple[Term, ...]
    model: str | Model = "ecp"
    method: str = "saem"
    residual: str = "log-constant"
    start: Mapping[str, float] = field(default_factory=dict)
    fix: Mapping[str, float] = field(default_factory=dict)
    omega: str = "diagonal"
    iov: tuple[str, ...] = ()
    mixture: tuple[str, ...] = ()
    comedication: Comedication | None = None
    blq: Blq = "m3"
    seed: int = 0
    target_se: float = 0.2

    def problem(self, formulas: tuple[str, ...]) -> PooledProblem:
        """Return the problem with some of the terms.

        The coefficients of all terms are there, those of the others fixed to 0: one structure serves every fit, so
        that the functions are compiled once.

        Raises:
            FitError: for a covariate that differs between a patient's occasions.
            SettingsError: if the patients cannot tell the coefficients apart.
        """
        model, drugs = get_model(self.model), self.comedication
        bare = PooledProblem.from_cohort(
            self.cohort,
            model,
            residual=get_residual(self.residual),
            fix=self.fix,
            omega=self.omega,
            iov=self.iov,
            mixture=self.mixture,
            given=None if drugs is None else drugs.windows(self.cohort, model.inputs)[0],
            blq=self.blq,
        )
        present = tuple(term for term in self.terms if str(term) in formulas)
        require_same_covariates(self.cohort, bare.profiles, self.terms)
        values = covariate_values(self.cohort, self.terms, np.array(bare.index))
        check_design(present, model, design_of(present, model, values))
        names = [(term, name) for term in self.terms for name in coefficient_labels(term, self.terms)]
        coefficients = tuple(Coefficient(name, model.names.index(term.parameter)) for term, name in names)
        design = np.zeros((len(np.asarray(bare.samples.y)), len(model.names), len(names)))
        design[: bare.n_real] = design_of(self.terms, model, values)
        structure = replace(bare.structure, coefficients=coefficients)
        with jax.enable_x64(True):
            samples = bare.samples._replace(design=jnp.asarray(design))
        return replace(
            bare,
            form=replace(bare.form, structure=structure),
            samples=samples,
            fixed={**bare.fixed, **{name: 0.0 for term, name in names if term not in present}},
            terms=self.terms,
        )


def coefficient_labels(term: Term, terms: Sequence[Term]) -> tuple[str, ...]:
    """Return names of a term's coefficients that no other of ``terms`` has: with the form where two differ in it."""
    twice = sum((one.parameter, one.covariate) == (term.parameter, term.covariate) for one in terms) > 1
    return tuple(f"{name}_{term.form}_{term.reference}" if twice else name for name in term.names)


@dataclass(frozen=True)
class Request:
    """One fit to make.

    Attributes:
        terms: formulas of the covariates.
        start: flat vector to start from, by label; None for the first fit, which starts from the data.
        finer: with a smaller Monte-Carlo error.
        evaluate: only look at -2LL at ``start`` again.
    """

    terms: tuple[str, ...]
    start: Mapping[str, float] | None
    finer: bool = False
    evaluate: bool = False


@dataclass(frozen=True)
class Refit:
    """What came of a request; numbers are NaN where it failed.

    Attributes:
        x: flat vector by label, see `cellkinetics.fitting.pooled.structure`.
        finer: as in the request.
        failed: whether there is no -2LL; ``reason`` says why, or what is wrong with it.
    """

    terms: tuple[str, ...]
    minus2ll: float = np.nan
    mc_se: float = np.nan
    n_subjects: int = 0
    n_parameters: int = 0
    n_coefficients: int = 0
    aic: float = np.nan
    bic: float = np.nan
    bicc: float = np.nan
    converged: bool = False
    x: Mapping[str, float] = field(default_factory=dict)
    finer: bool = False
    failed: bool = False
    reason: str = ""


def refit(setting: Setting, request: Request) -> dict[str, Any]:
    """Do a fit, or look at one again, and return the fields of `Refit` as plain values.

    Raises:
        CellKineticsError: if it cannot be done.
    """
    use_compilation_cache()
    problem = setting.problem(request.terms)
    target = setting.target_se * (FINER if request.finer else 1.0)
    x = (
        _first(setting, problem)
        if request.start is None
        else problem.hold(np.array([request.start[label] for label in problem.labels]))
    )
    modes = conditional_modes(problem, x)
    converged = True
    if not request.evaluate:
        found = estimate_marginal(problem, x, modes, seed=setting.seed, target_se=max(SEARCH_SE, target))
        x, converged = _last_step(problem, found) if found.converged else found.x, found.converged
        modes = conditional_modes(problem, x, known=modes)
    stream = _STREAM + request.finer
    likelihood = importance_sample(problem, x, modes, seed=setting.seed, stream=stream, target_se=target, slopes=False)
    return {
        "terms": request.terms,
        "minus2ll": likelihood.minus2ll,
        "mc_se": likelihood.mc_se,
        "n_subjects": problem.n_real,
        **criteria(problem, likelihood.minus2ll)._asdict(),
        "n_coefficients": int((problem.free & (np.array(problem.structure.kinds) == "coefficient")).sum()),
        "converged": converged,
        "x": dict(zip(problem.labels, x.tolist(), strict=True)),
        "finer": request.finer,
        "reason": "" if converged else "the search did not come to rest",
    }


def _first(setting: Setting, problem: PooledProblem) -> FloatArray:
    """Return the flat vector of a method's estimates from the start that the data suggest."""
    start = population_start(problem, setting.cohort, setting.start)
    return estimator_of(setting.method)(problem, start, setting.seed, SEARCH_SE, lambda _: None).x


def _last_step(problem: PooledProblem, found: MarginalEstimate) -> FloatArray:
    """Take the step that the search left as lost in the noise.

    What is left would be missing from a likelihood ratio in one direction, while noise moves both models alike.
    """
    lower, upper = bounds(problem)
    score = found.likelihood.score
    outward = ((found.x <= lower) & (score < 0)) | ((found.x >= upper) & (score > 0))
    step = newton_step(found.likelihood, problem.free & ~outward)
    if step.drop > MOST_LEFT or np.abs(step.move).max() > LONGEST_STEP:
        return found.x
    return np.clip(found.x + step.move, lower, upper)


def check_exact(method: str) -> None:
    """Refuse a method whose estimates are not those of the exact likelihood, where models are compared.

    Raises:
        SettingsError: for such a method.
    """
    estimator_of(method)
    name = method.partition(":")[0]
    if name in APPROXIMATE:
        raise SettingsError(
            f"models are never compared by {method}: {APPROXIMATE[name]}, and at a change point that is off by more "
            "than models differ; take saem or importance"
        )
