"""What a dialect makes of its columns before rows are checked, and what CDISC's dialects have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.data.column import Column
from cellkinetics.data.iso8601 import parse_moment
from cellkinetics.data.quantification import side_of
from cellkinetics.data.rowcheck import RowCheck
from cellkinetics.errors import Fault
from cellkinetics.units import TIME_UNITS, seconds_in


@dataclass(frozen=True, eq=False)
class Request:
    """What a dialect is given.

    Attributes:
        name: of the table.
        roles: role to column, as they stand in the table.
        mapped: roles whose column the user named; they are read as they stand.
        subject: number of each row's subject, -1 for none.
        check: takes reasons to leave rows out, and notes.
        time_unit: the unit of time that the user asked for, or None.
    """

    name: str
    roles: Mapping[str, Column]
    mapped: frozenset[str]
    subject: IntArray
    check: RowCheck
    time_unit: str | None = None

    def note(self, code: str, message: str, action: str, column: Column | None = None) -> None:
        """Log a note on the whole table."""
        name = None if column is None else column.name
        self.check.log.add(Fault(code, message, action, "note", column=name))

    def stop(self, code: str, message: str, action: str, column: Column | None = None) -> None:
        """Give up reading the table."""
        name = None if column is None else column.name
        self.check.log.stop(self.name, Fault(code, message, action, "file", column=name))


@dataclass(frozen=True, eq=False)
class Derived:
    """What a dialect made of its columns.

    Attributes:
        roles: role to column: every role that `cellkinetics.data.assembly` knows.
        time_unit: unit of the times in ``roles``, or None where the general rule decides.
        of_profiles: columns that hold one text a profile, and are covariates of it.
        starts: when the reference dose of each row was, ``(rows,)`` each, NaN where unknown; numbers that order the
            occasions of one subject. The best comes first.
    """

    roles: Mapping[str, Column]
    time_unit: str | None = None
    of_profiles: tuple[Column, ...] = field(default=())
    starts: tuple[FloatArray, ...] = field(default=())


def as_they_stand(request: Request) -> Derived:
    """Return the columns unchanged, as dialects do whose columns need no calculation."""
    return Derived(request.roles)


def column_of_numbers(name: str, numbers: FloatArray) -> Column:
    """Return a column of calculated numbers, NaN an empty cell."""
    return Column.from_cells(name, pd.Series(numbers))


def wanted_unit(request: Request) -> str:
    """Return the unit in which times are calculated: the one asked for, else the day.

    A dialect that calculates times does it in any unit of a fixed length.
    """
    given = request.time_unit
    if given is None:
        return "day"
    if seconds_in(given) is None:
        request.stop(
            "time_unit",
            f"times cannot be calculated in {given!r}",
            "take second, minute, hour, day or week (--time-unit)",
        )
    return TIME_UNITS[given.strip().lower()]


def with_limits(value: Column, text: Column | None, request: Request, *, numbers: bool) -> Column:
    """Join a column of numbers with one of texts such as ``<50`` and ``BLQ``, which hold where they stand.

    Args:
        value: the numbers.
        text: the same results as text, or None.
        request: takes a note on each number beside such a text.
        numbers: whether a number in ``text`` counts where ``value`` is empty; not where it may be rounded.
    """
    if text is None:
        return value
    limits = _are_limits(text)[text.codes]
    request.check.note(
        limits & (value.numbers > 0),
        "value_beside_blq",
        f"a number stands beside {{cell!r}} in the column {value.name}; the sample counts as that text says",
        "no need to act if the number is an imputed one",
        text,
    )
    taken = limits | (value.missing & ~text.missing & numbers)
    codes = np.where(taken, text.codes + len(value.entries), value.codes)
    name = text.name if numbers else value.name
    return replace(value, name=name, codes=codes, entries=(*value.entries, *text.entries))


def _are_limits(text: Column) -> BoolArray:
    """Tell of each entry whether it puts a sample below the LLOQ or above the ULOQ."""
    limits = np.isnan(text.entry_numbers) & ~text.entry_missing
    for k in np.flatnonzero(limits).tolist():
        limits[k] = side_of(text.entries[k], comma=text.comma) != 0
    return limits


def leave_out_not_done(roles: Mapping[str, Column], request: Request) -> BoolArray:
    """Leave out what was not done, with the reason that the table gives; a value beside it is a fault.

    Returns:
        Mask of the rows that were not done.
    """
    status = roles.get("status")
    if status is None:
        return np.zeros(request.check.rows, bool)
    # MISSING holds NOT DONE, the status itself.
    not_done = np.array([entry.upper() == "NOT DONE" for entry in status.entries], bool)[status.codes]
    value, text, check = roles["value"], roles.get("value_text"), request.check
    there = ~value.missing
    if text is not None:
        there |= (~np.isnan(text.entry_numbers) | _are_limits(text))[text.codes]
    check.exclude(
        not_done & there,
        "not_done",
        f"the status is {{cell}}, but the column {value.name if text is None else text.name} has a result; "
        "the row is left out",
        "empty one of the two",
        status,
        settles=True,
    )
    reason = roles.get("status_reason")
    if reason is not None:
        said = not_done & ~reason.missing
        check.exclude(said, "not_done", "not done: {words}", "no need to act", reason, effect="note")
    check.exclude(not_done, "not_done", "not done; no reason is given", "no need to act", status, effect="note")
    return not_done


def put_beside_others(roles: dict[str, Column], request: Request, not_done: BoolArray) -> None:
    """Give rows that were not done a place among the profiles of their subject.

    Such a row often names no specimen, or all analytes at once (PCTESTCD is PCALL). It would be a profile
    of its own, without a sample; it stands with the subject's first profile of its analyte, else of any.
    """
    names = [name for name in ("analyte", "occasion", "specimen") if name in roles]
    rows = not_done & (request.subject >= 0)
    if not names or not rows.any():
        return
    labels = pd.DataFrame({"subject": request.subject})
    labels = labels.assign(**{name: np.array(roles[name].labels[1], object)[roles[name].labels[0]] for name in names})
    done = labels[~not_done].drop_duplicates()
    lost = labels[rows].merge(done, how="left", indicator=True)
    lost.index = np.flatnonzero(rows)
    lost = lost.loc[lost["_merge"] == "left_only", list(labels)]
    moves = False
    for key in (["subject", names[0]], ["subject"]):
        firsts = done.drop_duplicates(key).set_index(key)
        wanted = pd.MultiIndex.from_frame(lost[key]) if len(key) > 1 else pd.Index(lost["subject"])
        place = firsts.index.get_indexer(wanted)
        moved = lost.index[place >= 0]
        labels.loc[moved, list(firsts.columns)] = firsts.iloc[place[place >= 0]].to_numpy()
        moves |= len(moved) > 0
        lost = lost[place < 0]
    if moves:
        roles.update({name: Column.from_cells(roles[name].name, labels[name]) for name in names})


def occasions(labels: Column | None, reference: Column | None, request: Request) -> Column | None:
    """Return the occasion of each row: the name of its reference dose, numbered where one name has several dates.

    Without names, the reference doses of a subject are numbered in order of their dates. A row that does
    not name its dose takes the name that its date has in others.

    Args:
        labels: names of the reference doses (PCTPTREF, ATPTREF), or None.
        reference: dates of the reference doses, or None.
        request: subjects; takes a note where occasions are numbered.
    """
    if reference is None or request.mapped & {"occasion"}:
        return labels
    analyte = request.roles.get("analyte")
    keys = pd.DataFrame({"subject": request.subject})
    keys["analyte"] = 0 if analyte is None else analyte.codes
    keys["date"] = np.array([_date_key(entry) for entry in reference.entries], object)[reference.codes]
    keys["label"] = "" if labels is None else np.array(labels.labels[1], object)[labels.labels[0]]
    keys.loc[keys["subject"] < 0, "date"] = ""
    if labels is not None:
        keys["label"] = _filled_in(keys)
    dose = ["subject"] if labels is None else [*_SERIES, "label"]
    known = keys.loc[keys["date"] != "", [*dose, "date"]].drop_duplicates().sort_values([*dose, "date"], kind="stable")
    known["number"] = known.groupby(dose).cumcount() + 1
    several = known.groupby(dose)["number"].transform("max") > 1
    if several.any():
        request.note(
            "several_references",
            "subjects have several reference doses without names of their own; their samples are apart, as numbered "
            "occasions",
            "give every dose its own name in the time point reference if this is not meant",
            reference,
        )
    numbered = known if labels is None else known[several]
    number = keys.merge(numbered, how="left", on=[*dose, "date"])["number"]
    texts = [
        f"{label} {place:g}".strip() if place == place else label or ("1" if labels is None else "")
        for label, place in zip(keys["label"], number, strict=True)
    ]
    return Column.from_cells((labels or reference).name, pd.Series(texts, dtype=object))


_SERIES = ["subject", "analyte"]


def seconds_of(column: Column) -> FloatArray:
    """Return the dates of a column as seconds since 1970 ``(rows,)``, NaN where there is none to the day."""
    found = [parse_moment(entry) for entry in column.entries]
    seconds = [np.nan if one is None else one.clock / 1e6 - 60.0 * (one.offset or 0) for one in found]
    return np.array(seconds, float)[column.codes]


def _date_key(text: str) -> str:
    """Return the same text for dates that are the same, however they are written; in their order."""
    moment = parse_moment(text)
    return f"{moment.clock:020d}" if moment is not None else text


def _filled_in(keys: pd.DataFrame) -> pd.Series[str]:
    """Return labels of doses, those that are missing taken from other rows of the same dose."""
    place = [*_SERIES, "date"]
    told = keys[(keys["date"] != "") & (keys["label"] != "")].drop_duplicates()
    one = told.drop_duplicates(place, keep=False)
    other = keys[place].merge(one, how="left", on=place)["label"].fillna("")
    return keys["label"].where(keys["label"] != "", other.to_numpy())


def rows_of(column: Column, wanted: frozenset[str]) -> BoolArray:
    """Return the mask of the rows that hold one of some texts, given in upper case."""
    return np.array([entry.upper() in wanted for entry in column.entries], bool)[column.codes]
