"""The marginal likelihood by adaptive Gauss-Hermite quadrature, for few random effects."""

from __future__ import annotations

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp
from numpy.typing import NDArray

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.descent import descend_around_modes
from cellkinetics.fitting.pooled.estimate import Estimate, Report
from cellkinetics.fitting.pooled.laplace import estimate_laplace
from cellkinetics.fitting.pooled.likelihood import gauss_newton, joint_nll, moved_mode
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.proposal import PATIENTS_AT_ONCE
from cellkinetics.fitting.pooled.structure import Form
from cellkinetics.models.compilation import compiled

FloatArray = NDArray[np.float64]

MOST_POINTS = 5000
"""Points of a patient's grid; more cost more than importance sampling, which knows its error besides."""
MOST_NODES = 9
"""Taken when no number is asked for, and `MOST_POINTS` allow it."""
LEAST_NODES = 2
LEAST_START = np.log(0.1)
"""Of ln omega, where the search begins: a random effect that FOCEI gave up has no slope left to come back by."""


def grid_nodes(d: int, nodes: int | None = None) -> int:
    """Return the number of nodes along each of ``d`` random effects: as asked, or as many as there is room for.

    Raises:
        SettingsError: if there are more than `MOST_POINTS` points.

    Example:
        >>> grid_nodes(1), grid_nodes(6), grid_nodes(6, 4)
        (9, 4, 4)
    """
    room = max(int(np.floor(MOST_POINTS ** (1 / d) + 1e-9)), 1)
    chosen = min(room, MOST_NODES) if nodes is None else nodes
    if LEAST_NODES <= chosen <= room:
        return chosen
    if nodes is not None and nodes < LEAST_NODES:
        raise SettingsError(f"agq:{nodes}: at least {LEAST_NODES} nodes; one node is focei")
    wanted = f"{chosen} nodes" if nodes is not None else f"{LEAST_NODES} nodes, the least,"
    points = max(chosen, LEAST_NODES)
    most = f"at most agq:{room}" if room >= LEAST_NODES else "method saem or importance"
    raise SettingsError(
        f"agq with {wanted} along {d} random effects takes {points**d} points a patient, more than {MOST_POINTS}: "
        f"take {most}, or fewer random effects (fix omega_... at 0)"
    )


def hermite_grid(d: int, nodes: int) -> tuple[FloatArray, FloatArray]:
    """Return points ``(nodes^d, d)`` and log weights ``(nodes^d,)`` of the integral over N(0, I), by Gauss-Hermite.

    Example:
        >>> points, log_weight = hermite_grid(2, 3)
        >>> round(float(np.exp(log_weight) @ points[:, 0] ** 4), 9)
        3.0
    """
    node, weight = np.polynomial.hermite_e.hermegauss(nodes)
    log_weight = np.log(weight / weight.sum())
    points = np.array(list(product(node, repeat=d))).reshape(-1, d)
    return points, np.array(list(product(log_weight, repeat=d))).reshape(-1, d).sum(1)


def agq_contribution(
    x: jax.Array, mode: jax.Array, samples: Samples, points: jax.Array, log_weight: jax.Array, form: Form
) -> jax.Array:
    """Return one patient's -2 ln p(y) by adaptive Gauss-Hermite quadrature, constants included.

        p(y) ~ |C|^-1 sum_k w_k p(y | u_k) p(u_k) / phi(z_k),   u_k = u* + C'^-1 z_k,   C C' = H

    with nodes z_k and weights w_k for N(0, I), density phi, conditional mode ``u*``, and its Gauss-Newton curvature H.
    The grid is laid by the model's smooth twin; what is integrated is the density itself. One node is FOCEI.

    Source: Pinheiro JC, Bates DM. J Comput Graph Stat 1995;4:12-35, doi:10.1080/10618600.1995.10474663, section 2.4.
    """
    population = form.structure.unpack(x)
    centre = moved_mode(mode, population, samples, form)
    factor = jnp.linalg.cholesky(gauss_newton(centre, population, samples, form, True))
    u = centre + solve_triangular(factor, points.T, lower=True, trans="T").T
    nll = jax.vmap(lambda v: joint_nll(v, population, samples, form))(u)
    inside = log_weight + 0.5 * (points**2).sum(1) - nll
    # A point without density must not bring a NaN in through 0 * NaN of its slope.
    inside = jnp.where(jnp.isfinite(inside), inside, -jnp.inf)
    return -2.0 * (logsumexp(inside) - jnp.log(jnp.diagonal(factor)).sum())


@partial(compiled, static_argnames=("form",))
def agq_objective(
    x: jax.Array, modes: jax.Array, samples: Samples, points: jax.Array, log_weight: jax.Array, form: Form
) -> tuple[jax.Array, jax.Array]:
    """Return -2 ln L by quadrature, and its exact gradient in ``x``, that of the grid's own movement included."""

    def total(v: jax.Array) -> jax.Array:
        def one(args: tuple[jax.Array, Samples]) -> jax.Array:
            return agq_contribution(v, *args, points, log_weight, form)

        return jax.lax.map(one, (modes, samples), batch_size=PATIENTS_AT_ONCE).sum()

    return jax.value_and_grad(total)(x)


def estimate_agq(
    problem: PooledProblem, start: FloatArray, *, nodes: int | None = None, report: Report | None = None
) -> Estimate:
    """Maximise the marginal likelihood by quadrature, from where FOCEI ends.

    Args:
        problem: data, model and residual.
        start: flat vector.
        nodes: along each random effect; None for as many as there is room for, see `grid_nodes`.
        report: called with the share of the work that is done.

    Raises:
        SettingsError: if the grid has too many points.
    """
    d = problem.structure.n_latent
    chosen = grid_nodes(d, nodes)
    tell: Report = report or (lambda _: None)
    approximate = estimate_laplace(problem, start, report=lambda share: tell(0.3 * share))
    omega, x = problem.structure.parts["omega"], approximate.x.copy()
    x[omega] = np.maximum(x[omega], LEAST_START)
    with jax.enable_x64(True):
        points, log_weight = (jnp.asarray(array) for array in hermite_grid(d, chosen))

    def objective(flat: jax.Array, modes: jax.Array) -> tuple[jax.Array, jax.Array]:
        return agq_objective(flat, modes, problem.samples, points, log_weight, problem.form)

    found = descend_around_modes(
        problem, problem.hold(x), objective, "agq", report=lambda share: tell(0.3 + 0.7 * share)
    )
    return Estimate(
        x=found.x,
        converged=found.converged,
        reason=found.reason,
        modes=found.modes,
        objectives={**approximate.objectives, **found.objectives},
        gradient=found.gradient,
        work={**approximate.work, **found.work, "agq_nodes": chosen},
        notes=(f"quadrature with {chosen} nodes along each of {d} random effects",),
    )
