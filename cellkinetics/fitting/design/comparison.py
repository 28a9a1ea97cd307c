"""`compare_schedules`: several schedules side by side, in the terms of a trial team."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cellkinetics.drawing import Drawable
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.design.individual import explained
from cellkinetics.fitting.design.information import (
    COLUMNS,
    Method,
    ScheduleInformation,
    days_text,
    schedule_information,
)
from cellkinetics.fitting.design.observed import Observed, TrueCurves
from cellkinetics.fitting.design.patients import checked_days, days_of, draw_effects
from cellkinetics.fitting.design.population import Assumed, AssumedPopulation, assume

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = (
    "schedule", "days", "n_samples", "n_quantified", "n_blq", "d_efficiency_percent",
    "d_efficiency_per_sample_percent", "nca_cmax_ratio", "nca_cmax_schedule_ratio", "nca_auc_0_28_ratio",
    "nca_auc_0_28_schedule_ratio", "nca_auc_0_28_percent", "not_estimable", "status",
)  # fmt: skip

NCA_PATIENTS = 2000
"""Patients of the simulated noncompartmental analysis at least: its ratios carry residual error."""


@dataclass(frozen=True, eq=False)
class ScheduleComparison(Drawable):
    """Schedules side by side.

    Attributes:
        entries: name to expected information.
        observed: name to what NCA would see.
        reference: the schedule that efficiencies are relative to.
        status: the sentence to read first.
    """

    entries: Mapping[str, ScheduleInformation]
    observed: Mapping[str, Observed]
    reference: str
    status: str
    _days: tuple[float, ...] = field(repr=False)

    def __getitem__(self, schedule: str) -> ScheduleInformation:
        if schedule in self.entries:
            return self.entries[schedule]
        raise SettingsError(f"there is no schedule {schedule!r}; there is {', '.join(self.entries)}")

    @property
    def population(self) -> AssumedPopulation:
        """What was taken as true."""
        return self.entries[self.reference].population

    def efficiency(self, schedule: str) -> float:
        """Return the D-efficiency relative to the reference, (det M / det M_ref)^(1/q), in percent.

        An efficiency of 50 % means: twice the patients for the same precision, all parameters taken together.
        """
        one, other = self[schedule], self.entries[self.reference]
        return 100.0 * float(np.exp((one.log_det - other.log_det) / len(one.labels)))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a schedule: the file ``schedules.csv``."""
        import pandas as pd

        rows = []
        size = len(self.entries[self.reference].schedule)
        for name, entry in self.entries.items():
            seen, efficiency = self.observed[name], self.efficiency(name)
            lost = [row.parameter for row in entry.parameters if row.reason_code == "not_estimable"]
            rows.append(
                (
                    name, days_text(entry.schedule).replace(", ", " "), len(entry.schedule), entry.n_quantified,
                    entry.n_blq, efficiency, efficiency * size / len(entry.schedule), seen.cmax_ratio,
                    seen.cmax_schedule_ratio, seen.auc_ratio, seen.auc_schedule_ratio, seen.auc_percent,
                    " ".join(lost), entry.status,
                )
            )  # fmt: skip
        numbers = dict.fromkeys(SUMMARY[3:12], float)
        return pd.DataFrame(rows, columns=list(SUMMARY)).astype(numbers)

    @cached_property
    def parameters(self) -> pd.DataFrame:
        """One row a schedule and quantity: the file ``schedule_parameters.csv``."""
        import pandas as pd

        parts = [entry.table.assign(schedule=name) for name, entry in self.entries.items()]
        return pd.concat(parts, ignore_index=True)[["schedule", *COLUMNS]]

    @cached_property
    def days(self) -> pd.DataFrame:
        """What one sample on a day explains of each parameter's variability: the file ``schedule_days.csv``."""
        import pandas as pd

        first = self.entries[self.reference]
        population = first.population
        drawn = days_of(population, draw_effects(population, first.patients, first.seed), self._days, first.lloq)
        share = explained(drawn, population.omega)[: len(self._days)]
        kept = [k for k, name in enumerate(population.model.names) if name in population.random]
        quantified = np.asarray(drawn.quantified).mean(axis=0)[: len(self._days)]
        return pd.DataFrame(
            {
                "day": np.repeat(self._days, len(kept)),
                "parameter": np.tile([population.model.names[k] for k in kept], len(self._days)),
                "explained_percent": 100.0 * share[:, kept].ravel(),
                "quantified_percent": 100.0 * np.repeat(quantified, len(kept)),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {
            "reference": self.reference,
            "status": self.status,
            "schedules": {
                name: {
                    **entry.to_dict(),
                    "d_efficiency_percent": self.efficiency(name),
                    "nca": dict(vars(self.observed[name])),
                }
                for name, entry in self.entries.items()
            },
        }

    def __repr__(self) -> str:
        names = list(self.entries)
        width = max(12, *(len(name) + 2 for name in names))
        first = self.entries[self.reference]
        lines = [
            f"ScheduleComparison, {first.n_subjects} patients of "
            f"{first.population.name or first.population.model.name}: {self.status}",
            f"  {'':<26}" + "".join(f"{name:>{width}}" for name in names),
        ]

        def add(title: str, cells: Iterable[float | None], form: str) -> None:
            texts = ["-" if value is None else format(value, form) for value in cells]
            lines.append(f"  {title:<26}" + "".join(f"{text:>{width}}" for text in texts))

        entries = list(self.entries.values())
        seen = [self.observed[name] for name in names]
        add("samples", [float(len(entry.schedule)) for entry in entries], ".0f")
        add("expected BLQ", [entry.n_blq for entry in entries], ".1f")
        add("D-efficiency %", [self.efficiency(name) for name in names], ".0f")
        add("NCA/true Cmax", [one.cmax_ratio for one in seen], ".2f")
        add("  without residual error", [one.cmax_schedule_ratio for one in seen], ".2f")
        add("NCA/true AUC0-28", [one.auc_ratio for one in seen], ".2f")
        for label in first.population.labels:
            add(f"RSE % {label}", [entry[label].rse_percent for entry in entries], ".0f")
        for label in first.population.random:
            add(f"shrinkage % {label}", [entry[label].shrinkage_percent for entry in entries], ".0f")
        for label in first.population.model.names:
            add(f"fitted alone % {label}", [entry[label].identifiable_percent for entry in entries], ".0f")
        return "\n".join(lines)


def compare_schedules(
    schedules: Mapping[str, Iterable[float]],
    population: Assumed = "stein2019",
    *,
    reference: str | None = None,
    lloq: float | None = None,
    n_subjects: int = 30,
    fixed: Iterable[str] = (),
    method: Method = "conditional",
    patients: int = 500,
    seed: int = 0,
) -> ScheduleComparison:
    """Compare schedules: precision of a population fit and of patients, BLQ samples, bias of NCA, D-efficiency.

    Every schedule meets the same virtual patients. NCA/true is the geometric mean ratio of NCA of simulated
    samples to the patients' own curves, with residual error and without.

    Args:
        schedules: name to sampling days.
        population: name of a library entry, an entry, a population fit, or an `AssumedPopulation`.
        reference: the schedule that efficiencies are relative to; by default the most efficient one.
        lloq: lower limit of quantification, or None.
        n_subjects: number of patients of the planned trial.
        fixed: quantities taken as known in the population fit.
        method: ``conditional``, ``fo`` or ``simulated``, see `schedule_information`.
        patients: number of patients drawn for expectations.
        seed: of the draws.

    Raises:
        SettingsError: for no schedule, an unknown reference, or an option out of its range.
        ModelError: for an unknown population.

    Example:
        >>> both = compare_schedules({"sparse": [7, 14, 28], "rich": [3, 7, 10, 14, 21, 28, 60]}, lloq=50, patients=64)
        >>> both.reference, both.efficiency("sparse") < 50
        ('rich', True)
    """
    if not schedules:
        raise SettingsError("give at least one schedule, such as {'weekly': [7, 14, 28]}")
    if reference is not None and reference not in schedules:
        raise SettingsError(f"reference is {reference!r}, and the schedules are {', '.join(schedules)}")
    assumed = assume(population)
    known = tuple(fixed) if not isinstance(fixed, str) else (fixed,)
    entries = {
        str(name): schedule_information(
            checked_days(days, f"schedule {name}"),
            assumed,
            lloq=lloq,
            n_subjects=n_subjects,
            fixed=known,
            method=method,
            patients=patients,
            seed=seed,
        )
        for name, days in schedules.items()
    }
    truth = TrueCurves.draw(assumed, max(patients, NCA_PATIENTS), seed)
    observed = {name: truth.against_nca(entry.schedule, lloq) for name, entry in entries.items()}
    best = max(entries, key=lambda name: entries[name].log_det)
    reference = reference or best
    if not np.isfinite(entries[reference].log_det):
        status = (
            f"{reference} leaves parameters open, so that nothing can be compared with it: choose another reference"
        )
    else:
        worst = min(entries, key=lambda name: entries[name].log_det)
        ratio = np.exp((entries[worst].log_det - entries[best].log_det) / len(entries[best].labels))
        status = f"{best} tells most"
        if worst != best:
            status += f", {worst} least: {100 * ratio:.0f} % of its information per patient"
    last = max(entry.schedule[-1] for entry in entries.values())
    return ScheduleComparison(entries, observed, reference, status, _profile_days(last))


def _profile_days(last: float) -> tuple[float, ...]:
    """Return the days on which the profile of information is looked at: whole ones, weekly beyond day 60."""
    near = np.arange(1.0, max(min(np.ceil(last), 60.0), 28.0) + 1.0)
    far = np.arange(63.0, last + 7.0, 7.0) if last > 60 else np.array([])
    return tuple(float(day) for day in [*near, *far])
