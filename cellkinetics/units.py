"""Units are labels that travel with numbers; they are composed. Only times are converted, where that is asked for."""

from __future__ import annotations

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
        'mg/(h*mg/L)'
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
        "clearance": f"{dose}/({time}*{value})",
        "volume": f"{dose}/({value})",
        "value_by_dose": f"({value})/{dose}",
        "area_by_dose": f"({time}*{value})/{dose}",
    }[kind]
