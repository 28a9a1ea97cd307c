"""Columns that hold one value a subject become covariates, dose and group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.data.column import Column
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.errors import Fault


def one_value_each(
    values: NDArray[np.generic], there: BoolArray, unit: IntArray, count: int
) -> tuple[IntArray, BoolArray, IntArray]:
    """Find the value that each unit (subject, profile) has in all its rows.

    Args:
        values: shape ``(rows,)``, numbers or codes.
        there: mask of the rows that hold a value.
        unit: number of each row's unit ``(rows,)``, -1 for none.
        count: number of units.

    Returns:
        The first row with a value of each unit, -1 where it has none ``(count,)``; whether the
        unit's rows differ ``(count,)``; and the first row that differs, -1 for none ``(count,)``.
    """
    rows = np.flatnonzero(there & (unit >= 0))
    first = np.full(count, -1, np.int64)
    first[unit[rows[::-1]]] = rows[::-1]
    other = rows[values[rows] != values[first[unit[rows]]]] if len(rows) else rows
    differs = np.full(count, -1, np.int64)
    differs[unit[other[::-1]]] = other[::-1]
    return first, differs >= 0, differs


def covariates(
    columns: Sequence[Column],
    subject: IntArray,
    names: Sequence[str],
    line: IntArray,
    of_profile: IntArray,
    log: FaultLog,
) -> Mapping[str, NDArray[np.generic]]:
    """Return the columns that are constant within every subject, one entry a profile.

    A column of numbers becomes float64 (NaN missing), any other one text ("" missing). A column that
    varies within a subject, or is empty, is no covariate: a note says so. A column whose kind is known,
    because these rows are a part of a file, is what it is in the whole file.

    Args:
        columns: the columns without another role.
        subject: number of the subject of each row, -1 for none.
        names: subjects by number.
        line: line of each row.
        of_profile: number of the subject of each profile ``(n,)``.
        log: takes the notes.
    """
    found: dict[str, NDArray[np.generic]] = {}
    for column in columns:
        missing = column.missing
        if missing[subject >= 0].all():
            log.add(
                Fault(
                    "empty_column",
                    "the column is empty",
                    "no need to act if it is not needed",
                    "note",
                    column=column.name,
                )
            )
            if column.kind not in ("number", "text"):
                continue
        numeric = column.kind == "number" if column.kind else not column.not_numbers[subject >= 0].any()
        values: NDArray[Any] = column.numbers if numeric else column.labels[0]
        first, differs, where = one_value_each(values, ~missing, subject, len(names))
        if differs.any():
            row = int(where[np.flatnonzero(differs)[0]])
            others = int(differs.sum()) - 1
            more = f", as in {others} other subjects" if others else ""
            message = f"the column varies within the subject{more}, so it is no covariate"
            action = "no need to act unless it should be one: a covariate has one value a subject"
            log.add(Fault("varying_column", message, action, "note", int(line[row]), names[subject[row]], column.name))
            continue
        if column.kind == "none":
            continue
        chosen = first[of_profile]
        if numeric:
            found[column.name] = np.where(chosen >= 0, values[chosen], np.nan)
        else:
            labels = np.array(column.labels[1])
            found[column.name] = np.where(chosen >= 0, labels[values[chosen]], "")
    return MappingProxyType(found)


def numbers_of_units(values: FloatArray, unit: IntArray, count: int) -> tuple[FloatArray, IntArray]:
    """Return the number of each unit ``(count,)``, NaN where it has none or several; and the first row that differs."""
    first, differs, where = one_value_each(values, ~np.isnan(values), unit, count)
    return np.where((first >= 0) & ~differs, values[first], np.nan), where


def labels_of_units(column: Column, unit: IntArray, count: int) -> tuple[tuple[str, ...], IntArray]:
    """Return the label of each unit, "" where it has none or several; and the first row that differs, -1 for none."""
    codes, names = column.labels
    first, differs, where = one_value_each(codes, ~column.missing, unit, count)
    return tuple("" if bad or row < 0 else names[codes[row]] for row, bad in zip(first, differs, strict=True)), where
