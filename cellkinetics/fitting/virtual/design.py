"""What a virtual trial is: sampling days, limits, visits that are missed, who leaves, doses and covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.virtual.leaving import Leaving
from cellkinetics.models.base import Intervals
from cellkinetics.models.simulation import checked_times

SCHEDULES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "dense": (1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 112, 180, 270, 365),
        "standard": (1, 3, 7, 10, 14, 21, 28, 56, 84, 180, 365),
        "sparse": (7, 14, 28, 84),
    }
)
"""Schedules that have a name."""
TAKEN = frozenset(
    {"trial", "subject", "time", "nominal_time", "value", "censored", "lloq", "uloq", "unit", "occasion", "schedule"}
)
"""Columns of the samples that no covariate may have."""


@dataclass(frozen=True, eq=False)
class TrialDesign:
    """How virtual patients are followed; what all have in common, and what is drawn for each.

    Attributes:
        schedules: name to days from infusion; patients get them in turn.
        lloq, uloq: limits of quantification, or None.
        jitter: largest deviation of an actual from a nominal time, as a fraction of the way to the nearest
            neighbouring time (0 to 0.5); day 0 never moves.
        missed: share of the samples that are not taken.
        dropout, relapse: rules by which follow-up ends; the first to come counts.
        doses: patients get them in turn, each dose with every schedule; none for no column ``dose``.
        patients: covariates to draw from: name to values ``(r,)``. Each patient gets all values of one row, drawn
            with replacement, so that correlations stay. Columns ``<input>_from`` and ``<input>_to`` are when a
            patient is given an input of the model, such as comedication; empty for never.
        given: when every patient is given an input, see `Model.intervals`.
        occasions: infusions of each patient; times count from each, and parameters with inter-occasion
            variability are drawn anew.

    Raises:
        SettingsError: for an option out of its range.

    Example:
        >>> TrialDesign({"short": (7, 14)}, lloq=50, doses=(150, 300)).turn(5)
        (array([0, 0, 0, 0, 0]), array([0, 1, 0, 1, 0]))
    """

    schedules: Mapping[str, tuple[float, ...]]
    lloq: float | None = None
    uloq: float | None = None
    jitter: float = 0.0
    missed: float = 0.0
    dropout: Leaving | None = None
    relapse: Leaving | None = None
    doses: tuple[float, ...] = ()
    patients: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    given: Intervals | None = None
    occasions: int = 1

    def __post_init__(self) -> None:
        if not self.schedules:
            raise SettingsError("a trial needs sampling days, such as days=[7, 14, 28]")
        for days in self.schedules.values():
            checked_times(days, self.jitter)
        for name in ("lloq", "uloq"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))
        limits = [limit for limit in (self.lloq, self.uloq) if limit is not None]
        for name in ("lloq", "uloq"):
            limit = getattr(self, name)
            if limit is not None and not 0 < limit < np.inf:
                raise SettingsError(f"{name} is {limit:g}; give a positive number, or leave {name} out for no limit")
        if len(limits) == 2 and limits[0] >= limits[1]:
            raise SettingsError(f"lloq is {limits[0]:g} and uloq {limits[1]:g}; give a lower limit below the upper")
        if not 0 <= self.missed < 1:
            raise SettingsError(f"missed is {self.missed}; give the share of samples, at least 0 and below 1")
        if any(not 0 <= dose < np.inf for dose in self.doses):
            raise SettingsError(f"doses are numbers of at least 0, not {self.doses}")
        if self.occasions < 1:
            raise SettingsError(f"occasions is {self.occasions}; give a number of at least 1")
        for name in ("dropout", "relapse"):
            rule = getattr(self, name)
            if self.occasions > 1 and rule is not None and rule.kind == "below":
                raise SettingsError(
                    f"{name} {rule} ends the follow-up on a day of one curve, and each of {self.occasions} occasions "
                    "has its own: simulate one occasion, or take a hazard or a table"
                )
        taken = sorted({str(name) for name in self.patients} & (TAKEN | ({"dose"} if self.doses else set())))
        if taken:
            raise SettingsError(f"patients: a covariate cannot be named {', '.join(taken)}, a column of the samples")
        if len({len(values) for values in self.patients.values()}) > 1 or (self.patients and not self.n_rows):
            raise SettingsError("patients: give a table with a row a patient, and at least one")

    @property
    def n_rows(self) -> int:
        """Number of rows of the table of patients."""
        return len(next(iter(self.patients.values()))) if self.patients else 0

    def turn(self, n: int, first: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which schedule and which dose patients ``first`` to ``first + n`` get, as places ``(n,)``."""
        number = np.arange(first, first + n)
        schedules = len(self.schedules)
        return number % schedules, number // schedules % max(len(self.doses), 1)

    def windows(self, inputs: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Return when patients are given each input, ``(n, k, w, 2)``, or None where no input is given to anybody.

        Args:
            inputs: of the model (k).
            rows: of the table of patients that each one has ``(n,)``.
        """
        if not inputs:
            return None
        common = self.given or {}
        widest = max([1, *(len(spans) + 1 for spans in common.values())])
        array = np.zeros((len(rows), len(inputs), widest, 2))
        for k, name in enumerate(inputs):
            for w, span in enumerate(common.get(name, ())):
                array[:, k, w] = span
            ends = [self.patients.get(f"{name}_{end}") for end in ("from", "to")]
            if ends[0] is not None and ends[1] is not None:
                own = np.stack([np.asarray(end, dtype=float)[rows] for end in ends], axis=1)
                array[:, k, -1] = np.where(np.isnan(own).any(axis=1, keepdims=True), 0.0, own)
        return array


def schedules_of(days: Sequence[float] | str | Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    """Return schedules by name from days, the name of one of `SCHEDULES`, or a mapping.

    Raises:
        SettingsError: for an unknown name.

    Example:
        >>> schedules_of("sparse"), schedules_of([7, 14])
        ({'sparse': (7, 14, 28, 84)}, {'7,14': (7.0, 14.0)})
    """
    if isinstance(days, str):
        if days not in SCHEDULES:
            raise SettingsError(f"there is no schedule {days!r}; there is {', '.join(SCHEDULES)}, or give days")
        return {days: SCHEDULES[days]}
    if isinstance(days, Mapping):
        return {str(name): tuple(float(day) for day in some) for name, some in days.items()}
    found = tuple(float(day) for day in days)
    return {",".join(f"{day:g}" for day in found): found}
