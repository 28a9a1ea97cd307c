"""Rows of virtual samples and patients: as a table, and as the text of a CSV file, with the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.virtual.blocks import DIGITS, Block, significant
from cellkinetics.fitting.virtual.design import TrialDesign

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Rows:
    """How the patients of virtual trials are written.

    Samples have the columns ``trial`` (of several trials), ``subject``, ``occasion`` (of several), ``time,
    nominal_time, value, censored, lloq``, ``uloq`` (if there is one), ``unit``, ``dose`` (if there are doses),
    ``schedule`` (of several), and the covariates. Patients have ``trial``, ``subject``, ``occasion`` (where parameters
    vary between occasions), the parameters on the natural scale, ``class`` (of a mixture), ``last_day`` and ``ended``
    (if patients leave), ``dose``, ``schedule`` and the covariates.

    Attributes:
        design: of the trials.
        n: patients of a trial.
        trials: number of trials.
        parameters: names of the model's parameters.
        unit: of the values, "" for no column.
        varying: whether parameters vary between occasions.
        mixture: whether patients belong to classes.
    """

    design: TrialDesign
    n: int
    trials: int
    parameters: tuple[str, ...]
    unit: str = ""
    varying: bool = False
    mixture: bool = False

    @cached_property
    def sample_columns(self) -> tuple[str, ...]:
        """Names of the columns of the samples."""
        design = self.design
        return (
            *self._begin(design.occasions > 1),
            *("time", "nominal_time", "value", "censored", "lloq"),
            *(("uloq",) if design.uloq is not None else ()),
            *(("unit",) if self.unit else ()),
            *self._end,
        )

    @cached_property
    def patient_columns(self) -> tuple[str, ...]:
        """Names of the columns of the patients."""
        leave = self.design.dropout is not None or self.design.relapse is not None
        return (
            *self._begin(self.varying),
            *self.parameters,
            *(("class",) if self.mixture else ()),
            *(("last_day", "ended") if leave else ()),
            *self._end,
        )

    def samples(self, blocks: Iterable[Block]) -> pd.DataFrame:
        """Return the samples of some blocks as a table."""
        return _table(self.sample_columns, [self._samples(block) for block in blocks])

    def patients(self, blocks: Iterable[Block]) -> pd.DataFrame:
        """Return the patients of some blocks as a table."""
        return _table(self.patient_columns, [self._patients(block) for block in blocks])

    def samples_text(self, block: Block) -> str:
        """Return the lines of a block's samples, as `samples` writes them."""
        patient, occasion, day = np.nonzero(block.taken)
        design, names = self.design, self._names(block)
        several = design.occasions > 1
        begin = [f"{name},{k + 1}," if several else f"{name}," for name in names for k in range(design.occasions)]
        limits = [_text(design.lloq), *([_text(design.uloq)] if design.uloq is not None else [])]
        middle = ",".join([*limits, *([_quoted(self.unit)] if self.unit else [])])
        ends = self._end_text(block)
        end = [f",{middle}{',' if text else ''}{text}\n" for text in ends]
        days = [[_text(float(day)) for day in some] for some in design.schedules.values()]
        nominal = [days[k] for k in block.schedule.tolist()]
        return "".join(
            f"{begin[b]}{time:.{DIGITS}g},{nominal[i][j]},{value:.{DIGITS}g},{flag}{end[i]}"
            for b, i, j, time, value, flag in zip(
                (patient * design.occasions + occasion).tolist(),
                patient.tolist(),
                day.tolist(),
                block.time[block.taken].tolist(),
                block.value[block.taken].tolist(),
                block.censored[block.taken].tolist(),
                strict=True,
            )
        )

    def patients_text(self, block: Block) -> str:
        """Return the lines of a block's patients, as `patients` writes them."""
        columns = self._patients(block)
        cells = [
            [f"{value:.{DIGITS}g}" for value in columns[name].tolist()]
            if name in self.parameters
            else [_quoted(_text(value)) for value in columns[name].tolist()]
            for name in self.patient_columns
        ]
        return "".join(f"{','.join(row)}\n" for row in zip(*cells, strict=True))

    def header(self, columns: Sequence[str]) -> str:
        """Return the first line of a CSV file."""
        return ",".join(map(_quoted, columns)) + "\n"

    def _begin(self, occasions: bool) -> tuple[str, ...]:
        return (*(("trial",) if self.trials > 1 else ()), "subject", *(("occasion",) if occasions else ()))

    @cached_property
    def _end(self) -> tuple[str, ...]:
        design = self.design
        return (
            *(("dose",) if design.doses else ()),
            *(("schedule",) if len(design.schedules) > 1 else ()),
            *map(str, design.patients),
        )

    def _names(self, block: Block) -> list[str]:
        """Return how each patient's line begins: trial and subject."""
        if self.trials == 1:
            return self._subjects(block)
        return [f"{block.trial + 1},{subject}" for subject in self._subjects(block)]

    def _subjects(self, block: Block) -> list[str]:
        width = len(str(self.n))
        trial = f"T{block.trial + 1:0{len(str(self.trials))}d}-" if self.trials > 1 else ""
        return [f"{trial}V{block.first + k + 1:0{width}d}" for k in range(len(block.row))]

    def _end_columns(self, block: Block) -> dict[str, NDArray[Any]]:
        """Return what a patient has beside samples: dose, schedule and covariates, each ``(n,)``."""
        design = self.design
        found: dict[str, NDArray[Any]] = {}
        if design.doses:
            found["dose"] = np.array(design.doses, dtype=float)[block.dose]
        if len(design.schedules) > 1:
            found["schedule"] = np.array(list(design.schedules), dtype=object)[block.schedule]
        return found | {str(name): np.asarray(values)[block.row] for name, values in design.patients.items()}

    def _end_text(self, block: Block) -> list[str]:
        columns = self._end_columns(block)
        if not columns:
            return [""] * len(block.row)
        cells = [[_quoted(_text(value)) for value in values.tolist()] for values in columns.values()]
        return [",".join(row) for row in zip(*cells, strict=True)]

    def _samples(self, block: Block) -> dict[str, NDArray[Any]]:
        patient, occasion, day = np.nonzero(block.taken)
        design, count = self.design, int(block.taken.sum())
        return {
            "trial": np.full(count, block.trial + 1),
            "subject": np.array(self._subjects(block), dtype=object)[patient],
            "occasion": occasion + 1,
            "time": block.time[block.taken],
            "nominal_time": block.nominal[patient, day],
            "value": block.value[block.taken],
            "censored": block.censored[block.taken],
            "lloq": np.full(count, np.nan if design.lloq is None else design.lloq),
            "uloq": np.full(count, np.nan if design.uloq is None else design.uloq),
            "unit": np.full(count, self.unit, dtype=object),
            **{name: values[patient] for name, values in self._end_columns(block).items()},
        }

    def _patients(self, block: Block) -> dict[str, NDArray[Any]]:
        n = len(block.row)
        occasions = block.theta.shape[1] if self.varying else 1
        theta = significant(block.theta[:, :occasions].reshape(n * occasions, -1))
        patient = np.repeat(np.arange(n), occasions)
        return {
            "trial": np.full(n * occasions, block.trial + 1),
            "subject": np.array(self._subjects(block), dtype=object)[patient],
            "occasion": np.tile(np.arange(occasions) + 1, n),
            **{name: theta[:, k] for k, name in enumerate(self.parameters)},
            "class": block.member[patient] + 1,
            "last_day": significant(np.where(np.isfinite(block.last_day), block.last_day, np.nan))[patient],
            "ended": block.why[patient],
            **{name: values[patient] for name, values in self._end_columns(block).items()},
        }


def _table(columns: Sequence[str], parts: Sequence[dict[str, NDArray[Any]]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in columns})


def _text(value: object) -> str:
    """Return a number in its shortest form, nothing for a missing one."""
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def _quoted(text: str) -> str:
    """Return a text as a cell of a CSV file."""
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text
