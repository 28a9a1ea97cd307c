"""The criterion of a search: how much many schedules at a time tell."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray, IntArray
from cellkinetics.fitting.design.fisher import add_samples, expected_information
from cellkinetics.fitting.design.patients import Days, days_of, draw_effects
from cellkinetics.fitting.design.population import AssumedPopulation
from cellkinetics.fitting.design.space import Index
from cellkinetics.models.compilation import compiled


class Score:
    """The criterion of schedules, many at a time: rows of places among the days.

    What a sample on each day tells about each patient is calculated once, here; a schedule is a sum of days.
    """

    def __init__(
        self, drawn: Days, omega: jax.Array, keep: IntArray, wanted: IntArray, scale: FloatArray, criterion: str
    ) -> None:
        self._drawn, self._omega = drawn, omega
        self._keep, self._wanted, self._scale, self._criterion = keep, wanted, scale, criterion

    @classmethod
    def of(
        cls,
        population: AssumedPopulation,
        days: tuple[float, ...],
        lloq: float | None,
        labels: tuple[str, ...],
        wanted: tuple[str, ...],
        criterion: str,
        patients: int,
        seed: int,
    ) -> Score:
        """Return the criterion of schedules among ``days`` for these quantities."""
        drawn = days_of(population, draw_effects(population, patients, seed), days, lloq)
        names = population.model.names
        every = [*names, *(f"omega_{name}" for name in names), "sigma"]
        keep = np.array([every.index(label) for label in labels])
        place = np.array([labels.index(label) for label in wanted])
        scale = np.array([_relative_scale(population, label) for label in labels])
        with jax.enable_x64(True):
            return cls(drawn, jnp.asarray(population.omega), keep, place, scale, criterion)

    def __call__(self, rows: Sequence[Index]) -> FloatArray:
        """Return the criterion of each row; -inf where quantities are left open."""
        with jax.enable_x64(True):
            information = np.asarray(_informations(self._drawn, self._omega, jnp.asarray(np.array(rows))))
        information = information[:, self._keep[:, None], self._keep]
        size = np.sqrt(np.einsum("kii->ki", information))
        told = (size > 0).all(axis=1)
        size = np.where(size > 0, size, 1.0)
        values, vectors = np.linalg.eigh(information / (size[:, :, None] * size[:, None, :]))
        sound = told & (values[:, 0] > 1e-9 * values[:, -1])
        values = np.where(sound[:, None], values, 1.0)
        out = np.full(len(rows), -np.inf)
        q = len(self._wanted)
        if self._criterion == "d" and q == len(self._keep):
            out[sound] = (np.log(values).sum(axis=1) + 2 * np.log(size).sum(axis=1))[sound] / q
            return out
        covariance = np.einsum("kiv,kv,kjv->kij", vectors, 1 / values, vectors) / (size[:, :, None] * size[:, None, :])
        part = covariance[:, self._wanted[:, None], self._wanted]
        if self._criterion == "d":
            out[sound] = -np.linalg.slogdet(part)[1][sound] / q
        else:
            variance = np.einsum("kii->ki", part) * self._scale[self._wanted] ** 2
            out[sound] = -0.5 * np.log(variance.mean(axis=1))[sound]
        return out


def _relative_scale(population: AssumedPopulation, label: str) -> float:
    """Return what turns an SE on the working scale into one relative to the value."""
    if label.startswith("omega_") or label == "sigma":
        return 1.0
    transform, value = population.model[label].transform, population.value(label)
    return {"log": 1.0, "logit": 1.0 - value}.get(transform, 1.0 / abs(value) if value else 1.0)


@compiled
def _informations(drawn: Days, omega: jax.Array, rows: jax.Array) -> jax.Array:
    return jax.lax.map(lambda row: expected_information(add_samples(drawn.on(row)), omega), rows, batch_size=16)
