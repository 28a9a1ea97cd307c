"""A large table is cut into pieces that hold all rows of their subjects, and pieces are read.

Where the rows of each subject stand together, a piece is a part of the file. Else rows are gathered into
one file a piece first, in one pass over the table. Subjects keep the order of their first appearance.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cellkinetics.batch.inputs import stamp
from cellkinetics.batch.job import Piece
from cellkinetics.batch.rows import KINDS, ParquetRows, Progress, TextRows
from cellkinetics.batch.scan import Runs, Subjects, scan
from cellkinetics.data.cohort import Cohort
from cellkinetics.data.dialects import Layout
from cellkinetics.data.reading import read, read_part
from cellkinetics.errors import OutputError


def read_piece(piece: Piece, reading: Mapping[str, Any]) -> Cohort:
    """Return the cohort of a piece; rows have the lines of the whole file.

    Args:
        piece: a file, or a part of it.
        reading: the arguments of `cellkinetics.data.reading.read`.

    Raises:
        DataError, SettingsError: as `cellkinetics.data.reading.read` does.
        OutputError: if a file that is read in parts has changed.
    """
    if piece.kind == "file":
        return read(piece.path, **reading)
    cells = partial(KINDS[piece.kind].cells, piece)
    name = Path(piece.path).name
    check_unchanged(piece)
    try:
        return read_part(cells, name=name, sha256=piece.sha256, whole=piece.whole, options=reading)
    finally:
        check_unchanged(piece)  # also where nothing could be read: perhaps therefore


def check_unchanged(piece: Piece) -> None:
    """Refuse a file that has been written to since it was looked at: its parts would not belong together.

    Raises:
        OutputError: if size or time of change are other ones, or the file is gone.
    """
    path = Path(piece.path)
    if not path.is_file() or stamp(path) != (piece.size, piece.changed):
        raise OutputError(f"{path} has changed since the batch began; start anew with --force")


def is_large(path: Path, piece_rows: int, reading: Mapping[str, Any]) -> bool:
    """Tell whether a table has more rows than a piece, and can be cut."""
    return any(rows.open(path, _layout(reading), piece_rows) is not None for rows in KINDS.values())


def _layout(reading: Mapping[str, Any]) -> Layout:
    return Layout(reading.get("dialect", "auto"), dict(reading.get("mapping") or {}))


def cut(
    file: Piece,
    reading: Mapping[str, Any],
    piece_rows: int,
    staging: Path,
    progress: Progress | None = None,
    *,
    grouping: Sequence[str] = (),
    nominal: bool = False,
) -> list[Piece]:
    """Return the pieces of a file: the file itself, unless it has more rows than a piece.

    Args:
        file: the file as one piece.
        reading: the arguments of `cellkinetics.data.reading.read`.
        piece_rows: rows of a piece; it may have more, by those of its last subject.
        staging: folder that rows may be gathered in.
        progress: called with what is done, and the total.
        grouping: columns that the summary is made by.
        nominal: whether nominal times are asked for.
    """
    layout = _layout(reading)
    for kind, rows in KINDS.items():
        table = rows.open(Path(file.path), layout, piece_rows)
        if table is not None:
            runs, whole = scan(table, grouping=grouping, nominal=nominal, progress=progress)
            if runs is None:
                break
            part = replace(file, kind=kind, head=table.head, whole=whole)
            return _pieces(part, table, runs, piece_rows, staging, progress)
    return [file]


def _pieces(
    part: Piece,
    table: ParquetRows | TextRows,
    runs: Runs,
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
            replace(part, first=int(place[a]), last=int(place[b]), line=int(line[a]))
            for a, b in itertools.pairwise(edges)
        ]
    size = np.bincount(inverse, np.diff(np.append(start, runs.rows)))
    order = np.argsort(start[first])
    before = np.cumsum(size[order]) - size[order]
    number = np.empty(len(names), np.int64)
    _, number[order] = np.unique(before.astype(np.int64) // piece_rows, return_inverse=True)
    if size[number == number.max()].sum() < piece_rows / 2:
        number = np.minimum(number, max(number.max() - 1, 0))
    subjects = Subjects()
    staging.mkdir(parents=True, exist_ok=True)
    paths = [staging / f"{k:06d}" for k in range(int(number.max()) + 1)]
    table.gather(paths, lambda block: number[np.searchsorted(names, subjects.of(block)[0])], progress)
    return [replace(part, staged=str(path)) for path in paths]


def _beginning(table: ParquetRows | TextRows, place: int, line: int) -> tuple[int, int]:
    """Return where the first piece begins: lines between header and first row belong to it too."""
    return (place, line) if isinstance(table, ParquetRows) else (table.head, table.start.count(b"\n") + 1)
