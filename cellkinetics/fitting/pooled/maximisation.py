"""The maximisation step of SAEM: statistics of simulated random effects, and the population they make likeliest."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.fitting.pooled.bounds import OMEGA_BOUNDS
from cellkinetics.fitting.pooled.chains import data_log_likelihood
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.structure import Form, Population, Structure

_LONGEST_STEP = 0.5
_LEAST_VARIANCE = 1e-8


class Statistics(NamedTuple):
    """Averages over chains: class probabilities (n, k), their z (n, k, q), z z' (q, q), kappa^2 (r,), curvature."""

    share: Any
    first: Any
    second: Any
    kappa: Any
    curvature: Any


class Plan(NamedTuple):
    """What an iteration does, a number each: step size, learning rate, annealing (0 for none), whether to maximise."""

    step: Any
    learning: Any
    annealing: Any
    maximise: Any


class Free(NamedTuple):
    """Masks of what is estimated, in the shapes of the population's parts; omega (q,)."""

    mu: Any
    beta: Any
    omega: Any
    gamma: Any
    shift: Any
    sigma: Any


def direct_elements(structure: Structure) -> tuple[int, ...]:
    """Elements of the flat vector that are seen through the data only."""
    outside = [k for k in range(len(structure.parameters)) if k not in structure.random]
    beta = structure.parts["beta"].start
    effects = [beta + k for k, one in enumerate(structure.coefficients) if one.parameter in outside]
    residual = structure.parts["residual"]
    return (*outside, *effects, *range(residual.start, residual.stop))


def _put(population: Population, part: jax.Array, structure: Structure) -> Population:
    """Return the population with other direct elements, as in `_direct`."""
    outside = [k for k in range(len(structure.parameters)) if k not in structure.random]
    effects = [k for k, one in enumerate(structure.coefficients) if one.parameter in outside]
    a, b = len(outside), len(outside) + len(effects)
    # Without any of them the curve has no slope to compile and calculate.
    mu = population.mu.at[jnp.array(outside)].set(part[:a]) if outside else population.mu
    beta = population.beta.at[jnp.array(effects)].set(part[a:b]) if effects else population.beta
    return population._replace(mu=mu, beta=beta, sigma=jnp.exp(part[b:]))


def _take(population: Population, structure: Structure) -> jax.Array:
    outside = jnp.array([k for k in range(len(structure.parameters)) if k not in structure.random], dtype=int)
    effects = [k for k, one in enumerate(structure.coefficients) if one.parameter not in structure.random]
    chosen = population.beta[jnp.array(effects, dtype=int)]
    return jnp.concatenate([population.mu[outside], chosen, jnp.log(population.sigma)])


def summarise_states(
    z: jax.Array, population: Population, middle: jax.Array, samples: Samples, real: jax.Array, form: Form
) -> tuple[Statistics, jax.Array]:
    """Return the statistics of the simulated states, and the slope of ln p(y | z) in the direct elements."""
    structure = form.structure
    q, c = structure.n_random, z.shape[1]
    psi = z[..., :q]
    weight = jnp.where(real, 1.0 / c, 0.0)
    if structure.classes == 1:
        share = jnp.ones((*z.shape[:2], 1))
    else:
        apart = psi[:, :, None] - middle[:, None, None] - population.shift
        white = jax.scipy.linalg.solve_triangular(population.factor, apart.reshape(-1, q).T, lower=True)
        distance = (white**2).sum(0).reshape(apart.shape[:3])
        share = jax.nn.softmax(population.log_share - 0.5 * distance, axis=-1)
    kappa = jnp.zeros(0)
    if structure.occasion:
        there = _occasions(samples, structure)
        apart = z[..., q:].reshape(*z.shape[:2], structure.occasions, len(structure.occasion)) ** 2
        count = jnp.where(real[:, None], there, 0.0)
        kappa = jnp.einsum("nckr,nk->r", apart, count) / (c * count.sum())

    def data(part: jax.Array) -> jax.Array:
        value = data_log_likelihood(z, _put(population, part, structure), samples, form)
        return jnp.where(real[:, None], value, 0.0).sum() / c

    part = _take(population, structure)
    slope, forward = jax.linearize(jax.grad(data), part)
    curvature = -jax.vmap(forward)(jnp.eye(part.shape[0]))
    statistics = Statistics(
        share.mean(1),
        jnp.einsum("nck,nci->nki", share, psi) / c,
        jnp.einsum("nci,ncj,n->ij", psi, psi, weight),
        kappa,
        curvature,
    )
    return statistics, slope


def _occasions(samples: Samples, structure: Structure) -> jax.Array:
    """Return 1 where a patient has samples of an occasion, ``(n, K)``."""
    numbers = jnp.arange(structure.occasions)
    return (samples.mask[..., None] & (samples.occasion[..., None] == numbers)).any(1).astype(float)


