"""Conditional modes of the random effects: damped Newton from several starts, all patients at once."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.likelihood import Expansion, class_means, curved, expansion
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.structure import Form
from cellkinetics.models.programs import program

FloatArray = NDArray[np.float64]

MAX_STEPS = 80
MAX_GAUSS_STEPS = 200
"""Of the Gauss-Newton kind, which come close as quickly, and then go on slowly where a kink is near."""
DECREMENT_TOLERANCE = 1e-12
"""A mode has settled when the next step promises less than this in the log density."""
GAUSS_TOLERANCE = 1e-6
"""The same where only Gauss-Newton steps are taken: within a few thousandths of the patient's own uncertainty."""
DAMPING_LIMIT = 1e10
CENTRES = 3
WORTH_KEEPING = 8.0
"""A further mode this much worse in the log density has no share worth drawing from."""


class Modes(NamedTuple):
    """The modes of each patient, whitened, of length ``d``.

    Attributes:
        u: the best one (n, d).
        value: `joint_nll` there (n,).
        settled: whether it converged (n,).
        centres: the best one and the next best that are different (n, `CENTRES`, d); where there are
            fewer, the best one again.
    """

    u: Any
    value: Any
    settled: Any
    centres: Any


class _Found(NamedTuple):
    """Modes next to one start of each patient: (n, d), (n,), (n,)."""

    u: jax.Array
    value: jax.Array
    settled: jax.Array


class _State(NamedTuple):
    u: jax.Array
    at: Expansion
    hessian: jax.Array
    damping: jax.Array
    step: jax.Array
    done: jax.Array


def start_points(form: Form) -> FloatArray:
    """Return starts of the mode search, in units of omega, shape (s, d).

    The centre; each time-like parameter (a change point) moved both ways, because the density has
    one local mode per sampling interval there; and these together with the first rate moved both ways.
    """
    structure, d = form.structure, form.structure.n_latent
    points = [np.zeros(d)]
    kinds = [form.model.parameters[k].unit for k in structure.random]
    times = [k for k, unit in enumerate(kinds) if unit == "time"]
    rates = [k for k, unit in enumerate(kinds) if unit == "rate"][:1]
    for k in times:
        for shift in (-2.0, -1.0, 1.0, 2.0):
            points.append(np.zeros(d))
            points[-1][k] = shift
        for shift, other in product((-1.0, 1.0), (-1.0, 1.0)):
            for rate in rates:
                points.append(np.zeros(d))
                points[-1][[k, rate]] = shift, other
    return np.array(points)


