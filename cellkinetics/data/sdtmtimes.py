"""Elapsed and planned times of SDTM's findings, from dates and study days.

--DTC - --RFTDTC counts from the reference dose, --DY and VISITDY from day 1 of the study (RFSTDTC): what is had from
these is brought to the reference dose by the study day of that dose, which the other rows tell.

Source: CDISC SDTM Implementation Guide 3.4, section 4.4 on timing variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.data.column import Column
from cellkinetics.data.covariates import numbers_of_units
from cellkinetics.data.derivation import Request, column_of_numbers
from cellkinetics.data.iso8601 import parse_duration, parse_moment
from cellkinetics.units import seconds_in

_DAY = 86400


class Elapsed(NamedTuple):
    """Elapsed times, and the day of the study from which that of each row counts (0 is day 1), NaN where unknown."""

    column: Column
    origin: FloatArray


class _Moments(NamedTuple):
    """Dates of all rows: ``clock`` in microseconds, ``offset`` in minutes ahead of UTC (-9999 where it is not said)."""

    known: BoolArray
    timed: BoolArray
    clock: IntArray
    day: IntArray
    offset: IntArray

    @classmethod
    def of(cls, column: Column) -> _Moments:
        found = [parse_moment(entry) for entry in column.entries]
        rows = column.codes
        none = [-9999 if one is None or one.offset is None else one.offset for one in found]
        return cls(
            np.array([one is not None for one in found], bool)[rows],
            np.array([one is not None and one.timed for one in found], bool)[rows],
            np.array([0 if one is None else one.clock for one in found], np.int64)[rows],
            np.array([0 if one is None else one.day for one in found], np.int64)[rows],
            np.array(none, np.int64)[rows],
        )


def elapsed_times(request: Request, unit: str) -> Elapsed:
    """Return the column of elapsed times.

    time = --DTC - --RFTDTC; without a date of its own a sample has the day of its --DY, from that of the reference dose
    """
    roles = request.roles
    column, reference, day = roles["time"], roles.get("reference_date"), roles.get("study_day")
    if reference is None and day is None:
        request.stop(
            "missing_column",
            f"no column says from when {column.name} counts: neither the date of the reference dose "
            f"({column.name[:2]}RFTDTC) nor the study day ({column.name[:2]}DY) is there",
            "add one of them, or map time to a column of days from infusion",
            column,
        )
    if day is not None and (reference is None or column.name == day.name):
        return _from_day_one(request, day, unit)
    assert reference is not None
    date, start = _Moments.of(column), _Moments.of(reference)
    seconds = _between(request, date, start, reference)
    if day is None:
        _refuse_dates(request, column, reference, date.known, start.known)
        origin = np.full(len(column), np.nan)
    else:
        seconds, origin = _filled(request, day, seconds, date, start)
    return Elapsed(column_of_numbers(column.name, seconds / _scale(unit)), origin)


def _from_day_one(request: Request, day: Column, unit: str) -> Elapsed:
    """Return study days as times, where no dates say more."""
    column, every = request.roles["time"], np.ones(len(day), bool)
    lacking = f"date of the reference dose ({column.name[:2]}RFTDTC)"
    if column.name == day.name:
        lacking = f"date of the samples ({column.name[:2]}DTC)"
    request.note(
        "time_from_study_day",
        f"no {lacking}: the times are whole days from day 1 of the study, which need not be the day of the infusion",
        "add the date of the infusion if the two differ",
        day,
    )
    days = _days_of_study(request, day, every)
    if column.name != day.name:
        _refuse_without_day(request, day, every, _Moments.of(column))
    return Elapsed(column_of_numbers(column.name, days * _DAY / _scale(unit)), np.zeros(len(day)))


def _scale(unit: str) -> float:
    return seconds_in(unit) or _DAY


def _between(request: Request, date: _Moments, start: _Moments, reference: Column) -> FloatArray:
    """Return the seconds from the reference dose to each sample, NaN where a date is missing."""
    column, check = request.roles["time"], request.check
    both = date.known & start.known
    exact = both & date.timed & start.timed
    zoned = (date.offset > -9999) & (start.offset > -9999)
    ahead = np.where(zoned, date.offset - start.offset, 0) * 60_000_000
    seconds = np.where(both, (date.day - start.day) * float(_DAY), np.nan)
    seconds[exact] = (date.clock - start.clock - ahead)[exact] / 1e6
    check.note(
        both & ~exact,
        "date_without_time",
        f"{{cell}} and its reference in {reference.name} do not both have a time of day: the time is whole days",
        "give the times of day if they are known",
        column,
    )
    check.note(
        exact & ((date.offset > -9999) != (start.offset > -9999)),
        "time_zone",
        f"only one of {{cell}} and its reference in {reference.name} names its time zone, which is not used",
        "give both times with their zone, or both without",
        column,
    )
    return seconds


def _refuse_dates(request: Request, column: Column, reference: Column, date: BoolArray, start: BoolArray) -> None:
    """Leave out rows without an elapsed time and without a study day."""
    check = request.check
    whole = "write it to the day, or with its time: 2026-03-01T10:30"
    for known, which, name in ((date, column, "date"), (start, reference, "date of the reference dose")):
        check.exclude(
            ~known & which.missing,
            "missing_time",
            f"there is no {name}; the row is left out",
            whole,
            which,
            settles=True,
        )
        check.exclude(
            ~known,
            "partial_date",
            f"the {name} {{cell!r}} is no whole date; the row is left out",
            whole,
            which,
            settles=True,
        )


def _days_of_study(request: Request, day: Column, rows: BoolArray) -> FloatArray:
    """Return whole days from day 1 of the study, NaN where there is none; what is no study day is a fault."""
    number = day.numbers
    wrong = (number == 0) | day.not_numbers | (number != np.floor(number)) & ~np.isnan(number)
    request.check.exclude(
        rows & wrong,
        "bad_study_day",
        "{cell!r} is no study day (1, 2, 3, ... or -1, -2, ...); the row is left out",
        "CDISC's first day is 1, and the day before it is -1",
        day,
        settles=True,
    )
    return np.where(wrong, np.nan, np.where(number >= 1, number - 1, number))


def _refuse_without_day(request: Request, day: Column, lacks: BoolArray, date: _Moments) -> None:
    """Leave out rows that have neither dates nor a study day."""
    check, column = request.check, request.roles["time"]
    missing = lacks & day.missing
    partial = missing & ~column.missing & ~date.known
    message = f"{{cell!r}} is no whole date, and there is no {day.name}; the row is left out"
    check.exclude(partial, "partial_date", message, "write it to the day, or with its time", column, settles=True)
    message = f"there is no elapsed time, as a date is missing, and no {day.name}; the row is left out"
    shown = "look at the dates: neither the one nor the other is there to the day"
    check.exclude(missing, "missing_time", message, shown, request.roles.get("reference_date", column), settles=True)


def _filled(
    request: Request, day: Column, seconds: FloatArray, date: _Moments, start: _Moments
) -> tuple[FloatArray, FloatArray]:
    """Return elapsed seconds, those that dates do not give from study days; and the origin of each row.

    Where nothing tells the study day of the reference dose, a study day is no elapsed time: its row is left out if
    others of its subject and reference have times from dates; else all their times count from day 1, as is noted.
    """
    check, roles = request.check, request.roles
    lacks = np.isnan(seconds)
    days = _days_of_study(request, day, lacks)
    _refuse_without_day(request, day, lacks, date)
    doses = _Doses.of(request.subject, roles.get("occasion"), start)
    origin = _origin(request.subject, doses, days, date)
    told = lacks & np.isfinite(days - origin)
    seconds = np.where(told, (days - origin) * _DAY, seconds)
    rest = lacks & ~told & np.isfinite(days)
    mixed = rest & _shared(np.isfinite(seconds), doses.number, doses.label)
    check.exclude(
        mixed,
        "study_day_alone",
        "no elapsed time from dates, and no row tells the study day of the reference dose, from which the other times "
        "count: study day {cell} cannot be placed among them; the row is left out",
        "give whole dates, or a row of this dose with its dates and its study day",
        day,
        settles=True,
    )
    alone = rest & ~mixed
    check.note(
        told,
        "time_from_study_day",
        "no elapsed time from dates: the time is whole days, study day {cell} less that of the reference dose",
        "give whole dates if the times matter",
        day,
    )
    check.note(
        alone,
        "time_from_study_day",
        "no elapsed time from dates: the time is the study day {cell}, whole days from day 1",
        "give whole dates if the times matter",
        day,
    )
    return np.where(alone, days * _DAY, seconds), np.where(alone, 0.0, origin)


class _Doses(NamedTuple):
    """The reference dose of each row.

    Attributes:
        number: of the dose, -1 where its date is not known.
        day: its calendar day, NaN where unknown.
        label: number of its subject and name, -1 for rows without a subject.
    """

    number: IntArray
    day: FloatArray
    label: IntArray

    @classmethod
    def of(cls, subject: IntArray, name: Column | None, start: _Moments) -> _Doses:
        """Number the doses by subject and day; a row without the date takes that of its name, if it is one."""
        codes, names = (np.zeros(len(subject), np.int64), ("",)) if name is None else name.labels
        label = np.where(subject >= 0, subject * len(names) + codes, -1)
        day = np.where(start.known, start.day, np.nan)
        of_label, _ = numbers_of_units(day, label, int(label.max(initial=-1)) + 1)
        day = np.where(np.isnan(day), _at(of_label, label), day)
        days, place = np.unique(day, return_inverse=True)
        number = np.where(np.isfinite(day) & (subject >= 0), subject * len(days) + place, -1)
        return cls(np.unique(number, return_inverse=True)[1] - int((number < 0).any()), day, label)


def _at(values: FloatArray, places: IntArray) -> FloatArray:
    """Return ``values[places]``, NaN for a place of -1."""
    return np.append(values, np.nan)[np.where(places < 0, len(values), places)]


def _origin(subject: IntArray, doses: _Doses, days: FloatArray, date: _Moments) -> FloatArray:
    """Return the study day of each row's reference dose (0 is day 1), NaN where nothing tells it or rows disagree.

    origin = study day - (date - date of the dose), from rows of the dose that have all three; else
    date of the dose - first day of the study, which the subject's other rows tell as date - study day.
    """
    first = np.where(date.known, date.day - days, np.nan)
    own, _ = numbers_of_units(doses.day - first, doses.number, int(doses.number.max(initial=-1)) + 1)
    of_subject, _ = numbers_of_units(first, subject, int(subject.max(initial=-1)) + 1)
    origin = _at(own, doses.number)
    return np.where(np.isnan(origin), doses.day - _at(of_subject, subject), origin)


def _shared(rows: BoolArray, *units: IntArray) -> BoolArray:
    """Tell of each row whether one of the given rows has the same number in any of the arrays, -1 being none."""
    shared = np.zeros(len(rows), bool)
    for unit in units:
        there = np.bincount(unit[rows & (unit >= 0)], minlength=int(unit.max(initial=-1)) + 1) > 0
        shared |= (unit >= 0) & (there[unit] if len(there) else False)
    return shared


def planned_times(roles: Mapping[str, Column], origin: FloatArray, request: Request, unit: str) -> Column | None:
    """Return planned times: --ELTM, else VISITDY less the study day of the reference dose; --TPTNUM only orders.

    Args:
        roles: the columns.
        origin: of `elapsed_times`, ``(rows,)``.
        request: takes notes.
        unit: of the times.
    """
    duration, day = roles.get("nominal_time"), roles.get("planned_day")
    if duration is not None and not duration.missing.all():
        parsed = [parse_duration(entry) for entry in duration.entries]
        seconds = np.array([np.nan if one is None else one for one in parsed])[duration.codes]
        request.check.note(
            np.isnan(seconds) & ~duration.missing,
            "text_nominal_time",
            "the planned elapsed time {cell!r} is no duration in days or smaller units, and is not used",
            "write it as in P7D or PT2H",
            duration,
        )
        return column_of_numbers(duration.name, seconds / _scale(unit))
    if day is not None and not day.missing.all():
        number = np.where(day.numbers == 0, np.nan, day.numbers)
        days = np.where(number >= 1, number - 1, number) - origin
        if (np.isnan(days) & np.isfinite(number)).any():
            request.note(
                "planned_day",
                f"{day.name} counts from day 1 of the study; where nothing tells the study day of the reference dose "
                "it is not taken as a planned time",
                f"give the study day ({request.roles['time'].name[:2]}DY), or map planned times from the dose: "
                "nominal_time=COLUMN",
                day,
            )
        if ((origin != 0) & np.isfinite(days)).any():
            request.note(
                "planned_day",
                f"{day.name} counts from day 1 of the study; the study day on which the reference dose was given is "
                "subtracted",
                "map planned times from the dose if visits were planned from another day: nominal_time=COLUMN",
                day,
            )
        return column_of_numbers(day.name, days * _DAY / _scale(unit))
    if "point_number" in roles:
        point = roles["point_number"]
        request.note(
            "point_number",
            "the number of the time point only orders the points, and is not taken as a planned time",
            f"map it if it is one: nominal_time={point.name}",
            point,
        )
    return None
