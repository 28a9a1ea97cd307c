"""One pass over a large table: where the rows of each subject stand, and what holds for the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellkinetics.batch.rows import Block, ParquetRows, Progress, TextRows
from cellkinetics.data.cohort import BoolArray, IntArray
from cellkinetics.data.column import MISSING, Column, CommaSigns, keeps_its_point, parse_numbers
from cellkinetics.data.tables import NUMERIC_ROLES
from cellkinetics.data.whole import Whole

Hashes = NDArray[np.uint64]

_LABELS = ("subject", "analyte", "occasion", "specimen", "group", "cmt")
"""Roles whose columns hold names."""


@dataclass
class Runs:
    """Rows of one subject that follow each other, all over the file; a subject is known by the hash of its name."""

    start: list[IntArray] = field(default_factory=list)
    place: list[IntArray] = field(default_factory=list)
    line: list[IntArray] = field(default_factory=list)
    subject: list[Hashes] = field(default_factory=list)
    rows: int = 0
    last: np.uint64 | None = None

    def add(self, block: Block, subject: Hashes) -> None:
        """Take the rows of one more block, and their subjects."""
        if not len(subject):
            return
        fresh = np.ones(len(subject), bool)
        fresh[1:] = subject[1:] != subject[:-1]
        fresh[0] = self.last is None or subject[0] != self.last
        first = np.flatnonzero(fresh)
        self.start.append(first + self.rows)
        self.place.append(block.place[first])
        self.line.append(block.line[first])
        self.subject.append(subject[first])
        self.last = subject[-1]
        self.rows += len(subject)


class Subjects:
    """Tells the subjects of one block after the other; a row without one goes with the row before it."""

    def __init__(self) -> None:
        self._last = np.zeros(1, np.uint64)

    def of(self, block: Block) -> tuple[Hashes, BoolArray]:
        """Return a number for each row's subject, and which rows have one of their own.

        Ways to write one name, as ``1`` and ``1.0``, share their number.
        """
        codes, distinct = pd.factorize(block.subject, use_na_sentinel=False)
        names = [str(name).strip() for name in distinct]
        names = [name.split(".")[0] if name.partition(".")[2].strip("0") == "" else name for name in names]
        known = np.array([name.upper() not in MISSING for name in names], bool)[codes]
        hashes: Hashes = pd.util.hash_array(np.array(names, dtype=object), categorize=False)
        row = np.maximum.accumulate(np.where(known, np.arange(1, len(codes) + 1), 0))
        subject = np.concatenate([self._last, hashes[codes]])[row]
        self._last = subject[-1:] if len(subject) else self._last
        return subject, known


class _Candidate:
    """A column that may be a covariate: what the rows of each subject say."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts: dict[str, int] = {}
        self._said: list[pd.DataFrame] = []
        self._varies = False

    @property
    def keeps_points(self) -> bool:
        """Whether its labels keep what stands behind a point."""
        return any(keeps_its_point(text) for text in self.texts)

    def add(self, cells: pd.Series, subject: Hashes, known: BoolArray) -> None:
        """Take the cells of one more block, its subjects, and which rows have one of their own."""
        if self._varies:
            return
        column = Column.from_cells(self.name, cells)
        number = np.array([self.texts.setdefault(text, len(self.texts)) for text in column.entries])
        rows = known & ~column.missing
        said = pd.DataFrame({"subject": subject[rows], "text": number[column.codes[rows]]}).drop_duplicates()
        self._said.append(said)
        self._varies = _certainly_varies(said, list(self.texts))

    def kind(self, *, comma: bool) -> str:
        """Return what the column is, as `cellkinetics.data.covariates.covariates` has it for the whole file."""
        said = pd.concat(self._said, ignore_index=True) if self._said else pd.DataFrame()
        if self._varies or not len(said):
            return "none"
        texts = tuple(self.texts)
        column = Column(self.name, np.arange(len(texts)), texts, comma=comma)
        numeric = not column.not_numbers[said["text"].unique()].any()
        value = column.numbers if numeric else column.labels[0]
        constant = said.assign(value=value[said["text"]]).groupby("subject")["value"].nunique().max() == 1
        return ("number" if numeric else "text") if constant else "none"


