"""The result of a population fit: a frozen record that prints as a table and writes the contract's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cellkinetics.data.cohort import Cohort, FloatArray
from cellkinetics.drawing import Drawable
from cellkinetics.errors import FitError
from cellkinetics.fitting.pooled.diagnosed import Diagnosed

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.bayes import Posterior
    from cellkinetics.fitting.pooled.conditional import Conditional
    from cellkinetics.fitting.pooled.estimate import Trace
    from cellkinetics.fitting.pooled.forecast import Forecast
    from cellkinetics.fitting.pooled.importance import ImportanceResult
    from cellkinetics.fitting.pooled.modes import Modes
    from cellkinetics.fitting.pooled.population import PopulationModel
    from cellkinetics.fitting.pooled.problem import PooledProblem
    from cellkinetics.fitting.virtual.trial import VirtualTrial


WEAK_RSE = 50.0
"""A standard error above this percentage of its estimate is worth a warning."""


@dataclass(frozen=True)
class PopulationEstimate:
    """One estimated quantity.

    Attributes:
        kind: ``typical``, ``coefficient`` (of a covariate), ``omega`` (SD between patients), ``correlation``,
            ``gamma`` (SD between occasions), ``shift`` and ``share`` (of a sub-population), or ``residual``.
        transform: scale ``h`` on which its interval is symmetric.
        se, rse_percent, ci_low, ci_high: on the natural scale; None where there are none. What may be zero or
            negative has no RSE.
        iiv_cv_percent: of an omega on the log scale, 100 sqrt(exp(omega^2) - 1).
        shrinkage_percent: of an omega, 100 (1 - SD(modes) / omega).
        shrinkage_variance_percent: of an omega, 100 (1 - Var(conditional means) / omega^2).
        reason: why cells are empty, or what to know about the number.
    """

    parameter: str
    kind: str
    transform: str
    estimate: float
    unit: str
    se: float | None = None
    rse_percent: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    iiv_cv_percent: float | None = None
    shrinkage_percent: float | None = None
    shrinkage_variance_percent: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class IndividualEffect:
    """One patient's random effect: mode (eta), conditional mean and SD, and the EBE on the natural scale."""

    subject: str
    analyte: str
    occasion: str
    specimen: str
    parameter: str
    unit: str
    eta: float | None = None
    eta_mean: float | None = None
    eta_sd: float | None = None
    ebe: float | None = None
    status: str = "ok"
    reason: str = ""


