"""A forecast for new patients: what a population and the samples so far say of the days to come.

    p(phi_i | y_i) ~ p(y_i | phi_i) p(phi_i | population),     C(t; phi_i),     y_i(t) = C(t; phi_i) + residual

at the conditional mode (the MAP estimate) and by draws of the conditional distribution. The population parameters are
taken as known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import Cohort
from cellkinetics.drawing import Drawable
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.conditional import (
    FEW_EFFECTIVE,
    Conditional,
    check_draws,
    conditional_draws,
    log_curves_of_draws,
    phi_of,
)
from cellkinetics.fitting.pooled.importance import importance_sample
from cellkinetics.fitting.pooled.individuals import LEVELS, Place, quantity_rows
from cellkinetics.fitting.pooled.known import Known, KnownPopulation, know
from cellkinetics.fitting.pooled.modes import conditional_modes
from cellkinetics.fitting.pooled.newcomers import problem_of
from cellkinetics.fitting.pooled.structure import FloatArray
from cellkinetics.models.compilation import use_compilation_cache
from cellkinetics.models.residual import Residual
from cellkinetics.models.simulation import measured, standard_noise

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 1000
HORIZON = 365.0
"""Last day of a forecast unless days are given, or samples go further."""
POINTS = 120
RESIDUALS = 5
"""Residuals that are drawn for each draw of a patient."""
_STREAM = 911
FORECAST_COLUMNS = (
    *("subject", "analyte", "occasion", "specimen", "time", "mode", "median", "low", "high"),
    *("sample_low", "sample_high", "typical"),
)
BELOW_COLUMNS = (*("subject", "analyte", "occasion", "specimen", "level", "time", "probability", "sample_probability"),)


@dataclass(frozen=True, eq=False)
class Forecast(Drawable):
    """What is to be expected of patients; all intervals are 95 % ones.

    Attributes:
        known: the population.
        cohort: the patients' samples.
        conditional: draws of the patients' parameters.
        mode: conditional modes on the natural scale ``(n, occasions, p)``.
        typical: parameters of a patient with the same covariates and no random effect, likewise.
        days: days of the forecast ``(m,)``.
        levels: levels whose probabilities are asked for.
        until: last day whose samples were used, None for all.
        seed: of all draws.
    """

    known: KnownPopulation
    cohort: Cohort
    conditional: Conditional
    mode: FloatArray
    typical: FloatArray
    days: FloatArray
    levels: tuple[float, ...]
    until: float | None
    seed: int

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Where each profile that takes part stands: in the cohort, patient and occasion."""
        found = [
            Place(i, unit, k) for unit, own in enumerate(self.conditional.problem.profiles) for k, i in enumerate(own)
        ]
        return tuple(sorted(found))

    @cached_property
    def log_curves(self) -> FloatArray:
        """Logarithms of C of each profile's draws on the days ``(r, draws, m)``, in the order of `places`."""
        rows = np.array([(place.patient, place.occasion) for place in self.places])
        return self.conditional.log_curves(rows, np.tile(self.days, (len(rows), 1)))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a profile and day: the file ``forecast.csv``."""
        import pandas as pd

        population = self.known.population
        low, median, high = np.exp(np.percentile(self.log_curves, [LEVELS[0], 50.0, LEVELS[1]], axis=1))
        rng = np.random.default_rng((self.seed, _STREAM))
        ends = []
        for log_curve in self.log_curves:
            # Several samples of each draw, as the ends of an interval are noisier than its middle; the same
            # residuals on all days, as each day is judged alone.
            many = np.tile(log_curve, (RESIDUALS, 1))
            eps = standard_noise(population.residual, (len(many), 1), rng)
            drawn = measured(many, eps, population.sigma.tolist(), population.residual)
            ends.append(np.percentile(drawn, LEVELS, axis=0))
        sample_low, sample_high = np.array(ends).swapaxes(0, 1)
        mode, typical = self._curve(self.mode), self._curve(self.typical)
        parts = [
            pd.DataFrame(
                {
                    **self._who(place),
                    "time": self.days,
                    "mode": mode[row],
                    "median": median[row],
                    "low": low[row],
                    "high": high[row],
                    "sample_low": sample_low[row],
                    "sample_high": sample_high[row],
                    "typical": typical[row],
                }
            )
            for row, place in enumerate(self.places)
        ]
        return pd.concat(parts, ignore_index=True)[list(FORECAST_COLUMNS)]

    @cached_property
    def drawn(self) -> Forecast:
        """The same forecast on days close enough to draw its curves through; itself where the days asked for are."""
        if len(self.days) >= POINTS:
            return self
        seen = self.cohort.time[self.cohort.mask]
        last = max(float(self.days[-1]), float(seen.max()) if seen.size else 0.0)
        return replace(self, days=_spread(last)) if last > 0 else self

    @cached_property
    def below(self) -> pd.DataFrame:
        """Probabilities of being below each level, of the curve and of a sample: the file ``forecast_below.csv``."""
        import pandas as pd

        population = self.known.population
        parts = []
        for level in self.levels:
            of_curve = (self.log_curves < np.log(level)).mean(axis=1)
            of_sample = _below(self.log_curves, level, population.sigma, population.residual).mean(axis=1)
            parts += [
                pd.DataFrame(
                    {
                        **self._who(place),
                        "level": level,
                        "time": self.days,
                        "probability": of_curve[row],
                        "sample_probability": of_sample[row],
                    }
                )
                for row, place in enumerate(self.places)
            ]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(BELOW_COLUMNS))

    @cached_property
    def quantities(self) -> pd.DataFrame:
        """One row a profile and quantity, as of a fit's patients: the file ``forecast_quantities.csv``."""
        theta = {place.profile: self.mode[place.patient, place.occasion] for place in self.places}
        return quantity_rows(self.cohort, self.conditional, theta)

    @property
    def status(self) -> str:
        """The sentence to read first."""
        problem, few = self.conditional.problem, self.conditional.effective < FEW_EFFECTIVE
        entered = np.asarray(problem.samples.mask)[: problem.n_real].sum(axis=1)
        silent = [problem.subjects[k] for k in np.flatnonzero(entered == 0)]
        text = f"{problem.n_real} patient{'s' if problem.n_real != 1 else ''}, {problem.n_observations} samples"
        if silent:
            text += f"; of {', '.join(silent[:5])} no sample enters, so that the population alone speaks"
        if few.any():
            names = ", ".join(problem.subjects[k] for k in np.flatnonzero(few)[:5])
            text += f"; intervals of {names} are rough: few draws are effective, take more (n)"
        return text

    @property
    def notes(self) -> tuple[str, ...]:
        """What was joined, changed or left aside of comedication, a sentence each."""
        return self.conditional.problem.notes

    def __repr__(self) -> str:
        text = f"Forecast from {self.known.name}: {self.status}; days {self.days[0]:g} to {self.days[-1]:g}"
        return "\n".join([text, *(f"- {note}" for note in self.notes)])

    def _who(self, place: Place) -> dict[str, str]:
        cohort, i = self.cohort, place.profile
        return {
            "subject": cohort.subject[i],
            "analyte": cohort.analyte[i],
            "occasion": cohort.occasion[i],
            "specimen": cohort.specimen[i],
        }

    def _curve(self, theta: FloatArray) -> FloatArray:
        """Return C of single parameters of each profile ``(r, m)``."""
        problem = self.conditional.problem
        own = np.stack([theta[place.patient, place.occasion] for place in self.places])[:, None]
        given = problem.samples.given
        windows = None if given is None else np.asarray(given)[[place.patient for place in self.places]]
        days = np.tile(self.days, (len(own), 1))
        return np.exp(log_curves_of_draws(problem.model, own, days, windows)[:, 0])