def _certainly_varies(said: pd.DataFrame, texts: list[str]) -> bool:
    """Tell whether a subject has several values, whatever the rest of the file says of commas and labels."""
    several = said[said["subject"].duplicated(keep=False)]
    if not len(several):
        return False
    words = [texts[k] for k in several["text"]]
    if any("," in word for word in words):
        return False
    numbers = parse_numbers(words)
    values = [word if number != number else number for word, number in zip(words, numbers.tolist(), strict=True)]
    return bool(several.assign(value=values).groupby("subject")["value"].nunique().max() > 1)


class _Census:
    """Finds what holds for the whole table, block by block."""

    def __init__(self, table: ParquetRows | TextRows, grouping: Sequence[str], *, nominal: bool) -> None:
        names, dialect = table.names, table.layout.choose(table.names)
        roles = {role: names[place] for role, place in table.layout.roles(names).items()}
        self._separator = table.separator
        self._labels = [roles[role] for role in _LABELS if role in roles]
        # A dose that is no number anywhere is a covariate everywhere.
        self._dose = roles["dose"] if "dose" in roles and table.is_text(roles["dose"]) else ""
        self._doses = set[str]()
        taken = {name for name in roles.values() if name != self._dose}
        asked = [name for name in names if name in grouping and name.strip().lower() not in dialect.ignored]
        asked += [self._dose] if self._dose else []
        self._candidates = {name: _Candidate(name) for name in asked if name not in taken}
        texts = [roles[role] for role in NUMERIC_ROLES if role in roles and table.is_text(roles[role])]
        self._numbers = texts if self._separator != "," else []
        self._commas, self._points = CommaSigns(), set[str]()
        # SDTM tables have their nominal times in texts of several kinds: each part says what it lacks.
        self._nominal = roles.get("nominal_time") if nominal and not dialect.name.startswith("sdtm") else None
        self._found_nominal = not nominal or dialect.name.startswith("sdtm")
        wanted = [*self._labels, *self._candidates, *self._numbers]
        wanted += [self._nominal] if self._nominal else []
        self.wanted = tuple(dict.fromkeys(wanted))

    def add(self, block: Block, subject: NDArray[np.uint64], known: BoolArray) -> None:
        """Take one more block."""
        for name in self._labels:
            cells = block.columns[name]
            texts = pd.api.types.is_string_dtype(cells.dtype) or cells.dtype == object
            fresh = pd.unique(cells) if texts and name not in self._points else ()
            if any(keeps_its_point(str(label).strip()) for label in fresh):
                self._points.add(name)
        for name, candidate in self._candidates.items():
            candidate.add(block.columns[name], subject, known)
        if self._dose:
            self._doses.update(Column.from_cells(self._dose, block.columns[self._dose]).entries)
        for name in self._numbers:
            self._commas.add(Column.from_cells(name, block.columns[name]).entries)
        if self._nominal and not self._found_nominal:
            entries = Column.from_cells(self._nominal, block.columns[self._nominal]).entries
            numbers = [parse_numbers(entries, comma=comma) for comma in (False, True)]
            self._found_nominal = bool(np.isfinite(np.concatenate(numbers)).any())

    def whole(self) -> Whole:
        """Return what was found."""
        comma = self._commas.is_decimal(self._separator)
        kinds = {name: candidate.kind(comma=comma) for name, candidate in self._candidates.items()}
        points = self._points | {name for name, candidate in self._candidates.items() if candidate.keeps_points}
        doses = [text for text in self._doses if text.upper() not in MISSING]
        if self._dose and not np.isnan(parse_numbers(doses, comma=comma)).any():
            del kinds[self._dose]
        return Whole(tuple(sorted(points)), kinds, comma, self._found_nominal)


def scan(
    table: ParquetRows | TextRows, *, grouping: Sequence[str] = (), nominal: bool = False, progress: Progress | None
) -> tuple[Runs | None, Whole]:
    """Find the runs of subjects, None if the table cannot be cut, and what holds for the whole table.

    Args:
        table: its rows.
        grouping: columns that the summary is made by.
        nominal: whether nominal times are asked for.
        progress: called with what is done, and the total.
    """
    runs, subjects, census = Runs(), Subjects(), _Census(table, grouping, nominal=nominal)
    for block in table.blocks(census.wanted, progress):
        if block is None:
            return None, Whole()
        subject, known = subjects.of(block)
        runs.add(block, subject)
        census.add(block, subject, known)
    return (runs if runs.rows else None), census.whole()
