"""The marginal likelihood by adaptive importance sampling, with its Monte-Carlo error.

    p(y) = E_q[ w ],   w = p(y | u) N(u; 0, I) / q(u)

q is the patient's mixture of `cellkinetics.fitting.pooled.proposal`. Score and observed information of
the marginal likelihood come from the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.modes import Modes
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples, unpack
from cellkinetics.fitting.pooled.proposal import (
    ADAPT_DRAWS,
    ADAPT_ROUNDS,
    PATIENTS_AT_ONCE,
    Noise,
    Proposal,
    adapt,
    draw,
    standard_noise,
)
from cellkinetics.models.base import Model
from cellkinetics.models.censoring import LOG_2PI
from cellkinetics.models.residual import Residual

FloatArray = NDArray[np.float64]

DRAWS = 1000
TIGHT_OMEGA = 0.15
"""Below this SD the derivatives in mu and omega are taken through the curve (see `_round`)."""
SMALL_SAMPLE = 100.0
"""An effective sample size below this leaves a patient's contribution in doubt."""
POOR_SHARE = 0.02
"""When fewer than this share of a patient's draws are effective, its proposal has missed a region: it gets
the draw of greatest weight as one more centre, and sampling starts over."""
MAX_RESTARTS = 3


class _Moments(NamedTuple):
    """Weighted sums over the draws of each patient, weights relative to exp(top); JAX or numpy arrays."""

    top: Any
    w: Any
    w2: Any
    u: Any
    uu: Any
    score: Any
    scores: Any
    hessian: Any
    heaviest: Any


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
        score_noise: Monte-Carlo covariance of ``score`` (d, d).
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
    score_noise: FloatArray
    draws: int


@partial(jax.jit, static_argnames=("model", "residual", "tight"))
def _round(
    noise: Noise,
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
    p = proposal.centre.shape[-1]
    population = unpack(x, p)
    wide = jnp.array([k for k in range(p) if k not in tight], dtype=int)
    small = jnp.array(tight, dtype=int)
    through_data = jnp.concatenate([small, p + small, jnp.arange(2 * p, x.shape[0])])

    def patient(args: tuple[Noise, Proposal, Samples]) -> _Moments:
        own, q, sample = args
        u, logq, _ = draw(own, q)

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
            (score.T * w) @ score,
            hessian,
            u[jnp.argmax(logw)],
        )

    return jax.lax.map(patient, (noise, proposal, samples), batch_size=PATIENTS_AT_ONCE)


def importance_sample(
    problem: PooledProblem,
    x: FloatArray,
    modes: Modes,
    *,
    seed: int,
    stream: int = 0,
    target_se: float = 0.2,
    min_draws: int = DRAWS,
    max_draws: int = 40_000,
) -> ImportanceResult:
    """Evaluate -2 ln L at ``x``, drawing until its Monte-Carlo standard error is at most ``target_se``.

    Args:
        problem: data, model and residual.
        x: flat vector (d,).
        modes: conditional modes at ``x``, around which the proposals begin.
        seed: of the draws.
        stream: independent draws of one seed.
        target_se: of -2 ln L.
        min_draws: a patient; a small cohort needs more for its information matrix than for -2 ln L.
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
    centres = np.array(modes.centres)
    with jax.enable_x64(True):
        flat = jnp.asarray(x)
        for restart in range(MAX_RESTARTS + 1):
            noise = standard_noise((seed, stream, restart, 0), padded, ADAPT_ROUNDS * ADAPT_DRAWS, p)
            proposal = adapt(noise, flat, jnp.asarray(centres), *rest)
            total: _Moments | None = None
            draws = 0
            while True:
                draws += DRAWS
                part = _round(
                    standard_noise((seed, stream, restart, draws), padded, DRAWS, p), flat, proposal, *rest, tight
                )
                fresh = _Moments(*(np.asarray(a)[:n] for a in part))
                total = fresh if total is None else _merge(total, fresh)
                effective = total.w**2 / total.w2
                se = 2 * float(np.sqrt(np.maximum(1 / effective - 1 / draws, 0).sum()))
                poor = effective < POOR_SHARE * draws
                if (
                    (se <= target_se and draws >= min_draws)
                    or draws >= max_draws
                    or (poor.any() and restart < MAX_RESTARTS)
                ):
                    break
            if not poor.any():
                break
            missed = np.flatnonzero(poor)
            centres[missed, 1 + restart % (centres.shape[1] - 1)] = total.heaviest[missed]
    assert total is not None
    weight = total.w[:, None]
    mean = total.u / weight
    covariance = total.uu / weight[..., None] - mean[:, :, None] * mean[:, None, :]
    score = total.score / weight
    # Louis: -(E[H + s s'] - E[s] E[s]') summed over patients.
    spread = total.scores / weight[..., None] - score[:, :, None] * score[:, None, :]
    information = -(total.hessian / weight[..., None] + spread).sum(0)
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
        score_noise=(spread / effective[:, None, None]).sum(0),
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
        add(a.scores, b.scores),
        add(a.hessian, b.hessian),
        np.where((a.top >= b.top)[:, None], a.heaviest, b.heaviest),
    )
