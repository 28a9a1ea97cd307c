"""The marginal likelihood by adaptive importance sampling, with its Monte-Carlo error.

    p(y) = E_q[ w ],   w = p(y | u) p(u) / q(u)

q is the patient's mixture of `cellkinetics.fitting.pooled.proposal`. Score and observed information of
the marginal likelihood come from the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.likelihood import data_nll_at, individual, prior_nll
from cellkinetics.fitting.pooled.modes import Modes
from cellkinetics.fitting.pooled.population_density import (
    changed_population,
    log_population,
    population_curvature,
    population_scores,
)
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.proposal import (
    PATIENTS_AT_ONCE,
    Noise,
    Proposal,
    adapted,
    around_modes,
    blocks_of,
    draw,
    standard_noise,
)
from cellkinetics.fitting.pooled.structure import Form, Population, Structure
from cellkinetics.models.censoring import LOG_2PI
from cellkinetics.models.programs import program

FloatArray = NDArray[np.float64]

DRAWS = 1000
SLOPED_DRAWS = 100_000
"""Draws over all patients with which score and information are calculated too, which costs more than the value."""
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
        x: the vector (k,).
        minus2ll: -2 ln L, constants included.
        mc_se: Monte-Carlo standard error of ``minus2ll``.
        log_likelihood: ln p(y_i) of each patient, shape (n,).
        log_likelihood_se: Monte-Carlo standard error of each (n,).
        effective: effective sample size of each patient (n,).
        mean, covariance: conditional mean (n, d) and covariance (n, d, d) of the whitened latent vectors.
        scores: gradient of each patient's ln p(y_i) in the flat vector (n, k).
        information: observed information, -d2 ln L / dx dx' (k, k), by Louis' identity.
        score_noise: Monte-Carlo covariance of the total score (k, k).
        draws: number of draws of each patient (n,).
        proposal: the mixtures that were drawn from, of all padded patients.
    """

    x: FloatArray
    minus2ll: float
    mc_se: float
    log_likelihood: FloatArray
    log_likelihood_se: FloatArray
    effective: FloatArray
    mean: FloatArray
    covariance: FloatArray
    scores: FloatArray
    information: FloatArray
    score_noise: FloatArray
    draws: NDArray[np.int64]
    proposal: Proposal

    @property
    def score(self) -> FloatArray:
        """Gradient of ln L in the flat vector (k,)."""
        return self.scores.sum(0)


def moved_parameters(structure: Structure, tight: tuple[int, ...]) -> tuple[int, ...]:
    """Return the places of the parameters that act through the curve rather than through the population's density.

    These are the parameters without random effects, and those of the positions ``tight`` among the random effects.
    """
    spread = {structure.random[k] for k in structure.free_of(tight)}
    return tuple(k for k in range(len(structure.parameters)) if k not in spread)


def rounds_with_slopes(sloped_draws: int, patients: int) -> int:
    """Return how many rounds of `DRAWS` a patient it takes to have so many draws over all patients."""
    return max(1, round(sloped_draws / (DRAWS * patients)))


