"""What a population fit says of each patient: random effects, their conditional moments, curves."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.curve_grid import curve_times
from cellkinetics.fitting.pooled.importance import ImportanceResult
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.result import IndividualEffect
from cellkinetics.fitting.pooled.structure import Form, Population, Structure
from cellkinetics.models.programs import program
from cellkinetics.units import unit_label

FloatArray = NDArray[np.float64]


def effects(
    problem: PooledProblem,
    cohort: Cohort,
    phi: FloatArray,
    base: FloatArray,
    theta: FloatArray,
    likelihood: ImportanceResult,
) -> tuple[IndividualEffect, ...]:
    """Rows of every profile; ``phi``, ``base`` and ``theta`` are ``(n, occasions, p)``, at the modes."""
    eta_mean, eta_sd = latent_moments(problem, likelihood)
    place = {i: (unit, k) for unit, own in enumerate(problem.profiles) for k, i in enumerate(own)}
    rows = []
    for i, names in enumerate(places_of(cohort)):
        for j, parameter in enumerate(problem.model.parameters):
            who = (
                *names,
                parameter.name,
                unit_label(parameter.unit, time=cohort.time_unit, value=cohort.value_unit[i]),
            )
            if i not in place:
                rows.append(IndividualEffect(*who, status="not_calculated", reason=problem.left_out[i]))
                continue
            unit, k = place[i]
            varies = j in problem.structure.random or j in problem.structure.occasion
            rows.append(
                IndividualEffect(
                    *who,
                    eta=float(phi[unit, k, j] - base[unit, k, j]),
                    eta_mean=float(eta_mean[unit, k, j]),
                    eta_sd=float(eta_sd[unit, k, j]),
                    ebe=float(theta[unit, k, j]),
                    reason="" if varies else "no random effect",
                )
            )
    return tuple(rows)


def latent_matrix(structure: Structure, population: Population) -> FloatArray:
    """Return A of the deviation A w of the parameters from their middle, linear in the latent vector w: (K, p, d)."""
    q, r, rounds = structure.n_random, len(structure.occasion), structure.occasions if structure.occasion else 1
    matrix = np.zeros((rounds, len(structure.parameters), structure.n_latent))
    matrix[:, list(structure.random), :q] = population.factor
    for k in range(rounds if r else 0):
        matrix[k, list(structure.occasion), q + k * r + np.arange(r)] += population.gamma
    return matrix


def within_class(population: Population, u: FloatArray) -> FloatArray:
    """Return whitened random effects less the shift of the patient's class in a mixture, ``(n, q)`` as they are given.

        u - sum_c P(c | u) L^-1 shift_c,    P(c | u) ~ share_c exp(-|u - L^-1 shift_c|^2 / 2)

    Without a mixture they are as they were. Only these have mean 0 and variance 1 in the population.
    """
    if len(population.log_share) == 1:
        return u
    middles = np.linalg.solve(population.factor, population.shift.T).T
    weight = population.log_share - 0.5 * ((u[:, None] - middles) ** 2).sum(axis=2)
    share = np.exp(weight - weight.max(axis=1, keepdims=True))
    return u - share / share.sum(axis=1, keepdims=True) @ middles


def latent_moments(problem: PooledProblem, likelihood: ImportanceResult) -> tuple[FloatArray, FloatArray]:
    """Return conditional mean and SD of each patient's deviation from its middle, ``(n, occasions, p)`` each.

    They are exact: the deviation is linear in the latent vector.
    """
    structure = problem.structure
    matrix = latent_matrix(structure, structure.values(likelihood.x))
    mean = np.einsum("kpd,nd->nkp", matrix, likelihood.mean)
    variance = np.einsum("kpd,nde,kpe->nkp", matrix, likelihood.covariance, matrix)
    return mean, np.sqrt(np.maximum(variance, 0.0))


@program("form")
def _log_curves(theta: jax.Array, time: jax.Array, *given: jax.Array, form: Form) -> jax.Array:
    """Return ln C of each row: ``theta`` (n, p), ``time`` (n, m)."""
    return jax.vmap(form.model.log_curve)(theta, time, *given)


def curves(problem: PooledProblem, cohort: Cohort, theta: FloatArray, base: FloatArray) -> tuple[tuple[Any, ...], ...]:
    """Curves at the modes and at the typical values, on one grid length so that JAX compiles once."""
    flat = [(unit, k, i) for unit, own in enumerate(problem.profiles) for k, i in enumerate(own)]
    own, rounds = np.array([[unit, k] for unit, k, _ in flat]).T
    own_theta, model, given = theta[own, rounds], problem.model, problem.samples.given
    reference = model.natural_values(base[own, rounds])
    grid = np.array(
        [
            curve_times(model, own_theta[row], cohort.time[i, cohort.mask[i]], reference[row])
            for row, (_, _, i) in enumerate(flat)
        ]
    )
    with jax.enable_x64(True):
        extra = () if given is None else (np.asarray(given)[own],)
        predicted = np.exp(np.asarray(_log_curves(own_theta, grid, *extra, form=problem.form)))
        typical = np.exp(np.asarray(_log_curves(reference, grid, *extra, form=problem.form)))
    places = places_of(cohort)
    return tuple((*places[i], grid[row], predicted[row], typical[row]) for row, (_, _, i) in enumerate(flat))


def places_of(cohort: Cohort) -> list[tuple[str, str, str, str]]:
    """Subject, analyte, occasion and specimen of each profile."""
    return list(zip(cohort.subject, cohort.analyte, cohort.occasion, cohort.specimen, strict=True))
