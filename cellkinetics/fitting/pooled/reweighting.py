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
from cellkinetics.models.compilation import compiled

FloatArray = NDArray[np.float64]

DRAWS = 2000
AT_ONCE = 50
"""Points of one compiled call."""
NODES = 9
REACH = 0.6
"""Of ln sigma, how far the likelihood of the samples is interpolated; there and back it is exact to 1e-6."""
GRID_BYTES = 1 << 29
"""Of the likelihoods on nodes that are held at once; larger cohorts go through in blocks of patients."""
_STREAM = 77
Drawn = tuple[jax.Array, jax.Array, jax.Array]


class Reweighted:
    """ln L of each patient as a function of the flat vector, near where it was sampled.

    Args:
        problem: data and model.
        likelihood: the marginal likelihood at a point, whose proposals are drawn from once more.
        draws: of each patient.
        seed: of the draws.

    Where every parameter has a random effect that is not `TIGHT_OMEGA`, the curve of a draw is the same at all x'
    and only residual parameters act on the samples' likelihood, which is interpolated in them (at Chebyshev nodes);
    at points beyond the nodes' `REACH` it is calculated.
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
        nodes = np.array(list(product(_chebyshev(), repeat=len(problem.residual.names))))
        self._nodes = None if moved else np.exp(self.x[self._residual] + nodes)
        # Far points are nodes themselves, `AT_ONCE` of them.
        held = 8 * draws * max(len(nodes), AT_ONCE)
        patients = max(GRID_BYTES // held // PATIENTS_AT_ONCE * PATIENTS_AT_ONCE, PATIENTS_AT_ONCE)
        self._block = padded if moved else min(patients, padded)
        self._grid: jax.Array | None = None

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ln p(y_i; x') and the effective number of draws, ``(b, n)`` each, for points ``(b, k)``."""
        padded = self._problem.samples.y.shape[0]
        log_likelihood, effective = np.empty((2, len(points), padded))
        apart = np.abs(points[:, self._residual] - self.x[self._residual])
        far: NDArray[np.bool_] = np.asarray((apart > REACH).any(1)) & (self._nodes is not None)
        with jax.enable_x64(True):
            for begin in range(0, padded, self._block):
                # The last block overlaps the one before, so that all have one shape.
                first = min(begin, padded - self._block)
                rows = slice(first, first + self._block)
                some = self._rows(rows) if self._block < padded else (self._drawn, self._problem.samples)
                for where in (np.flatnonzero(~far), np.flatnonzero(far)):
                    grid = self._near_grid(*some) if len(where) and not far[where[0]] else None
                    for start in range(0, len(where), AT_ONCE):
                        chosen = where[start : start + AT_ONCE]
                        values = self._evaluate(points[chosen], grid, *some)
                        log_likelihood[chosen, rows], effective[chosen, rows] = values
        return log_likelihood[:, : self._problem.n_real], effective[:, : self._problem.n_real]

    def _rows(self, rows: slice) -> tuple[Drawn, Samples]:
        """Draws and samples of a block of patients."""
        some: tuple[Drawn, Samples] = jax.tree.map(lambda a: a[rows], (self._drawn, self._problem.samples))
        return some

    def _near_grid(self, drawn: Drawn, samples: Samples) -> jax.Array | None:
        """Likelihoods at the nodes around x; they are kept where one block holds all patients."""
        if self._nodes is None or self._grid is not None:
            return self._grid
        grid = _on_grid(drawn[0], jnp.asarray(self.x), jnp.asarray(self._nodes), samples, self._form)
        if self._block == self._problem.samples.y.shape[0]:
            self._grid = grid
        return grid

    def _evaluate(
        self, points: FloatArray, grid: jax.Array | None, drawn: Drawn, samples: Samples
    ) -> tuple[FloatArray, FloatArray]:
        """Values at no more than `AT_ONCE` points, from the grid, where there is one, or at the points themselves."""
        filled = np.concatenate([points, np.repeat(points[-1:], AT_ONCE - len(points), axis=0)])
        shares, at = None, jnp.asarray(self.x)
        if grid is not None:
            shares = jnp.asarray(_shares(filled[:, self._residual] - self.x[self._residual]))
        elif self._nodes is not None:
            sigma = jnp.asarray(np.exp(filled[:, self._residual]))
            grid = _on_grid(drawn[0], at, sigma, samples, self._form)
        log_likelihood, effective = _evaluate(jnp.asarray(filled), shares, at, drawn, grid, samples, *self._static)
        return np.asarray(log_likelihood)[: len(points)], np.asarray(effective)[: len(points)]


