"""Numbers and tables as people read them; files keep the full digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

MISSING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Cell:
    """One cell: its text and a tone (``""``, ``warn``, ``bad``, ``faint``, ``mono``)."""

    text: str
    tone: str = ""


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


def number(value: object, digits: int = 3) -> str:
    """Return a number with three or four significant digits, thousands set apart; a dash for what is missing.

    Example:
        >>> number(23456.7), number(0.15937), number(14.0), number(3.2e-5), number(None)
        ('23,460', '0.159', '14', '3.20×10⁻⁵', '–')
    """
    if value is None or value == "":
        return MISSING
    number = float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        return MISSING
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    size = abs(number)
    if number == 0:
        return "0"
    if size >= 1e7 or size < 1e-3:
        mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
        return _minus(f"{mantissa}×10{superscript(int(exponent))}")
    if size >= 1000:
        rounded = float(f"{number:.{digits}e}")
        return _minus(f"{rounded:,.0f}")
    if number == round(number):
        return _minus(f"{number:.0f}")
    decimals = max(0, digits - 1 - math.floor(math.log10(float(f"{size:.{digits - 1}e}"))))
    return _minus(f"{number:.{decimals}f}")


def superscript(exponent: int) -> str:
    """Return a whole number in superscript digits.

    Example:
        >>> superscript(-12)
        '⁻¹²'
    """
    return str(exponent).translate(_SUPERSCRIPT)


def percent(value: object) -> str:
    """Return a percentage without decimals from 10 % on, with one below.

    Example:
        >>> percent(43.21), percent(4.321)
        ('43 %', '4.3 %')
    """
    if number(value) == MISSING:
        return MISSING
    size = float(value)  # type: ignore[arg-type]
    if abs(size) >= 1e5:
        return f"{number(size, 2)} %"
    return f"{_minus(f'{size:,.0f}')} %" if abs(size) >= 9.95 else f"{_minus(f'{size:.1f}')} %"


def unit_text(unit: str) -> str:
    """Return a unit's label as it is printed.

    Example:
        >>> unit_text("day*copies/ug"), unit_text("day2*copies/ug")
        ('day·copies/µg', 'day²·copies/µg')
    """
    text = unit.replace("day2*", "day²·").replace("*", "·")
    return text.replace("/ug", "/µg").replace("/uL", "/µL")


def window_text(column: str) -> str:
    """Return a column of a partial area as it is printed.

    Example:
        >>> window_text("AUCINT_0_28")
        'AUC0-28'
    """
    return "AUC" + column.removeprefix("AUCINT_").replace("_", "-")


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


def sentence(text: str) -> str:
    """Return a text with a capital first letter (but names such as ``omega_tmax`` as they are) and a full stop.

    Example:
        >>> sentence("the LLOQ is missing"), sentence("omega_tmax is at its bound")
        ('The LLOQ is missing.', 'omega_tmax is at its bound.')
    """
    first = text.split(" ", 1)[0]
    text = text if "_" in first else text[:1].upper() + text[1:]
    return text + ("" if not text or text.endswith(".") else ".")


def text_cell(text: object, tone: str = "") -> Cell:
    """Return a cell of text; an empty text is a dash."""
    shown = "" if text is None else str(text)
    return Cell(shown or MISSING, tone=tone)


def number_cell(value: object, tone: str = "") -> Cell:
    """Return a cell of a number; see `number`."""
    text = number(value)
    return Cell(text, tone=tone or ("faint" if text == MISSING else ""))


def _minus(text: str) -> str:
    return text.replace("-", "−")