def maximise(
    population: Population,
    statistics: Statistics,
    slope: jax.Array,
    what: Plan,
    free: Free,
    samples: Samples,
    real: jax.Array,
    form: Form,
) -> Population:
    """Return the population that maximises the complete-data likelihood of the statistics."""
    structure = form.structure
    q, p = structure.n_random, len(structure.parameters)
    random = jnp.asarray(structure.random)
    n = real.sum()
    precision = jax.scipy.linalg.cho_solve((population.factor, True), jnp.eye(q))

    # The middle of class k is A theta with theta = (mu of the random ones, beta, shift of classes 2 ...).
    later = structure.classes - 1
    moved = jnp.asarray(structure.shifted, dtype=int)
    blocks = [jnp.broadcast_to(jnp.eye(q), (samples.y.shape[0], structure.classes, q, q))]
    if structure.coefficients:
        effects = samples.design[:, random]
        blocks.append(jnp.broadcast_to(effects[:, None], (*effects.shape[:1], structure.classes, *effects.shape[1:])))
    if later:
        own = jnp.zeros((structure.classes, q, later, len(structure.shifted)))
        for k in range(later):
            own = own.at[k + 1, moved, k, jnp.arange(len(structure.shifted))].set(1.0)
        own = own.reshape(structure.classes, q, -1)
        blocks.append(jnp.broadcast_to(own, (samples.y.shape[0], *own.shape)))
    design = jnp.concatenate(blocks, axis=-1)
    share = jnp.where(real[:, None], statistics.share, 0.0)
    first = jnp.where(real[:, None, None], statistics.first, 0.0)
    before = jnp.concatenate([population.mu[random], population.beta, population.shift[1:, moved].ravel()])
    # A coefficient of a parameter without random effect has no column here: it stays.
    acts = jnp.abs(design).max((0, 1, 2)) > 0
    searched = jnp.concatenate([free.mu[random], free.beta, free.shift]) & acts
    left = jnp.einsum("nk,nkia,ij,nkjb->ab", share, design, precision, design)
    right = jnp.einsum("nkia,ij,nkj->a", design, precision, first)
    held = jnp.where(searched, 0.0, before)
    right = jnp.where(searched, right - left @ held, held)
    left = jnp.where(searched[:, None] & searched, left, jnp.eye(before.shape[0]))
    theta = jnp.linalg.solve(left, right)

    middle = jnp.einsum("nkia,a->nki", design, theta)
    crossed = jnp.einsum("nki,nkj->ij", middle, first)
    omega = statistics.second - crossed - crossed.T + jnp.einsum("nk,nki,nkj->ij", share, middle, middle)
    omega = omega / n
    allowed = np.eye(q, dtype=bool)
    for block in structure.blocks:
        allowed[np.ix_(block, block)] = True
    omega = jnp.where(allowed, omega, 0.0)
    # Annealing holds the variances up; what is fixed keeps its SD, with the correlations as they are.
    old = (population.factor**2).sum(1)
    seen = jnp.maximum(jnp.diagonal(omega), _LEAST_VARIANCE)
    least = jnp.maximum(what.annealing * old, jnp.exp(2 * OMEGA_BOUNDS[0]))
    wanted = jnp.where(free.omega, jnp.maximum(seen, least), old)
    root = jnp.sqrt(wanted / seen)
    jitter = 1e-10 * jnp.diag(wanted)
    factor = jnp.linalg.cholesky(
        root[:, None] * omega * root + jnp.diag(jnp.where(seen > jnp.diagonal(omega), wanted, 0.0)) + jitter
    )
    if structure.occasion:
        held_up = jnp.maximum(statistics.kappa, what.annealing * population.gamma**2)
        gamma = jnp.where(free.gamma, jnp.sqrt(jnp.maximum(held_up, jnp.exp(2 * OMEGA_BOUNDS[0]))), population.gamma)
    else:
        gamma = population.gamma
    shift = population.shift
    if later:
        shift = shift.at[1:, moved].set(theta[q + len(structure.coefficients) :].reshape(later, -1))
    shares = share.sum(0) / n
    following = Population(
        mu=population.mu.at[random].set(theta[:q]),
        beta=theta[q : q + len(structure.coefficients)],
        factor=factor,
        gamma=gamma,
        shift=shift,
        log_share=jnp.log(shares),
        sigma=population.sigma,
    )

    # Newton's step for what acts through the data, along directions of positive curvature.
    part = _take(population, structure)
    outside = [k for k in range(p) if k not in structure.random]
    effects_out = [k for k, one in enumerate(structure.coefficients) if one.parameter in outside]
    open_ = jnp.concatenate(
        [free.mu[jnp.array(outside, dtype=int)], free.beta[jnp.array(effects_out, dtype=int)], free.sigma]
    )
    curvature = jnp.where(open_[:, None] & open_, statistics.curvature, jnp.eye(part.shape[0]))
    values, vectors = jnp.linalg.eigh(0.5 * (curvature + curvature.T))
    values = jnp.maximum(jnp.abs(values), 1e-6 * jnp.abs(values).max())
    step = vectors @ ((vectors.T @ jnp.where(open_, slope, 0.0)) / values)
    step = jnp.clip(what.step * step, -_LONGEST_STEP, _LONGEST_STEP)
    residual = jnp.arange(part.shape[0]) >= part.shape[0] - len(structure.residual)
    slow = jnp.where(
        (what.annealing > 0) & residual, jnp.maximum(step, 0.5 * jnp.log(jnp.maximum(what.annealing, 1e-3))), step
    )
    return _put(following, part + jnp.where(open_, slow, 0.0), structure)


def what_is_free(problem: PooledProblem) -> Free:
    """Return the masks of what the problem estimates."""
    structure, free = problem.structure, problem.free
    part = structure.parts
    with jax.enable_x64(True):
        return Free(*(jnp.asarray(free[part[name]]) for name in ("mu", "beta", "omega", "gamma", "shift", "residual")))
