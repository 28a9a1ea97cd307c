"""`population_residuals`: what is left between samples and a population fit, censored samples included.

    iwres_ij = (y_ij - f(t_ij; phi_i)) / sd_ij

at the conditional modes phi_i, and at a draw from the patient's conditional distribution. A sample that is only
known to lie in a range has a range of residuals, and a draw from the normal distribution cut off to it. Of a
Student residual it is the normal score, Phi^-1(P_df(z)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp, stdtr

from cellkinetics.data.cohort import LEFT_CENSORED, RIGHT_CENSORED, FloatArray, IntArray
from cellkinetics.diagnostics.observed import PLACE, Observed, observed
from cellkinetics.diagnostics.simulation import predictions, typical_predictions
from cellkinetics.drawing import Drawable
from cellkinetics.fitting.pooled.conditional import conditional_draws
from cellkinetics.fitting.pooled.random_effects import Effects

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

_STREAM = 841
COLUMNS = (*PLACE, "typical", "predicted", "iwres", "iwres_low", "iwres_high", "iwres_conditional", "drawn")


@dataclass(frozen=True, eq=False, repr=False)
class PopulationResiduals(Drawable):
    """Residuals of a population fit, sample by sample.

    Attributes:
        table: one row a sample, the file ``population_residuals.csv``.
        time_unit, value_unit: for the axes.
    """

    table: pd.DataFrame
    time_unit: str
    value_unit: str

    @cached_property
    def shrinkage(self) -> float:
        """Shrinkage of the residuals at the modes in per cent, 100 (1 - SD(iwres))."""
        return float(100 * (1 - self.table["iwres"].std(ddof=1)))

    def __repr__(self) -> str:
        own, drawn = self.table["iwres"], self.table["iwres_conditional"]
        return (
            f"PopulationResiduals: {len(own)} samples, {int(self.table['drawn'].sum())} of them drawn within their "
            f"limits; iwres mean {own.mean():.3f}, SD {own.std():.3f} (shrinkage {self.shrinkage:.0f} %); "
            f"at conditional draws mean {drawn.mean():.3f}, SD {drawn.std():.3f}"
        )


def population_residuals(fit: PopulationFit, *, seed: int | None = None) -> PopulationResiduals:
    """Return predictions and weighted residuals of every sample of a population fit.

    ``typical`` is the prediction without random effects, ``predicted`` that at the patient's modes. ``iwres`` of a
    censored sample is drawn from the part of N(0, 1) between ``iwres_low`` and ``iwres_high``, and marked. If the
    model is right, ``iwres_conditional`` is standard normal; ``iwres`` is drawn towards 0 where patients have few
    samples.

    Args:
        fit: what `pool` returned.
        seed: of the draws; by default that of the fit.

    Source: Karlsson MO, Savic RM. Clin Pharmacol Ther 2007;82:17-20, doi:10.1038/sj.clpt.6100241 (shrinkage).
    """
    chosen = fit.seed if seed is None else seed
    samples = observed(fit)
    mask = samples.mask
    f, sd = _at(samples, np.asarray(fit.modes.u)[: samples.n])
    one = conditional_draws(fit.problem, fit.x, fit.importance.proposal, draws=1, seed=chosen)
    drawn_f, drawn_sd = _at(samples, one.u[:, 0])
    uniform = np.random.default_rng((chosen, _STREAM)).random(mask.shape)
    iwres, low, high = _scores(samples, f, sd, uniform)
    conditional, *_ = _scores(samples, drawn_f, drawn_sd, uniform)
    censored = samples.censored[mask] != 0
    limits = [np.where(censored & np.isfinite(end[mask]), end[mask], np.nan) for end in (low, high)]
    table = samples.places.assign(
        typical=samples.natural(typical_predictions(samples)[mask]),
        predicted=samples.natural(f[mask]),
        iwres=iwres[mask],
        iwres_low=limits[0],
        iwres_high=limits[1],
        iwres_conditional=conditional[mask],
        drawn=censored,
    )
    cohort = samples.cohort
    return PopulationResiduals(table[list(COLUMNS)], cohort.time_unit, cohort.value_unit[samples.problem.index[0]])


def _at(samples: Observed, latent: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return predictions and spreads ``(n, m)`` at whitened latent vectors ``(n, d)``."""
    structure, population = samples.problem.structure, samples.population
    padded = np.zeros((samples.samples.time.shape[0], latent.shape[1]))
    padded[: len(latent)] = latent
    q = structure.n_random
    own, between = (padded[:, :q] @ population.factor.T)[None], None
    if structure.occasion:
        shape = (1, len(padded), structure.occasions, len(structure.occasion))
        between = population.gamma * padded[:, q:].reshape(shape)
    f, sd = predictions(samples, samples.samples, Effects(own, between))
    return f[0, : samples.n], sd[0, : samples.n]


def _scores(
    samples: Observed, f: FloatArray, sd: FloatArray, uniform: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return residuals as normal scores, drawn where censored, and the ends of their ranges, ``(n, m)`` each."""
    residual = samples.problem.residual

    def score(y: FloatArray) -> FloatArray:
        z = (y - f) / sd
        if residual.kind != "student":
            return z
        # The lower tail has all digits: a large z is turned round.
        return np.where(z > 0, -ndtri(stdtr(residual.df, -np.abs(z))), ndtri(stdtr(residual.df, -np.abs(z))))

    with np.errstate(invalid="ignore"):
        own, lower = score(samples.y), score(samples.lower)
    return truncated(own, samples.censored, lower, uniform)


def truncated(
    z: FloatArray, censored: IntArray, lower: FloatArray, uniform: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return standard normal residuals, those of censored samples drawn within their range, and the ranges.

    Args:
        z: residuals, at the limit where a sample is censored.
        censored: 0 quantified, 1 below ``z``, -1 above it.
        lower: lower end of an interval, NaN where there is none.
        uniform: random numbers from 0 to 1 behind the draws.

    Example:
        >>> drawn, low, high = truncated(np.array([1.0, -1.0]), np.array([0, 1]), np.full(2, np.nan), np.full(2, 0.5))
        >>> drawn.round(2).tolist(), low.tolist(), high.tolist()
        ([1.0, -1.41], [1.0, -inf], [1.0, -1.0])
    """
    left, right = censored == LEFT_CENSORED, censored == RIGHT_CENSORED
    between = left & np.isfinite(lower)
    low = np.where(left, np.where(between, lower, -np.inf), z)
    high = np.where(right, np.inf, z)
    with np.errstate(invalid="ignore", divide="ignore"):
        tail = ndtri_exp(np.log(uniform) + log_ndtr(np.where(right, -z, z)))
        inside = ndtri(ndtr(low) + uniform * (ndtr(high) - ndtr(low)))
        inside = np.clip(np.where(np.isfinite(inside), inside, high), low, high)
    drawn = np.where(between, inside, np.where(left, tail, np.where(right, -tail, z)))
    return drawn, low, high
