"""Dose and group of each profile, from columns or from dose records."""

from __future__ import annotations

from collections.abc import Sequence
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


def dose_from_records(amount: Column, doses: BoolArray, keys: Keys, time: FloatArray, log: FaultLog) -> FloatArray:
    """Return the dose of each profile ``(n,)``: the sum of the dose records of its subject and occasion.

    Without any dose record the column AMT is taken as a column of doses. Notes tell of sums, and of
    first doses that are not at time zero, because times count from the infusion.
    """
    if not doses.any():
        return dose_from_column(amount, keys, log)
    occasions = int(keys.occasion.max()) + 1
    key = keys.subject * occasions + keys.occasion
    rows = np.flatnonzero(doses & (keys.subject >= 0) & (amount.numbers > 0))
    size = len(keys.names) * occasions
    total = np.bincount(key[rows], amount.numbers[rows], size)
    number = np.bincount(key[rows], minlength=size)
    wanted = keys.of_profile * occasions + keys.occasion_of
    firsts = np.full(size, np.inf)
    np.minimum.at(firsts, key[rows], np.where(np.isnan(time[rows]), np.inf, time[rows]))
    seen = np.zeros(size, bool)
    for row in rows.tolist():
        place = int(key[row])
        if seen[place] or (number[place] == 1 and firsts[place] in (0.0, np.inf)):
            continue
        seen[place] = True
        if number[place] > 1:
            message = f"{number[place]} dose records; the dose is their sum, {total[place]:g}"
            log.add(
                keys.fault("several_doses", message, "give an occasion column if these are re-infusions", row, amount)
            )
        if firsts[place] not in (0.0, np.inf):
            message = f"the first dose is at time {firsts[place]:g}, but times are taken as counted from the infusion"
            log.add(keys.fault("dose_not_at_zero", message, "count times from the first dose", row, amount))
    return np.where(number[wanted] > 0, total[wanted], np.nan)


def groups(column: Column | None, keys: Keys, log: FaultLog) -> tuple[str, ...]:
    """Return the group of each profile, "" where there is none or where a subject's rows contradict each other."""
    if column is None:
        return ("",) * len(keys.of_profile)
    labels, differs = labels_of_units(column, keys.subject, len(keys.names))
    for row in differs[differs >= 0]:
        message = f"the group {column.text(row)!r} differs from that in other rows; the group is left empty"
        log.add(keys.fault("several_groups", message, "give one group a subject", int(row), column))
    return tuple(labels[k] for k in keys.of_profile)
