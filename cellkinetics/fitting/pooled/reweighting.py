"""The marginal likelihood near a point at which it was sampled: the draws stay, their weights change.

    p(y; x') ~ mean_k  p(y | phi_k; x') p(phi_k; x') / q(phi_k)

The same draws of individual parameters phi_k serve every x', so that differences of ln L between nearby points have
a far smaller Monte-Carlo error than ln L itself.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.importance import TIGHT_OMEGA, ImportanceResult, moved_parameters
from cellkinetics.fitting.pooled.likelihood import data_nll_at, individual, predict, prior_nll
from cellkinetics.fitting.pooled.population_density import log_population
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.proposal import PATIENTS_AT_ONCE, Noise, Proposal, draw, standard_noise
from cellkinetics.fitting.pooled.structure import Form, Population
from cellkinetics.models.censoring import LOG_2PI

FloatArray = NDArray[np.float64]

DRAWS = 2000
AT_ONCE = 50
"""Points of one compiled call."""
NODES = 9
REACH = 0.6
"""Of ln sigma, how far the likelihood of the samples is interpolated; there and back it is exact to 1e-6."""
_STREAM = 77


class Reweighted:
    """ln L of each patient as a function of the flat vector, near where it was sampled.

    Args:
        problem: data and model.
        likelihood: the marginal likelihood at a point, whose proposals are drawn from once more.
        draws: of each patient.
        seed: of the draws.

    Where every parameter has a random effect that is not `TIGHT_OMEGA`, the curve of a draw is the same at all x'
    and only residual parameters act on the samples' likelihood, which is interpolated in them (at Chebyshev nodes).
    """

    def __init__(self, problem: PooledProblem, likelihood: ImportanceResult, *, draws: int = DRAWS, seed: int = 0):
        self._problem, self._form = problem, problem.form
        structure = problem.structure
        padded = problem.samples.y.shape[0]
        self.x = likelihood.x
        tight = structure.tight(self.x, TIGHT_OMEGA)
        moved = moved_parameters(structure, tight)
        self._static = (self._form, tight, moved)
        self._residual = structure.parts["residual"]
        with jax.enable_x64(True):
            noise = standard_noise((seed, _STREAM), padded, draws, structure.n_latent)
            at = jnp.asarray(self.x)
            self._drawn = _draw(noise, at, likelihood.proposal, problem.samples, self._form)
            self._grid: jax.Array | None = None
            if not moved:
                nodes = np.array(list(product(_chebyshev(), repeat=len(problem.residual.names))))
                sigma = jnp.exp(at[self._residual] + jnp.asarray(nodes))
                self._grid = _on_grid(self._drawn[0], at, sigma, problem.samples, self._form)

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ln p(y_i; x') and the effective number of draws, ``(b, n)`` each, for points ``(b, k)``."""
        n, b = self._problem.n_real, len(points)
        parts = []
        with jax.enable_x64(True):
            at = jnp.asarray(self.x)
            for start in range(0, b, AT_ONCE):
                some = points[start : start + AT_ONCE]
                filled = np.concatenate([some, np.repeat(some[-1:], AT_ONCE - len(some), axis=0)])
                shares = None
                if self._grid is not None:
                    shares = jnp.asarray(_shares(filled[:, self._residual] - self.x[self._residual]))
                values = _evaluate(
                    jnp.asarray(filled), shares, at, self._drawn, self._grid, self._problem.samples, *self._static
                )
                parts.append([np.asarray(value)[: len(some), :n] for value in values])
        log_likelihood, effective = (np.concatenate(part) for part in zip(*parts, strict=True))
        return log_likelihood, effective


def _chebyshev() -> FloatArray:
    return REACH * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)


def _shares(offset: FloatArray) -> FloatArray:
    """Return the weights of the nodes in the interpolation at offsets ``(b, s)``, shape ``(b, NODES^s)``.

    Source: Berrut JP, Trefethen LN. SIAM Rev 2004;46:501-517, doi:10.1137/S0036144502417715, Eqs. 4.2 and 5.3.
    """
    nodes = _chebyshev()
    angle = np.pi * (np.arange(NODES) + 0.5) / NODES
    barycentric = (-1.0) ** np.arange(NODES) * np.sin(angle)
    apart = np.clip(offset, -REACH, REACH)[..., None] - nodes
    exact = np.abs(apart) < 1e-14
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = barycentric / apart
        weight = np.where(exact.any(-1, keepdims=True), exact, weight)
        weight = weight / weight.sum(-1, keepdims=True)
    out = np.ones((len(offset), 1))
    for k in range(offset.shape[1]):
        out = (out[:, :, None] * weight[:, k, None, :]).reshape(len(offset), -1)
    return out


