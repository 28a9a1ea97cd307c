"""The faults of pieces become those of their file: one list, in order, that says nothing twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cellkinetics.data.faultlog import LISTED, in_order
from cellkinetics.errors import Fault

_COUNTED = re.compile(r"(\d+) (.*)", re.DOTALL)
_MORE = "more of the kind "
_OTHERS = re.compile(r"(.* within the subject)(?:, as in (\d+) other subjects)?(, .*)")
_EVERY = re.compile(r"every profile has (.*): (\d+) in all, the first on line (\d+);(.*)")
_OF_COLUMNS = frozenset({"varying_column", "time_unit", "several_units", "program_failed"})
"""Notes that name the first row of a column where they hold; the first piece's is enough."""
_OF_ALL = "empty_column"
"""What holds for a file only if it holds for all its parts."""


def join_faults(parts: Sequence[Sequence[Fault]]) -> list[Fault]:
    """Return the faults of a file whose parts were read apart, as one reading would have them.

    Faults of a kind are listed up to the limit of one reading, in order of lines, and counted beyond it.
    What parts say of the whole file is said once, with numbers added.

    Example:
        >>> rows = Fault("event_rows", "2 rows are dose records, not samples", "no need to act", "note")
        >>> [fault.message for fault in join_faults([[rows], [rows]])]
        ['4 rows are dose records, not samples']
    """
    if len(parts) == 1:
        return list(parts[0])
    empty = [{fault.column for fault in part if fault.code == _OF_ALL} for part in parts]
    nowhere = set.intersection(*empty)
    listed: dict[tuple[str, str], list[Fault]] = {}
    beyond: Counter[tuple[str, str]] = Counter()
    more: dict[tuple[str, str], Fault] = {}
    whole: dict[tuple[object, ...], Fault] = {}
    for fault in (fault for part in parts for fault in part):
        if fault.code == _OF_ALL and fault.column not in nowhere:
            continue
        kind: tuple[str, str] = (fault.code, fault.effect)
        counted = _COUNTED.fullmatch(fault.message)
        if fault.row is None and counted and counted[2].startswith(_MORE):
            beyond[kind] += int(counted[1])
            more[kind] = fault
        elif (
            fault.row is None
            or _EVERY.fullmatch(fault.message)
            or (fault.code in _OF_COLUMNS and fault.effect == "note")
        ):
            _add_whole(whole, fault)
        else:
            listed.setdefault(kind, []).append(fault)
    for key, fault in whole.items():
        said = sum(bool(_EVERY.fullmatch(other.message)) for part in parts for other in part)
        if _EVERY.fullmatch(fault.message) and said < len(parts):
            whole[key] = replace(fault, message=fault.message.replace("every profile has", "many profiles have", 1))
    for kind, faults in listed.items():
        faults.sort(key=in_order)
        if len(faults) > LISTED:
            beyond[kind] += len(faults) - LISTED
            more.setdefault(kind, replace(faults[0], row=None, subject=None, column=None))
            del faults[LISTED:]
    rest = [
        replace(fault, message=f"{beyond[kind]} {_MORE}{kind[0]}")
        for kind, fault in sorted(more.items(), key=lambda item: item[0])
    ]
    found = sorted([*whole.values(), *(fault for faults in listed.values() for fault in faults)], key=in_order)
    return [
        *_of(found, note=False),
        *_of(rest, note=False),
        *_of(found, note=True),
        *_of(rest, note=True),
    ]


def _add_whole(whole: dict[tuple[object, ...], Fault], fault: Fault) -> None:
    """Take what is said of the whole file, unless it was said; numbers of rows are added up."""
    counted = _COUNTED.fullmatch(fault.message)
    words = counted[2] if counted else fault.message if fault.code == "several_units" else ""
    key = (fault.code, fault.effect, fault.column, words)
    before = whole.get(key)
    if before is None:
        whole[key] = fault
    elif (first := _OTHERS.fullmatch(before.message)) and (second := _OTHERS.fullmatch(fault.message)):
        others = int(first[2] or 0) + int(second[2] or 0) + 1
        whole[key] = replace(before, message=f"{first[1]}, as in {others} other subjects{first[3]}")
    elif (one := _EVERY.fullmatch(before.message)) and (two := _EVERY.fullmatch(fault.message)):
        number, line = int(one[2]) + int(two[2]), min(int(one[3]), int(two[3]))
        message = f"every profile has {one[1]}: {number} in all, the first on line {line};{one[4]}"
        whole[key] = replace(before, message=message, row=line)
    elif counted and (numbers := _COUNTED.fullmatch(before.message)):
        whole[key] = replace(before, message=f"{int(numbers[1]) + int(counted[1])} {words}")


def _of(faults: Iterable[Fault], *, note: bool) -> list[Fault]:
    return [fault for fault in faults if (fault.effect == "note") == note]
