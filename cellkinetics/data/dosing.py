"""Dose, its timing and the group of each profile, from columns or from dose records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.data.column import Column
from cellkinetics.data.covariates import labels_of_units, numbers_of_units
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.errors import Fault


@dataclass(frozen=True, eq=False)
class Keys:
    """Which subject, occasion and profile each row belongs to.

    Attributes:
        subject: number of each row's subject ``(rows,)``, -1 for none.
        names: subjects by number.
        occasion: number of each row's occasion ``(rows,)``.
        profile: number of each row's profile ``(rows,)``, -1 for rows that are no samples.
        of_profile: number of the subject of each profile ``(n,)``.
        occasion_of: number of the occasion of each profile ``(n,)``.
        line: line of each row in the file.
    """

    subject: IntArray
    names: Sequence[str]
    occasion: IntArray
    profile: IntArray
    of_profile: IntArray
    occasion_of: IntArray
    line: IntArray

    def fault(self, code: str, message: str, action: str, row: int, column: Column) -> Fault:
        """Return a note about a row."""
        return Fault(code, message, action, "note", int(self.line[row]), self.names[self.subject[row]], column.name)


def dose_from_column(column: Column, keys: Keys, log: FaultLog) -> FloatArray:
    """Return the dose of each profile ``(n,)`` from a column; NaN, and a note, where its rows contradict each other.

    A profile whose rows are silent takes the dose of its subject's other rows.
    """
    n = len(keys.of_profile)
    dose, differs = numbers_of_units(column.numbers, keys.profile, n)
    by_subject, _ = numbers_of_units(column.numbers, keys.subject, len(keys.names))
    dose = np.where(np.isnan(dose) & (differs < 0), by_subject[keys.of_profile], dose)
    for row in differs[differs >= 0]:
        message = (
            f"the dose {column.text(row)} differs from that in other rows of this profile; the dose is left unknown"
        )
        log.add(keys.fault("several_doses", message, "give one dose a subject and occasion", int(row), column))
    return dose


def dose_from_records(
    amount: Column, interval: Column | None, doses: BoolArray, keys: Keys, time: FloatArray, log: FaultLog
) -> FloatArray:
    """Return the dose of each profile ``(n,)`` from the dose records of its subject and occasion.

    Several records are parts of one dose, and add up; but where a dosing interval is stated each is a dose
    of its own, and the dose is the one at time zero, from which times count (any of them, where none is
    at time zero and all are equal). NaN, and a note, where amounts contradict each other.

    Without any dose record the column AMT is taken as a column of doses. Notes tell of several records, and of
    first doses that are not at time zero.
    """
    if not doses.any():
        return dose_from_column(amount, keys, log)
    occasions = int(keys.occasion.max()) + 1
    size = len(keys.names) * occasions
    key = np.where(keys.subject >= 0, keys.subject * occasions + keys.occasion, -1)
    given = doses & (key >= 0) & (amount.numbers > 0)
    rows = np.flatnonzero(given)
    total = np.bincount(key[rows], amount.numbers[rows], size)
    number = np.bincount(key[rows], minlength=size)
    at_zero = np.bincount(key[given & (time == 0)], minlength=size) > 0
    regular = np.zeros(size, bool)
    if interval is not None:
        regular[key[(interval.numbers > 0) & (key >= 0)]] = True
    regular &= number > 1
    chosen = given & ((time == 0) | ~at_zero[key])
    own, _ = numbers_of_units(np.where(chosen, amount.numbers, np.nan), key, size)
    dose = np.where(number > 0, np.where(regular, own, total), np.nan)
    firsts = np.full(size, np.inf)
    np.minimum.at(firsts, key[rows], np.where(np.isnan(time[rows]), np.inf, time[rows]))
    late = ~np.isin(firsts, (0.0, np.inf)) & ~(regular & at_zero)
    seen = np.zeros(size, bool)
    for row in rows.tolist():
        place = int(key[row])
        if seen[place] or (number[place] == 1 and not late[place]):
            continue
        seen[place] = True
        if number[place] > 1:
            message, action = _said_of_several(
                int(number[place]), float(dose[place]), regular=bool(regular[place]), at_zero=bool(at_zero[place])
            )
            log.add(keys.fault("several_doses", message, action, row, amount))
        if late[place]:
            message = f"the first dose is at time {firsts[place]:g}, but times are taken as counted from the infusion"
            log.add(keys.fault("dose_not_at_zero", message, "count times from the first dose", row, amount))
    return dose[keys.of_profile * occasions + keys.occasion_of]


def _said_of_several(number: int, dose: float, *, regular: bool, at_zero: bool) -> tuple[str, str]:
    """Return what a note says of several dose records, and what to do."""
    what = f"{number} dose records"
    if not regular:
        action = "give a dosing interval (II) if each is a dose of its own, an occasion column for re-infusions"
        return f"{what}; the dose is their sum, {dose:g}", action
    what += " with a dosing interval"
    if np.isnan(dose):
        where = "several at" if at_zero else "none of them at"
        message = f"{what}, {where} time zero, with amounts that differ; the dose is left unknown"
        return message, "count times from one dose, or give an occasion column"
    which = "the one at time zero" if at_zero else "that of each"
    return f"{what}; the dose is {which}, {dose:g}", "no need to act; without a dosing interval they would add up"


def steady_state_of_profiles(column: Column | None, doses: BoolArray, keys: Keys, time: FloatArray) -> FloatArray:
    """Return whether the data say that each profile is at steady state ``(n,)``: 1, 0, or NaN where they do not.

    SS of the dose records up to time zero (of the first one, where all are later) says it: above zero it
    is at steady state, zero or empty it is not, unless earlier doses came before time zero. A column that is
    empty in all dose records says nothing.
    """
    n = len(keys.of_profile)
    if column is None or column.missing[doses].all():
        return np.full(n, np.nan)
    occasions = int(keys.occasion.max()) + 1
    size = len(keys.names) * occasions
    key = np.where(keys.subject >= 0, keys.subject * occasions + keys.occasion, -1)
    rows = np.flatnonzero(doses & (key >= 0) & ~np.isnan(time))
    first = np.full(size, np.inf)
    np.minimum.at(first, key[rows], time[rows])
    rows = rows[time[rows] <= np.maximum(first[key[rows]], 0.0)]
    steady = np.bincount(key[rows], column.numbers[rows] > 0, size) > 0
    said = np.where(steady, 1.0, np.where((first >= 0) & (first < np.inf), 0.0, np.nan))
    return np.asarray(said[keys.of_profile * occasions + keys.occasion_of])


LENGTHS = {"infusion_duration": "infusion duration", "tau": "dosing interval"}
"""Lengths of time that belong to a dose, each one number a profile."""


def lengths_of_profiles(
    columns: Mapping[str, Column], doses: BoolArray, keys: Keys, log: FaultLog
) -> dict[str, FloatArray]:
    """Return infusion duration and dosing interval of each profile ``(n,)``, NaN where unknown.

    Where there are dose records, they say it for their subject and occasion: in the columns of these
    roles (II, TINF, DUR), or the infusion duration as AMT/RATE; a zero there says nothing. Otherwise the
    rows of samples say it, one positive number a profile.
    """
    lengths = {}
    for role, words in LENGTHS.items():
        column = columns.get(role)
        if column is not None:
            values = _positive(column, words, doses, log, keys)
            if doses.any():
                length = _of_records(column, np.where(doses, values, np.nan), words, keys, log)
                by_rows, _ = numbers_of_units(values, keys.profile, len(length))
                length = np.where(np.isnan(length), by_rows, length)
            else:
                length = _of_samples(column, values, words, keys, log)
        elif role == "infusion_duration" and "rate" in columns and "amt" in columns:
            column, amount = columns["rate"], columns["amt"].numbers
            rate = np.where((column.numbers > 0) & doses & (amount > 0), column.numbers, np.nan)
            length = _of_records(column, amount / rate, words, keys, log)
        else:
            length = np.full(len(keys.of_profile), np.nan)
        lengths[role] = length
    return lengths


def _positive(column: Column, words: str, doses: BoolArray, log: FaultLog, keys: Keys) -> FloatArray:
    """Return the positive numbers of a column ``(rows,)``, NaN for others, each noted."""
    values = column.numbers
    bad = column.not_numbers | (values <= 0) | np.isinf(values)
    # In a table with dose records a zero is the way to write none.
    said = bad & ~((values == 0) & doses.any()) & (keys.subject >= 0)
    for row in np.flatnonzero(said).tolist():
        message = f"the {words} {column.text(row)!r} is not a positive number and is not used"
        action = "give a positive number in the unit of time, or leave the cell empty"
        log.add(keys.fault(f"bad_{words.replace(' ', '_')}", message, action, row, column))
    return np.where(bad, np.nan, values)


def _of_samples(column: Column, values: FloatArray, words: str, keys: Keys, log: FaultLog) -> FloatArray:
    """Return the length of each profile from its rows, or else from its subject's other rows."""
    length, differs = numbers_of_units(values, keys.profile, len(keys.of_profile))
    by_subject, _ = numbers_of_units(values, keys.subject, len(keys.names))
    _note_several(column, words, differs, keys, log)
    others = by_subject[keys.of_profile]
    filled = np.isnan(length) & (differs < 0) & ~np.isnan(others)
    rows = dict(zip(*np.unique(keys.profile, return_index=True), strict=True)) if filled.any() else {}
    for profile in np.flatnonzero(filled).tolist():
        message = (
            f"there is no {words} in this profile; that of the subject's other rows, {others[profile]:g}, is taken"
        )
        code, action = f"{words.replace(' ', '_')}_of_subject", "give it in the rows of this profile if it is another"
        log.add(keys.fault(code, message, action, int(rows[profile]), column))
    return np.where(filled, others, length)


