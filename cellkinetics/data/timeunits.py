"""Times of tables that state their unit in a column: which unit the cohort has, and what is converted to it."""

from __future__ import annotations

import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.data.column import Column
from cellkinetics.data.derivation import Request
from cellkinetics.units import TIME_UNITS, is_day, seconds_in


def unit_of_times(request: Request, units: Column | None) -> str | None:
    """Return the unit of a cohort's times: the one asked for, else the column's; None where neither says it.

    Raises:
        DataError: if the column has several units and none is asked for, or one that cannot be converted.
    """
    asked = None if request.time_unit is None else _plain(request.time_unit)
    stated = [] if units is None else _stated(units)
    if units is None or not stated:
        return asked
    column = ", ".join(stated)
    if len(stated) > 1 and asked is None:
        message = f"times are in several units: {column}"
        request.stop("several_time_units", message, 'take time_unit="day" (--time-unit day) to convert them', units)
    if asked is None or stated == [asked]:
        if not is_day(stated[0]):
            message = f"times are in {stated[0]}, as the column says; fits need them in days"
            request.note("time_unit", message, 'take time_unit="day" (--time-unit day) to convert them', units)
        return stated[0]
    if any(seconds_in(unit) is None for unit in (*stated, asked)):
        message = f"times in {column} cannot be converted to {asked}"
        request.stop("time_unit", message, "leave time_unit (--time-unit) away, or take one of a fixed length", units)
    message = f"times were converted from {column} to {asked}"
    request.note("times_converted", message, "leave time_unit (--time-unit) away to keep them", units)
    return asked


def in_unit(values: FloatArray, units: Column | None, unit: str | None) -> FloatArray:
    """Return times in a unit, those of another one converted; a row without a unit has that of the others."""
    if units is None or unit is None or seconds_in(unit) is None:
        return values
    stated = _stated(units)
    usual = stated[0] if stated else unit
    seconds = [seconds_in(usual if gone else entry) for entry, gone in _entries(units)]
    known = np.array([np.nan if one is None else float(one) for one in seconds])[units.codes]
    factor = np.where(np.isnan(known), 1.0, known / float(seconds_in(unit) or 1))
    same = np.isclose(factor, 1.0)
    return np.where(same, values, values * np.where(same, 1.0, known) / float(seconds_in(unit) or 1))


def _stated(units: Column) -> list[str]:
    """Return the units that a column states in any row, each once, by their usual names."""
    used = np.bincount(units.codes, minlength=len(units.entries)) > 0
    there = [entry for (entry, gone), is_used in zip(_entries(units), used, strict=True) if is_used and not gone]
    return list(dict.fromkeys(_plain(entry) for entry in there))


def _entries(units: Column) -> list[tuple[str, bool]]:
    return list(zip(units.entries, units.entry_missing.tolist(), strict=True))


def _plain(unit: str) -> str:
    return TIME_UNITS.get(unit.strip().lower(), unit.strip())
