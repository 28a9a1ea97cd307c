"""The errors of cellkinetics: each says what is wrong, where, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Effect = Literal["file", "profile", "row", "note"]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, or worth knowing, in a table of samples.

    Attributes:
        code: short stable name of the kind of fault, for scripts.
        message: what is wrong, in one sentence.
        action: what the user can do about it, in one sentence.
        effect: what it costs: ``file`` (nothing can be read), ``profile`` (the profile is kept but
            nothing is calculated for it), ``row`` (the row is left out), ``note`` (nothing is lost).
        row: line of the file, counted as an editor counts (the header is line 1).
        subject: the subject, where it is known.
        column: the column's name as it stands in the file.

    Example:
        >>> print(Fault("no_time", "time is empty", "give the day of the sample", "row", 7, "P01", "TIME"))
        line 7, subject P01, column TIME: time is empty; give the day of the sample
    """

    code: str
    message: str
    action: str
    effect: Effect
    row: int | None = None
    subject: str | None = None
    column: str | None = None

    def __str__(self) -> str:
        places = [
            f"{word} {place}"
            for word, place in (("line", self.row), ("subject", self.subject), ("column", self.column))
            if place is not None
        ]
        where = ", ".join(places)
        return (f"{where}: " if where else "") + f"{self.message}; {self.action}"

    def to_dict(self) -> dict[str, object]:
        """Return the fault as a plain mapping, one key a column of ``check.csv``."""
        return asdict(self)


class CellKineticsError(Exception):
    """Any error that cellkinetics raises on purpose."""


class DataError(CellKineticsError):
    """The data cannot be used; ``faults`` holds every fault that was found, not only the first."""

    def __init__(self, message: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__("\n".join([message, *(f"  {fault}" for fault in faults)]))
        self.faults = faults


class SettingsError(CellKineticsError):
    """An option or argument does not make sense; the message names it and the values it takes."""


class ModelError(CellKineticsError):
    """A model or its parameters are unknown or inconsistent."""


class FitError(CellKineticsError):
    """A fit cannot be started or carried on; per-patient failures are rows with a reason instead."""


class OutputError(CellKineticsError):
    """A result cannot be written where the user wants it."""
