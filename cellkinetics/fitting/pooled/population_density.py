"""The density of the random effects in a population, and its derivatives in the population's parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp

from cellkinetics.fitting.pooled.structure import Form, Population
from cellkinetics.models.programs import program


def log_population(
    psi: jax.Array, kappa: jax.Array, middle: jax.Array, population: Population, form: Form
) -> jax.Array:
    """Return ln p of random effects at fixed places, without constants: ``psi`` (q,), ``kappa`` (K, r)."""
    apart = psi - middle - population.shift  # (classes, q)
    z = solve_triangular(population.factor, apart.T, lower=True)
    value = logsumexp(population.log_share - 0.5 * (z**2).sum(0)) - jnp.log(jnp.diagonal(population.factor)).sum()
    if form.structure.occasion:
        value = value - 0.5 * ((kappa / population.gamma) ** 2).sum() - kappa.shape[0] * jnp.log(population.gamma).sum()
    return value


def population_scores(
    psi: jax.Array, kappa: jax.Array, here: Population, jacobian: tuple[jax.Array, Population], form: Form
) -> jax.Array:
    """Return the gradient of `log_population` in the flat vector for each draw, ``(k, size)``.

    The gradient in the parts of the population is written out, that of the parts in the flat vector is the same for
    all draws: ``psi`` (k, q) is relative to the middle, ``jacobian`` that of the middle and the population.
    """
    structure = form.structure
    inverse = solve_triangular(here.factor, jnp.eye(structure.n_random), lower=True)
    z = (psi[:, None] - here.shift) @ inverse.T  # (k, classes, q)
    share = jax.nn.softmax(here.log_share - 0.5 * (z**2).sum(-1), axis=-1)
    pull = share[..., None] * (z @ inverse)
    by_middle, by_population = jacobian
    in_factor = jnp.einsum("kci,kcj->kij", pull, z) - inverse.T
    score = pull.sum(1) @ by_middle + jnp.einsum("kij,ijx->kx", in_factor, by_population.factor)
    if structure.classes > 1:
        score = score + jnp.einsum("kci,cix->kx", pull, by_population.shift) + share @ by_population.log_share
    if structure.occasion:
        in_gamma = (kappa**2).sum(1) / here.gamma**3 - structure.occasions / here.gamma
        score = score + in_gamma @ by_population.gamma
    return score


def changed_population(
    x: jax.Array, here: Population, design: jax.Array, form: Form, tight: tuple[int, ...]
) -> tuple[jax.Array, Population]:
    """Return where the middle of the random effects has moved to from ``here``, and the population; tight ones stay.

    ``design`` is that of one patient (p, c), or of all (n, p, c).
    """
    structure = form.structure
    held = np.isin(np.arange(structure.n_random), tight)
    population = structure.unpack(x)
    moved = population.mu - here.mu
    if structure.coefficients:
        moved = moved + design @ (population.beta - here.beta)
    shift = jnp.where(held, 0.0, moved @ structure.embedding.T)
    return shift, population._replace(factor=jnp.where(held[:, None], here.factor, population.factor))


@program("form", "tight")
def population_curvature(
    x: jax.Array, mean: jax.Array, second: jax.Array, design: jax.Array, *, form: Form, tight: tuple[int, ...]
) -> jax.Array:
    """Return the Hessian in ``x`` of the sum over patients of E[`log_population` | y], ``(k, k)``, for one class.

    It takes no more than the conditional moments of the latent vectors, ``mean`` (n, d) and ``second`` (n, d, d).
    """
    structure = form.structure
    q, here = structure.n_random, form.structure.unpack(x)
    psi = mean[:, :q] @ here.factor.T
    psi2 = here.factor @ second[:, :q, :q].sum(0) @ here.factor.T
    kappa2 = jnp.einsum("njj->j", second[:, q:, q:]).reshape(structure.occasions, len(structure.occasion)).sum(0)

    def expected(v: jax.Array) -> jax.Array:
        middle, population = changed_population(v, here, design, form, tight)
        middle = jnp.broadcast_to(middle, psi.shape)
        inverse = solve_triangular(population.factor, jnp.eye(q), lower=True)
        crossed = middle.T @ psi
        spread = psi2 - crossed - crossed.T + middle.T @ middle
        value = -0.5 * ((inverse @ spread) * inverse).sum()
        value = value - psi.shape[0] * jnp.log(jnp.diagonal(population.factor)).sum()
        if structure.occasion:
            value = value - 0.5 * (here.gamma**2 * kappa2 / population.gamma**2).sum()
            value = value - psi.shape[0] * structure.occasions * jnp.log(population.gamma).sum()
        return value

    return jax.hessian(expected)(x)