def _of_records(column: Column, values: FloatArray, words: str, keys: Keys, log: FaultLog) -> FloatArray:
    """Return the length of each profile from the dose records of its subject and occasion."""
    occasions = int(keys.occasion.max()) + 1
    key = np.where(keys.subject >= 0, keys.subject * occasions + keys.occasion, -1)
    length, differs = numbers_of_units(values, key, len(keys.names) * occasions)
    _note_several(column, words, differs, keys, log)
    return length[keys.of_profile * occasions + keys.occasion_of]


def _note_several(column: Column, words: str, differs: IntArray, keys: Keys, log: FaultLog) -> None:
    for row in differs[differs >= 0].tolist():
        message = f"the {words} differs from that in other rows of this profile; it is left unknown"
        log.add(
            keys.fault(f"several_{words.replace(' ', '_')}s", message, "give one a subject and occasion", row, column)
        )


def units_of_doses(column: Column | None, keys: Keys, log: FaultLog) -> tuple[str, ...]:
    """Return the unit of each profile's dose, "" where there is none or where its rows contradict each other."""
    n = len(keys.of_profile)
    if column is None:
        return ("",) * n
    units, differs = labels_of_units(column, keys.profile, n)
    by_subject, _ = labels_of_units(column, keys.subject, len(keys.names))
    for row in differs[differs >= 0].tolist():
        message = f"the unit of the dose {column.text(row)} differs from that in other rows; it is left unknown"
        log.add(keys.fault("several_dose_units", message, "give one unit of the dose, or --dose-unit", row, column))
    return tuple(unit or ("" if differs[i] >= 0 else by_subject[keys.of_profile[i]]) for i, unit in enumerate(units))


def groups(column: Column | None, keys: Keys, log: FaultLog) -> tuple[str, ...]:
    """Return the group of each profile, "" where there is none or where a subject's rows contradict each other."""
    if column is None:
        return ("",) * len(keys.of_profile)
    labels, differs = labels_of_units(column, keys.subject, len(keys.names))
    for row in differs[differs >= 0]:
        message = f"the group {column.text(row)!r} differs from that in other rows; the group is left empty"
        log.add(keys.fault("several_groups", message, "give one group a subject", int(row), column))
    return tuple(labels[k] for k in keys.of_profile)
