"""Numbers and units as people read them; files keep the full digits."""

from __future__ import annotations

import math

MISSING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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


def interval_text(low: object, high: object) -> str:
    """Return the ends of an interval; a dash where there is no lower one.

    Example:
        >>> interval_text(0.5, 1200.0), interval_text(None, None)
        ('0.500 to 1,200', '–')
    """
    return MISSING if number(low) == MISSING else f"{number(low)} to {number(high)}"


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


def _minus(text: str) -> str:
    return text.replace("-", "−")
