"""When each drug was given beside the cells, as intervals of days, from a table or from a column of the data."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cellkinetics.data.cohort import Cohort, FloatArray
from cellkinetics.data.column import CommaSigns, parse_numbers
from cellkinetics.data.encoding import decode
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.errors import DataError, Fault, SettingsError

COLUMNS = ("subject", "drug", "start", "end", "occasion")
STILL_GIVEN = 1e6
"""Day that stands for an end which is not known, because the drug is still given."""
_DRUG = ("drug", "input")


@dataclass(frozen=True, eq=False)
class Comedication:
    """Intervals over which drugs were given, one entry an interval.

    Attributes:
        subject, drug: whom and what, drugs in small letters.
        occasion: of which infusion the days count, "" for every one of the subject.
        start, end: days since infusion, in the unit of the samples' times; an open end is `STILL_GIVEN`.
        notes: what was joined or changed in reading.
        source: name of the file, for messages.
    """

    subject: tuple[str, ...]
    drug: tuple[str, ...]
    occasion: tuple[str, ...]
    start: FloatArray
    end: FloatArray
    notes: tuple[str, ...] = ()
    source: str = "the table of comedication"

    @classmethod
    def from_starts(cls, cohort: Cohort, columns: Mapping[str, str]) -> Comedication:
        """Take the day of each drug's first dose from a column of the data; from then on it counts as given.

        Args:
            cohort: whose covariates hold the days, empty for who was given none.
            columns: drug to the name of its column.

        Raises:
            SettingsError: for a column that the data do not have, or that holds no numbers.

        Example:
            >>> data = pd.DataFrame({"subject": [1, 2], "time": 7, "value": 90.0, "toci_day": [3.0, np.nan]})
            >>> from cellkinetics.data.reading import read
            >>> Comedication.from_starts(read(data), {"toci": "toci_day"})
            Comedication: 1 interval of toci, 1 patient
        """
        rows: list[tuple[str, str, str, float]] = []
        for drug, column in columns.items():
            values = cohort.covariates.get(column)
            if values is None:
                known = ", ".join(cohort.covariates) or "no covariate"
                raise SettingsError(f"comedication {drug}={column}: the data have no such covariate; there is {known}")
            if values.dtype.kind not in "fiu":
                raise SettingsError(f"comedication {drug}={column}: the column must hold days, and holds text")
            days = values.astype(float)
            rows += [
                (cohort.subject[i], drug.strip().lower(), cohort.occasion[i], float(days[i]))
                for i in np.flatnonzero(np.isfinite(days))
            ]
        rows = list(dict.fromkeys(rows))
        subject, names, occasion, start = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(subject, names, occasion, np.array(start, float), np.full(len(rows), STILL_GIVEN))

    def windows(self, cohort: Cohort, inputs: Sequence[str]) -> tuple[FloatArray, tuple[str, ...]]:
        """Return when each input of a model is given, for every profile of a cohort, and what to know of it.

        Intervals that overlap are one. A patient whom the table does not name was given nothing.

        Args:
            cohort: n profiles.
            inputs: names of the model's k inputs, in its order.

        Returns:
            First and last day of each interval ``(n, k, w, 2)``, padded with intervals of no length; and notes.

        Raises:
            DataError: if no subject of the table is in the cohort, or one is likely misspelt.
            SettingsError: for a drug that the model does not have.

        Example:
            >>> cohort = Cohort.from_arrays([[1.0]] * 2, [[5.0]] * 2, subject=["A", "B"])
            >>> table = pd.DataFrame({"subject": ["B"], "drug": ["toci"], "start": [4], "end": [11]})
            >>> read_comedication(table).windows(cohort, ["toci"])[0].tolist()
            [[[[0.0, 0.0]]], [[[4.0, 11.0]]]]
        """
        self._check_drugs(inputs)
        notes = [*self.notes, *self._check_subjects(cohort)]
        spans: list[list[list[tuple[float, float]]]] = []
        joined = []
        for subject, occasion in zip(cohort.subject, cohort.occasion, strict=True):
            own = []
            for drug in inputs:
                given = [
                    (float(self.start[r]), float(self.end[r]))
                    for r in range(len(self.subject))
                    if self.subject[r] == subject and self.drug[r] == drug and self.occasion[r] in ("", occasion)
                ]
                own.append(union(given))
                if len(own[-1]) < len(given):
                    joined.append(f"{subject} ({drug})")
            spans.append(own)
        if joined:
            listed = ", ".join(dict.fromkeys(joined))
            notes.append(f"intervals of comedication that overlap or touch were joined: {listed}")
        widest = max([1, *(len(one) for own in spans for one in own)])
        array = np.zeros((len(cohort), len(inputs), widest, 2))
        for i, own in enumerate(spans):
            for k, one in enumerate(own):
                array[i, k, : len(one)] = np.array(one).reshape(-1, 2)
        return array, tuple(notes)

    def _check_drugs(self, inputs: Sequence[str]) -> None:
        strange = sorted(set(self.drug) - set(inputs))
        if strange:
            raise SettingsError(
                f"comedication: the model has no input {' or '.join(map(repr, strange))}; it takes "
                f"{', '.join(inputs) or 'none'}; name the model with its drugs, as in "
                f"ecp+comedication={'/'.join(dict.fromkeys(self.drug))}, or leave these rows out"
            )

    def _check_subjects(self, cohort: Cohort) -> list[str]:
        there = set(cohort.subject)
        strange = [subject for subject in dict.fromkeys(self.subject) if subject not in there]
        alike = {_plain(subject): subject for subject in cohort.subject}
        close = {subject: alike[_plain(subject)] for subject in strange if _plain(subject) in alike}
        if close:
            shown = ", ".join(f"{subject!r} (in the samples {other!r})" for subject, other in close.items())
            raise DataError(
                f"{self.source}: subjects are spelt otherwise than in the samples: {shown}; spell them alike"
            )
        if strange and len(strange) == len(set(self.subject)):
            raise DataError(f"{self.source}: no subject is among those of the samples; its first is {strange[0]!r}")
        if not strange:
            return []
        return [f"comedication of subjects without samples is not used: {', '.join(strange)}"]

    def __len__(self) -> int:
        return len(self.subject)

    def __repr__(self) -> str:
        patients = len(set(self.subject))
        drugs = " and ".join(dict.fromkeys(self.drug)) or "no drug"
        return (
            f"Comedication: {len(self)} interval{'s' if len(self) != 1 else ''} of {drugs}, "
            f"{patients} patient{'s' if patients != 1 else ''}"
        )


def comedication_of(
    given: Comedication | str | os.PathLike[str] | pd.DataFrame | Mapping[str, str], cohort: Cohort
) -> Comedication:
    """Return comedication as it may be given: read, a table or its path, or drug to the column with its first day.

    Raises:
        DataError: as `read_comedication`.
        SettingsError: as `Comedication.from_starts`.
    """
    if isinstance(given, Comedication):
        return given
    if isinstance(given, (str, os.PathLike, pd.DataFrame)):
        return read_comedication(given)
    return Comedication.from_starts(cohort, given)


def never_given(windows: FloatArray, inputs: Sequence[str]) -> tuple[str, ...]:
    """Return the inputs that no patient was given, whose effect cannot be estimated; ``windows`` (n, k, w, 2)."""
    there = np.any(windows[..., 1] > windows[..., 0], axis=(0, 2))
    return tuple(name for name, one in zip(inputs, there.tolist(), strict=True) if not one)


def read_comedication(source: str | os.PathLike[str] | pd.DataFrame) -> Comedication:
    """Read when drugs were given: a table ``subject, drug, start, end``, one row an interval.

    ``start`` and ``end`` are days since infusion. An empty ``end``, or no such column, means that the drug was given
    until the end. The drug's column may also be called ``input``. A column ``occasion`` says of which infusion the
    days count, where subjects have several.

    Args:
        source: a CSV file (comma, semicolon or tab), or a data frame.

    Raises:
        DataError: for a file that is no such table; with every fault and its line: no subject or drug, a time that
            is no number, an end before its start.

    Example:
        >>> table = pd.DataFrame({"subject": ["A", "A"], "drug": ["toci", "ster"], "start": [4, 5], "end": ["", 12]})
        >>> read_comedication(table)
        Comedication: 2 intervals of toci and ster, 1 patient
    """
    if isinstance(source, pd.DataFrame):
        name, frame, separator = "the table of comedication", source.copy(), ","
        frame = frame.astype(object).where(frame.notna(), "").map(_cell)
    else:
        name, frame, separator = _from_file(Path(source))
    frame.columns = [str(column).strip().lower() for column in frame.columns]
    frame = frame.rename(columns={_DRUG[1]: _DRUG[0]} if _DRUG[0] not in frame.columns else {})
    log = FaultLog()
    unknown = [column for column in frame.columns if column not in COLUMNS]
    missing = [column for column in COLUMNS[:3] if column not in frame.columns]
    twice = [column for column in COLUMNS if list(frame.columns).count(column) > 1]
    if twice:
        raise DataError(f"{name} has the column {twice[0]!r} twice; keep one of them")
    if missing or unknown:
        found = f"has no column {missing[0]!r}" if missing else f"has the column {unknown[0]!r}"
        raise DataError(f"{name} {found}; its columns are subject, drug (or input), start, end and occasion")
    text = {column: frame.get(column, pd.Series([""] * len(frame), dtype=object)).tolist() for column in COLUMNS}
    signs = CommaSigns()
    signs.add([*text["start"], *text["end"]])
    comma = signs.is_decimal(separator)
    start, end = parse_numbers(text["start"], comma=comma), parse_numbers(text["end"], comma=comma)
    end = np.where([cell == "" for cell in text["end"]], STILL_GIVEN, end)
    keep = np.array([any(text[column][k] for column in COLUMNS) for k in range(len(frame))], bool)
    for k in np.flatnonzero(keep).tolist():
        for fault in _faults(k + 2, text["subject"][k], text["drug"][k], start[k], end[k]):
            log.add(fault)
    faults = log.faults()
    if faults:
        raise DataError(f"{name} cannot be used", faults)
    notes = [
        f"{text['drug'][k]} of subject {text['subject'][k]} starts and ends on day {start[k]:g}, so it has no effect"
        for k in np.flatnonzero(keep & (start == end)).tolist()
    ]
    places = np.flatnonzero(keep).tolist()
    return Comedication(
        tuple(text["subject"][k] for k in places),
        tuple(text["drug"][k].lower() for k in places),
        tuple(text["occasion"][k] for k in places),
        start[keep],
        end[keep],
        tuple(notes),
        name,
    )


def union(intervals: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return intervals that overlap or touch as one, in order.

    Example:
        >>> union([(5, 9), (1, 3), (3, 4), (8, 12)])
        [(1, 4), (5, 12)]
    """
    found: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _from_file(path: Path) -> tuple[str, pd.DataFrame, str]:
    name = path.name
    try:
        decoded = decode(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from None
    if decoded is None or not decoded[0].strip():
        raise DataError(f"{name} is no table of text; save it as CSV")
    header = decoded[0].split("\n", 1)[0]
    separator = max((",", ";", "\t"), key=header.count)
    try:
        rows = list(csv.reader(io.StringIO(decoded[0]), delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{name} is no table of comma-separated values: {error}") from None
    for line, row in enumerate(rows[1:], start=2):
        if len(row) > len(rows[0]) and any(row[len(rows[0]) :]):
            raise DataError(f"{name}, line {line} has {len(row)} cells, and the header {len(rows[0])}")
    cells = [[cell.strip() for cell in row] + [""] * (len(rows[0]) - len(row)) for row in rows[1:]]
    return name, pd.DataFrame([row[: len(rows[0])] for row in cells], columns=rows[0], dtype=object), separator


def _faults(line: int, subject: str, drug: str, start: float, end: float) -> list[Fault]:
    found = []

    def add(code: str, message: str, action: str, column: str) -> None:
        found.append(Fault(code, message, action, "file", line, subject or None, column))

    if not subject:
        add("no_subject", "subject is empty", "say who was given the drug", "subject")
    if not drug:
        add("no_drug", "drug is empty", "say what was given", "drug")
    for column, value in (("start", start), ("end", end)):
        if not np.isfinite(value):
            empty = "or leave it empty if the drug is still given" if column == "end" else "such as 4"
            add("no_time", f"{column} is no number", f"give days since infusion, {empty}", column)
    if end < start:
        add("end_before_start", f"end ({end:g}) is before start ({start:g})", "correct one of them", "end")
    return found


def _cell(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell).strip()


def _plain(subject: str) -> str:
    """Return a subject's name without case, blanks and leading zeros."""
    return "".join(subject.split()).lower().lstrip("0")
