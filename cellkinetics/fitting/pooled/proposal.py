"""Where importance sampling draws from: a mixture adapted to each patient's conditional distribution."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln, logsumexp
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.likelihood import class_means, gauss_newton, joint_nll, prior_nll
from cellkinetics.fitting.pooled.padding import PATIENT_BLOCK, blocks
from cellkinetics.fitting.pooled.problem import Samples
from cellkinetics.fitting.pooled.structure import Form, Population
from cellkinetics.models.censoring import LOG_2PI
from cellkinetics.models.programs import program

FloatArray = NDArray[np.float64]

DEGREES_OF_FREEDOM = 5
PRIOR_SHARE = 0.1
"""Share of draws from the population itself: it bounds the weights wherever the other components are misplaced."""
LEAST_WEIGHT = 0.05
ADAPT_ROUNDS = 2
ADAPT_DRAWS = 400
PATIENTS_AT_ONCE = 8
"""Keeps what one pass allocates within the processor's cache."""
MOST_PATIENTS = 2048
"""Patients whose random numbers are held at a time: those of 10,000 would take more than a gigabyte."""
_JITTER = 1e-8


class Proposal(NamedTuple):
    """Student-t components of each patient: ``weight`` (n, c), ``centre`` (n, c, d), ``factor`` (n, c, d, d).

    Arrays of JAX or of numpy.
    """

    weight: Any
    centre: Any
    factor: Any


class Noise(NamedTuple):
    """Standard random numbers behind the draws of every patient; leading axes (n, k)."""

    normal: Any
    spread: Any
    uniform: Any


def standard_noise(seed: tuple[int, ...], n: int, k: int, d: int) -> Noise:
    """Draw the numbers with numpy: several times faster on a CPU than JAX's counter-based generator."""
    rng = np.random.default_rng(seed)
    return Noise(
        rng.standard_normal((n, k, d)),
        np.sqrt(rng.chisquare(DEGREES_OF_FREEDOM, (n, k, 1)) / DEGREES_OF_FREEDOM),
        rng.random((n, k, 1)),
    )