def _chebyshev() -> FloatArray:
    return REACH * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)


def _shares(offset: FloatArray) -> FloatArray:
    """Return the weights of the nodes in the interpolation at offsets ``(b, s)`` within `REACH`, ``(b, NODES^s)``.

    Source: Berrut JP, Trefethen LN. SIAM Rev 2004;46:501-517, doi:10.1137/S0036144502417715, Eqs. 4.2 and 5.3.
    """
    nodes = _chebyshev()
    angle = np.pi * (np.arange(NODES) + 0.5) / NODES
    barycentric = (-1.0) ** np.arange(NODES) * np.sin(angle)
    apart = offset[..., None] - nodes
    exact = np.abs(apart) < 1e-14
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = barycentric / apart
        weight = np.where(exact.any(-1, keepdims=True), exact, weight)
        weight = weight / weight.sum(-1, keepdims=True)
    out = np.ones((len(offset), 1))
    for k in range(offset.shape[1]):
        out = (out[:, :, None] * weight[:, k, None, :]).reshape(len(offset), -1)
    return out


@partial(compiled, static_argnames=("form",))
def _draw(noise: Noise, x: jax.Array, proposal: Proposal, samples: Samples, form: Form) -> Drawn:
    """Return draws ``(n, K, d)``, their ln(p(u; x)/q(u)) ``(n, K)``, and the middles of their effects ``(n, q)``."""
    here = form.structure.unpack(x)

    def patient(args: tuple[Noise, Proposal, Samples]) -> Drawn:
        own, proposed, sample = args
        u, logq, _ = draw(own, proposed, here, form)
        prior = jax.vmap(lambda v: prior_nll(v, here, form))(u) + 0.5 * u.shape[1] * LOG_2PI
        return u, -prior - logq, _middle(here, sample, form)

    return jax.lax.map(patient, (noise, proposal, samples), batch_size=PATIENTS_AT_ONCE)


def _middle(population: Population, sample: Samples, form: Form) -> jax.Array:
    effects = sample.design @ population.beta if form.structure.coefficients else 0.0
    return (population.mu + effects)[jnp.asarray(form.structure.random)]


@partial(compiled, static_argnames=("form",))
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


@partial(compiled, static_argnames=("form", "tight", "moved"))
def _evaluate(
    points: jax.Array,
    shares: jax.Array | None,
    x: jax.Array,
    drawn: Drawn,
    grid: jax.Array | None,
    samples: Samples,
    form: Form,
    tight: tuple[int, ...],
    moved: tuple[int, ...],
) -> tuple[jax.Array, jax.Array]:
    """Return ln p(y_i) and the effective number of draws, ``(b, n)`` each; see `importance._round` for ``tight``.

    ln p(effects; x') and the interpolated ln p(y | phi) are linear in features of a draw (squares and products of its
    effects, nodes of the grid), so that all draws and points of a patient are one product of matrices. Without
    ``shares`` the grid's nodes are the points; without a grid the curves are calculated at each point.
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

        if own_grid is None:
            data = jax.lax.map(data_at, points).T
        else:
            data = own_grid.T if shares is None else own_grid.T @ shares.T
        logw = base[:, None] + value + data
        logw = jnp.where(jnp.isfinite(logw), logw, -jnp.inf)
        top = logw.max(0)
        w = jnp.exp(logw - top)
        return top + jnp.log(w.mean(0)), w.sum(0) ** 2 / (w**2).sum(0)

    values, effective = jax.lax.map(patient, (*drawn, grid, samples), batch_size=PATIENTS_AT_ONCE)
    return values.T, effective.T
