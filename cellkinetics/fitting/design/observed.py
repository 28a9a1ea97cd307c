"""What noncompartmental analysis would see of simulated patients on a schedule, against their true curves."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.fitting.design.patients import draw_effects
from cellkinetics.fitting.design.population import AssumedPopulation
from cellkinetics.fitting.design.simulated import observed_cohort
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import compiled
from cellkinetics.nca.engine import noncompartmental

AREA_END = 28.0
_FARTHEST = 180.0  # days among which the true peak is looked for
_STEP = 0.25
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Observed:
    """Geometric mean of NCA/true over patients; None where nobody had the value.

    Attributes:
        cmax_ratio, auc_ratio: Cmax and AUC0-28 of samples with residual error.
        cmax_schedule_ratio, auc_schedule_ratio: of samples without one: what the schedule and the LLOQ alone
            do. The highest of several samples is also the one with the luckiest error, which lifts Cmax.
        auc_percent: share of patients whose AUC0-28 could be calculated.
    """

    cmax_ratio: float | None
    cmax_schedule_ratio: float | None
    auc_ratio: float | None
    auc_schedule_ratio: float | None
    auc_percent: float


@dataclass(frozen=True, eq=False)
class TrueCurves:
    """Patients of a population with the Cmax and AUC0-28 of their own curves, without residual error.

    Attributes:
        effects: random effects, ``(n, p)``.
        peak, area: ``(n,)``.
    """

    population: AssumedPopulation
    effects: FloatArray = field(repr=False)
    peak: FloatArray = field(repr=False)
    area: FloatArray = field(repr=False)
    seed: int

    @classmethod
    def draw(cls, population: AssumedPopulation, patients: int, seed: int) -> TrueCurves:
        """Draw patients; the same as those of `schedule_information` with the same seed."""
        effects = draw_effects(population, patients, seed)
        with jax.enable_x64(True):
            theta = jnp.asarray(population.parameters(effects))
            peak, area = _truth(theta, population.model)
            return cls(population, effects, np.asarray(peak), np.asarray(area), seed)

    def against_nca(self, schedule: tuple[float, ...], lloq: float | None) -> Observed:
        """Return how far NCA of samples on a schedule, by its default rules, is from these curves."""
        ratios = []
        for rng in (np.random.default_rng((self.seed, 1)), None):
            cohort = observed_cohort(self.population, self.effects, schedule, lloq, rng)
            wide = noncompartmental(cohort, windows=[(0.0, AREA_END)], parameters="CMAX,AUCINT").wide
            ratios.append(
                (
                    _ratio(wide["CMAX"].to_numpy(float), self.peak),
                    _ratio(wide[f"AUCINT_0_{AREA_END:g}"].to_numpy(float), self.area),
                )
            )
        (cmax, auc), (cmax_alone, auc_alone) = ratios
        return Observed(cmax[0], cmax_alone[0], auc[0], auc_alone[0], auc[1])


def _ratio(found: FloatArray, truth: FloatArray) -> tuple[float | None, float]:
    """Return the geometric mean of the positive finite ratios, and the percentage of patients that had one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(found / truth)
    has = np.isfinite(logs)
    return float(np.exp(logs[has].mean())) if has.any() else None, 100.0 * float(has.mean())


@partial(compiled, static_argnames="model")
def _truth(theta: jax.Array, model: Model) -> tuple[jax.Array, jax.Array]:
    """Return the highest point of each curve after infusion, and its area from day 0 to 28.

    The peak is looked for on a grid and at the parameters that are times; the area is exact where the model
    has one, else by Gauss-Legendre panels.
    """
    times = [k for k, parameter in enumerate(model.parameters) if parameter.unit == "time"]
    grid = jnp.arange(0.0, _FARTHEST + _STEP, _STEP)
    edges = jnp.arange(0.0, AREA_END + _STEP, _STEP)
    half, middle = jnp.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2

    def one(values: jax.Array) -> tuple[jax.Array, jax.Array]:
        days = jnp.concatenate([grid, *[values[k][None] for k in times]])
        peak = jnp.exp(model.log_curve(values, days).max())
        if model.area is not None and not model.inputs:
            return peak, model.area(values, jnp.asarray(0.0), jnp.asarray(AREA_END))
        inside = model.log_curve(values, (middle + half * jnp.asarray(_NODES)).ravel())
        return peak, (jnp.exp(inside).reshape(half.shape[0], -1) * half * jnp.asarray(_WEIGHTS)).sum()

    return jax.lax.map(one, theta, batch_size=64)