def forecast(
    population: Known,
    cohort: Cohort,
    times: Sequence[float] | None = None,
    *,
    n: int = DRAWS,
    levels: Sequence[float] | None = None,
    until: float | None = None,
    comedication: Any = None,
    seed: int = 0,
) -> Forecast:
    """Forecast patients who were not in a fit, from a population and their samples so far.

    Samples below quantification count as left-censored. A patient without a sample that can enter has the forecast of
    the population (with the patient's covariates).

    Args:
        population: a fit, the folder or ``population.json`` of one, an entry of the library, or values.
        cohort: the samples of one analyte and specimen.
        times: days of the forecast, in rising order; by default 120 from 0 to 365, or to the last sample.
        n: draws of each patient.
        levels: levels of which the probability to be below is asked; by default the LLOQ of the samples.
        until: last day whose samples are used, to see how the later ones would have been forecast.
        comedication: table of subject, drug, start and end, for a model with inputs.
        seed: of all draws.

    Raises:
        FitError: if the cohort and the population do not go together, or no patient can be used.
        SettingsError: for an option out of its range, or something that the population needs and is not given.
        DataError: for a covariate that is missing.

    Example:
        >>> new = Cohort.from_arrays([[3.0, 7.0, 10.0]], [[60.0, 4000.0, 20000.0]], lloq=50.0)
        >>> found = forecast("stein2019", new, [28, 90], levels=[50], n=200)
        >>> found.table.shape, found.below["time"].tolist()
        ((2, 12), [28.0, 90.0])
    """
    check_draws(n, seed)
    use_compilation_cache()
    known = know(population)
    days = _days(times, cohort)
    chosen = _levels(levels, cohort)
    windows, notes = None, tuple[str, ...]()
    if comedication is not None:
        from cellkinetics.data.comedication import comedication_of

        windows, notes = comedication_of(comedication, cohort).windows(cohort, known.population.model.inputs)
    problem = problem_of(cohort, known.population, value_unit=known.value_unit, given=windows, until=until, notes=notes)
    x = np.asarray(known.population.x)
    modes = conditional_modes(problem, x)
    # The proposals of an importance sampling, with its restarts where a patient's draws miss a region.
    proposal = importance_sample(problem, x, modes, seed=seed, stream=2, target_se=np.inf, slopes=False).proposal
    conditional = conditional_draws(problem, x, proposal, draws=n, seed=seed)
    u = np.asarray(modes.u)[: problem.n_real, None]
    with jax.enable_x64(True):
        natural = problem.model.to_natural
        mode, typical = (
            np.asarray(natural(jnp.asarray(phi_of(problem, x, latent)[:, 0]))) for latent in (u, np.zeros_like(u))
        )
    return Forecast(known, cohort, conditional, mode, typical, days, chosen, until, seed)


