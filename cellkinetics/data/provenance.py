"""Where a cohort was read from, and what became of the rows that are not in it as they stand in the file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """Where a cohort was read from: file name, SHA-256 of its bytes, dialect, rows in the file."""

    name: str = ""
    sha256: str = ""
    dialect: str = ""
    rows: int = 0


@dataclass(frozen=True, eq=False)
class RowRecords:
    """Rows of samples that were left out, or changed by a rule, each with its reason; shape ``(k,)``.

    Attributes:
        profile: number of the profile in the cohort, -1 where the subject is not known.
        row: line in the file.
        kept: True where the sample is in the cohort, changed; False where it is left out.
        fault: True where it is left out because of a fault in its row, such as a text for a number; not
            where there was no result, or a rule for equal times chose another.
        time, nominal_time, value, lloq, uloq, censored: as the file has them, NaN where it has no number.
        code: short name of the reason.
        reason: the reason in words.
    """

    profile: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    row: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    kept: BoolArray = field(default_factory=lambda: np.empty(0, np.bool_))
    fault: BoolArray = field(default_factory=lambda: np.empty(0, np.bool_))
    time: FloatArray = field(default_factory=lambda: np.empty(0))
    nominal_time: FloatArray = field(default_factory=lambda: np.empty(0))
    value: FloatArray = field(default_factory=lambda: np.empty(0))
    censored: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    lloq: FloatArray = field(default_factory=lambda: np.empty(0))
    uloq: FloatArray = field(default_factory=lambda: np.empty(0))
    code: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.row)

    def of_profiles(self, indices: IntArray) -> RowRecords:
        """Return the records of some profiles, numbered by their place in ``indices``."""
        order = np.argsort(self.profile, kind="stable")
        ordered = self.profile[order]
        start = np.searchsorted(ordered, indices, "left")
        count = np.searchsorted(ordered, indices, "right") - start
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        pick = order[np.repeat(start, count) + within]
        return RowRecords(
            profile=np.repeat(np.arange(len(indices)), count),
            row=self.row[pick],
            kept=self.kept[pick],
            fault=self.fault[pick],
            time=self.time[pick],
            nominal_time=self.nominal_time[pick],
            value=self.value[pick],
            censored=self.censored[pick],
            lloq=self.lloq[pick],
            uloq=self.uloq[pick],
            code=tuple(self.code[k] for k in pick),
            reason=tuple(self.reason[k] for k in pick),
        )
