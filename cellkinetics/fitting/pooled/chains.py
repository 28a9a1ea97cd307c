"""Markov chains of the patients' random effects: what SAEM simulates at each iteration.

Every patient has several chains; a state is z = (psi, kappa), the individual parameters with random effects on their
working scale and the deviations of each occasion. Kernels, each a Metropolis-Hastings step that leaves the
conditional distribution of z as it is:

    population     z' drawn from the population itself
    independent    z' from a Student t around the patient's conditional mean
    block          z' = z + step, a normal step with the shape of the patient's conditional covariance
    component      z' = z but for one element, which moves by a normal step

Sources: Kuhn E, Lavielle M. Comput Stat Data Anal 2005;49:1020-1038, doi:10.1016/j.csda.2004.07.002 (kernels of
SAEM); Haario H, Saksman E, Tamminen J. Bernoulli 2001;7:223-242, doi:10.2307/3318737 (adaptive covariance).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.likelihood import data_nll_at
from cellkinetics.fitting.pooled.problem import Samples
from cellkinetics.fitting.pooled.structure import Form, Population

FloatArray = NDArray[np.float64]

KERNELS = ("population", "independent", "independent", "block", "component", "component")
DEGREES_OF_FREEDOM = 5
_ACCEPTED = (0.25, 0.35)
"""Share of block and component steps that the adaptation of their size aims at."""
_WIDER = 1.3
"""Of the independent proposals beside the conditional covariance as it is known."""
_LEAST_SHARE = 1e-3
"""Of the population's variance: a conditional variance is not taken to be smaller."""


class Chains(NamedTuple):
    """States ``z`` (n, c, d) and their data log likelihood (n, c), arrays of JAX or of numpy."""

    z: Any
    value: Any


class Memory(NamedTuple):
    """What is known of each patient's conditional distribution, in arrays of JAX or of numpy.

    Attributes:
        mean: of z ``(n, d)``.
        covariance: of z ``(n, d, d)``.
        walk: logarithm of the size of block and component steps ``(2,)``.
    """

    mean: Any
    covariance: Any
    walk: Any


class _Draws(NamedTuple):
    """Random numbers of one iteration, an entry a kernel; see `noise_of`.

    Attributes:
        normal: standard normal ``(n, c, kernels, d)``.
        spread: root of chi-square over its degrees of freedom ``(n, c, kernels)``.
        uniform: logarithm of uniform numbers ``(n, c, kernels)``.
        element: which element a component step moves ``(n, c, kernels)``.
        chosen: uniform, the class that the population's draw is of ``(n, c, kernels)``.
    """

    normal: Any
    spread: Any
    uniform: Any
    element: Any
    chosen: Any


Noise = _Draws


def noise_of(rng: np.random.Generator, iterations: int, n: int, c: int, d: int) -> Noise:
    """Draw the random numbers of some iterations, a leading axis; numpy is faster at it on a CPU than JAX."""
    size = (iterations, n, c, len(KERNELS))
    spread = np.ones(size)
    needed = np.array([name == "independent" for name in KERNELS])
    draws = rng.chisquare(DEGREES_OF_FREEDOM, (*size[:3], int(needed.sum())))
    spread[..., needed] = np.sqrt(draws / DEGREES_OF_FREEDOM)
    return Noise(
        rng.standard_normal((*size, d)),
        spread,
        np.log(rng.random(size)),
        rng.integers(d, size=size),
        rng.random(size),
    )


def middles(population: Population, samples: Samples, form: Form) -> jax.Array:
    """Return the middle of each patient's individual parameters with random effects, ``(n, q)``."""
    base = population.mu
    if form.structure.coefficients:
        base = base + samples.design @ population.beta
    else:
        base = jnp.broadcast_to(base, (samples.y.shape[0], base.shape[0]))
    return base[:, jnp.asarray(form.structure.random)]


