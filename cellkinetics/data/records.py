"""The record of every row that was left out, or changed by a rule."""

from __future__ import annotations

import numpy as np

from cellkinetics.data.cohort import IntArray
from cellkinetics.data.duplicates import Resolved, Samples
from cellkinetics.data.provenance import RowRecords
from cellkinetics.data.rowcheck import RowCheck


def row_records(check: RowCheck, rows: Samples, line: IntArray, resolved: Resolved, rule: str) -> RowRecords:
    """Put together the rows that were left out or changed, with their reasons, in order of lines.

    Args:
        check: what the checks of single rows found.
        rows: the numbers of all rows of the table.
        line: line of each row in the file.
        resolved: the samples after the rule for equal times.
        rule: that rule.
    """
    left_out = np.flatnonzero(check.out >= 0)
    changed = np.flatnonzero((check.changed >= 0) & (check.out < 0))
    entries = [(int(row), False, *check.reason(int(check.out[row]), int(row))) for row in left_out]
    entries += [(int(row), True, *check.reason(int(check.changed[row]), int(row))) for row in changed]
    if rule != "error":
        entries += _duplicates(resolved, rule, line)
    entries.sort(key=lambda entry: entry[0])
    places = np.array([entry[0] for entry in entries], np.int64)
    return RowRecords(
        profile=rows.profile[places],
        row=line[places],
        kept=np.array([entry[1] for entry in entries], bool),
        fault=check.lost[places],
        time=rows.time[places],
        nominal_time=rows.nominal_time[places],
        value=rows.value[places],
        censored=rows.censored[places],
        lloq=rows.lloq[places],
        uloq=rows.uloq[places],
        code=tuple(entry[2] for entry in entries),
        reason=tuple(entry[3] for entry in entries),
    )


def _duplicates(resolved: Resolved, rule: str, line: IntArray) -> list[tuple[int, bool, str, str]]:
    entries = []
    for group in np.flatnonzero(resolved.group_size > 1):
        start, size = int(resolved.group_start[group]), int(resolved.group_size[group])
        first, *others = (int(row) for row in resolved.ordered.row[start : start + size])
        entries.append((first, True, "duplicate_time", f"{rule} of {size} samples at this time"))
        text = f"one of {size} samples at this time; their {rule} stands on line {line[first]}"
        entries += [(row, False, "duplicate_time", text) for row in others]
    return entries