def _below(log_value: FloatArray, level: float, sigma: FloatArray, residual: Residual) -> FloatArray:
    """Return the probability of a sample below a level at each ln C, by the residual's distribution."""
    with jax.enable_x64(True):
        f = residual.prediction(jnp.asarray(log_value))
        limit = residual.observation(jnp.asarray(float(level)))
        return np.exp(-np.asarray(residual.nll(limit, f, jnp.ones(()), jnp.asarray(sigma))))


def _days(times: Sequence[float] | None, cohort: Cohort) -> FloatArray:
    if times is None:
        seen = cohort.time[cohort.mask]
        last = max(HORIZON, float(seen.max()) if seen.size else 0.0)
        return _spread(last)
    days = np.asarray(times, dtype=float)
    if days.ndim != 1 or not len(days) or not np.isfinite(days).all() or (np.diff(days) <= 0).any() or days[0] < 0:
        raise SettingsError("times must be a list of different days from 0, in rising order, such as [28, 84, 180]")
    return days


def _spread(last: float) -> FloatArray:
    """Return days from 0 to the last, denser near infusion, where the curve rises and falls."""
    return np.asarray(last * np.linspace(0.0, 1.0, POINTS) ** 2)


def _levels(levels: Sequence[float] | None, cohort: Cohort) -> tuple[float, ...]:
    if levels is None:
        limits = cohort.lloq[cohort.mask]
        limits = limits[np.isfinite(limits) & (limits > 0)]
        return (float(limits.max()),) if limits.size else ()
    found = tuple(float(level) for level in levels)
    if any(not 0 < level < np.inf for level in found):
        raise SettingsError(f"levels are positive numbers, not {list(found)}")
    return found