def parameters(z: jax.Array, population: Population, samples: Samples, form: Form) -> jax.Array:
    """Return one patient's parameters on the working scale ``(K, p)`` at a state ``z`` (d,)."""
    structure = form.structure
    q = structure.n_random
    base = population.mu
    if structure.coefficients:
        base = base + samples.design @ population.beta
    if q == len(structure.parameters):
        phi = z[:q]
    else:
        phi = base * (1.0 - structure.embedding.sum(0)) + z[:q] @ structure.embedding
    if not structure.occasion:
        return phi[None]
    between = z[q:].reshape(structure.occasions, len(structure.occasion))
    return phi + between @ structure.occasion_embedding


def data_log_likelihood(z: jax.Array, population: Population, samples: Samples, form: Form) -> jax.Array:
    """Return ln p(y | z) of each patient and chain; ``z`` (n, c, d) -> (n, c)."""

    def one(state: jax.Array, own: Samples) -> jax.Array:
        return -data_nll_at(parameters(state, population, own, form), population.sigma, own, form)

    value = jax.vmap(lambda states, own: jax.vmap(lambda s: one(s, own))(states))(z, samples)
    return jnp.where(jnp.isfinite(value), value, -jnp.inf)


def log_density(z: jax.Array, middle: jax.Array, population: Population, form: Form) -> jax.Array:
    """Return ln p(z) of each patient and chain under the population, without constants; (n, c, d) -> (n, c).

    One inverse of the factor serves all: thousands of small triangular systems take longer than the curves.
    """
    structure = form.structure
    q = structure.n_random
    inverse = solve_triangular(population.factor, jnp.eye(q), lower=True)
    apart = z[..., None, :q] - middle[:, None, None] - population.shift
    distance = ((apart @ inverse.T) ** 2).sum(-1)
    value = logsumexp(population.log_share - 0.5 * distance, axis=-1)
    if structure.occasion:
        scaled = z[..., q:] / jnp.tile(population.gamma, structure.occasions)
        value = value - 0.5 * (scaled**2).sum(-1)
    return value


