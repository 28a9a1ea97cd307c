"""SDTM's findings of kinetics: PC (concentrations) and CP (cell phenotype), as they are submitted.

Source: CDISC SDTM Implementation Guide 3.4: domains PC and CP, and section 4.4 on timing variables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.data.column import Column
from cellkinetics.data.derivation import (
    Derived,
    Request,
    column_of_numbers,
    leave_out_not_done,
    occasions,
    put_beside_others,
    wanted_unit,
    with_limits,
)
from cellkinetics.data.iso8601 import parse_duration, parse_moment
from cellkinetics.units import seconds_in

_DAY = 86400


def columns_of(domain: str) -> dict[str, tuple[str, ...]]:
    """Return the roles of a findings domain (``pc``, ``cp``) and the variables that have them."""
    variables = {
        "time": ("dtc", "dy"),
        "value": ("stresn", "stresc", "orres"),
        "value_text": ("stresc",),
        "unit": ("stresu", "orresu"),
        "lloq": ("lloq",),
        "uloq": ("uloq",),
        "lod": ("lod",),
        "analyte": ("testcd", "test"),
        "markers": ("sbmrks",),
        "specimen": ("spec",),
        "occasion": ("tptref",),
        "reference_date": ("rftdtc",),
        "study_day": ("dy",),
        "status": ("stat",),
        "status_reason": ("reasnd",),
        "nominal_time": ("eltm",),
        "point_number": ("tptnum",),
    }
    roles = {role: tuple(domain + name for name in names) for role, names in variables.items()}
    return {
        "subject": ("usubjid", "subjid"),
        **roles,
        "planned_day": ("visitdy",),
        "dose": ("dose",),
        "group": ("actarm", "arm", "group"),
    }


def ignored_of(domain: str) -> frozenset[str]:
    """Return the variables of a findings domain that are no covariates: identifiers, methods, visits, dates."""
    own = (
        *("seq", "grpid", "refid", "spid", "lnkid", "lnkgrp", "test", "cat", "scat", "orres", "orresu", "nam"),
        *("loinc", "spccnd", "method", "anmeth", "runid", "lobxfl", "blfl", "fast", "drvfl", "celsta", "csmrks"),
        *("tstcnd", "bdagnt", "abclid", "mrkstr", "gate", "gatedef", "tpt", "tptnum", "enttpt", "eltm", "evlint"),
        *("stint", "enint", "stresc", "stresn", "dy", "endtc", "endy", "usable", "smplid"),
    )
    return frozenset({"domain", "visit", "visitnum", "epoch", "taetord", *(domain + name for name in own)})


def derive(request: Request) -> Derived:
    """Return roles with elapsed times, results with their limits, occasions and analytes.

    time = --DTC - --RFTDTC, else --DY - 1 for --DY >= 1 (CDISC has no day 0); a day before stays negative
    """
    roles = dict(request.roles)
    unit = wanted_unit(request)
    not_done = leave_out_not_done(roles, request)
    if "value" not in request.mapped and "value_text" in roles:
        roles["value"] = with_limits(roles["value"], roles["value_text"], request, numbers=True)
    if "analyte" in roles and "markers" in roles and "analyte" not in request.mapped:
        roles["analyte"] = _with_markers(roles["analyte"], roles["markers"])
    own_time = "time" not in request.mapped
    if own_time:
        roles["time"] = _elapsed(request, unit)
    if "nominal_time" not in request.mapped:
        _planned(roles, request, unit)
    reference = roles.get("reference_date")
    occasion = occasions(roles.get("occasion"), reference, request)
    if occasion is not None:
        roles["occasion"] = occasion
    put_beside_others(roles, request, not_done)
    return Derived(roles, unit if own_time else None, () if reference is None else (reference,))


def _with_markers(analyte: Column, markers: Column) -> Column:
    """Name cell populations by their code and their markers, which tell those of one code apart."""
    codes, names = analyte.labels
    marks, strings = markers.labels
    pairs, code = np.unique(codes * len(strings) + marks, return_inverse=True)
    entries = []
    for pair in pairs.tolist():
        name, string = names[pair // len(strings)], strings[pair % len(strings)]
        entries.append(f"{name} ({string})" if string else name)
    return Column(analyte.name, np.asarray(code, np.int64), tuple(entries))


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


def _elapsed(request: Request, unit: str) -> Column:
    """Return the column of elapsed times."""
    roles = request.roles
    column, reference, day = roles["time"], roles.get("reference_date"), roles.get("study_day")
    if day is not None and column.name == day.name:
        return _of_study_day(request, day, np.ones(len(column), bool), np.full(len(column), np.nan), unit)
    if reference is None and day is None:
        request.stop(
            "missing_column",
            f"no column says from when {column.name} counts: neither the date of the reference dose "
            f"({column.name[:2]}RFTDTC) nor the study day ({column.name[:2]}DY) is there",
            "add one of them, or map time to a column of days from infusion",
            column,
        )
    seconds = np.full(len(column), np.nan)
    if reference is not None:
        date, start = _Moments.of(column), _Moments.of(reference)
        both = date.known & start.known
        exact = both & date.timed & start.timed
        zoned = (date.offset > -9999) & (start.offset > -9999)
        ahead = np.where(zoned, date.offset - start.offset, 0) * 60_000_000
        seconds[both] = ((date.day - start.day) * _DAY)[both]
        seconds[exact] = (date.clock - start.clock - ahead)[exact] / 1e6
        check = request.check
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
        if day is None:
            _refuse_dates(request, column, reference, date.known, start.known)
    else:
        request.note(
            "time_from_study_day",
            f"no date of the reference dose ({column.name[:2]}RFTDTC): the times are whole days from day 1 of the "
            "study, which need not be the day of the infusion",
            "add the date of the infusion if the two differ",
            day,
        )
    if day is not None:
        return _of_study_day(request, day, np.isnan(seconds), seconds, unit)
    return column_of_numbers(column.name, seconds / (seconds_in(unit) or _DAY))


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


def _of_study_day(request: Request, day: Column, rows: BoolArray, seconds: FloatArray, unit: str) -> Column:
    """Return times, those of some rows from the study day: day 1 is the first one, and there is no day 0."""
    check, column, number = request.check, request.roles["time"], day.numbers
    wrong = rows & ((number == 0) | day.not_numbers | (number != np.floor(number)) & ~np.isnan(number))
    check.exclude(
        wrong,
        "bad_study_day",
        "{cell!r} is no study day (1, 2, 3, ... or -1, -2, ...); the row is left out",
        "CDISC's first day is 1, and the day before it is -1",
        day,
        settles=True,
    )
    missing = rows & day.missing
    if column.name != day.name:
        shown = "look at the dates: neither the one nor the other is there to the day"
        partial = missing & ~column.missing & ~_Moments.of(column).known
        message = f"{{cell!r}} is no whole date, and there is no {day.name}; the row is left out"
        check.exclude(partial, "partial_date", message, "write it to the day, or with its time", column, settles=True)
        reference = request.roles.get("reference_date", column)
        message = f"there is no elapsed time, as a date is missing, and no {day.name}; the row is left out"
        check.exclude(missing, "missing_time", message, shown, reference, settles=True)
        if "reference_date" in request.roles:
            check.note(
                rows & ~wrong & ~missing,
                "time_from_study_day",
                "no elapsed time from dates: the time is the study day {cell}, whole days from day 1",
                "give whole dates if the times matter",
                day,
            )
    days = np.where(wrong, np.nan, np.where(number >= 1, number - 1, number))
    return column_of_numbers(column.name, np.where(rows, days * _DAY, seconds) / (seconds_in(unit) or _DAY))


def _planned(roles: dict[str, Column], request: Request, unit: str) -> None:
    """Put the planned time into ``roles``: --ELTM, else VISITDY - 1; --TPTNUM only orders the points."""
    scale = seconds_in(unit) or _DAY
    duration, day = roles.pop("nominal_time", None), roles.get("planned_day")
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
        roles["nominal_time"] = column_of_numbers(duration.name, seconds / scale)
    elif day is not None and not day.missing.all():
        number = np.where(day.numbers == 0, np.nan, day.numbers)
        days = np.where(number >= 1, number - 1, number)
        roles["nominal_time"] = column_of_numbers(day.name, days * _DAY / scale)
    elif "point_number" in roles:
        point = roles["point_number"]
        request.note(
            "point_number",
            "the number of the time point only orders the points, and is not taken as a planned time",
            f"map it if it is one: nominal_time={point.name}",
            point,
        )
