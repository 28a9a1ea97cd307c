"""The checks of single rows: which rows are left out, which were changed, which spoil their profile, and why."""

from __future__ import annotations

import numpy as np

from cellkinetics.data.cohort import BoolArray, IntArray
from cellkinetics.data.column import Column
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.errors import Effect, Fault


class RowCheck:
    """What the checks found, row by row.

    The first reason to leave a row out is the one that counts. Messages are templates: ``{cell}`` is
    the text of the row's cell, cut to a few words, and ``{words}`` the whole of it, so that a million
    rows cost no more than the faults that are listed.

    Args:
        line: line of each row in the file.
        subject: number of each row's subject, -1 for none; and the subjects by number.
        log: takes the faults.

    Attributes:
        rows: number of rows.
        out: reason number of each row ``(rows,)``, -1 where it is not left out.
        lost: True where a row is left out because of a fault, not as a mere note ``(rows,)``.
        changed: reason number of each row ``(rows,)``, -1 where it is as in the file.
        spoils: reason number of each row because of which its profile is unusable, else -1.
    """

    def __init__(self, line: IntArray, subject: tuple[IntArray, tuple[str, ...]], log: FaultLog) -> None:
        self.rows = len(line)
        self.log = log
        self.out = np.full(self.rows, -1, np.int64)
        self.lost = np.zeros(self.rows, bool)
        self.changed = np.full(self.rows, -1, np.int64)
        self.spoils = np.full(self.rows, -1, np.int64)
        self._line = line
        self._codes, self._names = subject
        self._considered = np.ones(self.rows, bool)
        self._settled = np.zeros(self.rows, bool)
        self._reasons: list[tuple[str, str, str, Column | None]] = []

    def consider(self, rows: BoolArray) -> None:
        """Look only at these rows from now on."""
        self._considered = rows

    def exclude(
        self,
        rows: BoolArray,
        code: str,
        message: str,
        action: str,
        column: Column | None,
        *,
        effect: Effect = "row",
        settles: bool = False,
    ) -> None:
        """Leave rows out and log it.

        Of a row left out as a mere note, or by a fault that ``settles`` it, nothing more is said.
        """
        rows = rows & self._considered & ~self._settled
        if effect == "note":
            rows &= self.out < 0
        if effect == "note" or settles:
            self._settled |= rows
        if rows.any():
            first = rows & (self.out < 0)
            self.lost[first] = effect != "note"
            self.out[first] = self._reason(code, message, action, column)
            self._log(rows, code, message, action, column, effect)

    def spoil(self, rows: BoolArray, code: str, message: str, action: str, column: Column | None) -> None:
        """Note that rows make their profile unusable, and log each."""
        rows = rows & self._considered & (self.out < 0)
        if rows.any():
            self.spoils[rows & (self.spoils < 0)] = self._reason(code, message, action, column)
            self._log(rows, code, message, action, column, "profile")

    def change(self, rows: BoolArray, code: str, message: str, column: Column | None) -> None:
        """Note that a rule changed rows."""
        rows = rows & self._considered & (self.out < 0)
        if rows.any():
            self.changed[rows] = self._reason(code, message, "", column)
            self._log(rows, code, message, "leave the option away if this is not meant", column, "note")

    def note(self, rows: BoolArray, code: str, message: str, action: str, column: Column | None) -> None:
        """Log rows without a consequence."""
        rows = rows & self._considered & (self.out < 0)
        if rows.any():
            self._log(rows, code, message, action, column, "note")

    def reason(self, number: int, row: int) -> tuple[str, str]:
        """Return code and sentence of a reason for a row."""
        code, message, _, column = self._reasons[number]
        return code, self._fill(message, column, row)

    def fault(self, row: int) -> Fault:
        """Return the fault because of which a row spoils its profile."""
        code, message, action, column = self._reasons[int(self.spoils[row])]
        return self._fault(row, code, message, action, column, "profile")

    def _reason(self, code: str, message: str, action: str, column: Column | None) -> int:
        self._reasons.append((code, message, action, column))
        return len(self._reasons) - 1

    def _fill(self, message: str, column: Column | None, row: int) -> str:
        return message if column is None else message.format(cell=column.text(row), words=column.whole(row))

    def _fault(self, row: int, code: str, message: str, action: str, column: Column | None, effect: Effect) -> Fault:
        return Fault(
            code,
            self._fill(message, column, row),
            action,
            effect,
            row=int(self._line[row]),
            subject=self._names[self._codes[row]] if self._codes[row] >= 0 else None,
            column=None if column is None else column.name,
        )

    def _log(
        self, rows: BoolArray, code: str, message: str, action: str, column: Column | None, effect: Effect
    ) -> None:
        places = np.flatnonzero(rows)
        listed = places[: self.log.room(code, effect)]
        for row in listed:
            self.log.add(self._fault(int(row), code, message, action, column, effect))
        self.log.count(code, effect, len(places) - len(listed), action)