def sweep(
    chains: Chains,
    memory: Memory,
    noise: Noise,
    population: Population,
    middle: jax.Array,
    samples: Samples,
    form: Form,
    adapting: jax.Array,
) -> tuple[Chains, Memory]:
    """Let every chain make one step of each kernel; the sizes of steps adapt while ``adapting`` is above 0.

    The likelihood of the states in ``chains`` is calculated anew first, as the population may have changed.
    """
    d = form.structure.n_latent
    spread = _population_variance(population, form)
    covariance = memory.covariance + _LEAST_SHARE * jnp.diag(spread)
    factor = jnp.linalg.cholesky(covariance)
    independent = _WIDER * factor
    inverse = jax.vmap(lambda one: solve_triangular(one, jnp.eye(d), lower=True))(independent)
    real = samples.mask.any(1)[:, None]

    # Each kernel returns a proposal, and the logarithm of what its ratio has beside that of the densities.
    def from_population(z: jax.Array, own: _Draws, walk: jax.Array) -> tuple[jax.Array, jax.Array]:
        proposed = _from_population(own.normal, own.chosen, middle, population, form)
        before, after = (log_density(at, middle, population, form) for at in (z, proposed))
        return proposed, before - after

    def from_memory(z: jax.Array, own: _Draws, walk: jax.Array) -> tuple[jax.Array, jax.Array]:
        step = jnp.einsum("nij,ncj->nci", independent, own.normal / own.spread[..., None])
        proposed = memory.mean[:, None] + step
        return proposed, _student(z, memory.mean, inverse) - _student(proposed, memory.mean, inverse)

    def block(z: jax.Array, own: _Draws, walk: jax.Array) -> tuple[jax.Array, jax.Array]:
        return z + jnp.exp(walk[0]) * jnp.einsum("nij,ncj->nci", factor, own.normal), jnp.zeros(z.shape[:2])

    def component(z: jax.Array, own: _Draws, walk: jax.Array) -> tuple[jax.Array, jax.Array]:
        which = jax.nn.one_hot(own.element, d)
        return z + jnp.exp(walk[1]) * which * jnp.sqrt(spread) * own.normal, jnp.zeros(z.shape[:2])

    def stay(z: jax.Array, own: _Draws, walk: jax.Array) -> tuple[jax.Array, jax.Array]:
        return z, jnp.zeros(z.shape[:2])

    kernels = {
        "population": from_population,
        "independent": from_memory,
        "block": block,
        "component": component,
        "stay": stay,
    }
    order = jnp.array([list(kernels).index(name) for name in ("stay", *KERNELS)])

    # A loop over kernels, and over staying, so that the likelihood is compiled once for all of them.
    def step(now: tuple[Chains, jax.Array], given: tuple[jax.Array, _Draws]) -> tuple[tuple[Chains, jax.Array], None]:
        (z, value), walk = now
        kernel, own = given
        proposed, correction = jax.lax.switch(kernel, list(kernels.values()), z, own, walk)
        there = data_log_likelihood(proposed, population, samples, form)
        density = log_density(proposed, middle, population, form) - log_density(z, middle, population, form)
        accepted = (own.uniform < there - value + density + correction) | (kernel == list(kernels).index("stay"))
        rate = jnp.where(real, accepted, 0.0).sum() / (real.sum() * accepted.shape[1])
        change = adapting * jnp.where(kernel == 2 + jnp.arange(2), rate - jnp.array(_ACCEPTED), 0.0)
        return (
            Chains(jnp.where(accepted[..., None], proposed, z), jnp.where(accepted, there, value)),
            walk + change,
        ), None

    draws = _Draws(*(jnp.moveaxis(part, 2, 0) for part in noise))
    draws = jax.tree.map(lambda part: jnp.concatenate([part[:1], part]), draws)  # to stay takes none: any will do
    (chains, walk), _ = jax.lax.scan(step, (chains, memory.walk), (order, draws))
    return chains, memory._replace(walk=walk)


def remember(memory: Memory, z: jax.Array, share: jax.Array) -> Memory:
    """Blend the chains' present mean and covariance into what is known, with a weight of ``share``."""
    mean = z.mean(1)
    moved = memory.mean + share * (mean - memory.mean)
    apart = z - moved[:, None]
    now = jnp.einsum("nci,ncj->nij", apart, apart) / z.shape[1]
    return memory._replace(mean=moved, covariance=(1 - share) * memory.covariance + share * now)


def _population_variance(population: Population, form: Form) -> jax.Array:
    between = jnp.tile(population.gamma**2, form.structure.occasions) if form.structure.occasion else jnp.zeros(0)
    return jnp.concatenate([(population.factor**2).sum(1), between])


def _from_population(
    normal: jax.Array, chosen: jax.Array, middle: jax.Array, population: Population, form: Form
) -> jax.Array:
    structure = form.structure
    q = structure.n_random
    psi = middle[:, None] + jnp.einsum("ij,ncj->nci", population.factor, normal[..., :q])
    if structure.classes > 1:
        limits = jnp.cumsum(jnp.exp(population.log_share))
        own = jnp.clip((chosen[..., None] > limits).sum(-1), 0, structure.classes - 1)
        psi = psi + population.shift[own]
    if not structure.occasion:
        return psi
    return jnp.concatenate([psi, jnp.tile(population.gamma, structure.occasions) * normal[..., q:]], axis=-1)


def _student(z: jax.Array, mean: jax.Array, inverse: jax.Array) -> jax.Array:
    """Return the log density of Student's t at each state, without constants; (n, c, d) -> (n, c)."""
    d, nu = z.shape[-1], DEGREES_OF_FREEDOM
    white = jnp.einsum("nij,ncj->nci", inverse, z - mean[:, None])
    return -0.5 * (nu + d) * jnp.log1p((white**2).sum(-1) / nu)
