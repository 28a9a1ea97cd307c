"""The columns of a table become a cohort: rows are checked, profiles formed, arrays padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellkinetics.data import events
from cellkinetics.data.cohort import BoolArray, Cohort, FloatArray, IntArray
from cellkinetics.data.column import Column
from cellkinetics.data.covariates import covariates, labels_of_units, numbers_of_units
from cellkinetics.data.derivation import Request
from cellkinetics.data.dialects import unit_in_name
from cellkinetics.data.dosing import (
    Keys,
    dose_from_column,
    dose_from_records,
    groups,
    lengths_of_profiles,
    steady_state_of_profiles,
    units_of_doses,
)
from cellkinetics.data.duplicates import Samples, resolve_duplicates
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.data.profilecheck import (
    ProfileNames,
    duplicate_faults,
    hours_note,
    mixed_units,
    profile_notes,
    spoiled_profiles,
)
from cellkinetics.data.quantification import quantify
from cellkinetics.data.records import row_records
from cellkinetics.data.rowcheck import RowCheck
from cellkinetics.data.tables import Table
from cellkinetics.errors import Fault
from cellkinetics.units import DEFAULT_TIME_UNIT, DEFAULT_VALUE_UNIT, TIME_UNITS, is_day


def assemble(
    table: Table,
    log: FaultLog,
    *,
    duplicates: str = "error",
    negative_is_blq: bool = False,
    lloq: float | None = None,
    time_unit: str | None = None,
    value_unit: str | None = None,
) -> Cohort:
    """Return the cohort of a table; the arguments are those of `cellkinetics.data.reading.read`.

    Raises:
        DataError: if no row is a sample of a subject.
    """
    roles, line = table.roles, table.line
    subject, names = _subjects(roles["subject"])
    kinds = table.dialect.classify(roles, len(line))
    dose_rows, event_rows = kinds.of(events.DOSE), kinds.of(events.EVENT)
    check = RowCheck(line, (subject, names), log)
    check.consider(~dose_rows & ~event_rows)
    _check_rows(check, kinds, roles, subject)
    derived = table.dialect.derive(Request(table.source.name, roles, table.mapped, subject, check, time_unit))
    roles = dict(derived.roles)
    table = replace(table, roles=roles)
    numbers = quantify(roles, check, lloq=lloq, negative_is_blq=negative_is_blq)
    time = _check_times(check, roles["time"])
    nominal = _nominal(check, roles.get("nominal_time"))

    sampled = ~dose_rows & ~event_rows & (subject >= 0)
    if not sampled.any():
        message = "no row is a sample of a subject"
        log.stop(table.source.name, Fault("no_samples", message, "look at the faults of the rows", "file"))
    keys, profile_names = _profiles(table, sampled, subject, names, log)
    n = len(profile_names.subject)
    _event_notes(dose_rows, event_rows, keys, log)

    everything = Samples(
        row=np.arange(len(line)),
        profile=keys.profile,
        time=time,
        nominal_time=nominal,
        value=numbers.value,
        censored=numbers.censored,
        lloq=numbers.lloq,
        uloq=numbers.uloq,
        lower=numbers.lower,
    )
    samples = everything.pick(sampled & (check.out < 0))
    resolved = resolve_duplicates(samples, duplicates)
    unusable: list[Fault | None] = [None] * n
    spoiled_profiles(check, keys.profile, unusable)
    duplicate_faults(resolved, duplicates, profile_names, line, roles["time"], log, unusable)
    units = _units(table, keys.profile, check.out < 0, profile_names, value_unit, log, unusable)
    profile_notes(resolved.samples, profile_names, line, roles["value"], log, unusable)
    unit_of_time = derived.time_unit or _time_unit(roles["time"], time_unit, log)
    if time_unit is None and is_day(unit_of_time) and "day" not in roles["time"].name.lower():
        hours_note(resolved.samples, roles["time"], log, unusable)

    others = list(table.others)
    dose = np.full(n, np.nan)
    if "dose" in roles and (roles["dose"].kind or roles["dose"].not_numbers.any()):
        others.append(roles["dose"])
    elif "dose" in roles:
        dose = dose_from_column(roles["dose"], keys, log)
    elif "amt" in roles:
        dose = dose_from_records(roles["amt"], roles.get("tau"), dose_rows, keys, time, log)
    lengths = lengths_of_profiles(roles, dose_rows, keys, log)
    for role in lengths:
        if role in roles:
            _unit_of_length(roles[role], unit_of_time, log)
    found = covariates(others, keys.subject, names, line, keys.of_profile, log)
    found = {**found, **_of_profiles(derived.of_profiles, numbers.lod, keys)}
    group = groups(roles.get("group"), keys, log)
    dose_unit = units_of_doses(roles.get("dose_unit"), keys, log)
    return Cohort(
        **_padded(resolved.samples, n, line),
        subject=tuple(profile_names.subject),
        analyte=tuple(profile_names.analyte),
        occasion=tuple(profile_names.occasion),
        group=group,
        dose=dose,
        covariates=found,
        unusable=tuple(unusable),
        faults=log.faults(),
        time_unit=unit_of_time,
        value_unit=units,
        source=table.source,
        specimen=tuple(profile_names.specimen),
        infusion_duration=lengths["infusion_duration"],
        tau=lengths["tau"],
        steady_state=steady_state_of_profiles(roles.get("steady_state"), dose_rows, keys, time),
        occasion_start=_occasion_starts(derived.starts, keys),
        dose_unit=dose_unit,
        records=row_records(check, everything, line, resolved, duplicates),
    )


def _subjects(column: Column) -> tuple[IntArray, tuple[str, ...]]:
    """Return the number of each row's subject, -1 where there is none, and the subjects by number."""
    codes, names = column.labels
    if "" not in names:
        return codes, names
    empty = names.index("")
    return np.where(codes == empty, -1, codes - (codes > empty)), (*names[:empty], *names[empty + 1 :])


