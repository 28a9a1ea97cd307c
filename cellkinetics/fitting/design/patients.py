"""Patients drawn from an assumed population, and what a sample on each day would tell about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from cellkinetics.data.cohort import FloatArray
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.design.population import AssumedPopulation
from cellkinetics.fitting.design.sample import sample_information
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import compiled

BLOCK = 8
"""Days are padded to whole blocks of this many."""


class Days(NamedTuple):
    """What one sample on each of ``d`` days tells about each of ``n`` patients.

    Attributes:
        slope: derivatives of ln C in the parameters on their transformed scale, ``(n, d, p)``.
        weight: information about ln C, ``(n, d)``; 1/sigma^2 for a sample that is surely quantified.
        cross: information about ln C and ln sigma together, ``(n, d)``.
        residual: information about ln sigma as a share of that of a quantified sample, ``(n, d)``.
        quantified: probability of being quantified, ``(n, d)``.
    """

    slope: jax.Array
    weight: jax.Array
    cross: jax.Array
    residual: jax.Array
    quantified: jax.Array

    def on(self, index: jax.Array) -> Days:
        """Return the days of these places."""
        return Days(*(part[:, index] for part in self))


def draw_effects(population: AssumedPopulation, n: int, seed: int) -> FloatArray:
    """Draw random effects ``(n, p)`` by a Latin hypercube: each parameter's distribution is filled evenly.

    Source: McKay MD, Beckman RJ, Conover WJ. Technometrics 1979;21:239-245, doi:10.1080/00401706.1979.10489755.
    """
    rng = np.random.default_rng(seed)
    p = len(population.omega)
    strata = np.stack([rng.permutation(n) for _ in range(p)], axis=1)
    return population.omega * ndtri((strata + rng.random((n, p))) / n)


def days_of(
    population: AssumedPopulation, effects: FloatArray, days: Sequence[float] | FloatArray, lloq: float | None
) -> Days:
    """Return what samples on these days tell about patients with these random effects ``(n, p)``.

    A sample at or before infusion tells nothing: it is taken before there are cells. The days are padded
    with such samples to whole blocks, see `padded`, which leaves every sum over them as it is.
    """
    with jax.enable_x64(True):
        time = jnp.asarray(padded(days))
        limit = jnp.asarray(-np.inf if lloq is None else np.log(lloq))
        phi = jnp.asarray(population.mu + effects)
        return _days(phi, time, limit, jnp.asarray(population.residual_sd), population.model)


def padded(days: Sequence[float] | FloatArray) -> FloatArray:
    """Return days with zeros behind them up to a whole block, so that schedules share one compiled program.

    Example:
        >>> padded([7.0, 14.0]).tolist()
        [7.0, 14.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    out = np.zeros(-(-len(days) // BLOCK) * BLOCK)
    out[: len(days)] = days
    return out


def log_curves_on(population: AssumedPopulation, effects: FloatArray, days: FloatArray) -> FloatArray:
    """Return ln C of patients with these random effects on common days: ``(n, p)`` and ``(d,)`` give ``(n, d)``."""
    with jax.enable_x64(True):
        phi = jnp.asarray(population.mu + effects)
        return np.asarray(_curves(phi, jnp.asarray(padded(days)), population.model))[:, : len(days)]


@partial(compiled, static_argnames="model")
def _curves(phi: jax.Array, time: jax.Array, model: Model) -> jax.Array:
    return jax.vmap(lambda x: model.log_curve(model.to_natural(x), time))(phi)


@partial(compiled, static_argnames="model")
def _days(phi: jax.Array, time: jax.Array, limit: jax.Array, sigma: jax.Array, model: Model) -> Days:
    def curve(x: jax.Array) -> jax.Array:
        return model.log_curve(model.to_natural(x), time)

    log_value, slope = jax.vmap(lambda x: (curve(x), jax.jacfwd(curve)(x)))(phi)
    told = sample_information(log_value, sigma, limit)
    after = time > 0
    return Days(
        slope=jnp.where(after[:, None], slope, 0.0),
        weight=jnp.where(after, told.prediction, 0.0) / sigma**2,
        cross=jnp.where(after, told.cross, 0.0) / sigma,
        residual=jnp.where(after, told.log_sd, 0.0) / 2.0,
        quantified=jnp.where(after, told.quantified, 0.0),
    )


def checked_days(days: Iterable[float], what: str) -> tuple[float, ...]:
    """Return days in rising order.

    Raises:
        SettingsError: if there are none, or they are not different finite numbers; ``what`` names them.

    Example:
        >>> checked_days([14, 7, 28], "schedule")
        (7.0, 14.0, 28.0)
    """
    try:
        found = sorted(float(day) for day in days)
    except (TypeError, ValueError):
        raise SettingsError(f"{what} must be a list of days, such as [7, 14, 28], not {days!r}") from None
    if not found or not np.isfinite(found).all() or len(set(found)) < len(found):
        raise SettingsError(f"{what} must be a list of different days, such as [7, 14, 28], not {days!r}")
    return tuple(found)


def checked_limit(lloq: float | None) -> float | None:
    """Return the LLOQ.

    Raises:
        SettingsError: unless it is a positive number or None.
    """
    if lloq is not None and not 0 < lloq < np.inf:
        raise SettingsError(f"lloq is {lloq}; give a positive number, or None for data without a limit")
    return lloq


def checked_count(number: int, what: str) -> int:
    """Return a count of at least 1.

    Raises:
        SettingsError: for another number; ``what`` names it.
    """
    if isinstance(number, bool) or int(number) != number or number < 1:
        raise SettingsError(f"{what} is {number!r}; give a whole number of at least 1")
    return int(number)
