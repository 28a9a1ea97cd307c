"""`schedule_information`: what one schedule tells about the population, and about each patient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.design.fisher import Precision, add_samples, expected_information, precision_of
from cellkinetics.fitting.design.individual import (
    patient_information,
    patient_precision,
    posterior_variance,
    shrinkage,
)
from cellkinetics.fitting.design.patients import (
    Days,
    checked_count,
    checked_days,
    checked_limit,
    days_of,
    draw_effects,
)
from cellkinetics.fitting.design.population import Assumed, AssumedPopulation, assume
from cellkinetics.fitting.design.simulated import simulated_information
from cellkinetics.fitting.pooled.result import WEAK_RSE
from cellkinetics.fitting.precision import interval
from cellkinetics.models.compilation import compiled

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["conditional", "fo", "simulated"]
METHODS: tuple[Method, ...] = get_args(Method)
OPTIMISTIC = 2
"""With fewer samples than parameters and this many more, linearised standard errors are told to be optimistic."""

_LARGE = 10.0  # an SE on the log scale that is not worth printing


@dataclass(frozen=True)
class ParameterInformation:
    """What a schedule tells about one quantity of the population and, for a parameter, about patients.

    Attributes:
        parameter: a parameter, ``omega_`` and its name, or ``sigma``.
        kind: ``typical``, ``omega`` or ``residual``.
        value: what was assumed, natural scale.
        se, rse_percent: expected of a population fit, natural scale; None with a reason.
        individual_se: median over patients of the expected SE of a patient fitted alone, transformed scale.
        identifiable_percent: share of patients for whom that SE would let the parameter be reported.
        map_sd: expected posterior SD of a MAP estimate with the population as prior, transformed scale.
        shrinkage_percent: of the conditional modes, 100 (1 - SD(modes)/omega).
        reason_code, reason: why cells are empty.
    """

    parameter: str
    kind: str
    value: float
    se: float | None = None
    rse_percent: float | None = None
    individual_se: float | None = None
    identifiable_percent: float | None = None
    map_sd: float | None = None
    shrinkage_percent: float | None = None
    reason_code: str = ""
    reason: str = ""


COLUMNS = tuple(ParameterInformation.__dataclass_fields__)


@dataclass(frozen=True, eq=False)
class ScheduleInformation:
    """The expected information of a schedule.

    Attributes:
        schedule: sampling days.
        population: what was taken as true.
        lloq, n_subjects, method, fixed, patients, seed: what was asked for.
        parameters: one entry a quantity.
        n_quantified, n_blq: expected samples of a patient after infusion, above and below the LLOQ.
        information: expected Fisher information of all patients about (mu, ln omega, ln sigma) of ``labels``.
        labels: names of its rows.
        log_det: ln of its determinant, -inf if it is singular.
        status: the sentence to read first.
    """

    schedule: tuple[float, ...]
    population: AssumedPopulation
    lloq: float | None
    n_subjects: int
    method: str
    fixed: tuple[str, ...]
    patients: int
    seed: int
    parameters: tuple[ParameterInformation, ...]
    n_quantified: float
    n_blq: float
    information: FloatArray = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    log_det: float
    status: str

    def __getitem__(self, parameter: str) -> ParameterInformation:
        for row in self.parameters:
            if row.parameter == parameter:
                return row
        raise SettingsError(f"there is no {parameter!r}; there is {', '.join(r.parameter for r in self.parameters)}")

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a quantity, as in ``schedule_parameters.csv``."""
        import pandas as pd

        frame = pd.DataFrame([vars(row) for row in self.parameters], columns=list(COLUMNS))
        numbers = [name for name in COLUMNS if name not in {"parameter", "kind", "reason_code", "reason"}]
        return frame.astype(dict.fromkeys(numbers, float))

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "schedule": list(self.schedule),
            "population": self.population.to_dict(),
            "lloq": self.lloq,
            "n_subjects": self.n_subjects,
            "method": self.method,
            "fixed": list(self.fixed),
            "patients": self.patients,
            "seed": self.seed,
            "n_quantified": self.n_quantified,
            "n_blq": self.n_blq,
            "log_det": self.log_det if np.isfinite(self.log_det) else None,
            "status": self.status,
            "parameters": [dict(vars(row)) for row in self.parameters],
        }

    def __repr__(self) -> str:
        def cell(value: float | None, form: str) -> str:
            return "" if value is None else format(value, form)

        lines = [
            f"ScheduleInformation, days {days_text(self.schedule)}, {self.n_subjects} patients of "
            f"{self.population.name or self.population.model.name}: {self.status}",
            f"  expected samples a patient: {self.n_quantified:.1f} quantified, {self.n_blq:.1f} below quantification",
            f"  {'parameter':<14}{'value':>10}{'RSE %':>9}{'one patient: SE':>17}{'reported %':>12}"
            f"{'MAP SD':>9}{'shrinkage %':>13}",
        ]
        lines += [
            f"  {row.parameter:<14}{row.value:>10.4g}{cell(row.rse_percent, '.1f'):>9}"
            f"{_capped(row.individual_se):>17}{cell(row.identifiable_percent, '.0f'):>12}"
            f"{cell(row.map_sd, '.2f'):>9}{cell(row.shrinkage_percent, '.0f'):>13}".rstrip()
            for row in self.parameters
        ]
        return "\n".join(lines)