def _check_rows(check: RowCheck, kinds: events.RowKinds, roles: Mapping[str, Column], subject: IntArray) -> None:
    check.exclude(
        subject < 0,
        "missing_subject",
        "there is no subject; the row is left out",
        "write the subject into every row",
        roles["subject"],
    )
    check.exclude(
        kinds.of(events.UNKNOWN),
        "unknown_event",
        "{cell!r} is no known event; the row is left out",
        "EVID is 0, 1, 2, 3 or 4, and MDV 0 or 1",
        roles.get("evid", roles.get("mdv")),
    )
    check.exclude(
        kinds.of(events.NOT_OBSERVED),
        "not_observed",
        "MDV is 1, so the row is no observation and is left out",
        "set MDV to 0 if it is one, also below quantification",
        roles.get("mdv"),
        effect="note",
    )


def _check_times(check: RowCheck, column: Column) -> FloatArray:
    time = column.numbers
    action = "give the time from infusion as a number"
    check.exclude(
        column.not_numbers, "text_time", "the time {cell!r} is not a number; the row is left out", action, column
    )
    check.exclude(column.missing, "missing_time", "there is no time; the row is left out", action, column)
    check.exclude(np.isinf(time), "infinite_time", "the time {cell} is infinite; the row is left out", action, column)
    return time


def _nominal(check: RowCheck, column: Column | None) -> FloatArray:
    if column is None:
        return np.full(check.rows, np.nan)
    check.note(
        column.not_numbers,
        "text_nominal_time",
        "the nominal time {cell!r} is not a number and is not used",
        "give the planned time from infusion as a number",
        column,
    )
    return column.numbers


def _profiles(
    table: Table, sampled: BoolArray, subject: IntArray, names: Sequence[str], log: FaultLog
) -> tuple[Keys, ProfileNames]:
    """Number the profiles in order of their first row, and name them."""
    rows = len(table.line)

    def labels(column: Column | None) -> tuple[IntArray, tuple[str, ...]]:
        return column.labels if column is not None else (np.zeros(rows, np.int64), ("",))

    analyte, analytes = labels(_analyte_column(table, sampled, log))
    occasion, occasions = labels(table.roles.get("occasion"))
    specimen, specimens = labels(table.roles.get("specimen"))
    key = (subject * len(analytes) + analyte) * len(occasions) + occasion
    key = key * len(specimens) + specimen
    profile = np.full(rows, -1, np.int64)
    profile[sampled], keys = pd.factorize(key[sampled])
    members = np.flatnonzero(sampled)
    first = np.full(len(keys), -1, np.int64)
    first[profile[members[::-1]]] = members[::-1]
    return (
        Keys(subject, names, occasion, profile, subject[first], occasion[first], table.line),
        ProfileNames(
            subject=[names[k] for k in subject[first]],
            analyte=[analytes[k] for k in analyte[first]],
            occasion=[occasions[k] for k in occasion[first]],
            specimen=[specimens[k] for k in specimen[first]],
            line=table.line[first],
        ),
    )


def _analyte_column(table: Table, sampled: BoolArray, log: FaultLog) -> Column | None:
    """Return the column of analytes; compartments serve as analytes if samples come from several."""
    column = table.roles.get("analyte")
    compartment = table.roles.get("cmt")
    if column is None and compartment is not None and len(np.unique(compartment.labels[0][sampled])) > 1:
        message = "samples come from several compartments; each is taken as an analyte"
        action = "give an analyte column (DVID) if they are one"
        log.add(Fault("compartments", message, action, "note", column=compartment.name))
        return compartment
    return column


def _event_notes(doses: BoolArray, others: BoolArray, keys: Keys, log: FaultLog) -> None:
    for mask, what in ((doses, "dose records"), (others, "records of other events (EVID 2 or 3)")):
        if mask.any():
            log.add(Fault("event_rows", f"{int(mask.sum())} rows are {what}, not samples", "no need to act", "note"))
    present = np.zeros(len(keys.names), bool)
    present[keys.of_profile] = True
    for k in np.flatnonzero(~present).tolist():
        row = int(np.flatnonzero(keys.subject == k)[0]) if log.room("no_sample_rows", "note") else 0
        message, action = "the subject has no row that is a sample", "no need to act if none was taken"
        log.add(Fault("no_sample_rows", message, action, "note", int(keys.line[row]), keys.names[k]))