@program("form", "tight", "slopes")
def _round(
    noise: Noise,
    slots: jax.Array,
    x: jax.Array,
    proposal: Proposal,
    samples: Samples,
    *,
    form: Form,
    tight: tuple[int, ...],
    slopes: bool,
) -> _Moments:
    """Draw once per noise for the patients ``slots``; sum weights, moments, scores and curvatures over the draws.

    The complete-data likelihood is differentiated with the individual parameters phi held fixed, so that mu, beta
    and Omega stand only in their normal density, and a kink of the curve does not matter. That divides the noise by
    omega; ``tight`` lists the random effects whose omega is too small for it. For those u is held fixed, and mu
    and omega act through the curve, as everything does that acts on a parameter without random effect.
    """
    structure = form.structure
    q, size = structure.n_random, x.shape[0]
    here = structure.unpack(x)
    p, part = len(structure.parameters), structure.parts
    moved = moved_parameters(structure, tight)
    # Where nudges of the moved parameters and the flat vector meet, as ones and zeros.
    moving = np.eye(p)[list(moved)]
    mean_part, beta_part = np.zeros((len(moved), size)), np.zeros((len(structure.coefficients), size))
    mean_part[range(len(moved)), list(moved)] = 1.0
    beta_part[:, part["beta"]] = np.eye(len(structure.coefficients))
    of_tight = [moved.index(structure.random[k]) for k in tight]
    in_omega = np.eye(size)[[part["omega"].start + k for k in tight]]
    omega_part = np.zeros((len(tight), len(moved) + len(structure.residual), size))
    omega_part[range(len(tight)), of_tight] = in_omega

    def patient(args: tuple[Noise, Proposal, Samples]) -> _Moments:
        own, proposed, sample = args
        u, logq, _ = draw(own, proposed, here, form)

        def changed(v: jax.Array) -> tuple[jax.Array, Population]:
            return changed_population(v, here, sample.design, form, tight)

        def data(v: jax.Array, nudge: jax.Array) -> jax.Array:
            """Return ln p(y | v) with the moved parameters and the log residual parameters off by ``nudge``."""
            phi = individual(v, here, sample, form)
            if moved:  # else the curve has no slope to compile and calculate
                phi = phi + nudge[: len(moved)] @ moving
            return -data_nll_at(phi, here.sigma * jnp.exp(nudge[len(moved) :]), sample, form)

        here_still = jnp.zeros(len(moved) + len(structure.residual))
        value = jax.vmap(lambda v: data(v, here_still))(u)
        logp = value - jax.vmap(lambda v: prior_nll(v, here, form))(u) - 0.5 * u.shape[1] * LOG_2PI
        logw = jnp.where(jnp.isfinite(logp), logp - logq, -jnp.inf)
        top = logw.max()
        w = jnp.exp(logw - top)
        score = jnp.zeros((u.shape[0], size))
        hessian = jnp.zeros((size, size))
        if slopes:

            def gradient(v: jax.Array, nudge: jax.Array) -> jax.Array:
                return jax.jacfwd(lambda at: data(v, at))(nudge)

            # At the same places as the value, so that the compiler finds the curve calculated already. A draw
            # without weight may have slopes that are not finite.
            seen = w > 0
            slope = jnp.where(seen[:, None], jax.vmap(lambda v: gradient(v, here_still))(u), 0.0)
            bend = jax.vmap(lambda v: jax.jacfwd(lambda at: gradient(v, at))(here_still))(u)
            bend = jnp.where(seen[:, None, None], bend, 0.0)
            # How the nudges depend on the flat vector: a tight omega by omega u, of which it is also the curvature.
            by_omega = u[:, list(tight)] * jnp.diagonal(here.factor)[np.array(tight, dtype=int)]
            chain = jnp.concatenate(
                [
                    mean_part + (sample.design @ beta_part)[np.array(moved, dtype=int)],
                    jnp.zeros((len(structure.residual), size))
                    .at[:, structure.parts["residual"]]
                    .set(jnp.eye(len(structure.residual))),
                ]
            ) + jnp.einsum("kt,tax->kax", by_omega, omega_part)
            curved = jnp.einsum("k,kt,kt->t", w, by_omega, slope[:, np.array(of_tight, dtype=int)])
            psi = u[:, :q] @ here.factor.T
            kappa = here.gamma * u[:, q:].reshape(u.shape[0], structure.occasions, len(structure.occasion))
            score = jnp.einsum("ka,kax->kx", slope, chain)
            score = score + population_scores(psi, kappa, here, jax.jacfwd(changed)(x), form)
            hessian = jnp.einsum("k,kax,kab,kby->xy", w, chain, bend, chain) + jnp.diag(curved @ in_omega)
            if structure.classes > 1:

                def prior(own_psi: jax.Array, own_kappa: jax.Array, at: jax.Array) -> jax.Array:
                    return log_population(own_psi, own_kappa, *changed(at), form)

                bent = jax.vmap(jax.hessian(prior, argnums=2), in_axes=(0, 0, None))(psi, kappa, x)
                hessian = hessian + jnp.tensordot(w, bent, 1)
        return _Moments(
            top,
            w.sum(),
            (w**2).sum(),
            w @ u,
            (u.T * w) @ u,
            w @ score,
            (score.T * w) @ score,
            hessian,
            u[jnp.argmax(logw)],
        )

    proposal, samples = jax.tree.map(lambda a: a[slots], (proposal, samples))
    return jax.lax.map(patient, (noise, proposal, samples), batch_size=PATIENTS_AT_ONCE)