def schedule_information(
    schedule: Iterable[float],
    population: Assumed = "stein2019",
    *,
    lloq: float | None = None,
    n_subjects: int = 30,
    fixed: Iterable[str] = (),
    method: Method = "conditional",
    patients: int = 500,
    seed: int = 0,
) -> ScheduleInformation:
    """Return what a schedule is expected to tell: precision of a population fit, and of each patient's.

    | method | curve linearised | samples below quantification | cost |
    |---|---|---|---|
    | ``fo`` | at eta = 0 | by their expected information | least |
    | ``conditional`` | at each of ``patients`` drawn patients | by their expected information | a second |
    | ``simulated`` | nowhere: exact likelihood of simulated samples | as in a fit | a minute |

    With few samples linearising is optimistic: between days 7, 14 and 28 it takes the side of Tmax on which
    a sample lies as known. Take ``simulated`` for numbers to decide by there; schedules come out in the same
    order (`docs/schedules.md`).

    Args:
        schedule: sampling days from infusion. A sample at or before infusion tells nothing.
        population: name of a library entry, an entry, a population fit, or an `AssumedPopulation`.
        lloq: lower limit of quantification, or None.
        n_subjects: number of patients of the planned trial; standard errors go as 1/sqrt(n_subjects).
        fixed: quantities taken as known in the population fit, such as ``beta`` or ``omega_beta``.
        method: see above.
        patients: number of patients drawn for expectations.
        seed: of the draws.

    Raises:
        SettingsError: for an option out of its range.
        ModelError: for an unknown population.

    Source: see `cellkinetics.fitting.design.fisher` and `cellkinetics.fitting.design.individual`.

    Example:
        >>> few = schedule_information([7, 14, 28], lloq=50, patients=64)
        >>> more = schedule_information([3, 7, 10, 14, 28, 90], lloq=50, patients=64)
        >>> few["cmax"].rse_percent > more["cmax"].rse_percent
        True
    """
    days = checked_days(schedule, "schedule")
    assumed = assume(population)
    known = tuple(fixed) if not isinstance(fixed, str) else (fixed,)
    labels = assumed.estimated(known)
    if method not in METHODS:
        raise SettingsError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    limit, n_subjects, patients = (
        checked_limit(lloq),
        checked_count(n_subjects, "n_subjects"),
        checked_count(patients, "patients"),
    )
    drawn = days_of(assumed, draw_effects(assumed, patients, seed), days, limit)
    one = _one_patient(assumed, drawn, days, limit, method, patients, seed)
    keep = [list(_all_labels(assumed)).index(label) for label in labels]
    information = n_subjects * one[np.ix_(keep, keep)]
    precision = precision_of(information)
    n_quantified = np.asarray(drawn.quantified).sum(axis=1)
    parameters = (*_rows(assumed, labels, precision, drawn, n_quantified),)
    after = sum(day > 0 for day in days)
    quantified = float(n_quantified.mean())
    return ScheduleInformation(
        schedule=days,
        population=assumed,
        lloq=limit,
        n_subjects=n_subjects,
        method=method,
        fixed=known,
        patients=patients,
        seed=seed,
        parameters=parameters,
        n_quantified=quantified,
        n_blq=after - quantified,
        information=information,
        labels=labels,
        log_det=precision.log_det,
        status=_status(assumed, parameters, after, method),
    )


