"""Full uncertainty of a population: draws from its posterior by the No-U-Turn sampler, with their checks.

Priors are those of `cellkinetics.fitting.pooled.priors`, the sampler is that of `cellkinetics.fitting.pooled.nuts`.
SAEM and importance sampling give it its coordinates. A change point has no derivative, so a model with a sharp switch
at the peak is fitted as its smooth twin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.estimate import Estimate
from cellkinetics.fitting.pooled.importance import ImportanceResult, importance_sample
from cellkinetics.fitting.pooled.modes import Modes, conditional_modes
from cellkinetics.fitting.pooled.nuts import Coordinates, sample
from cellkinetics.fitting.pooled.priors import Given, prior_scales
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.structure import FloatArray, Form
from cellkinetics.fitting.pooled.summary import remark
from cellkinetics.fitting.terms import Term
from cellkinetics.models.base import Model
from cellkinetics.models.ecp import expansion_model
from cellkinetics.models.phases import SMOOTH_WIDTH

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationEstimate, PopulationFit

LARGEST_RHAT = 1.01
LEAST_ESS = 400.0
"""Effective draws below which quantiles are rough."""
PILOT_SE = 1.0
PILOT_SHARE = 0.3
"""Of the progress that is told, until the sampler begins."""
LEAST_INFORMATION = 1.0
"""Information of a direction that is at least assumed for the coordinates, that of a prior of SD 1."""
WEAK_OMEGA = 0.3
"""Standard error of ln omega above which omega may be near zero, where a centred effect is a funnel."""
LEAST_ORIGIN = 0.2
"""Where the coordinate of such an omega begins at least, so that it has a scale."""
POSTERIOR = "posterior"


@dataclass(frozen=True)
class Sampling:
    """How a posterior is drawn from.

    Attributes:
        chains: number of chains, drawn side by side.
        warmup, draws: iterations of each, rounded up to whole blocks of 25.
        priors: see `cellkinetics.fitting.pooled.priors.Given`.

    Raises:
        SettingsError: for fewer than two chains, or too few draws to check them by.
    """

    chains: int = 4
    warmup: int = 300
    draws: int = 1000
    priors: Given = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.chains < 2 or self.warmup < 50 or self.draws < 50:
            raise SettingsError(
                "a posterior takes at least 2 chains, a warm-up of 50 and 50 draws of each, not "
                f"{self.chains}, {self.warmup} and {self.draws}"
            )


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws from the posterior of a population.

    Attributes:
        labels: names of all elements of the flat vector.
        free: places of those that were drawn (f).
        x: draws on the working scale ``(chains, draws, k)``.
        natural: draws on the natural scale: typical values, SDs, correlations, shares ``(chains, draws, k)``.
        r_hat, ess: of each free element, on the working scale ``(f,)``.
        divergences: trajectories that left the density.
        steps: leapfrog steps an iteration, on average.
    """

    labels: tuple[str, ...]
    free: tuple[int, ...]
    x: FloatArray
    natural: FloatArray
    r_hat: FloatArray
    ess: FloatArray
    divergences: int
    steps: float

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a draw, with chain and draw from 1 and a column an estimated element: ``posterior_draws.csv``."""
        import pandas as pd

        chains, draws, _ = self.natural.shape
        frame = pd.DataFrame(self.natural.reshape(chains * draws, -1)[:, self.free], columns=self.drawn)
        frame.insert(0, "draw", np.tile(np.arange(1, draws + 1), chains))
        frame.insert(0, "chain", np.repeat(np.arange(1, chains + 1), draws))
        return frame

    @property
    def drawn(self) -> list[str]:
        """Labels of the free elements."""
        return [self.labels[k] for k in self.free]

    def to_dict(self) -> dict[str, Any]:
        """Return the checks of the draws as plain values."""
        checks = zip(self.drawn, self.r_hat.tolist(), self.ess.tolist(), strict=True)
        return {
            "chains": self.x.shape[0],
            "draws": self.x.shape[1],
            "divergences": self.divergences,
            "steps": self.steps,
            "parameters": [{"name": name, "r_hat": r_hat, "ess": ess} for name, r_hat, ess in checks],
        }

    @property
    def covariance(self) -> FloatArray:
        """Covariance of the free elements on the working scale ``(f, f)``."""
        return np.atleast_2d(np.cov(self.x.reshape(-1, self.x.shape[-1])[:, self.free], rowvar=False))

    @property
    def faults(self) -> tuple[str, ...]:
        """What speaks against these draws, in words; empty where nothing does."""
        found = []
        worst = int(np.argmax(self.r_hat))
        if not self.r_hat[worst] <= LARGEST_RHAT:
            found.append(f"the chains differ (R-hat of {self.drawn[worst]} is {self.r_hat[worst]:.3f})")
        if self.divergences:
            found.append(f"{self.divergences} of {self.x.shape[0] * self.x.shape[1]} trajectories diverged")
        return tuple(found)


@dataclass(frozen=True, eq=False)
class PosteriorEstimate(Estimate):
    """An estimate with the posterior behind it."""

    posterior: Posterior | None = None


def smooth_twin(model: Model) -> tuple[Model, str]:
    """Return the model that NUTS can take, and a sentence where it is another one.

    Example:
        >>> from cellkinetics.models.registry import get_model
        >>> smooth_twin(get_model("ecp"))[0].name
        'ecp+smooth'
    """
    if model.phases is not None and model.phases.smooth is None:
        twin = expansion_model(replace(model.phases, smooth=SMOOTH_WIDTH))
        return twin, (
            f"{model.name} has a change point without a derivative: {twin.name} was fitted, with a switch "
            f"{SMOOTH_WIDTH:g} days wide; cmax and tmax are those of its two branches"
        )
    if model.search_curve is not None:
        return model, f"{model.name} has a corner, and the sampler may stumble there: look at the divergences"
    return model, ""


def estimate_bayes(
    problem: PooledProblem,
    start: FloatArray,
    *,
    seed: int,
    sampling: Sampling | None = None,
    report: Callable[[float], None] = lambda _: None,
) -> PosteriorEstimate:
    """Return the posterior mean (on the working scale) of a population, with the draws.

    Args:
        problem: data, model and structure; its model should be smooth, see `smooth_twin`.
        start: flat vector, around which priors of typical values are centred unless they are given.
        seed: of all draws.
        sampling: how much is drawn, and the priors.
        report: called with the share of the work that is done.

    Raises:
        SettingsError: for priors that do not fit, or without the extra ``bayes``.

    Sources: Hoffman MD, Gelman A. J Mach Learn Res 2014;15:1593-1623 (NUTS); Gelman A, Rubin DB. Stat Sci
    1992;7:457-472, doi:10.1214/ss/1177011136 (R-hat, of split chains).
    """
    diagnostics = _diagnostics()
    chosen = sampling or Sampling()
    scales = prior_scales(problem, start, chosen.priors)
    pilot, modes = _pilot(problem, start, seed, lambda share: report(PILOT_SHARE * share))
    real = jax.tree.map(lambda a: a[: problem.n_real], problem.samples)
    found = sample(
        problem.form,
        real,
        coordinates(problem, pilot),
        scales,
        chains=chosen.chains,
        warmup=chosen.warmup,
        draws=chosen.draws,
        seed=seed,
        report=lambda share: report(PILOT_SHARE + (1 - PILOT_SHARE) * share),
    )
    free = tuple(np.flatnonzero(problem.free).tolist())
    posterior = Posterior(
        labels=problem.labels,
        free=free,
        x=found.x,
        natural=natural_draws(problem.form, found.x),
        r_hat=np.array([float(diagnostics["r_hat"](found.x[:, :, k])) for k in free]),
        ess=np.array([float(diagnostics["ess"](found.x[:, :, k])) for k in free]),
        divergences=int(found.diverging.sum()),
        steps=float(found.steps.mean()),
    )
    return PosteriorEstimate(
        x=problem.hold(found.x.mean((0, 1))),
        converged=not posterior.faults,
        reason="; ".join(posterior.faults),
        modes=modes,
        work={
            "chains": found.x.shape[0],
            "draws_per_chain": found.x.shape[1],
            "leapfrog_steps": int(found.steps.sum()),
            "divergences": posterior.divergences,
        },
        posterior=posterior,
    )


def coordinates(problem: PooledProblem, known: ImportanceResult) -> Coordinates:
    """Return coordinates for the sampler around a population at which the conditional distributions are known."""
    structure, n = problem.structure, problem.n_real
    free = np.flatnonzero(problem.free)
    block = known.information[np.ix_(free, free)]
    values, vectors = np.linalg.eigh(0.5 * (block + block.T))
    covariance = (vectors / np.maximum(values, LEAST_INFORMATION)) @ vectors.T
    population, q = structure.values(known.x), structure.n_random
    sd = np.sqrt((population.factor**2).sum(1))
    matrix = np.eye(structure.n_latent)
    matrix[:q, :q] = population.factor / sd[:, None]
    variance = np.einsum("di,nij,dj->nd", matrix, known.covariance[:n], matrix)
    kappa = np.clip(1.0 - variance[:, :q], 0.0, 1.0)
    weak = np.zeros(len(known.x), dtype=bool)
    weak[free] = np.sqrt(np.diag(covariance)) > WEAK_OMEGA
    loose = weak[structure.parts["omega"]]
    kappa[:, loose] = 0.0
    joined = {k for block in structure.blocks for k in block}
    alone = np.array([k not in joined and structure.classes == 1 for k in range(q)])
    origin = known.x.copy()
    omegas = origin[structure.parts["omega"]]
    origin[structure.parts["omega"]] = np.where(loose, np.maximum(omegas, np.log(LEAST_ORIGIN)), omegas)
    return Coordinates(
        x=origin,
        free=free,
        scale=np.linalg.cholesky(covariance),
        signed=loose & alone,
        kappa=kappa,
        middle=known.mean[:n] @ matrix.T,
        spread=np.sqrt(np.clip(variance, 1e-4, 1.0)),
    )


def natural_draws(form: Form, x: FloatArray) -> FloatArray:
    """Return flat vectors ``(..., k)`` on the natural scale: typical values, SDs, correlations, shares."""
    structure = form.structure

    def natural(v: jax.Array) -> jax.Array:
        population = structure.unpack(v)
        omega = population.factor @ population.factor.T
        sd = jnp.sqrt(jnp.diagonal(omega))
        later, earlier = (jnp.array([pair[side] for pair in structure.pairs], dtype=int) for side in (0, 1))
        return jnp.concatenate(
            [
                form.model.to_natural(population.mu),
                population.beta,
                sd,
                omega[later, earlier] / (sd[later] * sd[earlier]),
                population.gamma,
                population.shift[1:, jnp.array(structure.shifted, dtype=int)].ravel(),
                jnp.exp(population.log_share[1:]),
                population.sigma,
            ]
        )

    flat = x.reshape(-1, x.shape[-1])
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(natural)(jnp.asarray(flat))).reshape(x.shape)


def with_posterior(fit: PopulationFit, estimate: Estimate) -> PopulationFit:
    """Return a fit whose uncertainty is that of posterior draws, and whose status speaks of them.

    An estimate is the posterior mean on the working scale, its standard error the SD of the draws on the natural
    scale, its interval from their 2.5 to their 97.5 % quantile.
    """
    assert isinstance(estimate, PosteriorEstimate)
    posterior = estimate.posterior
    assert posterior is not None
    draws = posterior.natural.reshape(-1, posterior.natural.shape[-1])
    faults = posterior.faults
    terms = fit.population.terms
    rows = [_with_draws(row, draws[:, k], terms) if k in posterior.free else row for k, row in enumerate(fit.estimates)]
    lowest = int(np.argmin(posterior.ess))
    notes = list(fit.warnings)
    if posterior.ess[lowest] < LEAST_ESS:
        notes.append(
            f"{posterior.drawn[lowest]} has {posterior.ess[lowest]:.0f} effective draws (fewer than {LEAST_ESS:.0f}): "
            "its quantiles are rough, take more draws"
        )
    largest = float(posterior.r_hat.max())
    status = (
        f"converged: {posterior.x.shape[0]} chains agree (largest R-hat {largest:.4f}), no trajectory diverged, at "
        f"least {posterior.ess[lowest]:.0f} effective draws"
        if not faults
        else f"not converged: {' and '.join(faults)}; take more warm-up and draws, fix a parameter that the data do "
        "not inform, or give it a narrower prior"
    )
    return replace(
        fit,
        converged=not faults,
        status=status,
        warnings=tuple(notes),
        estimates=tuple(rows),
        labels=tuple(posterior.drawn),
        covariance=posterior.covariance,
        uncertainty=POSTERIOR,
        posterior=posterior,
    )


def _with_draws(row: PopulationEstimate, draws: FloatArray, terms: Sequence[Term]) -> PopulationEstimate:
    se = float(draws.std(ddof=1))
    low, high = (float(one) for one in np.quantile(draws, [0.025, 0.975]))
    positive = row.estimate != 0 and row.transform not in ("identity", "atanh")
    return replace(
        row,
        se=se,
        rse_percent=100 * se / abs(row.estimate) if positive else None,
        ci_low=low,
        ci_high=high,
        reason=remark(row.parameter, row.kind, terms),
    )


def _pilot(
    problem: PooledProblem, start: FloatArray, seed: int, report: Callable[[float], None]
) -> tuple[ImportanceResult, Modes]:
    """Return what importance sampling knows near the maximum of the likelihood, and the conditional modes there."""
    if any(label.startswith("corr_") for label in problem.fixed):
        from cellkinetics.fitting.pooled.marginal import estimate_importance

        x = estimate_importance(problem, start, seed=seed, target_se=PILOT_SE, report=report).x
    else:
        from cellkinetics.fitting.pooled.saem import saem

        x = saem(problem, start, seed=seed, report=report).x
    modes = conditional_modes(problem, x)
    return importance_sample(problem, x, modes, seed=seed, stream=2, target_se=PILOT_SE), modes


def _diagnostics() -> Mapping[str, Callable[[FloatArray], float]]:
    try:
        from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
    except ImportError:
        raise SettingsError(
            'method bayes needs numpyro: install the extra "bayes" (pip install "cellkinetics[bayes]")'
        ) from None
    return {"r_hat": split_gelman_rubin, "ess": effective_sample_size}
