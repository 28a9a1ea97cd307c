"""The marginal likelihood by adaptive importance sampling, with its Monte-Carlo error.

    p(y) = E_q[ w ],   w = p(y | u) N(u; 0, I) / q(u)

For each patient q is a mixture of a Student-t (5 degrees of freedom), adapted to the patient's
conditional distribution, and the prior N(0, I), which bounds the weights where the Student-t is
misplaced. Score and observed information of the marginal likelihood come from the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.likelihood import LOG_2PI, data_nll, gauss_newton
from cellkinetics.fitting.pooled.problem import PooledProblem, Population, Samples, unpack
from cellkinetics.models.base import Model
from cellkinetics.models.residual import Residual

FloatArray = NDArray[np.float64]

DEGREES_OF_FREEDOM = 5
PRIOR_SHARE = 0.1
ADAPT_ROUNDS = 4
ADAPT_DRAWS = 400
DRAWS = 1000
PATIENTS_AT_ONCE = 16
TIGHT_OMEGA = 0.15
"""Below this SD the derivatives in mu and omega are taken through the curve (see `_round`)."""
SMALL_SAMPLE = 100.0
"""An effective sample size below this leaves a patient's contribution in doubt."""


class Proposal(NamedTuple):
    """Centre (n, p) and Cholesky factor (n, p, p) of each patient's Student-t component."""

    centre: jax.Array
    factor: jax.Array


class _Moments(NamedTuple):
    """Weighted sums over the draws of each patient, weights relative to exp(top); JAX or numpy arrays."""

    top: Any
    w: Any
    w2: Any
    u: Any
    uu: Any
    score: Any
    curvature: Any


@dataclass(frozen=True, eq=False)
class ImportanceResult:
    """The marginal likelihood at one parameter vector.

    Attributes:
        minus2ll: -2 ln L, constants included.
        mc_se: Monte-Carlo standard error of ``minus2ll``.
        log_likelihood: ln p(y_i) of each patient, shape (n,).
        effective: effective sample size of each patient (n,).
        mean, covariance: conditional mean (n, p) and covariance (n, p, p) of the whitened effects.
        score: gradient of ln L in the flat vector (d,).
        information: observed information, -d2 ln L / dx dx' (d, d), by Louis' identity.
        draws: number of draws a patient.
    """

    minus2ll: float
    mc_se: float
    log_likelihood: FloatArray
    effective: FloatArray
    mean: FloatArray
    covariance: FloatArray
    score: FloatArray
    information: FloatArray
    draws: int


def _student_logpdf(z: jax.Array, factor: jax.Array) -> jax.Array:
    p, nu = z.shape[-1], DEGREES_OF_FREEDOM
    constant = gammaln((nu + p) / 2) - gammaln(nu / 2) - p / 2 * jnp.log(nu * jnp.pi)
    return constant - jnp.log(jnp.diag(factor)).sum() - (nu + p) / 2 * jnp.log1p((z**2).sum(-1) / nu)


class _Noise(NamedTuple):
    """Standard random numbers behind the draws of every patient; leading axes (n, k)."""

    normal: jax.Array
    spread: jax.Array
    from_prior: jax.Array


def _noise(seed: tuple[int, ...], n: int, k: int, p: int) -> _Noise:
    """Draw the numbers with numpy: several times faster on a CPU than JAX's counter-based generator."""
    rng = np.random.default_rng(seed)
    return _Noise(
        jnp.asarray(rng.standard_normal((n, k, p))),
        jnp.asarray(np.sqrt(rng.chisquare(DEGREES_OF_FREEDOM, (n, k, 1)) / DEGREES_OF_FREEDOM)),
        jnp.asarray(rng.random((n, k, 1)) < PRIOR_SHARE),
    )