def _capped(se: float | None) -> str:
    """Return an SE as text; where the samples tell nothing its size does not matter."""
    return "" if se is None else f"{se:.2f}" if se < _LARGE else f">{_LARGE:g}"


def days_text(days: Iterable[float]) -> str:
    """Return days as a short text.

    Example:
        >>> days_text((7.0, 14.0, 28.5))
        '7, 14, 28.5'
    """
    return ", ".join(f"{day:g}" for day in days)


def _all_labels(population: AssumedPopulation) -> tuple[str, ...]:
    """Return the rows of a whole information matrix, parameters without variability included."""
    names = population.model.names
    return (*names, *(f"omega_{name}" for name in names), "sigma")


def _one_patient(
    population: AssumedPopulation,
    drawn: Days,
    days: tuple[float, ...],
    lloq: float | None,
    method: str,
    patients: int,
    seed: int,
) -> FloatArray:
    if method == "simulated":
        return simulated_information(population, days, lloq, patients=patients, seed=seed)
    if method == "fo":
        drawn = days_of(population, np.zeros((1, len(population.omega))), days, lloq)
    with jax.enable_x64(True):
        return np.asarray(_linearised(drawn, jnp.asarray(population.omega)))


@compiled
def _linearised(days: Days, omega: jax.Array) -> jax.Array:
    return expected_information(add_samples(days), omega)


def _rows(
    population: AssumedPopulation,
    labels: tuple[str, ...],
    precision: Precision,
    drawn: Days,
    n_quantified: FloatArray,
) -> list[ParameterInformation]:
    names, omega = population.model.names, population.omega
    information = patient_information(drawn)
    alone = patient_precision(information, n_quantified)
    with jax.enable_x64(True):
        variance = np.asarray(posterior_variance(jnp.asarray(information[:, :-1, :-1]), jnp.asarray(omega)))
    shrunk = shrinkage(variance, omega)
    rows = []
    for label in population.labels:
        kind = "residual" if label == "sigma" else "omega" if label.startswith("omega_") else "typical"
        value = population.value(label)
        se = rse = None
        code = reason = ""
        if label not in labels:
            code, reason = "fixed", "taken as known"
        elif not precision.determined[labels.index(label)]:
            code, reason = "not_estimable", "the samples leave it open, together with others or alone"
        else:
            transform = population.model[label].transform if kind == "typical" else "log"
            with np.errstate(over="ignore"):
                spread = interval(transform, value, float(precision.se[labels.index(label)]))
            se, rse = spread.se, spread.rse_percent if np.isfinite(spread.rse_percent) else None
        row = ParameterInformation(label, kind, value, se, rse, reason_code=code, reason=reason)
        if kind != "omega":
            k = names.index(label) if kind == "typical" else len(names)
            varies = kind == "typical" and omega[k] > 0
            row = ParameterInformation(
                label,
                kind,
                value,
                se,
                rse,
                individual_se=float(np.median(alone.se[:, k])),
                identifiable_percent=100.0 * float(alone.identifiable[:, k].mean()),
                map_sd=float(np.sqrt(variance[:, k].mean())) if varies else None,
                shrinkage_percent=float(shrunk[k]) if varies else None,
                reason_code=code,
                reason=reason,
            )
        rows.append(row)
    return rows


def _status(
    population: AssumedPopulation, parameters: tuple[ParameterInformation, ...], samples: int, method: str
) -> str:
    lost = [row.parameter for row in parameters if row.reason_code == "not_estimable"]
    weak = [row.parameter for row in parameters if row.rse_percent is not None and row.rse_percent > WEAK_RSE]
    parts = []
    if lost:
        parts.append(f"{', '.join(lost)} cannot be estimated; add samples or fix them")
    if weak:
        parts.append(f"RSE above {WEAK_RSE:g} % for {', '.join(weak)}; more patients or other days")
    if not parts:
        parts.append(f"every RSE is expected below {WEAK_RSE:g} %")
    if method != "simulated" and samples < len(population.model.names) + OPTIMISTIC:
        parts.append("optimistic with so few samples: take method simulated before deciding")
    return "; ".join(parts)