def _units(
    table: Table,
    profile: IntArray,
    used: BoolArray,
    names: ProfileNames,
    value_unit: str | None,
    log: FaultLog,
    unusable: list[Fault | None],
) -> tuple[str, ...]:
    fallback = value_unit or unit_in_name(table.roles["value"].name) or DEFAULT_VALUE_UNIT
    column = table.roles.get("unit")
    if column is None:
        return (fallback,) * len(unusable)
    units = mixed_units(column, np.where(used, profile, -1), names, table.line, log, unusable)
    others = [unit for unit in dict.fromkeys(units) if unit and unit != value_unit]
    if value_unit and others:
        message = f"the column says {', '.join(others)}, the results will say {value_unit}; nothing is converted"
        action = "leave the value unit away to keep the column's"
        log.add(Fault("value_unit", message, action, "note", column=column.name))
    return tuple(value_unit or unit or fallback for unit in units)


def _time_unit(column: Column, given: str | None, log: FaultLog) -> str:
    """Return the unit of time: the one given, else the one in the column's name, else the day."""
    said = unit_in_name(column.name)
    if said.lower() not in TIME_UNITS:
        said = ""
    if given is None:
        unit = DEFAULT_TIME_UNIT if not said or is_day(said) else said
        if not is_day(unit):
            message = f"times are in {unit}, as the column's name says; fits need them in days"
            log.add(
                Fault(
                    "time_unit", message, "give time_unit (--time-unit) if this is wrong", "note", 1, column=column.name
                )
            )
        return unit
    if said and TIME_UNITS[said.lower()] != TIME_UNITS.get(given.strip().lower()):
        message = f"the column's name says {said}, the results will say {given}; nothing is converted"
        log.add(
            Fault("time_unit", message, f"give time_unit={said!r} (--time-unit {said})", "note", 1, column=column.name)
        )
    return given


def _of_profiles(columns: Sequence[Column], lod: FloatArray, keys: Keys) -> dict[str, NDArray[Any]]:
    """Return covariates that belong to a profile rather than to its subject, among them the limit of detection."""
    n = len(keys.of_profile)
    found: dict[str, NDArray[Any]] = {
        column.name: np.array(labels_of_units(column, keys.profile, n)[0], dtype=str) for column in columns
    }
    if not np.isnan(lod).all():
        found["lod"] = numbers_of_units(lod, keys.profile, n)[0]
    return found


def _occasion_starts(starts: Sequence[FloatArray], keys: Keys) -> FloatArray:
    """Return what puts the occasions of each subject in order ``(n,)``: the first that all its profiles have."""
    n = len(keys.of_profile)
    found = np.full(n, np.nan)
    for start in starts:
        rows = np.flatnonzero((keys.profile >= 0) & np.isfinite(start))
        earliest = np.full(n, np.inf)
        np.minimum.at(earliest, keys.profile[rows], start[rows])
        unknown = np.bincount(keys.of_profile, np.isinf(earliest), len(keys.names)) > 0
        found = np.where(np.isnan(found) & ~unknown[keys.of_profile], earliest, found)
    return found


def _unit_of_length(column: Column, time_unit: str, log: FaultLog) -> None:
    """Note a length of time whose column states another unit than that of the times."""
    said = TIME_UNITS.get(unit_in_name(column.name).lower())
    if said is not None and said != TIME_UNITS.get(time_unit.strip().lower()):
        message = f"the column's name says {said}, times are in {time_unit}; nothing is converted"
        log.add(Fault("time_unit", message, f"give it in {time_unit}", "note", 1, column=column.name))


def _padded(samples: Samples, n: int, line: IntArray) -> dict[str, NDArray[Any]]:
    """Return the arrays of a cohort, ``(n, m)``, of samples in order of profile and time."""
    count = np.bincount(samples.profile, minlength=n)
    shape = (n, max(1, int(count.max())))
    start = np.cumsum(count) - count
    place = (samples.profile, np.arange(len(samples.profile)) - start[samples.profile])

    def pad(values: NDArray[Any], empty: float) -> NDArray[Any]:
        array = np.full(shape, empty, values.dtype)
        array[place] = values
        return array

    mask = np.zeros(shape, bool)
    mask[place] = True
    return {
        "time": pad(samples.time, np.nan),
        "value": pad(samples.value, np.nan),
        "censored": pad(samples.censored, 0),
        "lloq": pad(samples.lloq, np.nan),
        "uloq": pad(samples.uloq, np.nan),
        "lower": pad(samples.lower, np.nan),
        "nominal_time": pad(samples.nominal_time, np.nan),
        "row": pad(line[samples.row], -1),
        "mask": mask,
    }
