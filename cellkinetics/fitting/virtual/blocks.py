"""Blocks of virtual patients: each has its own random numbers, so that a patient never depends on how work is cut.

Patient ``i`` of trial ``k`` is drawn from the stream (seed, k, i // BLOCK), whatever the number of patients, of blocks
at a time, or of processes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import FloatArray
from cellkinetics.fitting.covariates import design_of
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.virtual.design import TrialDesign
from cellkinetics.fitting.virtual.leaving import first_to_come
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import compiled
from cellkinetics.models.simulation import observe, room

BLOCK = 512
DIGITS = 6
"""Significant digits of simulated values, times and parameters: more than an assay has."""
_PAD = 8
_PURPOSES = ("classes", "effects", "occasions", "covariates", "times", "residual", "missed", "leaving")
IntArray = NDArray[np.int64]


class Block(NamedTuple):
    """Some patients of one trial; ``n`` patients, ``o`` occasions, ``m`` days of the longest schedule.

    Attributes:
        trial: number of the trial, from 0.
        first: number of the first patient, from 0.
        theta: parameters on the natural scale ``(n, o, p)``.
        member: class of each patient in a mixture, from 0 ``(n,)``.
        row: row of the table of patients ``(n,)``.
        schedule, dose: places in the design's schedules and doses ``(n,)``.
        time, nominal: days ``(n, o, m)`` and ``(n, m)``; NaN where a schedule has fewer.
        value, censored: samples ``(n, o, m)``.
        taken: whether there is a sample ``(n, o, m)``.
        last_day: day on which follow-up ends, infinite for never ``(n,)``.
        why: ``dropout``, ``relapse`` or "" ``(n,)``.
    """

    trial: int
    first: int
    theta: FloatArray
    member: IntArray
    row: IntArray
    schedule: IntArray
    dose: IntArray
    time: FloatArray
    nominal: FloatArray
    value: FloatArray
    censored: IntArray
    taken: NDArray[np.bool_]
    last_day: FloatArray
    why: NDArray[Any]


def simulate_block(
    population: PopulationModel, design: TrialDesign, seed: int, trial: int, first: int, n: int
) -> Block:
    """Simulate patients ``first`` to ``first + n`` of a trial, a whole block or the beginning of one.

    Args:
        population: whose patients they are.
        design: how they are followed.
        seed: of all trials.
        trial: number of the trial, from 0.
        first: a multiple of `BLOCK`.
        n: at most `BLOCK`.
    """
    # A stream for each purpose: the first patients are the same whatever n, the samples whatever the LLOQ.
    sequence = np.random.SeedSequence(seed, spawn_key=(trial, first // BLOCK))
    rng = dict(zip(_PURPOSES, map(np.random.default_rng, sequence.spawn(len(_PURPOSES))), strict=True))
    schedule, dose = design.turn(n, first)
    row = (rng["covariates"].random(n) * design.n_rows).astype(np.int64)
    theta, member = _parameters(population, design, row, dose, rng)
    days = _days(design)
    nominal = days[schedule]
    shape = (n, design.occasions, days.shape[1])
    rooms = np.stack([_padded(room(np.array(some)), days.shape[1]) for some in design.schedules.values()])[schedule]
    shift = design.jitter * rooms[:, None] * (2.0 * rng["times"].random(shape) - 1.0)
    time = significant(nominal[:, None] + shift)
    there = np.isfinite(time)
    at = np.where(there, time, 0.0)
    windows = design.windows(population.model.inputs, row)
    log_value = curves(population.model, theta.reshape(n * design.occasions, -1), at.reshape(-1, shape[2]), windows)
    value, censored = observe(
        log_value.reshape(shape),
        at,
        residual_sd=population.sigma.tolist(),
        lloq=design.lloq,
        uloq=design.uloq,
        rng=rng["residual"],
        residual=population.residual,
    )
    uniform = 1.0 - rng["leaving"].random((n, 2))
    rules = [
        (name, rule.days(uniform[:, k], theta[:, 0], population.model))
        for k, (name, rule) in enumerate((("dropout", design.dropout), ("relapse", design.relapse)))
        if rule is not None
    ]
    last_day, why = first_to_come(rules, n)
    taken = there & (rng["missed"].random(shape) >= design.missed) & (at <= last_day[:, None, None])
    return Block(
        trial, first, theta, member, row, schedule, dose, time, nominal, significant(value), censored, taken,
        last_day, why,
    )  # fmt: skip


def _parameters(
    population: PopulationModel, design: TrialDesign, row: IntArray, dose: IntArray, rng: dict[str, np.random.Generator]
) -> tuple[FloatArray, IntArray]:
    """Draw parameters on the natural scale ``(n, o, p)`` and classes ``(n,)``."""
    n, p = len(row), len(population.mu)
    structure = population.structure
    shares = population.shares / population.shares.sum()
    member = rng["classes"].choice(structure.classes, size=n, p=shares)
    phi = population.mu + population.shifts[member]
    matrix = _design(population, design, row, dose)
    if matrix is not None:
        phi = phi + matrix @ population.beta
    phi[:, list(structure.random)] += (
        rng["effects"].standard_normal((n, structure.n_random)) @ population.parts.factor.T
    )
    phi = np.repeat(phi[:, None], design.occasions, axis=1)
    if structure.occasion:
        phi = phi + np.sqrt(population.iov) * rng["occasions"].standard_normal((n, design.occasions, p))
    with jax.enable_x64(True):
        theta = np.asarray(population.model.to_natural(jnp.asarray(phi)))
    return theta, member


def _design(population: PopulationModel, design: TrialDesign, row: IntArray, dose: IntArray) -> FloatArray | None:
    """Return the design of the covariate terms ``(n, p, c)``, None where the population has none."""
    if not population.terms:
        return None
    values: dict[str, Any] = {name: np.asarray(column)[row] for name, column in design.patients.items()}
    if design.doses:
        values["dose"] = np.array(design.doses)[dose]
    return design_of(population.terms, population.model, values)


def curves(model: Model, theta: FloatArray, time: FloatArray, windows: FloatArray | None = None) -> FloatArray:
    """Return ln C by a compiled function: ``theta`` (n, p) and ``time`` (n, m) give (n, m).

    Args:
        model: a kinetic model.
        theta: parameters on the natural scale.
        time: days.
        windows: of a model with inputs, ``(n, k, w, 2)`` or fewer rows, each for as many rows of ``theta``.
    """
    n, m = time.shape
    # Few shapes, so that few programs are compiled.
    rows = BLOCK * -(-n // BLOCK) if n >= BLOCK else max(16, 1 << (n - 1).bit_length())
    index = np.minimum(np.arange(rows), n - 1)
    padded = np.zeros((rows, _PAD * -(-m // _PAD)))
    padded[:, :m] = time[index]
    with jax.enable_x64(True):
        arguments = [jnp.asarray(theta[index]), jnp.asarray(padded)]
        if windows is not None:
            arguments.append(jnp.asarray(np.repeat(windows, n // len(windows), axis=0)[index]))
        return np.asarray(_compiled(model)(*arguments))[:n, :m]


@cache
def _compiled(model: Model) -> Callable[..., jax.Array]:
    return compiled(jax.vmap(model.log_curve))


def significant(value: FloatArray, digits: int = DIGITS) -> FloatArray:
    """Round to significant digits; each number is the double nearest to its decimal.

    Example:
        >>> significant(np.array([123.4567891, 0.001234567891, 2e9 / 3, 0.0])).tolist()
        [123.457, 0.00123457, 666667000.0, 0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        power = digits - 1 - np.floor(np.log10(np.abs(value)))
    power = np.where(np.isfinite(power), power, 0.0)
    # A whole number over or times a power of ten is rounded once.
    up, down = 10.0 ** np.maximum(power, 0.0), 10.0 ** np.maximum(-power, 0.0)
    return np.rint(value * up / down) / up * down


def _days(design: TrialDesign) -> FloatArray:
    """Return the days of each schedule, padded with NaN, ``(s, m)``."""
    longest = max(len(days) for days in design.schedules.values())
    return np.stack([_padded(np.array(days, dtype=float), longest) for days in design.schedules.values()])


def _padded(values: FloatArray, length: int) -> FloatArray:
    return np.append(values, np.full(length - len(values), np.nan))
