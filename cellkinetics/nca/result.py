"""The result of a noncompartmental analysis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.grouping import labels_of
from cellkinetics.drawing import Drawable
from cellkinetics.nca.column import Column, Key
from cellkinetics.nca.intervals import interval_table
from cellkinetics.nca.labels import LabelTable, label_table, turned
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.parameters import BY_CODE
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.summary import SUMMARY_COLUMNS, describe, gaps
from cellkinetics.nca.tables import dose_units, long_table, point_table, wide_table
from cellkinetics.units import DOSE_KINDS, unit_label

_SHOWN = 10  # profiles that a printed result lists


@dataclass(frozen=True, eq=False, repr=False)
class NCAResult(Drawable):
    """Parameters of every profile of a cohort, with reasons and marks.

    Attributes:
        options: the rules that were followed.
        columns: the numbers as arrays, by `Key`; the tables are made from them when asked for.
        cohort: what was analysed.
    """

    cohort: Cohort = field(repr=False)
    options: NCAOptions
    columns: Mapping[Key, Column]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a profile and parameter (the schema of ``nca.csv``).

        Columns: ``subject, analyte, interval_start, interval_end, parameter, value, unit, status,
        reason_code, reason, occasion, group, specimen``. ``status`` is ``ok``, ``flagged`` or
        ``not_calculated``; an empty value always has a reason.
        """
        return long_table(self.cohort, self.columns, self.options)

    @cached_property
    def wide(self) -> pd.DataFrame:
        """One row a profile; a partial area is a column such as ``AUCINT_0_28``."""
        return wide_table(self.cohort, self.columns)

    @cached_property
    def points(self) -> pd.DataFrame:
        """Candidates for the terminal line, and every sample that was changed, left out or imputed.

        Columns: ``subject, analyte, occasion, specimen, group, row, time, value, role, used,
        reason_code, reason``.
        """
        return point_table(self.cohort, self.options)

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """Every interval that was integrated, with its rule, its area and the areas that it is part of.

        The areas that were calculated are the sums of their rows; see
        `cellkinetics.nca.intervals.interval_table` for the columns.
        """
        return interval_table(self.cohort, self.columns, self.options)

    @property
    def n_not_calculated(self) -> int:
        """Number of values that could not be had."""
        return sum(int((column.why != Why.CALCULATED).sum()) for column in self.columns.values())

    @property
    def n_flagged(self) -> int:
        """Number of values that miss an acceptance threshold."""
        return sum(int((column.flags != 0).sum()) for column in self.columns.values())

    @property
    def status(self) -> str:
        """How it went, in one sentence that tells the next step."""
        return status_of(len(self.columns) * len(self.cohort), self.n_not_calculated, self.n_flagged)

    def summary(self, by: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Describe each parameter over the profiles, always apart for each analyte, specimen and unit.

        Where a subject has several occasions (a re-infusion, say) these are apart, too, as if ``by`` named
        ``occasion``: a mean over several profiles of one subject is none of subjects.

        Args:
            by: one or several of ``group``, ``occasion`` and the cohort's covariates.

        Returns:
            One row a group and parameter: ``analyte, specimen``, ``value_unit`` and ``dose_unit`` where an analyte
            has several, ``occasion`` where these are apart, the columns of ``by``,
            ``interval_start, interval_end, parameter, unit`` and the statistics of
            `cellkinetics.nca.summary.describe` (flagged values take part), with ``n_flagged``,
            ``missing_reasons``, a text such as
            ``"no_quantifiable: 2"``, and ``reason``, why a statistic is empty.

        Raises:
            SettingsError: for a column that the cohort does not have.
        """
        names = [] if by is None else [by] if isinstance(by, str) else list(by)
        names = [name for name in names if name not in ("analyte", "specimen")]
        if "occasion" not in names and self.several_occasions:
            names.insert(0, "occasion")
        labels = {name: self.labels(name) for name in names}
        always = {
            "analyte": self.cohort.analyte,
            "specimen": self.cohort.specimen,
            "value_unit": self.cohort.value_unit,
            "dose_unit": self._dose_units(),
        }
        frame = pd.DataFrame({**always, **labels})
        apart = [unit for unit in ("value_unit", "dose_unit") if _several(frame, unit)]
        rows = []
        for _, part in frame.groupby([*always, *names], sort=False, dropna=False):
            index = part.index.to_numpy()
            analyte, specimen, value_unit, dose_unit, *others = part.iloc[0]
            for key, column in self.columns.items():
                statistics = describe(column.value[index])
                rows.append(
                    {
                        "analyte": analyte,
                        "specimen": specimen,
                        **{unit: part[unit].iloc[0] for unit in apart},
                        **dict(zip(names, others, strict=True)),
                        "interval_start": np.nan if key.start is None else key.start,
                        "interval_end": np.nan if key.end is None else key.end,
                        "parameter": key.code,
                        "unit": unit_label(
                            BY_CODE[key.code].unit_kind,
                            time=self.cohort.time_unit,
                            value=value_unit,
                            dose=dose_unit,
                        ),
                        **statistics,
                        **self._losses(column, index),
                        "reason": gaps(statistics),
                    }
                )
        head = ["analyte", "specimen", *apart, *names, "interval_start", "interval_end", "parameter", "unit"]
        table = pd.DataFrame(rows, columns=[*head, *SUMMARY_COLUMNS])
        counts = ["n", "n_missing", "n_geometric", "n_flagged"]
        return table.astype(dict.fromkeys(counts, "int64"))

    def _dose_units(self) -> list[str]:
        """Return the unit of each profile's dose where a parameter has it in its own, else nothing."""
        by_dose = any(BY_CODE[key.code].unit_kind in DOSE_KINDS for key in self.columns)
        return dose_units(self.cohort, self.options) if by_dose else [""] * len(self.cohort)

    @property
    def several_occasions(self) -> bool:
        """Whether a subject has several occasions of one analyte and specimen."""
        cohort = self.cohort
        series = list(zip(cohort.subject, cohort.analyte, cohort.specimen, strict=True))
        return len(set(zip(series, cohort.occasion, strict=True))) > len(set(series))

    def summary_text(
        self,
        by: str | Sequence[str] | None = None,
        parameters: Sequence[str] | None = None,
        *,
        statistics: Literal["columns", "rows"] = "columns",
    ) -> pd.DataFrame:
        """Describe each parameter as texts for a table: geometric mean (CV %), mean (SD), median [min; max].

        Args:
            by: as in `summary`.
            parameters: codes, or columns such as ``AUCINT_0_28``, in the wanted order; by default all.
            statistics: in ``columns``, with a row a parameter and group (see
                `cellkinetics.nca.labels.label_table`), or in ``rows``, with a column a group.

        Raises:
            SettingsError: for a column that the cohort, or a parameter that the result does not have.

        Printed, the table is whole, without columns that are empty.

        Example:
            >>> from cellkinetics import Cohort, noncompartmental
            >>> cohort = Cohort.from_arrays([[0, 7, 14]] * 2, [[0, 900, 400], [0, 400, 100]], group=["A", "B"])
            >>> result = noncompartmental(cohort)
            >>> result.summary_text("group", ["TMAX"], statistics="rows")[["parameter", "statistic", "A", "B"]]
              parameter          statistic         A         B
            0      Tmax                  n         1         1
            1      Tmax  median [min; max]  7 [7; 7]  7 [7; 7]
        """
        labels = label_table(self.summary(by), parameters)
        if statistics == "columns":
            return LabelTable(labels)
        names = [] if by is None else [by] if isinstance(by, str) else list(by)
        return LabelTable(
            turned(labels, [name for name in dict.fromkeys(names) if name not in ("analyte", "specimen")])
        )

    def labels(self, name: str) -> Any:
        """Return what a column to group by says of each profile: ``group``, ``occasion`` or a covariate.

        Raises:
            SettingsError: for a column that the cohort does not have.
        """
        return labels_of(self.cohort, name)

    def _losses(self, column: Column, index: Any) -> dict[str, object]:
        """Count the reasons and marks among the given profiles."""
        reasons = Counter(
            {
                Why(why).code: int(count)
                for why, count in zip(*np.unique(column.why[index], return_counts=True), strict=True)
            }
        )
        del reasons[Why.CALCULATED.code]
        if reasons.pop(Why.UNUSABLE_PROFILE.code, 0):
            faults = (self.cohort.unusable[i] for i in index)
            reasons.update(fault.code for fault in faults if fault is not None)
        return {
            "n_flagged": int((column.flags[index] != 0).sum()),
            "missing_reasons": "; ".join(f"{code}: {count}" for code, count in sorted(reasons.items())),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return options and table as plain Python: numbers, texts, and None for what is empty."""
        table = self.table.astype(object)
        return {
            "status": self.status,
            "options": self.options.model_dump(mode="json"),
            "table": table.where(table.notna(), None).to_dict("records"),
        }

    def __repr__(self) -> str:
        shown = [name for name in ("CMAX", "TMAX", "TLST", "AUCLST", "LAMZHL") if name in self.wide]
        names = ["subject", *(name for name in ("analyte", "occasion", "specimen") if (self.wide[name] != "").any())]
        head = self.wide[[*names, *shown]].head(_SHOWN).to_string(index=False, na_rep="-")
        more = f"\n... {len(self.wide) - _SHOWN} more profiles" if len(self.wide) > _SHOWN else ""
        return f"NCAResult: {len(self.wide)} profiles, {len(self.columns)} parameters\n{self.status}\n{head}{more}"


def _several(profiles: pd.DataFrame, unit: str) -> bool:
    """Tell whether an analyte of a specimen has several units."""
    kinds = ["analyte", "specimen"]
    return bool(profiles[[*kinds, unit]].drop_duplicates().duplicated(kinds).any())


def status_of(total: int, lost: int, flagged: int) -> str:
    """Say how many values of how many were calculated, and what to look at.

    Example:
        >>> status_of(3, 0, 0)
        'all 3 values calculated'
    """
    if not lost and not flagged:
        return f"all {total} values calculated"
    return (
        f"{total - lost} of {total} values calculated, {flagged} of them flagged; "
        "the columns status and reason of the table (nca.csv) say why"
    )
