"""A large table is cut into pieces that hold all rows of their subjects, and pieces are read.

Where the rows of each subject stand together, a piece is a part of the file. Else rows are gathered into
one file a piece first, in one pass over the table. Subjects keep the order of their first appearance.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellkinetics.batch.job import Piece
from cellkinetics.batch.rows import KINDS, Block, ParquetRows, Progress, TextRows
from cellkinetics.data.cohort import Cohort, IntArray
from cellkinetics.data.column import MISSING, keeps_its_point
from cellkinetics.data.dialects import Layout
from cellkinetics.data.reading import read, read_part

Hashes = NDArray[np.uint64]

_ZEROS = re.compile(r"\.0+")


@dataclass
class _Runs:
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


class _Subjects:
    """Tells the subjects of one block after the other; a row without one goes with the row before it."""

    def __init__(self) -> None:
        self._last = np.zeros(1, np.uint64)

    def of(self, block: Block) -> Hashes:
        """Return a number for each row's subject; ways to write one name, as ``1`` and ``1.0``, share theirs."""
        codes, distinct = pd.factorize(block.subject, use_na_sentinel=False)
        names = [_ZEROS.sub("", str(name).strip()) for name in distinct]
        known = np.array([name.upper() not in MISSING for name in names], bool)
        hashes: Hashes = pd.util.hash_array(np.array(names, dtype=object), categorize=False)
        row = np.maximum.accumulate(np.where(known[codes], np.arange(1, len(codes) + 1), 0))
        subject = np.concatenate([self._last, hashes[codes]])[row]
        self._last = subject[-1:] if len(subject) else self._last
        return subject


def read_piece(piece: Piece, reading: Mapping[str, Any]) -> Cohort:
    """Return the cohort of a piece; rows have the lines of the whole file.

    Args:
        piece: a file, or a part of it.
        reading: the arguments of `cellkinetics.data.reading.read`.

    Raises:
        DataError, SettingsError: as `cellkinetics.data.reading.read` does.
    """
    if piece.kind == "file":
        return read(piece.path, **reading)
    cells = partial(KINDS[piece.kind].cells, piece)
    name = Path(piece.path).name
    return read_part(cells, name=name, sha256=piece.sha256, points=piece.points, options=reading)


def is_large(path: Path, piece_rows: int, reading: Mapping[str, Any]) -> bool:
    """Tell whether a table has more rows than a piece, and can be cut."""
    return any(rows.open(path, _layout(reading), piece_rows) is not None for rows in KINDS.values())


def _layout(reading: Mapping[str, Any]) -> Layout:
    return Layout(reading.get("dialect", "auto"), dict(reading.get("mapping") or {}))


def cut(
    file: Piece, reading: Mapping[str, Any], piece_rows: int, staging: Path, progress: Progress | None = None
) -> list[Piece]:
    """Return the pieces of a file: the file itself, unless it has more rows than a piece.

    Args:
        file: the file as one piece.
        reading: the arguments of `cellkinetics.data.reading.read`.
        piece_rows: rows of a piece; it may have more, by those of its last subject.
        staging: folder that rows may be gathered in.
        progress: called with what is done, and the total.
    """
    layout = _layout(reading)
    for kind, rows in KINDS.items():
        table = rows.open(Path(file.path), layout, piece_rows)
        if table is not None:
            runs, points = _scan(table, progress)
            if runs is None:
                break
            whole = replace(file, kind=kind, head=table.head, points=points)
            return _pieces(whole, table, runs, piece_rows, staging, progress)
    return [file]


def _pieces(
    whole: Piece,
    table: ParquetRows | TextRows,
    runs: _Runs,
    piece_rows: int,
    staging: Path,
    progress: Progress | None,
) -> list[Piece]:
    start, subject = np.concatenate(runs.start), np.concatenate(runs.subject)
    names, first, inverse = np.unique(subject, return_index=True, return_inverse=True)
    if len(names) == len(subject) and table.seekable(piece_rows):
        place, line = np.append(np.concatenate(runs.place), table.end), np.concatenate(runs.line)
        place[0], line[0] = _beginning(table, place[0], line[0])
        wanted = np.searchsorted(start, np.arange(0, runs.rows, piece_rows))
        edges = np.unique(np.append(wanted[wanted < len(start)], len(start)))
        if len(edges) > 2 and runs.rows - start[edges[-2]] < piece_rows / 2:
            edges = np.delete(edges, -2)  # a small rest goes with the piece before it
        return [
            replace(whole, first=int(place[a]), last=int(place[b]), line=int(line[a]))
            for a, b in itertools.pairwise(edges)
        ]
    size = np.bincount(inverse, np.diff(np.append(start, runs.rows)))
    order = np.argsort(start[first])
    before = np.cumsum(size[order]) - size[order]
    number = np.empty(len(names), np.int64)
    _, number[order] = np.unique(before.astype(np.int64) // piece_rows, return_inverse=True)
    if size[number == number.max()].sum() < piece_rows / 2:
        number = np.minimum(number, max(number.max() - 1, 0))
    subjects = _Subjects()
    staging.mkdir(parents=True, exist_ok=True)
    paths = [staging / f"{k:06d}" for k in range(int(number.max()) + 1)]
    table.gather(paths, lambda block: number[np.searchsorted(names, subjects.of(block))], progress)
    return [replace(whole, staged=str(path)) for path in paths]


def _beginning(table: ParquetRows | TextRows, place: int, line: int) -> tuple[int, int]:
    """Return where the first piece begins: lines between header and first row belong to it too."""
    return (place, line) if isinstance(table, ParquetRows) else (table.head, table.start.count(b"\n") + 1)


def _scan(table: ParquetRows | TextRows, progress: Progress | None) -> tuple[_Runs | None, tuple[str, ...]]:
    """Find the runs of subjects, None if the table cannot be cut, and columns whose labels keep their points."""
    runs, subjects, points = _Runs(), _Subjects(), set[str]()
    for block in table.blocks(progress):
        if block is None:
            return None, ()
        runs.add(block, subjects.of(block))
        for name, labels in block.labels.items():
            if name not in points and any(keeps_its_point(str(label).strip()) for label in pd.unique(labels)):
                points.add(name)
    return (runs if runs.rows else None), tuple(sorted(points))
