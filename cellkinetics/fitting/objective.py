"""The likelihood of one patient as a function to be minimised, for one patient and for many at once.

    -2LL(x) = 2 sum_j nll(y_j, f(t_j; phi), sigma) + (phi - m)^T P (phi - m),   x = (phi, ln sigma)

``phi`` are the parameters on their transformed scale, ``sigma`` those of the residual. The last term is a
prior's (mean m, precision P, constants left out); without one P is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import compiled
from cellkinetics.models.residual import Residual

_LARGEST_STEP = 2.0  # on the transformed scale: a factor of 7 in a log parameter
_SLOPE, _STEP = 1e-4, 1e-8  # of -2LL, and of x, at which a search has ended
_DAMPING = (1e-9, 1e12)


class Data(NamedTuple):
    """Samples padded to ``(m,)``, or ``(n, m)`` of many patients; ``y`` and ``lower`` on the residual's scale.

    ``lower`` is the lower end of the interval of a sample below the LLOQ, -inf where there is none. Arrays of
    numpy where they are kept, of JAX where they are computed with.
    """

    time: Any
    y: Any
    censored: Any
    mask: Any
    lower: Any


class Prior(NamedTuple):
    """Mean ``(p,)`` and precision ``(p, p)`` of ``phi``, or ``(n, p)`` and ``(n, p, p)``; zeros for none."""

    mean: Any
    precision: Any


class Box(NamedTuple):
    """Where ``x`` may be: bounds and what is free, each ``(q,)``, or ``(rows, q)``."""

    lower: Any
    upper: Any
    free: Any


class State(NamedTuple):
    """A search on its way: point, -2LL, its gradient, curvature, damping, and whether it has ended.

    One that begins (`begin`) has an infinite -2LL, and its first step only looks at where it stands.
    """

    x: Any
    value: Any
    gradient: Any
    curvature: Any
    damping: Any
    ended: Any


@dataclass(frozen=True)
class Objective:
    """Compiled functions of a model with a residual; one compilation a shape, for all patients.

    Attributes:
        value_and_gradient: of one patient's -2LL, ``(x, data, prior)``.
        advance: some damped Gauss-Newton steps of many rows, ``(state, data, prior, box)``.
        refine: the same with the exact Hessian, which stands in the state that it returns.
    """

    model: Model
    residual: Residual
    value_and_gradient: Callable[[FloatArray | jax.Array, Data, Prior], tuple[jax.Array, jax.Array]]
    advance: Callable[[State, Data, Prior, Box], State]
    refine: Callable[[State, Data, Prior, Box], State]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The elements of ``x``: the model's parameters, then the residual's."""
        return (*self.model.names, *self.residual.names)

    @cached_property
    def size(self) -> int:
        """Number of elements of ``x``."""
        return len(self.names)


