"""Two stages: a fit of each patient by itself, then a population of these fits with their uncertainty taken off."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from numpy.typing import NDArray

from cellkinetics.data.cohort import RIGHT_CENSORED, Cohort
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.individual import fit
from cellkinetics.fitting.pooled.descent import descend_to_rest
from cellkinetics.fitting.pooled.estimate import Estimate, Report
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.structure import Structure
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.models.compilation import compiled

FloatArray = NDArray[np.float64]

FEWEST = 3
"""Patients who must determine a parameter that has a random effect."""
UNCERTAINTY = "information of the second stage (individual estimates taken as normal)"
_FLAT = 0.02


class Individuals(NamedTuple):
    """Estimates of each patient by itself, on the working scale.

    Attributes:
        phi: estimates ``(n, p)``, 0 where there is none.
        covariance: theirs ``(n, p, p)``, the unit matrix where there is none.
        known: whether the patient's samples determine a parameter ``(n, p)``.
        design: of the covariates ``(n, p, c)``.
    """

    phi: jax.Array
    covariance: jax.Array
    known: jax.Array
    design: jax.Array


def estimate_two_stage(problem: PooledProblem, start: FloatArray, *, report: Report | None = None) -> Estimate:
    """Fit every patient by itself, then the population of the estimates by maximum likelihood.

        phi_hat_i ~ N(mu + X_i beta, E Omega E' + C_i)

    with C_i the covariance of a patient's estimates: what is their uncertainty is no variability. A parameter that a
    patient's samples do not determine takes no part for this patient. The residual is that of the patients together,
    sigma^2 = sum n_i sigma_i^2 / sum (n_i - k_i), or the geometric mean where it has two parameters.

    Args:
        problem: data, model and residual.
        start: flat vector; its typical values start the patients' fits of a model without a rule for that.
        report: called with the share of the work that is done.

    Raises:
        FitError: if fewer than three patients determine a parameter.
        SettingsError: for occasions, mixtures and models with inputs.

    Source: Steimer JL, Mallet A, Golmard JL, Boisvieux JF. Drug Metab Rev 1984;15:265-292,
    doi:10.3109/03602538409015066 (the global two-stage method).
    """
    structure, model = problem.structure, problem.model
    if structure.occasion or structure.classes > 1 or model.inputs:
        raise SettingsError(
            "method two-stage fits each patient by itself: it takes no iov, no mixture and no comedication; "
            "take saem or importance"
        )
    tell: Report = report or (lambda _: None)
    typical = dict(zip(model.names, problem.typical(start).tolist(), strict=True))
    fits = fit(
        _cohort(problem),
        model=model,
        residual=problem.residual,
        starts=typical,
        progress=lambda done, total: tell(0.9 * done / total),
    )
    own = _individuals(problem, fits)
    counts = np.asarray(own.known).sum(0)
    for j, name in enumerate(model.names):
        if counts[j] < FEWEST and name not in problem.fixed:
            raise FitError(
                f"the samples of {counts[j]} patients determine {name} by themselves, and method two-stage needs "
                f"{FEWEST}: fix it (fix={{{name!r}: ...}}, --fix {name}=...), or take saem or importance"
            )
    residual, variance = _residual(problem, fits, start)
    x = np.array(start, dtype=float)
    x[structure.parts["residual"]] = residual

    def function(flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        return second_stage(flat, own, structure)

    found = descend_to_rest(problem, problem.hold(x), function, "two_stage", report=lambda s: tell(0.9 + 0.1 * s))
    with jax.enable_x64(True):
        hessian = np.asarray(jax.hessian(lambda v: second_stage(v, own, structure)[0])(jnp.asarray(found.x)))
    return replace(
        found,
        covariance=_covariance(problem, 0.5 * hessian, variance),
        uncertainty=UNCERTAINTY,
        notes=_notes(problem, counts),
    )


@partial(compiled, static_argnames=("structure",))
def second_stage(x: jax.Array, own: Individuals, structure: Structure) -> tuple[jax.Array, jax.Array]:
    """Return -2 ln p of the patients' estimates, without constants, and its gradient."""

    def total(v: jax.Array) -> jax.Array:
        population = structure.unpack(v)
        p, places = len(structure.parameters), jnp.asarray(structure.random, dtype=int)
        omega = jnp.zeros((p, p)).at[jnp.ix_(places, places)].set(population.factor @ population.factor.T)

        def patient(one: Individuals) -> jax.Array:
            both = one.known[:, None] & one.known[None, :]
            factor = jnp.linalg.cholesky(jnp.where(both, omega, 0.0) + one.covariance)
            away = jnp.where(one.known, one.phi - population.mu - one.design @ population.beta, 0.0)
            return away @ cho_solve((factor, True), away) + 2.0 * jnp.log(jnp.diagonal(factor)).sum()

        return jax.vmap(patient)(own).sum()

    return jax.value_and_grad(total)(x)


def _cohort(problem: PooledProblem) -> Cohort:
    """Return the samples of a problem as a cohort, one profile a patient."""
    samples: Samples = jax.tree.map(np.asarray, problem.samples)
    natural = np.exp if problem.residual.scale == "log" else np.asarray
    value = natural(samples.y)
    lower = np.full(value.shape, np.nan) if samples.lower is None else natural(samples.lower)
    lower = np.where(np.isfinite(lower) & (lower > 0), lower, np.nan)
    rows = [np.flatnonzero(samples.mask[i]) for i in range(problem.n_real)]

    def ragged(array: NDArray[np.generic]) -> list[list[float]]:
        return [array[i, row].tolist() for i, row in enumerate(rows)]

    cohort = Cohort.from_arrays(
        ragged(samples.time),
        ragged(value),
        lloq=ragged(np.where(samples.censored == 1, value, np.nan)),
        censored=[[int(flag) for flag in row] for row in ragged(samples.censored)],
        subject=[str(i) for i in range(problem.n_real)],
        lower=ragged(lower),
    )
    return replace(cohort, uloq=np.where(cohort.censored == RIGHT_CENSORED, cohort.value, np.nan))


def _individuals(problem: PooledProblem, fits: IndividualFits) -> Individuals:
    """Return what the patients' fits say of the parameters."""
    model, n = problem.model, problem.n_real
    p = len(model.names)
    phi, known = np.zeros((n, p)), np.zeros((n, p), dtype=bool)
    covariance = np.broadcast_to(np.eye(p), (n, p, p)).copy()
    for i, one in enumerate(fits.fits):
        if not len(one.theta) or one.view is None:
            continue
        spread = one.view.covariance[:p, :p]
        rows = {row.parameter: row for row in one.rows}
        known[i] = [rows[name].status == "ok" and spread[j, j] > 0 for j, name in enumerate(model.names)]
        places = np.flatnonzero(known[i])
        phi[i, places] = [model.parameters[j].transformed(float(one.theta[j])) for j in places]
        covariance[i][np.ix_(places, places)] = spread[np.ix_(places, places)]
    with jax.enable_x64(True):
        design = problem.samples.design[:n]
        return Individuals(jnp.asarray(phi), jnp.asarray(covariance), jnp.asarray(known), jnp.asarray(design))


def _residual(problem: PooledProblem, fits: IndividualFits, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the logarithms of the residual parameters, and the variance of each ``(s,)``."""
    names = problem.residual.names
    quantified = np.asarray(problem.samples.mask) & (np.asarray(problem.samples.censored) == 0)
    good = [(i, one) for i, one in enumerate(fits.fits) if len(one.theta)]
    values = np.array([[one[name].estimate or np.nan for name in names] for _, one in good]).reshape(-1, len(names))
    n = np.array([quantified[i].sum() for i, _ in good], dtype=float)
    k = np.array([one.n_searched - len(names) for _, one in good], dtype=float)
    usable = np.isfinite(values).all(axis=1) & (n > k)
    left = float((n - k)[usable].sum())
    if not usable.any():
        return np.array(start[problem.structure.parts["residual"]]), np.full(len(names), 1 / _FLAT)
    if len(names) == 1:
        pooled = (n[usable] * values[usable, 0] ** 2).sum() / left
        return np.array([0.5 * np.log(pooled)]), np.array([0.5 / left])
    logs = np.log(values[usable])
    return logs.mean(0), logs.var(0, ddof=min(1, len(logs) - 1)) / len(logs)


def _covariance(problem: PooledProblem, information: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the covariance of the flat vector: the second stage's, beside that of the residual."""
    part = problem.structure.parts["residual"]
    searched = problem.free.copy()
    searched[part] = False
    out = np.zeros_like(information)
    places = np.flatnonzero(searched)
    values, vectors = np.linalg.eigh(information[np.ix_(places, places)])
    out[np.ix_(places, places)] = (vectors / np.maximum(values, _FLAT)) @ vectors.T
    out[part, part] = np.diag(variance)
    return out


def _notes(problem: PooledProblem, counts: NDArray[np.int64]) -> tuple[str, ...]:
    short = [
        f"{name} ({count})"
        for name, count in zip(problem.model.names, counts.tolist(), strict=True)
        if count < problem.n_real
    ]
    told = "two-stage estimates are no maximum of -2LL: they are a start for other methods, and a comparison"
    if not short:
        return (told,)
    return (
        told,
        f"of {problem.n_real} patients, fewer determine by themselves {', '.join(short)}: the others say nothing",
    )