@dataclass(frozen=True)
class Objective:
    """-2 ln L of the observations, constants included, and how it was computed.

    ``draws`` are those of all patients together. ``own`` holds the objective of a Laplace-type method by its name:
    a record of the search, not to be compared between models.
    """

    minus2ll: float
    method: str
    mc_se: float
    draws: int
    ess_min: float
    ess_min_subject: str
    own: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PopulationFit(Drawable, Diagnosed):
    """A population fit.

    Attributes:
        model, method, seed: what was asked for.
        converged: whether the search ended at an optimum.
        status: the sentence to read first, with the next step where one is needed.
        warnings: sentences about what is weak or was left out.
        estimates: in the order of the flat vector: typical values, covariates, omegas, ..., residual.
        covariance: of the flat vector of free elements on the working scale, with its ``labels``, or None.
        uncertainty: where the standard errors come from.
        effects: one entry a patient and parameter.
        work: counts of the work done (iterations, evaluations); they repeat, seconds would not.
        cohort: what was fitted.
        problem: data, model and structure as the likelihood took them.
        population: the estimates as a population to simulate from.
        importance: the likelihood at the estimates with each patient's contribution and conditional moments.
        modes: conditional modes of the whitened random effects.
        trace: the way of the search, where the method keeps it.
        posterior: draws of method ``bayes``, with their checks.
    """

    model: str
    method: str
    seed: int
    converged: bool
    status: str
    warnings: tuple[str, ...]
    n_subjects: int
    n_observations: int
    n_censored: int
    estimates: tuple[PopulationEstimate, ...]
    labels: tuple[str, ...]
    covariance: FloatArray | None
    uncertainty: str
    effects: tuple[IndividualEffect, ...]
    objective: Objective
    aic: float
    bic: float
    bicc: float
    work: Mapping[str, int]
    cohort: Cohort = field(repr=False)
    problem: PooledProblem = field(repr=False)
    population: PopulationModel = field(repr=False)
    importance: ImportanceResult = field(repr=False)
    modes: Modes = field(repr=False)
    trace: Trace | None = field(repr=False, default=None)
    posterior: Posterior | None = field(repr=False, default=None)
    curve_parts: tuple[tuple[str, str, str, str, FloatArray, FloatArray, FloatArray], ...] = field(
        repr=False, default=()
    )

    def __getitem__(self, parameter: str) -> PopulationEstimate:
        for row in self.estimates:
            if row.parameter == parameter:
                return row
        raise FitError(f"the fit has no row {parameter!r}; it has {', '.join(row.parameter for row in self.estimates)}")

    @property
    def x(self) -> FloatArray:
        """The flat vector of the estimates, see `cellkinetics.fitting.pooled.structure`."""
        return self.population.x

    @property
    def terms_in_words(self) -> tuple[str, ...]:
        """What each covariate coefficient is: its form and the reference that typical values belong to."""
        return tuple(
            f"{name}: {meaning}"
            for term in self.population.terms
            for name, meaning in zip(term.names, term.meanings, strict=True)
        )

    @property
    def residual_scale(self) -> str:
        """``log`` or ``natural``: where the residual is added."""
        return self.population.residual.scale

    @property
    def typical(self) -> dict[str, float]:
        """Typical values on the natural scale by name."""
        return {row.parameter: row.estimate for row in self.estimates if row.kind == "typical"}

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a population parameter: the file ``population.csv``."""
        import pandas as pd

        columns = [
            "parameter", "kind", "transform", "estimate", "se", "rse_percent", "ci_low", "ci_high",
            "unit", "iiv_cv_percent", "shrinkage_percent", "shrinkage_variance_percent", "reason",
        ]  # fmt: skip
        numbers = [*columns[3:8], *columns[9:12]]
        frame = pd.DataFrame([vars(row) for row in self.estimates], columns=columns)
        return frame.astype(dict.fromkeys(numbers, float))

    @cached_property
    def individual(self) -> pd.DataFrame:
        """One row a patient and parameter: the file ``individual_effects.csv``."""
        import pandas as pd

        columns = [
            "subject",
            "analyte",
            "occasion",
            "specimen",
            "parameter",
            "eta",
            "eta_mean",
            "eta_sd",
            "ebe",
            "unit",
            "status",
            "reason",
        ]
        numbers = ["eta", "eta_mean", "eta_sd", "ebe"]
        frame = pd.DataFrame([vars(effect) for effect in self.effects], columns=columns)
        return frame.astype(dict.fromkeys(numbers, float))

    @cached_property
    def quantities(self) -> pd.DataFrame:
        """One row a patient and quantity, parameters and what is derived: the file ``individual_quantities.csv``."""
        from cellkinetics.fitting.pooled.individuals import quantity_table

        return quantity_table(self, self._draws)

    @cached_property
    def _draws(self) -> Conditional:
        return self.conditional()

    def conditional(self, n: int = 200, *, seed: int | None = None) -> Conditional:
        """Draw each patient's parameters from their distribution given the patient's samples.

        The population parameters are taken as known. See `cellkinetics.fitting.pooled.conditional`.

        Args:
            n: draws of each patient.
            seed: of the draws; that of the fit by default.

        Raises:
            SettingsError: for less than one draw, or a negative seed.
        """
        from cellkinetics.fitting.pooled.conditional import conditional_draws

        chosen = self.seed if seed is None else seed
        return conditional_draws(self.problem, self.x, self.importance.proposal, draws=n, seed=chosen)

    def simulate(self, n: int = 100, days: Any = "standard", **options: Any) -> VirtualTrial:
        """Simulate trials of patients of this population; see `cellkinetics.simulate_trial` for the options."""
        from cellkinetics.fitting.virtual.trial import simulate_trial

        return simulate_trial(self, n, days, **options)

    def forecast(self, cohort: Cohort, times: Sequence[float] | None = None, **options: Any) -> Forecast:
        """Forecast new patients from this population and their samples so far; see `cellkinetics.forecast`."""
        from cellkinetics.fitting.pooled.forecast import forecast

        return forecast(self, cohort, times, **options)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Curves at each patient's modes, with 95 % intervals, and at the typical values: ``population_curves.csv``."""
        import pandas as pd

        columns = ["subject", "analyte", "occasion", "specimen", "model", "time", "predicted"]
        columns += ["predicted_low", "predicted_high", "typical"]
        if not self.curve_parts:
            return pd.DataFrame(columns=columns)
        from cellkinetics.fitting.pooled.individuals import curve_bands

        bands = zip(*curve_bands(self, self._draws), strict=True)
        parts = [
            pd.DataFrame(
                {
                    "subject": subject,
                    "analyte": analyte,
                    "occasion": occasion,
                    "specimen": specimen,
                    "model": self.model,
                    "time": time,
                    "predicted": predicted,
                    "predicted_low": low,
                    "predicted_high": high,
                    "typical": typical,
                }
            )
            for (subject, analyte, occasion, specimen, time, predicted, typical), (low, high) in zip(
                self.curve_parts, bands, strict=True
            )
        ]
        return pd.concat(parts, ignore_index=True)[columns]

    @cached_property
    def correlations(self) -> pd.DataFrame:
        """One row a pair of estimated parameters: the file ``population_correlation.csv``."""
        from cellkinetics.fitting.pooled.correlation import correlation_table

        return correlation_table(self)

    @property
    def condition_number(self) -> float | None:
        """Of the correlation matrix of the estimates, None without one; see `correlation.condition_number`."""
        from cellkinetics.fitting.pooled.correlation import condition_number

        return None if self.covariance is None else condition_number(self.covariance)

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as plain values: the file ``population.json``."""
        typical = [row for row in self.estimates if row.kind == "typical"]
        omega = [row for row in self.estimates if row.kind == "omega"]
        residual = [row for row in self.estimates if row.kind == "residual"]
        rest = [row for row in self.estimates if row.kind not in ("typical", "omega", "residual")]
        places = list(self.population.structure.random)
        keys = ("transform", "estimate", "se", "rse_percent", "ci_low", "ci_high", "unit")
        return {
            "model": self.model,
            "method": self.method,
            "converged": self.converged,
            "status": self.status,
            "warnings": list(self.warnings),
            "n_subjects": self.n_subjects,
            "n_observations": self.n_observations,
            "n_censored": self.n_censored,
            "parameters": [{"name": row.parameter, **{key: getattr(row, key) for key in keys}} for row in typical],
            "omega": {
                "names": [row.parameter.removeprefix("omega_") for row in omega],
                "covariance": self.population.omega[np.ix_(places, places)].tolist(),
                "sd": [row.estimate for row in omega],
                "sd_se": [row.se for row in omega],
                "shrinkage": [_fraction(row.shrinkage_percent) for row in omega],
                "shrinkage_variance": [_fraction(row.shrinkage_variance_percent) for row in omega],
            },
            "others": [{"name": row.parameter, "kind": row.kind, **{k: getattr(row, k) for k in keys}} for row in rest],
            "residual": {
                "name": self.population.residual.name,
                "scale": self.residual_scale,
                "distribution": "student" if self.population.residual.kind == "student" else "normal",
                "sd": residual[0].estimate,
                "se": residual[0].se,
                "parameters": [{"name": row.parameter, **{key: getattr(row, key) for key in keys}} for row in residual],
            },
            "uncertainty": self.uncertainty,
            "covariance": None
            if self.covariance is None
            else {"names": list(self.labels), "working": self.covariance.tolist()},
            "condition_number": self.condition_number,
            "posterior": None if self.posterior is None else self.posterior.to_dict(),
            "population": self.population.to_dict(),
            "covariates": self._covariates(),
            "objective": {**vars(self.objective), "own": dict(self.objective.own)},
            "aic": self.aic,
            "bic": self.bic,
            "bicc": self.bicc,
            "seed": self.seed,
            "timing": dict(self.work),
        }

    def _covariates(self) -> dict[str, list[Any]]:
        """Return the covariates of the population's terms, one value a patient who was fitted."""
        if not self.population.terms:
            return {}
        from cellkinetics.fitting.covariates import covariate_values

        places = np.array(self.problem.index)
        values = covariate_values(self.cohort, self.population.terms, places)
        return {name: [None if one != one else one for one in array.tolist()] for name, array in values.items()}

    def __repr__(self) -> str:
        lines = [
            f"PopulationFit, model {self.model}, method {self.method}: {self.status}",
            f"  {self.n_subjects} subjects, {self.n_observations} observations, {self.n_censored} below quantification",
            f"  {'parameter':<14}{'estimate':>12}{'RSE %':>9}{'95 % CI':>26}  unit",
        ]
        for row in self.estimates:
            rse = "" if row.rse_percent is None else f"{row.rse_percent:.1f}"
            ci = "" if row.ci_low is None else f"{row.ci_low:.4g} to {row.ci_high:.4g}"
            lines.append(f"  {row.parameter:<14}{row.estimate:>12.4g}{rse:>9}{ci:>26}  {row.unit}".rstrip())
        o = self.objective
        lines.append(
            f"  -2LL {o.minus2ll:.2f} (Monte-Carlo SE {o.mc_se:.2f}), AIC {self.aic:.2f}, BIC {self.bic:.2f}; "
            f"standard errors: {self.uncertainty}"
        )
        lines += [f"  {meaning}" for meaning in self.terms_in_words]
        lines += [f"  note: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