@cache
def objective(model: Model, residual: Residual) -> Objective:
    """Return the compiled functions of a model with a residual; the same arguments give the same object."""
    p = len(model.parameters)

    def prediction(phi: jax.Array, time: jax.Array) -> jax.Array:
        return residual.prediction(model.log_curve(model.to_natural(phi), time))

    def minus2ll(x: jax.Array, data: Data, prior: Prior) -> jax.Array:
        nll = residual.nll(data.y, prediction(x[:p], data.time), data.censored, jnp.exp(x[p:]), data.lower)
        off = x[:p] - prior.mean
        return 2.0 * jnp.where(data.mask, nll, 0.0).sum() + off @ prior.precision @ off

    def slopes(x: jax.Array, data: Data, prior: Prior) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return -2LL, its gradient, and the curvature of Gauss and Newton, always at least 0."""
        f, forward = jax.linearize(lambda phi: prediction(phi, data.time), x[:p])
        jacobian = jax.vmap(forward)(jnp.eye(p))  # (p, m)

        def nll(f: jax.Array, log_sigma: jax.Array) -> jax.Array:
            return residual.nll(data.y, f, data.censored, jnp.exp(log_sigma), data.lower)

        def masked(values: jax.Array, other: float) -> jax.Array:
            return jnp.where(data.mask, values, other)

        value, back = jax.vjp(lambda f, s: masked(nll(f, s), 0.0).sum(), f, x[p:])
        by_f, by_sigma = back(jnp.ones_like(value))
        weight = masked(residual.curvature(data.y, f, data.censored, jnp.exp(x[p:]), data.lower), 0.0)
        quantified = jnp.sum(data.mask & (data.censored == 0))
        if len(residual.names) == 1:
            # The sum of z^2 over quantified samples from the slope, which is that of 1 - z^2: no second derivative.
            by_sigma_twice = jnp.array([2.0 * quantified]) - 2.0 * by_sigma
        else:
            by_sigma_twice = jnp.diag(jax.hessian(lambda s: masked(nll(f, s), 0.0).sum())(x[p:]))
        off = x[:p] - prior.mean
        gradient = jnp.concatenate([2.0 * jacobian @ by_f + 2.0 * prior.precision @ off, 2.0 * by_sigma])
        curvature = jnp.zeros((x.shape[0], x.shape[0]))
        curvature = curvature.at[:p, :p].set(2.0 * (jacobian * weight) @ jacobian.T + 2.0 * prior.precision)
        # At least that of a residual that is as large as it should be: far from it the exact one is wrong.
        own = jnp.maximum(2.0 * by_sigma_twice, 2.0 * quantified)
        curvature = curvature.at[p:, p:].set(jnp.diag(own))
        return 2.0 * value + off @ prior.precision @ off, gradient, curvature

    def exact(x: jax.Array, data: Data, prior: Prior) -> tuple[jax.Array, jax.Array, jax.Array]:
        (value, gradient), forward = jax.linearize(lambda x: jax.value_and_grad(minus2ll)(x, data, prior), x)
        _, hessian = jax.vmap(forward)(jnp.eye(x.shape[0]))
        return value, gradient, hessian

    def steps(look: Callable[..., tuple[jax.Array, jax.Array, jax.Array]], number: int) -> Callable[..., State]:
        def one(state: State, data: Data, prior: Prior, box: Box) -> State:
            return _step(state, box, lambda x: look(x, data, prior))

        many = jax.vmap(one)
        return compiled(
            lambda state, data, prior, box: jax.lax.fori_loop(0, number, lambda _, s: many(s, data, prior, box), state)
        )

    return Objective(
        model=model,
        residual=residual,
        value_and_gradient=compiled(jax.value_and_grad(minus2ll)),
        advance=steps(slopes, 8),
        refine=steps(exact, 4),
    )


def _step(state: State, box: Box, look: Callable[[jax.Array], tuple[jax.Array, jax.Array, jax.Array]]) -> State:
    """Take one damped step inside the box, or raise the damping if it does not lead down.

        (H + d * diag|H|) s = -g   over the free elements that do not push against a bound

    Source: Marquardt DW. J Soc Ind Appl Math 1963;11:431-441, doi:10.1137/0111030.
    """
    x, g = state.x, state.gradient
    pushes = ((x <= box.lower) & (g > 0)) | ((x >= box.upper) & (g < 0))
    active = box.free & ~pushes
    diagonal = jnp.abs(jnp.diag(state.curvature))
    system = jnp.where(active[:, None] & active, state.curvature, 0.0)
    system = system + jnp.diag(jnp.where(active, state.damping * (diagonal + 1e-3), 1.0))
    slope = jnp.where(active, g, 0.0)
    step = -jnp.linalg.solve(system, slope[:, None])[:, 0]
    step = jnp.clip(jnp.where(active, step, 0.0), -_LARGEST_STEP, _LARGEST_STEP)
    there = jnp.where(box.free, jnp.clip(x + step, box.lower, box.upper), x)
    value, gradient, curvature = look(there)
    down = value < state.value
    still = (jnp.abs(there - x).max() < _STEP) & (down | (state.damping > 1e6))
    looked = jnp.isfinite(state.value)
    at_rest = (jnp.abs(slope).max() < _SLOPE) | still
    ended = state.ended | (looked & at_rest) | (state.damping > _DAMPING[1])
    take = down & ~state.ended
    damping = jnp.where(down, jnp.maximum(0.2 * state.damping, _DAMPING[0]), 5.0 * state.damping)
    return State(
        jnp.where(take, there, x),
        jnp.where(take, value, state.value),
        jnp.where(take, gradient, g),
        jnp.where(take, curvature, state.curvature),
        jnp.where(state.ended, state.damping, damping),
        ended,
    )


def begin(x: FloatArray, damping: FloatArray) -> State:
    """Return searches that begin at ``x`` (rows, q)."""
    rows, q = x.shape
    return State(
        x=x,
        value=np.full(rows, np.inf),
        gradient=np.zeros((rows, q)),
        curvature=np.zeros((rows, q, q)),
        damping=damping,
        ended=np.zeros(rows, bool),
    )


def no_prior(n: int, p: int) -> Prior:
    """Return the prior that says nothing, for ``n`` patients and ``p`` parameters."""
    return Prior(np.zeros((n, p)), np.zeros((n, p, p)))