def draw(
    noise: Noise, proposal: Proposal, population: Population, form: Form
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Turn noise into whitened latent vectors of one patient.

    Returns:
        draws (k, d), ln q (k,), and the log density of each Student-t component times its weight (k, c).
    """
    c, d = proposal.centre.shape
    edges = PRIOR_SHARE + (1 - PRIOR_SHARE) * jnp.cumsum(proposal.weight)
    chosen = jnp.clip((noise.uniform > edges).sum(-1), 0, c - 1)
    tailed = noise.normal / noise.spread
    u = noise.normal
    if form.structure.classes > 1:
        # What is left of the uniform number tells the class.
        limits = jnp.cumsum(jnp.exp(population.log_share))
        own = jnp.clip((noise.uniform > PRIOR_SHARE * limits).sum(-1), 0, len(limits) - 1)
        u = u.at[:, : form.structure.n_random].add(class_means(population)[own])
    anyone = noise.uniform < PRIOR_SHARE
    for k in range(c):
        moved = proposal.centre[k] + tailed @ proposal.factor[k].T
        u = jnp.where(~anyone & (chosen == k)[:, None], moved, u)

    # One inverse a component and a product with all draws is quicker than as many triangular systems.
    inverse = solve_triangular(proposal.factor, jnp.broadcast_to(jnp.eye(d), (c, d, d)), lower=True)
    parts = jnp.stack(
        [
            jnp.log((1 - PRIOR_SHARE) * proposal.weight[k])
            + _student_logpdf((u - proposal.centre[k]) @ inverse[k].T, proposal.factor[k])
            for k in range(c)
        ],
        axis=1,
    )
    prior = jnp.log(PRIOR_SHARE) - jax.vmap(lambda v: prior_nll(v, population, form))(u) - 0.5 * d * LOG_2PI
    return u, logsumexp(jnp.concatenate([parts, prior[:, None]], axis=1), axis=1), parts


def _student_logpdf(z: jax.Array, factor: jax.Array) -> jax.Array:
    p, nu = z.shape[-1], DEGREES_OF_FREEDOM
    constant = gammaln((nu + p) / 2) - gammaln(nu / 2) - p / 2 * jnp.log(nu * jnp.pi)
    return constant - jnp.log(jnp.diag(factor)).sum() - (nu + p) / 2 * jnp.log1p((z**2).sum(-1) / nu)


def log_joint(u: jax.Array, population: Population, samples: Samples, form: Form) -> jax.Array:
    """Return ln p(y | u) + ln p(u) of one patient, a scalar, on the model's own curve."""
    return -joint_nll(u, population, samples, form) - 0.5 * u.shape[0] * LOG_2PI


@program("form")
def around_modes(x: jax.Array, centres: jax.Array, samples: Samples, *, form: Form) -> Proposal:
    """Return mixtures around each patient's modes ``(n, c, d)``, as wide as the curvature there says."""
    c = centres.shape[1]
    population = form.structure.unpack(x)

    def patient(args: tuple[jax.Array, Samples]) -> Proposal:
        starts, sample = args
        curvature = jax.vmap(lambda u: gauss_newton(u, population, sample, form, True))(starts)
        # The first component is the best mode; the same mode again as a later one starts wider.
        widen = jnp.where(jnp.arange(c) == 0, 1.5, 4.0)[:, None, None]
        return Proposal(jnp.full(c, 1 / c), starts, jnp.linalg.cholesky(widen * jnp.linalg.inv(curvature)))

    return jax.lax.map(patient, (centres, samples), batch_size=PATIENTS_AT_ONCE)


@program("form")
def adapt(noise: Noise, x: jax.Array, first: Proposal, samples: Samples, *, form: Form) -> Proposal:
    """Fit each patient's mixture to its conditional distribution, from a first guess.

    Each round draws, weighs, and moves every component to the weighted mean and covariance of the draws
    nearest to it. ``noise`` has leading axes (n, rounds * `ADAPT_DRAWS`).

    Source: Cappe O, Douc R, Guillin A, Marin JM, Robert CP. Stat Comput 2008;18:447-459,
    doi:10.1007/s11222-008-9059-x (mixtures adapted by importance sampling); the blending is ours.
    """
    d = first.centre.shape[-1]
    population = form.structure.unpack(x)

    def patient(args: tuple[Noise, Proposal, Samples]) -> Proposal:
        own, guess, sample = args
        rounds = jax.tree.map(lambda a: a.reshape(-1, ADAPT_DRAWS, a.shape[-1]), own)

        def learn(proposal: Proposal, part: Noise) -> tuple[Proposal, None]:
            u, logq, parts = draw(part, proposal, population, form)
            logw = jax.vmap(lambda v: log_joint(v, population, sample, form))(u) - logq
            w = jax.nn.softmax(jnp.where(jnp.isfinite(logw), logw, -jnp.inf))
            near = w[:, None] * jax.nn.softmax(parts, axis=1)
            mass = near.sum(0)
            mean = (near.T @ u) / jnp.maximum(mass, 1e-300)[:, None]
            deviation = u[None] - mean[:, None]
            learned = jnp.einsum("kc,cki,ckj->cij", near, deviation, deviation)
            learned = learned / jnp.maximum(mass, 1e-300)[:, None, None]
            # What few effective draws say is blended with what was believed before.
            share = 1 / (1 + 20 * (near**2).sum(0) / jnp.maximum(mass, 1e-300) ** 2)
            share = jnp.where(mass > 1e-12, share, 0.0)
            covariance = jnp.einsum("cij,ckj->cik", proposal.factor, proposal.factor)
            covariance = (1 - share)[:, None, None] * covariance + (1.1 * share)[:, None, None] * learned
            weight = jnp.maximum(0.5 * (proposal.weight + mass), LEAST_WEIGHT)
            centre = proposal.centre + share[:, None] * (mean - proposal.centre)
            return Proposal(weight / weight.sum(), centre, jnp.linalg.cholesky(covariance + _JITTER * jnp.eye(d))), None

        last, _ = jax.lax.scan(learn, guess, rounds)
        return last

    return jax.lax.map(patient, (noise, first, samples), batch_size=PATIENTS_AT_ONCE)


def blocks_of(members: NDArray[np.int64], padded: int) -> list[NDArray[np.int64]]:
    """Split places of patients into blocks of one length, at most `MOST_PATIENTS`, whatever the number of members.

    Args:
        members: places.
        padded: patients in the arrays, which the length of a block is made for; a block is filled up with this.

    Example:
        >>> [len(block) for block in blocks_of(np.arange(5008), 5008)]
        [1680, 1680, 1680]
        >>> [len(block) for block in blocks_of(np.array([7, 12]), 5008)]
        [1680]
    """
    size = blocks(-(-padded // -(-padded // MOST_PATIENTS)), PATIENT_BLOCK)
    number = -(-len(members) // size)
    filled = np.full(number * size, padded)
    filled[: len(members)] = members
    return list(filled.reshape(number, size))


def adapted(
    x: FloatArray, first: Proposal, samples: Samples, form: Form, key: tuple[int, ...], members: NDArray[np.int64]
) -> Proposal:
    """Return what `adapt` makes of the proposals of some patients, with random numbers of the seed ``key``."""
    padded, d = np.shape(samples.y)[0], form.structure.n_latent
    parts = []
    for number, block in enumerate(blocks_of(members, padded)):
        noise = standard_noise((*key, number) if number else key, len(block), ADAPT_ROUNDS * ADAPT_DRAWS, d)
        places = np.minimum(block, padded - 1)
        own = jax.tree.map(lambda a: np.asarray(a)[places], (first, samples))  # noqa: B023
        parts.append(adapt(noise, x, *own, form=form))
    return Proposal(
        *(np.concatenate([np.asarray(a) for a in part])[: len(members)] for part in zip(*parts, strict=True))
    )


def carried(proposal: Proposal, before: Population, after: Population, samples: Samples, form: Form) -> Proposal:
    """Return proposals for another population, where the same individual parameters have other latent vectors.

        u' = L'^-1 (L u + b - b'),  b = mu + X beta of the parameters with random effects

    ``before`` and ``after`` are arrays of numpy.
    """
    structure = form.structure
    q, random = structure.n_random, np.array(structure.random)
    turn = np.zeros((structure.n_latent,) * 2)
    turn[:q, :q] = np.linalg.solve(after.factor, before.factor)
    ratio = np.tile(before.gamma / after.gamma, structure.occasions) if structure.occasion else np.zeros(0)
    turn[range(q, len(turn)), range(q, len(turn))] = ratio
    moved = (before.mu - after.mu + np.asarray(samples.design) @ (before.beta - after.beta))[:, random]
    shift = np.zeros((len(moved), 1, structure.n_latent))
    shift[:, 0, :q] = np.linalg.solve(after.factor, moved.T).T
    turned = turn @ np.asarray(proposal.factor)
    covariance = turned @ np.swapaxes(turned, -1, -2) + _JITTER * np.eye(len(turn))
    return Proposal(
        np.asarray(proposal.weight),
        np.asarray(proposal.centre) @ turn.T + shift,
        np.linalg.cholesky(covariance),
    )