def _solve(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    factor = jnp.linalg.cholesky(matrix)  # NaN where the matrix is not positive definite
    return cho_solve((factor, True), vector)


def find_mode(
    start: jax.Array, x: jax.Array, samples: Samples, form: Form, exact: bool
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Minimise one patient's `joint_nll` from one start; returns mode (d,), value, whether it settled.

    Newton steps on the exact Hessian, damped; where that is not positive definite, or not ``exact``, Gauss-Newton
    ones, which take more steps and less time to compile.
    """
    population = form.structure.unpack(x)
    d = start.shape[0]

    def look(u: jax.Array) -> tuple[jax.Array, Expansion]:
        if exact:
            return curved(u, population, samples, form, True)
        return jnp.zeros((0, 0)), expansion(u, population, samples, form, True)

    def advance(state: _State) -> _State:
        gradient, approximate = state.at.gradient, state.at.curvature
        scale = jnp.diag(jnp.diag(approximate))
        move = _solve(approximate + state.damping * scale, gradient)
        if exact:
            newton = _solve(state.hessian + state.damping * scale, gradient)
            downhill = jnp.all(jnp.isfinite(newton)) & (newton @ gradient > 0)
            move = jnp.where(downhill, newton, move)
        done = 0.5 * move @ gradient < (DECREMENT_TOLERANCE if exact else GAUSS_TOLERANCE)
        done = done & jnp.isfinite(state.at.value)
        candidate = state.u - move
        hessian, there = look(candidate)
        better = (there.value <= state.at.value) & ~done
        damping = jnp.where(
            better,
            jnp.where(state.damping < 1e-6, 0.0, 0.2 * state.damping),
            jnp.maximum(5.0 * state.damping, 1e-4),
        )
        return _State(
            jnp.where(better, candidate, state.u),
            jax.tree.map(lambda new, old: jnp.where(better, new, old), there, state.at),
            jnp.where(better, hessian, state.hessian),
            jnp.where(done, state.damping, damping),
            state.step + 1,
            # No step however small helps: the value is at its rounding error.
            done | (damping > DAMPING_LIMIT),
        )

    # The first turn stays at the start and looks: so the curve and its derivatives are compiled once.
    unseen = Expansion(jnp.asarray(jnp.inf), jnp.zeros(d), jnp.eye(d))
    empty = jnp.eye(d) if exact else jnp.zeros((0, 0))
    first = _State(start, unseen, empty, jnp.asarray(5.0), jnp.asarray(0), jnp.asarray(False))
    most = MAX_STEPS if exact else MAX_GAUSS_STEPS
    last = jax.lax.while_loop(lambda s: ~s.done & (s.step <= most), advance, first)
    return last.u, last.at.value, last.done


@program("form", "exact")
def descend(starts: jax.Array, x: jax.Array, samples: Samples, *, form: Form, exact: bool) -> _Found:
    """Find the mode next to one start of each patient; ``starts`` (n, d)."""
    u, value, settled = jax.vmap(lambda v, s: find_mode(v, x, s, form, exact))(starts, samples)
    return _Found(u, jnp.where(jnp.isfinite(value), value, jnp.inf), settled)


def search(
    x: jax.Array | FloatArray,
    samples: Samples,
    form: Form,
    *,
    known: Modes | None = None,
    thorough: bool = True,
    exact: bool = True,
) -> Modes:
    """Find every patient's best mode over several starts, on the model's smooth twin.

    ``known`` are the modes of nearby parameters, more starts. A search that is not ``thorough`` starts from
    these and the middle only, not from all `start_points`. ``exact`` is that of `find_mode`.
    """
    n, d = samples.y.shape[0], form.structure.n_latent
    if d == 0:
        return Modes(jnp.zeros((n, 0)), jnp.zeros(n), jnp.ones(n, bool), jnp.zeros((n, CENTRES, 0)))
    points = start_points(form) if thorough else np.zeros((1, d))
    starts = [np.broadcast_to(point, (n, d)) for point in points]
    if form.structure.classes > 1:
        middles = np.asarray(class_means(form.structure.unpack(jnp.asarray(x))))[1:]
        rest = np.zeros(d - middles.shape[1])
        starts += [np.broadcast_to(np.concatenate([middle, rest]), (n, d)) for middle in middles]
    if known is not None:
        centres = np.asarray(known.centres)
        starts += [centres[:, k] for k in range(CENTRES)]
    found = [descend(start, x, samples, form=form, exact=exact) for start in starts]
    return _choose(*(np.stack([np.asarray(one) for one in part], axis=1) for part in zip(*found, strict=True)))


def _choose(u: FloatArray, value: FloatArray, settled: NDArray[np.bool_]) -> Modes:
    """Pick from (n, s, p), (n, s), (n, s) the best mode of each patient, and the best different ones."""
    patients = np.arange(u.shape[0])
    best = np.argmin(value, axis=1)
    top = u[patients, best]
    centres, left = [top], value
    for _ in range(CENTRES - 1):
        # A mode within half an SD of one that was chosen is the same for a proposal.
        same = np.abs(u - centres[-1][:, None]).max(-1) < 0.5
        left = np.where(same, np.inf, left)
        following = np.argmin(left, axis=1)
        other = left[patients, following] < value[patients, best] + WORTH_KEEPING
        centres.append(np.where(other[:, None], u[patients, following], top))
    return Modes(top, value[patients, best], settled[patients, best], np.stack(centres, axis=1))


def conditional_modes(
    problem: PooledProblem,
    x: FloatArray,
    *,
    known: Modes | None = None,
    thorough: bool = True,
    exact: bool = True,
) -> Modes:
    """Find every patient's mode at the flat vector ``x``; see `search`."""
    with jax.enable_x64(True):
        return search(
            np.asarray(x, dtype=float), problem.samples, problem.form, known=known, thorough=thorough, exact=exact
        )