@partial(jax.jit, static_argnames=("form",))
def _draw(
    noise: Noise, x: jax.Array, proposal: Proposal, samples: Samples, form: Form
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return draws ``(n, K, d)``, their ln(p(u; x)/q(u)) ``(n, K)``, and the middles of their effects ``(n, q)``."""
    here = form.structure.unpack(x)

    def patient(args: tuple[Noise, Proposal, Samples]) -> tuple[jax.Array, jax.Array, jax.Array]:
        own, proposed, sample = args
        u, logq, _ = draw(own, proposed, here, form)
        prior = jax.vmap(lambda v: prior_nll(v, here, form))(u) + 0.5 * u.shape[1] * LOG_2PI
        return u, -prior - logq, _middle(here, sample, form)

    return jax.lax.map(patient, (noise, proposal, samples), batch_size=PATIENTS_AT_ONCE)


def _middle(population: Population, sample: Samples, form: Form) -> jax.Array:
    effects = sample.design @ population.beta if form.structure.coefficients else 0.0
    return (population.mu + effects)[jnp.asarray(form.structure.random)]


@partial(jax.jit, static_argnames=("form",))
def _on_grid(u: jax.Array, x: jax.Array, sigma: jax.Array, samples: Samples, form: Form) -> jax.Array:
    """Return ln p(y | phi_k; sigma_g) of every draw and node, ``(n, g, K)``."""
    here = form.structure.unpack(x)

    def patient(args: tuple[jax.Array, Samples]) -> jax.Array:
        own, sample = args
        f = jax.vmap(lambda v: predict(individual(v, here, sample, form), sample, form, False))(own)

        def at(parameters: jax.Array) -> jax.Array:
            nll = jax.vmap(lambda one: form.residual.nll(sample.y, one, sample.censored, parameters, sample.lower))(f)
            return -jnp.where(sample.mask, nll, 0.0).sum(-1)

        return jax.lax.map(at, sigma)

    return jax.lax.map(patient, (u, samples), batch_size=PATIENTS_AT_ONCE)


@partial(jax.jit, static_argnames=("form", "tight", "moved"))
def _evaluate(
    points: jax.Array,
    shares: jax.Array | None,
    x: jax.Array,
    drawn: tuple[jax.Array, jax.Array, jax.Array],
    grid: jax.Array | None,
    samples: Samples,
    form: Form,
    tight: tuple[int, ...],
    moved: tuple[int, ...],
) -> tuple[jax.Array, jax.Array]:
    """Return ln p(y_i) and the effective number of draws, ``(b, n)`` each; see `importance._round` for ``tight``.

    ln p(effects; x') and the interpolated ln p(y | phi) are linear in features of a draw (squares and products of its
    effects, nodes of the grid), so that all draws and points of a patient are one product of matrices.
    """
    structure = form.structure
    q = structure.n_random
    here = structure.unpack(x)
    held = np.zeros(q, bool)
    held[list(tight)] = True
    columns = jnp.array(moved, dtype=int)

    def at_point(point: jax.Array) -> tuple[Population, jax.Array, jax.Array]:
        """Population, precision of its effects (those that are tight as they are here), and ln |L|."""
        population = structure.unpack(point)
        factor = jnp.where(held[:, None], here.factor, population.factor)
        inverse = solve_triangular(factor, jnp.eye(q), lower=True)
        return population, inverse.T @ inverse, jnp.log(jnp.diagonal(factor)).sum()

    populations, precision, logdet = jax.vmap(at_point)(points)

    def patient(
        args: tuple[jax.Array, jax.Array, jax.Array, jax.Array | None, Samples],
    ) -> tuple[jax.Array, jax.Array]:
        u, ratio, middle, own_grid, sample = args
        psi = u[:, :q] @ here.factor.T
        kappa = here.gamma * u[:, q:].reshape(len(u), structure.occasions, len(structure.occasion))
        base = ratio - jax.vmap(lambda a, b: log_population(a, b, jnp.zeros(q), here, form))(psi, kappa)
        features = jnp.concatenate(
            [(psi[:, :, None] * psi[:, None, :]).reshape(len(u), q * q), psi, (kappa**2).sum(1)], axis=1
        )
        shift = jax.vmap(lambda one: jnp.where(held, 0.0, _middle(one, sample, form) - middle))(populations)

        def of_class(number: int) -> jax.Array:
            m = shift + populations.shift[:, number]
            pull = jnp.einsum("bij,bj->bi", precision, m)
            weight = jnp.concatenate(
                [-0.5 * precision.reshape(len(points), q * q), pull, -0.5 / populations.gamma**2], axis=1
            )
            return features @ weight.T + populations.log_share[:, number] - 0.5 * (pull * m).sum(-1)

        value = (
            of_class(0)
            if structure.classes == 1
            else logsumexp(jnp.stack([of_class(number) for number in range(structure.classes)]), axis=0)
        )
        value = value - logdet - structure.occasions * jnp.log(populations.gamma).sum(-1)

        def data_at(point: jax.Array) -> jax.Array:
            # Effects of occasions stay, as their density is weighed; only what has none moves the curve.
            changed = structure.unpack(point)._replace(gamma=here.gamma)

            def nll(v: jax.Array) -> jax.Array:
                phi = individual(v, here, sample, form)
                phi = phi.at[:, columns].set(individual(v, changed, sample, form)[:, columns])
                return data_nll_at(phi, changed.sigma, sample, form)

            return -jax.vmap(nll)(u)

        data = jax.lax.map(data_at, points).T if own_grid is None or shares is None else own_grid.T @ shares.T
        logw = base[:, None] + value + data
        logw = jnp.where(jnp.isfinite(logw), logw, -jnp.inf)
        top = logw.max(0)
        w = jnp.exp(logw - top)
        return top + jnp.log(w.mean(0)), w.sum(0) ** 2 / (w**2).sum(0)

    values, effective = jax.lax.map(patient, (*drawn, grid, samples), batch_size=PATIENTS_AT_ONCE)
    return values.T, effective.T
