"""Dates and durations as CDISC writes them (ISO 8601), exactly."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

_DATE = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2})(?::(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-](?:0\d|1[0-4]):?[0-5]\d)?)?",
    re.ASCII,
)
_DURATION = re.compile(
    r"([+-]?)P(?:(\d+(?:[.,]\d+)?)W)?(?:(\d+(?:[.,]\d+)?)D)?"
    r"(?:T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)S)?)?"
)
_SECONDS = (604800, 86400, 3600, 60, 1)
_EPOCH = datetime(1970, 1, 1)


class Moment(NamedTuple):
    """A date, with or without its time of day.

    Attributes:
        clock: microseconds since 1970 as the clock on the wall showed, or the beginning of the day.
        day: days since 1970 on that calendar.
        timed: whether the time of day is known.
        offset: minutes by which that clock is ahead of UTC, or None where it is not said.
    """

    clock: int
    day: int
    timed: bool
    offset: int | None


def parse_moment(text: str) -> Moment | None:
    """Return a date of ISO 8601, to the day or finer; None for one that is partial, or none at all.

    Example:
        >>> parse_moment("1970-01-02T00:00:01")
        Moment(clock=86401000000, day=1, timed=True, offset=None)
        >>> parse_moment("2026-03"), parse_moment("2026-02-30"), parse_moment("2026-03-01").timed
        (None, None, False)
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        date = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        offset = None if zone is None else _minutes(zone)
    except ValueError:
        return None
    date += timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))
    since = date - _EPOCH
    return Moment(since // timedelta(microseconds=1), since.days, hour is not None, offset)


def _minutes(zone: str) -> int:
    ahead = 0 if zone == "Z" else 60 * int(zone[1:3]) + int(zone[-2:])
    return -ahead if zone[0] == "-" else ahead


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration of ISO 8601; None for months and years, whose length is not fixed.

    Example:
        >>> parse_duration("P7D"), parse_duration("-PT30M"), parse_duration("P1DT12H"), parse_duration("P1M")
        (604800.0, -1800.0, 129600.0, None)
    """
    found = _DURATION.fullmatch(text.strip().upper())
    if found is None or not any(found.groups()[1:]):
        return None
    parts = [float((part or "0").replace(",", ".")) for part in found.groups()[1:]]
    seconds = sum(part * unit for part, unit in zip(parts, _SECONDS, strict=True))
    return -seconds if found.group(1) == "-" else seconds
