"""Tables and lists as people read them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from cellkinetics.printing import MISSING, number


@dataclass(frozen=True)
class Cell:
    """One cell: its text, a tone (``""``, ``warn``, ``bad``, ``faint``, ``mono``) and a remark below the text."""

    text: str
    tone: str = ""
    below: str = ""


@dataclass(frozen=True)
class Column:
    """A column's heading, the unit below it, and whether it holds numbers."""

    label: str
    unit: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table of a report: columns, rows of cells, a caption and a note below.

    ``sticky`` keeps the first column in sight while the others scroll sideways.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    note: str = ""
    sticky: bool = True
    kind: str = field(default="table", init=False)


def time_plural(unit: str) -> str:
    """Return a unit of time as it follows a number; a symbol has no plural.

    Example:
        >>> time_plural("day"), time_plural("h"), time_plural("days")
        ('days', 'h', 'days')
    """
    return unit if len(unit) < 3 or unit.endswith("s") else f"{unit}s"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return a count with its noun.

    Example:
        >>> plural(1, "patient"), plural(24, "patient")
        ('1 patient', '24 patients')
    """
    return f"{count:,} {noun if count == 1 else (nouns or noun + 's')}"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Return names as a list in a sentence; beyond ``most`` the rest is counted.

    Example:
        >>> listed(["A", "B", "C"]), listed(["A", "B", "C"], most=2)
        ('A, B and C', 'A, B and 1 more')
    """
    names = [str(name) for name in names]
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def sentence(text: str, names: Collection[str] = ()) -> str:
    """Return a text with a capital first letter and a full stop; a name at its start stays as it is.

    Args:
        text: the sentence.
        names: names beside those with an underscore, such as those of parameters.

    Example:
        >>> sentence("the LLOQ is missing"), sentence("omega_tmax is at its bound"), sentence("cmax, 5, is", ["cmax"])
        ('The LLOQ is missing.', 'omega_tmax is at its bound.', 'cmax, 5, is.')
    """
    first = text.split(" ", 1)[0].rstrip(",:;")
    text = text if "_" in first or first in names else text[:1].upper() + text[1:]
    return text + ("" if not text or text.endswith(".") else ".")


def text_cell(text: object, tone: str = "") -> Cell:
    """Return a cell of text; an empty text is a dash."""
    shown = "" if text is None else str(text)
    return Cell(shown or MISSING, tone=tone)


def number_cell(value: object, tone: str = "") -> Cell:
    """Return a cell of a number; see `number`."""
    text = number(value)
    return Cell(text, tone=tone or ("faint" if text == MISSING else ""))


def interval_cell(low: object, high: object) -> Cell:
    """Return a cell of an interval; a dash where an end is missing."""
    ends = number(low), number(high)
    return Cell(MISSING, tone="faint") if MISSING in ends else Cell(f"{ends[0]} to {ends[1]}")
