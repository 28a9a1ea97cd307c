"""Conditional modes of the random effects: damped Newton from several starts, all patients at once."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.likelihood import gauss_newton, joint_nll
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples, unpack
from cellkinetics.models.base import LogCurve, Model
from cellkinetics.models.residual import Residual

MAX_STEPS = 80
DECREMENT_TOLERANCE = 1e-12
"""A mode has settled when the next step promises less than this in the log density."""
DAMPING_LIMIT = 1e10


class Modes(NamedTuple):
    """The best mode of each patient: ``u`` (n, p), ``value`` (n,), ``settled`` (n,) whether it converged."""

    u: jax.Array
    value: jax.Array
    settled: jax.Array


class _State(NamedTuple):
    u: jax.Array
    value: jax.Array
    damping: jax.Array
    step: jax.Array
    done: jax.Array


def start_points(model: Model) -> NDArray[np.float64]:
    """Return starts of the mode search, in units of omega, shape (s, p).

    The centre; each time-like parameter (a change point) moved both ways, because the density has
    one local mode per sampling interval there; and these together with the first rate moved both ways.
    """
    p = len(model.parameters)
    points = [np.zeros(p)]
    times = [k for k, q in enumerate(model.parameters) if q.unit == "time"]
    rates = [k for k, q in enumerate(model.parameters) if q.unit == "rate"][:1]
    for k in times:
        for shift in (-2.0, -1.0, 1.0, 2.0):
            points.append(np.zeros(p))
            points[-1][k] = shift
        for shift, other in product((-1.0, 1.0), (-1.0, 1.0)):
            for rate in rates:
                points.append(np.zeros(p))
                points[-1][[k, rate]] = shift, other
    return np.array(points)


def _solve(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    factor = jnp.linalg.cholesky(matrix)  # NaN where the matrix is not positive definite
    return cho_solve((factor, True), vector)


def find_mode(
    start: jax.Array, x: jax.Array, samples: Samples, model: Model, residual: Residual, curve: LogCurve
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Minimise one patient's `joint_nll` from one start; returns mode (p,), value, whether it settled.

    Newton steps on the exact Hessian, damped; where that is not positive definite, Gauss-Newton ones.
    """
    population = unpack(x, start.shape[0])

    def f(u: jax.Array) -> jax.Array:
        return joint_nll(u, population, samples, model, residual, curve)

    slope, hessian = jax.grad(f), jax.hessian(f)

    def advance(state: _State) -> _State:
        gradient = slope(state.u)
        approximate = gauss_newton(state.u, population, samples, model, residual, curve)
        scale = jnp.diag(jnp.diag(approximate))
        newton = _solve(hessian(state.u) + state.damping * scale, gradient)
        gauss = _solve(approximate + state.damping * scale, gradient)
        downhill = jnp.all(jnp.isfinite(newton)) & (newton @ gradient > 0)
        move = jnp.where(downhill, newton, gauss)
        done = 0.5 * move @ gradient < DECREMENT_TOLERANCE
        candidate = state.u - move
        value = f(candidate)
        better = (value <= state.value) & ~done
        damping = jnp.where(
            better,
            jnp.where(state.damping < 1e-6, 0.0, 0.2 * state.damping),
            jnp.maximum(5.0 * state.damping, 1e-4),
        )
        return _State(
            jnp.where(better, candidate, state.u),
            jnp.where(better, value, state.value),
            jnp.where(done, state.damping, damping),
            state.step + 1,
            # No step however small helps: the value is at its rounding error.
            done | (damping > DAMPING_LIMIT),
        )

    first = _State(start, f(start), jnp.asarray(1.0), jnp.asarray(0), jnp.asarray(False))
    last = jax.lax.while_loop(lambda s: ~s.done & (s.step < MAX_STEPS), advance, first)
    return last.u, last.value, last.done


@partial(jax.jit, static_argnames=("model", "residual", "curve"))
def descend(
    starts: jax.Array, x: jax.Array, samples: Samples, model: Model, residual: Residual, curve: LogCurve
) -> Modes:
    """Find the mode next to one start of each patient; ``starts`` (n, p)."""
    u, value, settled = jax.vmap(lambda v, s: find_mode(v, x, s, model, residual, curve))(starts, samples)
    return Modes(u, jnp.where(jnp.isfinite(value), value, jnp.inf), settled)


def search(
    x: jax.Array,
    samples: Samples,
    model: Model,
    residual: Residual,
    curve: LogCurve,
    *,
    known: jax.Array | None = None,
    thorough: bool = True,
) -> Modes:
    """Find every patient's best mode over several starts.

    ``known`` are modes (n, p) of nearby parameters, one more start. A search that is not ``thorough``
    starts from these and the centre only, not from all `start_points`.
    """
    n, p = samples.y.shape[0], len(model.parameters)
    points = start_points(model) if thorough else np.zeros((1, p))
    starts = [jnp.broadcast_to(jnp.asarray(point), (n, p)) for point in points]
    if known is not None:
        starts.append(known)
    found = [descend(start, x, samples, model, residual, curve) for start in starts]
    best = jnp.argmin(jnp.stack([modes.value for modes in found]), axis=0)
    patients = jnp.arange(n)
    return Modes(
        jnp.stack([modes.u for modes in found])[best, patients],
        jnp.stack([modes.value for modes in found])[best, patients],
        jnp.stack([modes.settled for modes in found])[best, patients],
    )


def conditional_modes(
    problem: PooledProblem, x: NDArray[np.float64], *, known: jax.Array | None = None, thorough: bool = True
) -> Modes:
    """Find every patient's mode at the flat vector ``x``; see `search`."""
    model = problem.model
    with jax.enable_x64(True):
        return search(
            jnp.asarray(x),
            problem.samples,
            model,
            problem.residual,
            model.search_curve or model.log_curve,
            known=known,
            thorough=thorough,
        )
