"""The joint density of one patient's samples and random effects, and Laplace-type objectives.

Random effects are whitened: eta = L u with u ~ N(0, I), so that every problem is of unit scale. A patient's
latent vector is (u, v_1, ..., v_K), with v_k the whitened effects of occasion k.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp

from cellkinetics.fitting.pooled.padding import PATIENT_BLOCK
from cellkinetics.fitting.pooled.problem import Samples
from cellkinetics.fitting.pooled.structure import Form, Population
from cellkinetics.models.compilation import compiled


def individual(u: jax.Array, population: Population, samples: Samples, form: Form) -> jax.Array:
    """Return one patient's parameters on the working scale, ``(K, p)``, a row an occasion (one without IOV).

    ``u`` is the latent vector, ``samples`` are the arrays of one patient.
    """
    structure = form.structure
    q = structure.n_random
    base = population.mu
    if structure.coefficients:
        base = base + samples.design @ population.beta
    effect = population.factor @ u[:q] if structure.pairs else jnp.diagonal(population.factor) * u[:q]
    # Products with zeros and ones, not scatters, which a CPU takes one by one.
    phi = base + (effect if q == len(structure.parameters) else effect @ structure.embedding)
    if not structure.occasion:
        return phi[None]
    between = population.gamma * u[q:].reshape(structure.occasions, len(structure.occasion))
    return phi + between @ structure.occasion_embedding


def predict(phi: jax.Array, samples: Samples, form: Form, smooth: bool) -> jax.Array:
    """Return one patient's predictions on the residual's scale ``(m,)`` from parameters ``phi`` (K, p)."""
    curve = form.curve(smooth)
    extra = () if samples.given is None else (samples.given,)
    theta = form.model.to_natural(phi)
    if not form.structure.occasion:
        log_value = curve(theta[0], samples.time, *extra)
    else:
        every = jax.vmap(lambda one: curve(one, samples.time, *extra))(theta)
        log_value = jnp.take_along_axis(every, samples.occasion[None], axis=0)[0]
    return form.residual.prediction(log_value)


def data_nll_at(phi: jax.Array, sigma: jax.Array, samples: Samples, form: Form, smooth: bool = False) -> jax.Array:
    """Return -ln p(y | phi) of one patient, a scalar."""
    f = predict(phi, samples, form, smooth)
    nll = form.residual.nll(samples.y, f, samples.censored, sigma, samples.lower)
    return jnp.where(samples.mask, nll, 0.0).sum()


def data_nll(u: jax.Array, population: Population, samples: Samples, form: Form, smooth: bool = False) -> jax.Array:
    """Return -ln p(y | u) of one patient, a scalar."""
    return data_nll_at(individual(u, population, samples, form), population.sigma, samples, form, smooth)


def class_means(population: Population) -> jax.Array:
    """Return where each class of a mixture has its middle, in units of ``u``: L^-1 shift, ``(k, q)``."""
    return solve_triangular(population.factor, population.shift.T, lower=True).T


def prior_nll(u: jax.Array, population: Population, form: Form) -> jax.Array:
    """Return -ln of the density of a latent vector, without the constant (d/2) ln 2 pi.

    u'u/2,  or in a mixture  -ln sum_c share_c exp(-|u - delta_c|^2/2)
    """
    structure = form.structure
    if structure.classes == 1:
        return 0.5 * u @ u
    q = structure.n_random
    distance = ((u[:q] - class_means(population)) ** 2).sum(-1)
    return 0.5 * u[q:] @ u[q:] - logsumexp(population.log_share - 0.5 * distance)


def joint_nll(u: jax.Array, population: Population, samples: Samples, form: Form, smooth: bool = False) -> jax.Array:
    """Return -ln p(y | u) - ln p(u) of one patient, without the constant of the prior."""
    return data_nll(u, population, samples, form, smooth) + prior_nll(u, population, form)


class Expansion(NamedTuple):
    """`joint_nll` of one patient around a latent vector: its value, gradient (d,) and Gauss-Newton curvature (d, d)."""

    value: jax.Array
    gradient: jax.Array
    curvature: jax.Array


def expansion(u: jax.Array, population: Population, samples: Samples, form: Form, smooth: bool = False) -> Expansion:
    """Expand `joint_nll` around ``u``, from one derivative of the curve.

        gradient   J' n + d(-ln p(u))/du
        curvature  I + J' W J

    J holds the derivatives of the predictions, n the slope and W the curvature of the residual's likelihood in the
    prediction, with the interaction term, and the exact one for censored samples.
    """

    def curve(v: jax.Array) -> tuple[jax.Array, jax.Array]:
        f = predict(individual(v, population, samples, form), samples, form, smooth)
        return f, f

    def nll(f: jax.Array) -> jax.Array:
        return form.residual.nll(samples.y, f, samples.censored, population.sigma, samples.lower)

    jacobian, f = jax.jacfwd(curve, has_aux=True)(u)
    value, slope = jax.jvp(nll, (f,), (jnp.ones_like(f),))
    weight = form.residual.curvature(samples.y, f, samples.censored, population.sigma, samples.lower)
    # A masked sample must not bring a NaN in through 0 * NaN.
    value, slope, weight = (jnp.where(samples.mask, part, 0.0) for part in (value, slope, weight))
    jacobian = jnp.where(samples.mask[:, None], jacobian, 0.0)
    prior, pull = jax.value_and_grad(prior_nll)(u, population, form)
    return Expansion(
        value.sum() + prior, slope @ jacobian + pull, jnp.eye(u.shape[0]) + (jacobian.T * weight) @ jacobian
    )


def curved(
    u: jax.Array, population: Population, samples: Samples, form: Form, smooth: bool = False
) -> tuple[jax.Array, Expansion]:
    """Return the exact Hessian of `joint_nll` in ``u`` (d, d), and its `expansion`.

    All derivatives run forward, here as in what follows from it: that takes about half the time of reverse ones to
    compile, which is seconds, and up to twice the time to run, which is milliseconds.
    """

    def slope(v: jax.Array) -> tuple[jax.Array, Expansion]:
        there = expansion(v, population, samples, form, smooth)
        return there.gradient, there

    return jax.jacfwd(slope, has_aux=True)(u)


def gauss_newton(u: jax.Array, population: Population, samples: Samples, form: Form, smooth: bool = False) -> jax.Array:
    """Return the Gauss-Newton curvature of `joint_nll` in ``u`` (d, d), see `expansion`."""
    return expansion(u, population, samples, form, smooth).curvature


def moved_mode(mode: jax.Array, population: Population, samples: Samples, form: Form) -> jax.Array:
    """Return a conditional mode that carries its dependence on the population parameters.

    One Newton step from the mode, with Hessian and starting point held constant, has value ``u*`` and derivative
    -(d2l/du2)^-1 d2l/du dx, the implicit function theorem.
    """
    constant = jax.tree.map(jax.lax.stop_gradient, population)
    start = jax.lax.stop_gradient(mode)
    hessian, _ = curved(start, constant, samples, form, True)
    step = jnp.linalg.solve(hessian, expansion(start, population, samples, form, True).gradient)
    # Where a mode could not be polished (a flat or broken Hessian) the step would leave it: keep the mode.
    sound = jnp.all(jnp.isfinite(step)) & (jnp.abs(step).max() < 1e-3)
    return start - jnp.where(sound, step, 0.0)


def laplace_contribution(x: jax.Array, mode: jax.Array, samples: Samples, form: Form, exact: bool) -> jax.Array:
    """Return one patient's Laplace-type approximation of -2 ln p(y), constants included.

        -2 ln p(y) ~ 2 [ -ln p(y | u*) - ln p(u*) ] + ln det H

    ``u*`` is the conditional mode. H is the Gauss-Newton curvature I + J'WJ for FOCEI, the Hessian for Laplace
    (``exact``). The mode's dependence on ``x`` is carried exactly, see `moved_mode`.

    Source: Wang Y. J Pharmacokinet Pharmacodyn 2007;34:575-593, doi:10.1007/s10928-007-9060-6.
    """
    population = form.structure.unpack(x)
    u = moved_mode(mode, population, samples, form)
    if exact:
        curvature, there = curved(u, population, samples, form, True)
    else:
        there = expansion(u, population, samples, form, True)
        curvature = there.curvature
    _, logdet = jnp.linalg.slogdet(curvature)
    return 2.0 * there.value + logdet


@partial(compiled, static_argnames=("form", "exact"))
def laplace_contributions(
    x: jax.Array, modes: jax.Array, samples: Samples, form: Form, exact: bool = False
) -> jax.Array:
    """Return every patient's `laplace_contribution`; ``modes`` (n, d) -> (n,)."""
    return jax.vmap(lambda u, s: laplace_contribution(x, u, s, form, exact))(modes, samples)


@partial(compiled, static_argnames=("form", "exact"))
def laplace_objective(
    x: jax.Array, modes: jax.Array, samples: Samples, form: Form, exact: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Return the FOCEI (or Laplace) objective, -2 ln L with constants, and its exact gradient in ``x``."""

    def patient(args: tuple[jax.Array, Samples]) -> tuple[jax.Array, jax.Array]:
        mode, own = args

        def contribution(v: jax.Array) -> tuple[jax.Array, jax.Array]:
            value = laplace_contribution(v, mode, own, form, exact)
            return value, value

        return jax.jacfwd(contribution, has_aux=True)(x)

    # Some at a time: the derivatives of all patients at once would take much memory.
    slope, value = jax.lax.map(patient, (modes, samples), batch_size=PATIENT_BLOCK)
    return value.sum(), slope.sum(0)