def _draw(noise: _Noise, centre: jax.Array, factor: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Turn noise into whitened effects from a patient's mixture; returns draws (k, p) and ln q (k,)."""
    p = centre.shape[0]
    student = centre + (noise.normal / noise.spread) @ factor.T
    u = jnp.where(noise.from_prior, noise.normal, student)
    z = solve_triangular(factor, (u - centre).T, lower=True).T
    return u, jnp.logaddexp(
        jnp.log1p(-PRIOR_SHARE) + _student_logpdf(z, factor),
        jnp.log(PRIOR_SHARE) - 0.5 * (u**2).sum(-1) - 0.5 * p * LOG_2PI,
    )


def _log_joint(u: jax.Array, population: Population, samples: Samples, model: Model, residual: Residual) -> jax.Array:
    return -data_nll(u, population, samples, model, residual, model.log_curve) - 0.5 * (u @ u + u.shape[0] * LOG_2PI)


@partial(jax.jit, static_argnames=("model", "residual"))
def adapt_proposal(
    noise: _Noise, x: jax.Array, modes: jax.Array, samples: Samples, model: Model, residual: Residual
) -> Proposal:
    """Fit each patient's proposal to its conditional distribution, starting from mode and curvature.

    ``noise`` has leading axes (n, rounds * draws): each round learns from its own share.
    """
    p = modes.shape[1]
    population = unpack(x, p)
    curve = model.search_curve or model.log_curve

    def patient(args: tuple[_Noise, jax.Array, Samples]) -> Proposal:
        own, mode, sample = args
        rounds = jax.tree.map(lambda a: a.reshape(ADAPT_ROUNDS, -1, a.shape[-1]), own)
        start = 1.5 * jnp.linalg.inv(gauss_newton(mode, population, sample, model, residual, curve))

        def learn(
            carry: tuple[jax.Array, jax.Array], share_of_noise: _Noise
        ) -> tuple[tuple[jax.Array, jax.Array], None]:
            centre, covariance = carry
            factor = jnp.linalg.cholesky(covariance + 1e-8 * jnp.eye(p))
            u, logq = _draw(share_of_noise, centre, factor)
            logw = jax.vmap(lambda v: _log_joint(v, population, sample, model, residual))(u) - logq
            w = jax.nn.softmax(jnp.where(jnp.isfinite(logw), logw, -jnp.inf))
            # What few effective draws say is blended with what was believed before.
            share = 1 / (1 + 20 * (w**2).sum())
            mean = w @ u
            deviation = u - mean
            learned = (deviation.T * w) @ deviation
            return ((1 - share) * centre + share * mean, (1 - share) * covariance + 1.1 * share * learned), None

        (centre, covariance), _ = jax.lax.scan(learn, (mode, start), rounds)
        return Proposal(centre, jnp.linalg.cholesky(covariance + 1e-8 * jnp.eye(p)))

    return jax.lax.map(patient, (noise, modes, samples), batch_size=PATIENTS_AT_ONCE)


@partial(jax.jit, static_argnames=("model", "residual", "tight"))
def _round(
    noise: _Noise,
    x: jax.Array,
    proposal: Proposal,
    samples: Samples,
    model: Model,
    residual: Residual,
    tight: tuple[int, ...],
) -> _Moments:
    """Draw once per noise and sum weights, moments, scores and curvatures over the draws of each patient.

    The complete-data likelihood is differentiated with phi = mu + omega u held fixed, so that mu and omega
    stand only in the normal prior of phi: (u/omega, u^2 - 1, d/d ln sigma), and a kink of the curve does
    not matter. That divides the noise by omega; ``tight`` lists the parameters whose omega is too small
    for it. For those u is held fixed, and mu and omega act through the curve.
    """
    p = proposal.centre.shape[1]
    population = unpack(x, p)
    wide = jnp.array([k for k in range(p) if k not in tight], dtype=int)
    small = jnp.array(tight, dtype=int)
    through_data = jnp.concatenate([small, p + small, jnp.arange(2 * p, x.shape[0])])

    def patient(args: tuple[_Noise, Proposal, Samples]) -> _Moments:
        own, q, sample = args
        u, logq = _draw(own, q.centre, q.factor)

        def one(v: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            phi = population.mu + population.omega * v

            def log_density(part: jax.Array) -> jax.Array:
                changed = unpack(x.at[through_data].set(part), p)
                moved = phi.at[small].set(changed.mu[small] + changed.omega[small] * v[small])
                f = residual.prediction(model.log_curve(model.to_natural(moved), sample.time))
                nll = residual.nll(sample.y, f, sample.censored, changed.sigma)
                return -jnp.where(sample.mask, nll, 0.0).sum()

            value, slope = jax.value_and_grad(log_density)(x[through_data])
            return value, slope, jax.hessian(log_density)(x[through_data])

        value, slope, bend = jax.vmap(one)(u)
        logp = value - 0.5 * ((u**2).sum(-1) + p * LOG_2PI)
        logw = jnp.where(jnp.isfinite(logp), logp - logq, -jnp.inf)
        top = logw.max()
        w = jnp.exp(logw - top)
        score = jnp.zeros((u.shape[0], x.shape[0]))
        score = score.at[:, wide].set((u / population.omega)[:, wide]).at[:, p + wide].set((u**2 - 1)[:, wide])
        score = score.at[:, through_data].set(slope)
        first, second = w @ u, w @ u**2
        cross = (-2 * first / population.omega)[wide]
        hessian = jnp.zeros((x.shape[0],) * 2)
        hessian = hessian.at[wide, wide].set((-w.sum() / population.omega**2)[wide])
        hessian = hessian.at[wide, p + wide].set(cross).at[p + wide, wide].set(cross)
        hessian = hessian.at[p + wide, p + wide].set(-2 * second[wide])
        hessian = hessian.at[through_data[:, None], through_data[None, :]].set(jnp.tensordot(w, bend, 1))
        return _Moments(
            top,
            w.sum(),
            (w**2).sum(),
            first,
            (u.T * w) @ u,
            w @ score,
            hessian + (score.T * w) @ score,
        )

    return jax.lax.map(patient, (noise, proposal, samples), batch_size=PATIENTS_AT_ONCE)


def importance_sample(
    problem: PooledProblem,
    x: FloatArray,
    modes: jax.Array,
    *,
    seed: int,
    target_se: float = 0.2,
    max_draws: int = 40_000,
) -> ImportanceResult:
    """Evaluate -2 ln L at ``x``, drawing until its Monte-Carlo standard error is at most ``target_se``.

    Args:
        problem: data, model and residual.
        x: flat vector (d,).
        modes: whitened starts of the proposals (n, p), such as conditional modes.
        seed: of the draws.
        target_se: of -2 ln L.
        max_draws: a patient; then the error is what it is, and reported.

    Returns:
        The likelihood with its error, conditional moments, score and information.

    Source: Kuhn E, Lavielle M. Comput Stat Data Anal 2005;49:1020-1038, doi:10.1016/j.csda.2004.07.002;
    Louis TA. J R Stat Soc B 1982;44:226-233 (information from complete-data derivatives).
    """
    n, p = problem.n_real, problem.n_parameters
    padded = problem.samples.y.shape[0]
    tight = tuple(int(k) for k in np.flatnonzero(np.exp(x[p : 2 * p]) < TIGHT_OMEGA))
    rest = (problem.samples, problem.model, problem.residual)
    with jax.enable_x64(True):
        flat = jnp.asarray(x)
        noise = _noise((seed, 0), padded, ADAPT_ROUNDS * ADAPT_DRAWS, p)
        proposal = adapt_proposal(noise, flat, modes, *rest)
        total: _Moments | None = None
        draws = 0
        while True:
            draws += DRAWS
            part = _round(_noise((seed, draws), padded, DRAWS, p), flat, proposal, *rest, tight)
            fresh = _Moments(*(np.asarray(a)[:n] for a in part))
            total = fresh if total is None else _merge(total, fresh)
            effective = total.w**2 / total.w2
            se = 2 * float(np.sqrt(np.maximum(1 / effective - 1 / draws, 0).sum()))
            if se <= target_se or draws >= max_draws:
                break
    assert total is not None
    weight = total.w[:, None]
    mean = total.u / weight
    covariance = total.uu / weight[..., None] - mean[:, :, None] * mean[:, None, :]
    score = total.score / weight
    # Louis: -(E[H + s s'] - E[s] E[s]') summed over patients.
    information = -(total.curvature / weight[..., None] - score[:, :, None] * score[:, None, :]).sum(0)
    log_likelihood = total.top + np.log(total.w) - np.log(draws)
    return ImportanceResult(
        minus2ll=float(-2 * log_likelihood.sum()),
        mc_se=se,
        log_likelihood=log_likelihood,
        effective=effective,
        mean=mean,
        covariance=covariance,
        score=score.sum(0),
        information=information,
        draws=draws,
    )


def _merge(a: _Moments, b: _Moments) -> _Moments:
    top = np.maximum(a.top, b.top)
    left, right = np.exp(a.top - top), np.exp(b.top - top)

    def add(u: FloatArray, v: FloatArray, power: int = 1) -> FloatArray:
        shape = (-1,) + (1,) * (u.ndim - 1)
        return (left**power).reshape(shape) * u + (right**power).reshape(shape) * v

    return _Moments(
        top,
        add(a.w, b.w),
        add(a.w2, b.w2, 2),
        add(a.u, b.u),
        add(a.uu, b.uu),
        add(a.score, b.score),
        add(a.curvature, b.curvature),
    )
