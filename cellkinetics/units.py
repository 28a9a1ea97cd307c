"""Units are labels that travel with numbers; they are composed, never converted."""

from __future__ import annotations

DEFAULT_TIME_UNIT = "day"
DEFAULT_VALUE_UNIT = "copies/ug"

UnitKind = str
"""One of ``value``, ``time``, ``rate``, ``area``, ``moment``, ``percent``, ``count``, ``none``."""


def unit_label(kind: UnitKind, *, time: str = DEFAULT_TIME_UNIT, value: str = DEFAULT_VALUE_UNIT) -> str:
    """Compose the label of a derived quantity from the units of time and value.

    Args:
        kind: ``value``, ``time``, ``rate`` (1/time), ``area`` (time*value), ``moment`` (time^2*value),
            ``percent``, ``count`` or ``none``.
        time: unit of time.
        value: unit of the measured value.

    Raises:
        KeyError: for a kind that does not exist.

    Example:
        >>> unit_label("area", time="day", value="copies/ug")
        'day*copies/ug'
    """
    return {
        "value": value,
        "time": time,
        "rate": f"1/{time}",
        "area": f"{time}*{value}",
        "moment": f"{time}2*{value}",
        "percent": "%",
        "count": "",
        "none": "",
    }[kind]
