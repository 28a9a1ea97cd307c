"""`compare_models`: which phases the whole population supports, by exact likelihoods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.comedication import comedication_of
from cellkinetics.drawing import Drawable
from cellkinetics.errors import CellKineticsError, FitError, SettingsError
from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.criteria import criteria
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.marginal import newton_step
from cellkinetics.fitting.pooled.problem import Blq
from cellkinetics.fitting.pooled.refit import check_exact
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.models.base import Model
from cellkinetics.models.registry import get_model, unknown
from cellkinetics.models.residual import get_residual

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.data.comedication import Comedication

WORDS = {"bicc": "BICc", "bic": "BIC", "aic": "AIC"}
CRITERIA = tuple(WORDS)
COLUMNS = (
    *("model", "n_parameters", "minus2ll", "mc_se", "aic", "bic", "bicc", "delta", "delta_se", "weight"),
    *("left", "converged", "best", "undecided", "status", "reason"),
)
SURE = 2.0
"""Standard errors that two models must be apart to be told apart."""
LEFT = 0.5
"""Of -2LL: a fit that a Newton step would lower by more is worth a warning."""


@dataclass(frozen=True)
class Compared:
    """One model of a comparison; NaN where a number cannot be had.

    Attributes:
        delta: of the criterion from the best model's, with its Monte-Carlo error ``delta_se``.
        weight: exp(-delta/2), scaled to a sum of 1 over the models.
        left: by how much a Newton step would still lower -2LL.
        undecided: whether the model is within two standard errors of the best one.
        reason: why there is no fit.
    """

    model: str
    n_parameters: int = 0
    minus2ll: float = np.nan
    mc_se: float = np.nan
    aic: float = np.nan
    bic: float = np.nan
    bicc: float = np.nan
    delta: float = np.nan
    delta_se: float = np.nan
    weight: float = np.nan
    left: float = np.nan
    converged: bool = False
    best: bool = False
    undecided: bool = False
    status: str = ""
    reason: str = ""


@dataclass(frozen=True, eq=False)
class ModelComparison(Drawable):
    """Population fits of one cohort by several models, the best first.

    Attributes:
        criterion: that ranks them.
        models: one entry a model.
        fits: model to its fit; those that failed are not there.
        warnings: what to know of the ranking.
    """

    criterion: str
    models: tuple[Compared, ...]
    fits: Mapping[str, PopulationFit]
    warnings: tuple[str, ...]

    @property
    def best(self) -> PopulationFit:
        """The fit of the best model."""
        return self.fits[self.models[0].model]

    @property
    def status(self) -> str:
        """What came of it, in one sentence."""
        first = self.models[0]
        close = [one.model for one in self.models if one.undecided]
        behind = f"; {', '.join(close)} cannot be told from it within the Monte-Carlo error" if close else ""
        return f"{first.model} has the least {WORDS[self.criterion]}{behind}"

    @property
    def table(self) -> pd.DataFrame:
        """One row a model, the best first: what ``population_models.csv`` holds."""
        import pandas as pd

        return pd.DataFrame([vars(one) for one in self.models], columns=list(COLUMNS))

    def __repr__(self) -> str:
        lines = [f"Model comparison by {WORDS[self.criterion]}: {self.status}"]
        for one in self.models:
            if one.reason:
                lines.append(f"  {one.model:24s} {one.reason}")
                continue
            lines.append(
                f"  {one.model:24s} {one.n_parameters:2d} parameters, -2LL {one.minus2ll:.2f} (SE {one.mc_se:.2f}), "
                f"{WORDS[self.criterion]} +{one.delta:.2f} (SE {one.delta_se:.2f})"
            )
        return "\n".join(lines)


def compare_models(
    cohort: Cohort,
    models: Sequence[str | Model],
    *,
    criterion: str = "bicc",
    method: str = "saem",
    residual: str = "log-constant",
    start: Mapping[str, float] | None = None,
    fix: Mapping[str, float] | None = None,
    omega: str = "diagonal",
    covariates: Sequence[str] = (),
    missing_covariates: str = "error",
    iov: Sequence[str] = (),
    mixture: Sequence[str] = (),
    comedication: Comedication | pd.DataFrame | str | Mapping[str, str] | None = None,
    blq: Blq = "m3",
    seed: int = 0,
    target_se: float = 0.2,
    progress: Callable[[int, int], None] | None = None,
) -> ModelComparison:
    """Fit one cohort by several models and rank them by an information criterion of the exact likelihood.

        delta = BICc - least BICc,   SE(delta)^2 = SE(-2LL)^2 + SE(-2LL of the best)^2,   weight ~ exp(-delta/2)

    All models take the same samples, so that -2LL of one can be held against that of another. Models are never
    ranked by an objective of Laplace's type (FOCEI, Laplace, quadrature around the mode): at the change point at Tmax
    it is off by more than models differ. A model whose fit did not converge keeps its row and is warned of.

    Args:
        cohort: as for `pool`.
        models: names, or `Model` objects; all on one scale of the residual.
        criterion: ``bicc``, ``bic`` or ``aic``, see `cellkinetics.fitting.pooled.criteria.Criteria`.
        method: as for `pool`, a method that maximises the exact likelihood.
        residual: as for `pool`.
        start: as for `pool`; each model takes the values of its own parameters.
        fix: likewise.
        omega: as for `pool`.
        covariates: as for `pool`; every model must have the parameters that they name.
        missing_covariates: as for `pool`.
        iov: likewise.
        mixture: likewise.
        comedication: for those models that have inputs.
        blq: as for `pool`.
        seed: of all draws.
        target_se: Monte-Carlo error of each -2LL.
        progress: called as ``progress(done, total)``.

    Raises:
        SettingsError: for fewer than two models, another criterion, an approximate method, or a fixed parameter that
            no model has.
        FitError: if no model can be fitted.

    Source: Delattre M, Lavielle M, Poursat MA. Electron J Stat 2014;8:456-475, doi:10.1214/14-EJS890 (BICc).
    """
    check_criterion(criterion)
    check_exact(method)
    chosen = list(dict.fromkeys(get_model(model) for model in models))
    if len(chosen) < 2:
        raise SettingsError("give at least two different models to compare")
    start, fix = dict(start or {}), dict(fix or {})
    common = get_residual(residual).names
    for what, values in (("start", start), ("fix", fix)):
        used = {name for model in chosen for name in _own(model, values, common)}
        for name in values:
            if name not in used:
                raise SettingsError(f"{what} {name}: none of the models has it")
    drugs = None if comedication is None else comedication_of(comedication, cohort)
    rows, fits = [], dict[str, PopulationFit]()
    for k, model in enumerate(chosen):

        def told(done: int, total: int, k: int = k) -> None:
            if progress is not None:
                progress(k * total + done, len(chosen) * total)

        try:
            fit = pool(
                cohort,
                model=model,
                method=method,
                residual=residual,
                start=_own(model, start, common),
                fix=_own(model, fix, common),
                omega=omega,
                covariates=covariates,
                missing_covariates=missing_covariates,
                iov=iov,
                mixture=mixture,
                comedication=drugs if model.inputs else None,
                blq=blq,
                seed=seed,
                target_se=target_se,
                progress=told,
            )
        except CellKineticsError as error:
            rows.append(Compared(model.name, status="failed", reason=str(error)))
            continue
        fits[model.name] = fit
        rows.append(_row(fit))
    if not fits:
        raise FitError(f"none of the models can be fitted: {rows[0].model}: {rows[0].reason}")
    ranked = rank(rows, criterion)
    return ModelComparison(criterion, ranked, MappingProxyType(fits), _warnings(ranked, fits))


def check_criterion(criterion: str) -> None:
    """Refuse what cannot rank models.

    Raises:
        SettingsError: for an approximate objective, or an unknown criterion.
    """
    if criterion not in CRITERIA:
        if criterion.partition(":")[0] in ("focei", "laplace", "agq", "foce", "fo"):
            raise SettingsError(
                f"models are never ranked by an approximate objective ({criterion}): at a change point it is off by "
                f"more than models differ; take {', '.join(CRITERIA)}, which use the exact likelihood"
            )
        raise SettingsError(unknown("criterion", criterion, CRITERIA))


def rank(rows: Sequence[Compared], criterion: str) -> tuple[Compared, ...]:
    """Return models in the order of a criterion, with their distance from the best one.

    Example:
        >>> found = rank([Compared("a", minus2ll=10, mc_se=0.3, bicc=12), Compared("b", mc_se=0.4, bicc=9)], "bicc")
        >>> [(one.model, one.delta, one.delta_se) for one in found]
        [('b', 0.0, 0.0), ('a', 3.0, 0.5)]
    """
    there = sorted((one for one in rows if not one.reason), key=lambda one: getattr(one, criterion))
    values = np.array([getattr(one, criterion) for one in there])
    delta = values - values.min()
    weight = np.exp(-0.5 * delta) / np.exp(-0.5 * delta).sum()
    out = []
    for k, one in enumerate(there):
        se = float(np.hypot(one.mc_se, there[0].mc_se)) if k else 0.0
        open_ = k > 0 and bool(delta[k] < SURE * se)
        found = replace(one, delta=float(delta[k]), delta_se=se, weight=float(weight[k]), best=k == 0, undecided=open_)
        out.append(found)
    return (*out, *(one for one in rows if one.reason))


def _row(fit: PopulationFit) -> Compared:
    problem, likelihood = fit.problem, fit.importance
    lower, upper = bounds(problem)
    outward = ((fit.x <= lower) & (likelihood.score < 0)) | ((fit.x >= upper) & (likelihood.score > 0))
    step = newton_step(likelihood, problem.free & ~outward)
    values: dict[str, Any] = criteria(problem, likelihood.minus2ll)._asdict()
    return Compared(
        model=fit.model,
        minus2ll=likelihood.minus2ll,
        mc_se=likelihood.mc_se,
        left=step.certain,
        converged=fit.converged,
        status=fit.status,
        **values,
    )


def _warnings(rows: Sequence[Compared], fits: Mapping[str, PopulationFit]) -> tuple[str, ...]:
    found = []
    sizes = {(fit.n_subjects, fit.n_observations) for fit in fits.values()}
    if len(sizes) > 1:
        found.append("the models did not take the same samples: their likelihoods cannot be compared")
    for one in rows:
        if one.reason:
            found.append(f"{one.model} could not be fitted: {one.reason}")
            continue
        if not one.converged:
            found.append(f"{one.model} did not converge: its place in the ranking is too low, if anything")
        elif one.left > LEFT:
            found.append(f"{one.model}: -2LL may be {one.left:.1f} above its minimum")
        if one.undecided:
            found.append(
                f"{one.model} is within two Monte-Carlo errors of the best model: lower target_se to tell them apart"
            )
    return tuple(found)


def _own(model: Model, values: Mapping[str, float], residual: Sequence[str]) -> dict[str, float]:
    """Return the values that a model has: of its parameters, their random effects, and the residual."""
    kinds = ("", "omega_", "gamma_")
    known = {*residual, *(f"{kind}{name}" for kind in kinds for name in model.names)}
    return {name: value for name, value in values.items() if name in known}