def importance_sample(
    problem: PooledProblem,
    x: FloatArray,
    known: Modes | Proposal,
    *,
    seed: int,
    stream: int = 0,
    target_se: float = 0.2,
    min_draws: int = DRAWS,
    max_draws: int = 40_000,
    slopes: bool = True,
    sloped_draws: int = SLOPED_DRAWS,
) -> ImportanceResult:
    """Evaluate -2 ln L at ``x``, drawing until its Monte-Carlo standard error is at most ``target_se``.

    Every patient gets the same first rounds of draws, with which score and information are calculated. Those that
    follow go where the error comes from, in proportion to the spread of a patient's weights.

    Args:
        problem: data, model and residual.
        x: flat vector (k,).
        known: conditional modes at ``x``, around which the proposals begin, or proposals for a vector near ``x``.
        seed: of the draws.
        stream: independent draws of one seed.
        target_se: of -2 ln L.
        min_draws: a patient on average; a small cohort needs more for its information matrix than for -2 ln L.
        max_draws: a patient on average; then the error is what it is, and reported.
        slopes: also score and information; without them these are zeros.
        sloped_draws: over all patients, with which score and information are calculated.

    Returns:
        The likelihood with its error, conditional moments, score and information.

    Source: Kuhn E, Lavielle M. Comput Stat Data Anal 2005;49:1020-1038, doi:10.1016/j.csda.2004.07.002;
    Louis TA. J R Stat Soc B 1982;44:226-233 (information from complete-data derivatives).
    """
    n, structure = problem.n_real, problem.structure
    padded, d = problem.samples.y.shape[0], problem.structure.n_latent
    tight = structure.tight(x, TIGHT_OMEGA)
    sloped_rounds = rounds_with_slopes(sloped_draws, n)
    flat = np.asarray(x, dtype=float)

    def drawn(proposal: Proposal, slots: NDArray[np.int64], sloped: bool, key: tuple[int, ...]) -> _Moments:
        """Return the sums over fresh draws, `DRAWS` a slot, of each patient (nothing for one without a slot)."""
        parts = []
        for number, members in enumerate(blocks_of(slots, padded)):
            noise = standard_noise((*key, number) if number else key, len(members), DRAWS, d)
            part = _round(
                noise, members, flat, proposal, problem.samples, form=problem.form, tight=tight, slopes=sloped
            )
            parts.append([np.asarray(a)[members < n] for a in part])
        sums = _Moments(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        return _of_owners(sums, slots[slots < n], n)

    with jax.enable_x64(True):
        everyone = np.arange(padded)
        if isinstance(known, Proposal):
            proposal, first = known, 1
        else:
            proposal, first = around_modes(flat, known.centres, problem.samples, form=problem.form), 0
        # Where less is known there is more to learn.
        for again in range(first, 2):
            key = (seed, stream, 0, 0, again)
            proposal = adapted(flat, proposal, problem.samples, problem.form, key, everyone)
        total: _Moments | None = None
        sloped: _Moments | None = None
        draws, restarts = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        slots, rounds, attempts, shared = everyone, 0, 0, 0
        while True:
            rounds += 1
            with_slopes = slopes and rounds <= sloped_rounds
            total = _together(total, drawn(proposal, slots, with_slopes, (seed, stream, 0, rounds)))
            if rounds <= sloped_rounds:
                sloped = total
            assert sloped is not None
            draws += DRAWS * np.bincount(slots[slots < n], minlength=n)
            shared += DRAWS * int((slots < n).sum())
            # Patients whose proposal has missed a region begin anew, the others keep what they have. What they take
            # more is their own: the others get as many draws as without them.
            while (poor := _poor(total, draws, restarts)).size:
                attempts += 1
                proposal = _with_missed(proposal, poor, total.heaviest, restarts[poor])
                restarts[poor] += 1
                for again in range(2):
                    key = (seed, stream, attempts, 0, again)
                    learned = adapted(flat, proposal, problem.samples, problem.form, key, poor)
                    proposal = Proposal(*(_put(a, poor, b) for a, b in zip(proposal, learned, strict=True)))
                repeats = max(sloped_rounds, padded // len(poor))
                fresh = drawn(proposal, np.tile(poor, repeats), slopes, (seed, stream, attempts, rounds))
                total, sloped = (_replaced(old, fresh, poor) for old in (total, sloped))
                draws[poor] = DRAWS * repeats
            effective = total.w**2 / total.w2
            variance = np.maximum(1 / effective - 1 / draws, 0)
            se = 2 * float(np.sqrt(variance.sum()))
            if (se <= target_se and shared >= min_draws * n) or shared >= max_draws * n:
                break
            if rounds >= sloped_rounds:
                slots = _allot(np.sqrt(variance * draws), draws, padded)
    weight = total.w[:, None]
    mean = total.u / weight
    covariance = total.uu / weight[..., None] - mean[:, :, None] * mean[:, None, :]
    weight = sloped.w[:, None]
    score = sloped.score / weight
    # Louis: -(E[H + s s'] - E[s] E[s]') summed over patients.
    spread = sloped.scores / weight[..., None] - score[:, :, None] * score[:, None, :]
    information = -(sloped.hessian / weight[..., None] + spread).sum(0)
    if slopes and structure.classes == 1:
        with jax.enable_x64(True):
            moments = sloped.u / weight, sloped.uu / weight[..., None]
            design = np.asarray(problem.samples.design)[:n]
            curvature = population_curvature(flat, *moments, design, form=problem.form, tight=tight)
        information -= np.asarray(curvature)
    log_likelihood = total.top + np.log(total.w) - np.log(draws)
    return ImportanceResult(
        x=np.array(x, dtype=float),
        minus2ll=float(-2 * log_likelihood.sum()),
        mc_se=se,
        log_likelihood=log_likelihood,
        log_likelihood_se=np.sqrt(variance),
        effective=effective,
        mean=mean,
        covariance=covariance,
        scores=score,
        information=information,
        score_noise=(spread * (sloped.w2 / sloped.w**2)[:, None, None]).sum(0),
        draws=draws,
        proposal=proposal,
    )


def _poor(total: _Moments, draws: NDArray[np.int64], restarts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the patients who should begin anew."""
    with np.errstate(invalid="ignore"):
        well = total.w**2 / total.w2 >= POOR_SHARE * draws
    return np.flatnonzero(~well & (restarts < MAX_RESTARTS))


def _with_missed(
    proposal: Proposal, missed: NDArray[np.int64], heaviest: FloatArray, restarts: NDArray[np.int64]
) -> Proposal:
    """Return proposals in which a component of each patient that was ``missed`` moves to its heaviest draw."""
    weight, centre, factor = (np.array(part) for part in proposal)
    k = 1 + restarts % (weight.shape[1] - 1)
    weight[missed] = 1.0 / weight.shape[1]
    centre[missed, k] = heaviest[missed]
    factor[missed, k] = 0.5 * np.eye(factor.shape[-1])
    return Proposal(weight, centre, factor)


def _put(array: FloatArray, places: NDArray[np.int64], values: FloatArray) -> FloatArray:
    out = np.array(array)
    out[places] = values
    return out


def _replaced(old: _Moments, fresh: _Moments, patients: NDArray[np.int64]) -> _Moments:
    """Return sums in which those of some patients are fresh ones."""
    return _Moments(*(_put(a, patients, b[patients]) for a, b in zip(old, fresh, strict=True)))


def _allot(spread: FloatArray, draws: NDArray[np.int64], slots: int) -> NDArray[np.int64]:
    """Return which patient each slot of the next round draws for, so that draws go as ``spread`` does."""
    wanted = spread / spread.sum() * (draws.sum() + slots * DRAWS)
    short = np.maximum(wanted - draws, 0.0)
    share = short / short.sum() * slots
    number = np.floor(share).astype(np.int64)
    rest = np.argsort(-(share - number), kind="stable")[: slots - number.sum()]
    number[rest] += 1
    return np.repeat(np.arange(len(number)), number)


def _of_owners(part: _Moments, owner: NDArray[np.int64], n: int) -> _Moments:
    """Add the sums of some slots up to those of their patients ``(n, ...)``; one without a slot has nothing."""
    top = np.full(n, -np.inf)
    np.maximum.at(top, owner, part.top)
    best = part.top == top[owner]
    heaviest = np.zeros((n, part.u.shape[1]))
    heaviest[owner[best]] = part.heaviest[best]

    def add(values: FloatArray) -> FloatArray:
        out = np.zeros((n, *values.shape[1:]))
        np.add.at(out, owner, values)
        return out

    scaled = _scaled(part, _relative(part.top, top[owner]))
    return _Moments(*(top, *map(add, scaled), heaviest))


def _together(total: _Moments | None, fresh: _Moments) -> _Moments:
    """Add the sums of each patient over further draws to those over earlier ones."""
    if total is None:
        return fresh
    top = np.maximum(total.top, fresh.top)
    sums = (_scaled(part, _relative(part.top, top)) for part in (total, fresh))
    heaviest = np.where((fresh.top > total.top)[:, None], fresh.heaviest, total.heaviest)
    return _Moments(*(top, *(a + b for a, b in zip(*sums, strict=True)), heaviest))


def _relative(own: FloatArray, top: FloatArray) -> FloatArray:
    """Return exp(own - top), 0 where nothing has any weight."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(own), np.exp(own - top), 0.0)


def _scaled(part: _Moments, scale: FloatArray) -> list[FloatArray]:
    """Return the sums of `_Moments`, without ``top`` and ``heaviest``, with weights times ``scale``."""
    sums = []
    for values, power in zip(part[1:-1], (1, 2, 1, 1, 1, 1, 1), strict=True):
        by = (scale**power).reshape((-1,) + (1,) * (values.ndim - 1))
        sums.append(np.where(by > 0, by * values, 0.0))
    return sums
