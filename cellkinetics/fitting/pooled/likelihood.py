"""The joint density of one patient's samples and random effects, and the FOCEI objective.

Random effects are whitened: eta = omega * u with u ~ N(0, I), so that every problem is of unit
scale, and a parameter without variability is omega = 0.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from cellkinetics.fitting.pooled.problem import Population, Samples, unpack
from cellkinetics.models.base import LogCurve, Model
from cellkinetics.models.residual import Residual


def predictions(
    u: jax.Array, population: Population, time: jax.Array, model: Model, residual: Residual, curve: LogCurve
) -> jax.Array:
    """Return the predictions of one patient on the residual's scale; ``u`` (p,), ``time`` (m,) -> (m,)."""
    theta = model.to_natural(population.mu + population.omega * u)
    return residual.prediction(curve(theta, time))


def data_nll(
    u: jax.Array, population: Population, samples: Samples, model: Model, residual: Residual, curve: LogCurve
) -> jax.Array:
    """Return -ln p(y | u) of one patient, a scalar; ``samples`` holds arrays of shape (m,)."""
    f = predictions(u, population, samples.time, model, residual, curve)
    return jnp.where(samples.mask, residual.nll(samples.y, f, samples.censored, population.sigma), 0.0).sum()


def joint_nll(
    u: jax.Array, population: Population, samples: Samples, model: Model, residual: Residual, curve: LogCurve
) -> jax.Array:
    """Return -ln p(y | u) + u'u/2 of one patient (without the constant (p/2) ln 2 pi of the prior)."""
    return data_nll(u, population, samples, model, residual, curve) + 0.5 * u @ u


def gauss_newton(
    u: jax.Array, population: Population, samples: Samples, model: Model, residual: Residual, curve: LogCurve
) -> jax.Array:
    """Return the Gauss-Newton curvature of `joint_nll` in ``u``: I + J' W J, shape (p, p).

    J holds the derivatives of the predictions, W the curvature of the residual's likelihood in the
    prediction, with the interaction term, and the exact one for censored samples.
    """

    def f(v: jax.Array) -> jax.Array:
        return predictions(v, population, samples.time, model, residual, curve)

    jacobian = jax.jacfwd(f)(u)
    weight = residual.curvature(samples.y, f(u), samples.censored, population.sigma)
    # A masked sample must not bring a NaN in through 0 * NaN.
    weight, jacobian = jnp.where(samples.mask, weight, 0.0), jnp.where(samples.mask[:, None], jacobian, 0.0)
    return jnp.eye(u.shape[0]) + (jacobian.T * weight) @ jacobian


def focei_contribution(
    x: jax.Array, mode: jax.Array, samples: Samples, model: Model, residual: Residual, curve: LogCurve
) -> jax.Array:
    """Return one patient's FOCEI approximation of -2 ln p(y), constants included.

        -2 ln p(y) ~ 2 [ -ln p(y | u*) + u*'u*/2 ] + ln det(I + J'WJ)

    ``u*`` is the conditional mode. Its dependence on ``x`` is carried exactly: one Newton step from
    the mode, with Hessian and starting point held constant, has value ``u*`` and derivative
    -(d2l/du2)^-1 d2l/du dx, the implicit function theorem.

    Source: Wang Y. J Pharmacokinet Pharmacodyn 2007;34:575-593, doi:10.1007/s10928-007-9060-6.
    """
    population = unpack(x, mode.shape[0])
    constant = jax.tree.map(jax.lax.stop_gradient, population)
    start = jax.lax.stop_gradient(mode)
    hessian = jax.hessian(lambda v: joint_nll(v, constant, samples, model, residual, curve))(start)
    step = jnp.linalg.solve(hessian, jax.grad(joint_nll)(start, population, samples, model, residual, curve))
    # Where a mode could not be polished (a flat or broken Hessian) the step would leave it: keep the mode.
    sound = jnp.all(jnp.isfinite(step)) & (jnp.abs(step).max() < 1e-3)
    u = start - jnp.where(sound, step, 0.0)
    _, logdet = jnp.linalg.slogdet(gauss_newton(u, population, samples, model, residual, curve))
    return 2.0 * joint_nll(u, population, samples, model, residual, curve) + logdet


@partial(jax.jit, static_argnames=("model", "residual", "curve"))
def focei_contributions(
    x: jax.Array, modes: jax.Array, samples: Samples, model: Model, residual: Residual, curve: LogCurve
) -> jax.Array:
    """Return every patient's `focei_contribution`; ``modes`` (n, p) -> (n,)."""
    return jax.vmap(lambda u, s: focei_contribution(x, u, s, model, residual, curve))(modes, samples)


@partial(jax.jit, static_argnames=("model", "residual", "curve"))
def focei_objective(
    x: jax.Array, modes: jax.Array, samples: Samples, model: Model, residual: Residual, curve: LogCurve
) -> tuple[jax.Array, jax.Array]:
    """Return the FOCEI objective, -2 ln L with constants, and its exact gradient in ``x``."""

    def total(v: jax.Array) -> jax.Array:
        return focei_contributions(v, modes, samples, model, residual, curve).sum()

    return jax.value_and_grad(total)(x)
