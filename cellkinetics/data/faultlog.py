"""Collects every fault of a table, and keeps long lists of one kind short."""

from __future__ import annotations

from collections import Counter
from typing import NoReturn

from cellkinetics.errors import DataError, Effect, Fault

LISTED = 100
"""Faults of one kind that are listed one by one; what is beyond is counted in one summarising fault."""


def in_order(fault: Fault) -> tuple[bool, bool, float, str, str, str]:
    """Return what faults are sorted by: those of the file, of rows and notes; then line, code and column."""
    line = float("inf") if fault.row is None else fault.row
    return (fault.effect != "file", fault.effect == "note", line, fault.code, fault.column or "", fault.message)


class FaultLog:
    """Faults in the making: ``add`` them, then take ``faults`` once at the end.

    Example:
        >>> log = FaultLog()
        >>> for line in range(2, 252):
        ...     log.add(Fault("missing_value", "no value", "nothing to do", "note", line))
        >>> len(log.faults()), log.faults()[-1].message
        (101, '150 more of the kind missing_value')
    """

    def __init__(self) -> None:
        self._listed: list[Fault] = []
        self._counts: Counter[tuple[str, Effect]] = Counter()
        self._actions: dict[tuple[str, Effect], str] = {}

    def room(self, code: str, effect: Effect) -> int:
        """Return how many more faults of this kind are listed one by one."""
        return max(0, LISTED - self._counts[code, effect])

    def add(self, fault: Fault) -> None:
        """Take one fault; beyond the first `LISTED` of its kind it is only counted."""
        if self.room(fault.code, fault.effect):
            self._listed.append(fault)
        self.count(fault.code, fault.effect, 1, fault.action)

    def count(self, code: str, effect: Effect, number: int, action: str) -> None:
        """Count faults of a kind without listing them."""
        self._counts[code, effect] += number
        self._actions.setdefault((code, effect), action)

    def stop(self, name: str, fault: Fault) -> NoReturn:
        """Give up reading: raise a `DataError` with this fault and all that were found before."""
        self.add(fault)
        raise DataError(f"{name or 'the table'} cannot be read", self.faults())

    def faults(self) -> tuple[Fault, ...]:
        """Return all faults in order of their lines, the notes behind the errors."""
        rest = [
            Fault(code, f"{number - LISTED} more of the kind {code}", self._actions[code, effect], effect)
            for (code, effect), number in sorted(self._counts.items())
            if number > LISTED
        ]
        ordered = sorted(self._listed, key=in_order)
        notes = [fault for fault in ordered if fault.effect == "note"]
        errors = [fault for fault in ordered if fault.effect != "note"]
        return (
            *errors,
            *(fault for fault in rest if fault.effect != "note"),
            *notes,
            *(fault for fault in rest if fault.effect == "note"),
        )
