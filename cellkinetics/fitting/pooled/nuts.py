"""Draws from the posterior of a population by the No-U-Turn sampler, in coordinates that suit it.

The density is that of x (the flat vector) and the whitened random effects u ~ N(0, I) of every patient. The sampler
moves in x and in e, where

    u_i = K^-1 eps_i,   eps_ik = [e_ik - kappa_ik (m_ik - m0_ik)/omega0_k] / (omega_k/omega0_k)^kappa_ik

with K the Cholesky factor of the correlations and m_i the patient's middle. kappa is 0 where the samples say nothing
of an effect (u itself is drawn, non-centred) and 1 where they determine it (the individual parameter is drawn,
centred). All coordinates are scaled by what importance sampling knows of the posterior beforehand.

An omega that may be near zero has a coordinate that passes through zero, omega = |w|, and its effects the sign of w:
eta = w e has no corner there, where ln omega has no end.

Sources: Hoffman MD, Gelman A. J Mach Learn Res 2014;15:1593-1623 (NUTS); Papaspiliopoulos O, Roberts GO, Skoeld M.
Stat Sci 2007;22:59-73, doi:10.1214/088342307000000014 (partial non-centring).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.likelihood import joint_nll
from cellkinetics.fitting.pooled.priors import Scales, prior_potential
from cellkinetics.fitting.pooled.problem import Samples
from cellkinetics.fitting.pooled.structure import Form, Structure
from cellkinetics.models.compilation import compiled

FloatArray = NDArray[np.float64]

TARGET_ACCEPT = 0.9
DEEPEST = 9
"""Doublings of a trajectory at most."""
CHUNK = 25
"""Iterations between two reports."""
FIRST_STEP = 0.25
DISPERSION = 1.0
"""Chains begin this many posterior SDs apart."""


class Coordinates(NamedTuple):
    """Where the sampler's coordinates have their origin and their scales; arrays.

    Attributes:
        x: origin of the flat vector ``(k,)``.
        free: elements that are drawn ``(f,)``.
        scale: lower factor of their covariance ``(f, f)``.
        signed: random effects whose omega has a sign ``(q,)``; they are not centred, and in no block.
        kappa: how centred each effect is ``(n, q)``.
        middle, spread: of e ``(n, d)``.
    """

    x: Any
    free: Any
    scale: Any
    signed: Any
    kappa: Any
    middle: Any
    spread: Any


class _Place(NamedTuple):
    """A point of the sampler."""

    x: Any
    e: Any


def potential(place: _Place, at: Coordinates, samples: Samples, scales: Scales, form: Form) -> jax.Array:
    """Return -ln of the joint density of the sampler's coordinates, but for a constant."""
    x, u, volume = _natural(place, at, samples, form)
    population = form.structure.unpack(x)
    nll = jax.vmap(lambda one, own: joint_nll(one, population, own, form))(u, samples).sum()
    return nll + prior_potential(x, scales, form.structure) - volume


def _natural(place: _Place, at: Coordinates, samples: Samples, form: Form) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return x, u, and ln |du/de|."""
    structure = form.structure
    x, sign, volume_x = flat(place.x, at, structure)
    here, origin = structure.unpack(x), structure.unpack(at.x)
    random = jnp.asarray(structure.random)
    sd, first = _sd(here.factor), _sd(origin.factor)

    def middle(population: Any) -> jax.Array:
        effects = samples.design @ population.beta if structure.coefficients else 0.0
        return jnp.broadcast_to(population.mu + effects, (at.kappa.shape[0], len(structure.parameters)))[:, random]

    e = at.middle + at.spread * place.e
    q = structure.n_random
    log_ratio = jnp.log(sd / first)
    moved = at.kappa * (middle(here) - middle(origin)) / first
    eps = (e[:, :q] - moved) * jnp.exp(-at.kappa * log_ratio)
    correlation = here.factor / sd[:, None]
    u = solve_triangular(correlation, (sign * eps).T, lower=True).T
    volume = volume_x - (at.kappa * log_ratio).sum() - at.kappa.shape[0] * jnp.log(jnp.diagonal(correlation)).sum()
    return x, jnp.concatenate([u, e[:, q:]], axis=1), volume


def flat(z: jax.Array, at: Coordinates, structure: Structure) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the flat vector at the sampler's coordinates ``z`` (f,), the signs of omegas (q,), and ln |dx/dz|.

    Of a signed omega t = (scale z)_k moves w = omega0 (1 + t) instead of ln omega.
    """
    step = jnp.zeros_like(at.x).at[at.free].set(at.scale @ z)
    part = structure.parts["omega"]
    grown = jnp.where(at.signed, 1.0 + step[part], 1.0)
    log_size = jnp.log(jnp.abs(grown))
    step = step.at[part].set(jnp.where(at.signed, log_size, step[part]))
    return at.x + step, jnp.sign(grown), -log_size.sum()


