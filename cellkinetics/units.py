"""Units are labels that travel with numbers; they are composed. Only times are converted, where that is asked for."""

from __future__ import annotations

import re

DEFAULT_TIME_UNIT = "day"
DEFAULT_VALUE_UNIT = "copies/ug"
DEFAULT_DOSE_UNIT = "dose"

TIME_UNITS = {
    spelling: unit
    for unit, spellings in {
        "second": "s sec secs second seconds",
        "minute": "min mins minute minutes",
        "hour": "h hr hrs hour hours",
        "day": "d day days",
        "week": "wk wks week weeks",
        "month": "month months",
        "year": "yr yrs year years",
    }.items()
    for spelling in spellings.split()
}
"""Ways to write a unit of time, in lower case, and what they mean."""

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}

DOSE_KINDS = frozenset({"clearance", "volume", "value_by_dose", "area_by_dose"})
"""Kinds of unit that hold that of the dose."""

UnitKind = str
"""A kind that `unit_label` knows."""


def is_day(unit: str) -> bool:
    """Tell whether a unit of time is the day, in which models and the credible Tmax are stated.

    Example:
        >>> is_day("Days"), is_day("h")
        (True, False)
    """
    return TIME_UNITS.get(unit.strip().lower()) == "day"


def seconds_in(unit: str) -> int | None:
    """Return the seconds of a unit of time; None for one without a fixed length (month, year), or none at all.

    Example:
        >>> seconds_in("HOURS"), seconds_in("d"), seconds_in("month")
        (3600, 86400, None)
    """
    return _SECONDS.get(TIME_UNITS.get(unit.strip().lower(), ""))


def unit_label(
    kind: UnitKind,
    *,
    time: str = DEFAULT_TIME_UNIT,
    value: str = DEFAULT_VALUE_UNIT,
    dose: str = DEFAULT_DOSE_UNIT,
) -> str:
    """Compose the label of a derived quantity from the units of time and value.

    Where the value is an amount over a volume or a mass, and the dose is in the same unit of amount, clearances and
    volumes are in that of the volume: mg and mg/L give L/h and L. Nothing is converted, so that ng/mL stays as it is.

    Args:
        kind: ``value``, ``time``, ``rate`` (1/time), ``area`` (time*value), ``moment`` (time^2*value),
            ``percent``, ``count`` or ``none``; of a drug ``clearance`` (dose/(time*value)), ``volume``
            (dose/value), ``value_by_dose`` and ``area_by_dose``.
        time: unit of time.
        value: unit of the measured value.
        dose: unit of the dose.

    Raises:
        KeyError: for a kind that does not exist.

    Example:
        >>> unit_label("area", time="day", value="copies/ug")
        'day*copies/ug'
        >>> unit_label("clearance", time="h", value="mg/L", dose="mg")
        'L/h'
        >>> unit_label("clearance", time="h", value="ng/mL", dose="mg")
        'mg/(h*ng/mL)'
    """
    per = _denominator(value, dose)
    if per and kind in {"clearance", "volume"}:
        return f"{per}/{time}" if kind == "clearance" else per
    return {
        "value": value,
        "time": time,
        "rate": f"1/{time}",
        "area": f"{time}*{value}",
        "moment": f"{time}2*{value}",
        "percent": "%",
        "count": "",
        "none": "",
        "clearance": f"{dose}/({time}*{value})",
        "volume": f"{dose}/({value})",
        "value_by_dose": f"({value})/{dose}",
        "area_by_dose": f"({time}*{value})/{dose}",
    }[kind]


_QUOTIENT = re.compile(r"([A-Za-zµμ]+)/([A-Za-zµμ]+)")


def _denominator(value: str, dose: str) -> str:
    """Return what stands below the line in a unit of values, if above it stands that of the dose; else nothing."""
    quotient = _QUOTIENT.fullmatch(value.strip())
    if quotient is None:
        return ""
    amount, per = quotient.groups()
    return per if _one_micro(amount) == _one_micro(dose.strip()) else ""


def _one_micro(unit: str) -> str:
    return unit.replace("µ", "u").replace("μ", "u")