def _sd(factor: jax.Array) -> jax.Array:
    return jnp.sqrt((factor**2).sum(1))


@dataclass(frozen=True, eq=False)
class Sampled:
    """What the sampler returned, warm-up left out.

    Attributes:
        x: flat vectors ``(chains, draws, k)``.
        diverging: trajectories that left the density ``(chains, draws)``.
        steps: leapfrog steps of each ``(chains, draws)``.
    """

    x: FloatArray
    diverging: NDArray[np.bool_]
    steps: NDArray[np.int64]


@cache
def _kernel(form: Form, warmup: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the compiled start and a compiled run of `CHUNK` iterations of several chains."""
    from numpyro.infer.hmc import hmc

    def generate(at: Coordinates, samples: Samples, scales: Scales) -> Callable[[_Place], jax.Array]:
        return partial(potential, at=at, samples=samples, scales=scales, form=form)

    begin, step = hmc(potential_fn_gen=generate, algo="NUTS")

    def start(place: _Place, key: jax.Array, data: tuple[Any, ...]) -> Any:
        return begin(
            place,
            num_warmup=warmup,
            step_size=FIRST_STEP,
            dense_mass=False,
            target_accept_prob=TARGET_ACCEPT,
            max_tree_depth=DEEPEST,
            model_args=data,
            rng_key=key,
        )

    def run(state: Any, data: tuple[Any, ...]) -> tuple[Any, Any]:
        def one(now: Any, _: Any) -> tuple[Any, Any]:
            after = jax.vmap(lambda own: step(own, data))(now)
            return after, (after.z.x, after.diverging, after.num_steps)

        return jax.lax.scan(one, state, None, length=CHUNK)

    return compiled(jax.vmap(start, in_axes=(0, 0, None))), compiled(run)


def sample(
    form: Form,
    samples: Samples,
    at: Coordinates,
    scales: Scales,
    *,
    chains: int,
    warmup: int,
    draws: int,
    seed: int,
    report: Callable[[float], None] = lambda _: None,
) -> Sampled:
    """Draw from the posterior.

    Args:
        form: model, residual and structure.
        samples: of the real patients, a leading axis of n.
        at: coordinates.
        scales: of the priors.
        chains: number of chains, drawn side by side.
        warmup: iterations in which the step size and the scales adapt, rounded up to whole chunks.
        draws: iterations that count, likewise.
        seed: of all draws.
        report: called with the share of the work that is done.
    """
    warm, kept = -(-warmup // CHUNK), -(-draws // CHUNK)
    rng = np.random.default_rng((seed, 7))
    n, d = np.shape(at.middle)
    with jax.enable_x64(True):
        start, run = _kernel(form, warm * CHUNK)
        place = _Place(
            jnp.asarray(DISPERSION * rng.standard_normal((chains, len(at.free)))),
            jnp.asarray(rng.standard_normal((chains, n, d))),
        )
        at = Coordinates(*(jnp.asarray(part) for part in at))
        data = (at, samples, scales)
        keys = jax.random.split(jax.random.PRNGKey(seed), chains)
        state = start(place, keys, data)
        found = []
        for k in range(warm + kept):
            state, out = run(state, data)
            parts = [np.asarray(part) for part in out]  # waits for them, so that the report is true
            if k >= warm:
                found.append(parts)
            report((k + 1) / (warm + kept))
        place_x, diverging, steps = (np.swapaxes(np.concatenate(parts), 0, 1) for parts in zip(*found, strict=True))
        convert = compiled(jax.vmap(jax.vmap(lambda z: flat(z, at, form.structure)[0])))
        x = np.asarray(convert(jnp.asarray(place_x)))
    return Sampled(x, diverging, steps)
