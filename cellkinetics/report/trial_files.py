"""Virtual trials written piece by piece, in as many processes as are asked for, in bounded memory."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cellkinetics import engines
from cellkinetics.engines import ALONE, Crew
from cellkinetics.errors import OutputError, SettingsError
from cellkinetics.fitting.virtual.blocks import BLOCK
from cellkinetics.fitting.virtual.trial import Trials
from cellkinetics.report.formats import TableFormat, table_format
from cellkinetics.report.output import OutputFolder

TABLES = ("simulated", "simulated_patients")
PIECE_BLOCKS = 16
"""Blocks that a process simulates and writes at a time."""


class Piece(NamedTuple):
    """Some whole blocks of one trial, or its last ones."""

    number: int
    trial: int
    first: int
    last: int


class Written(NamedTuple):
    """What a piece holds."""

    number: int
    patients: int
    samples: int
    below: int
    above: int


@dataclass(frozen=True)
class Task:
    """One piece with all that a process needs.

    Attributes:
        folder: where its parts are written.
    """

    piece: Piece
    trials: Trials
    table_format: str
    folder: str


def pieces_of(trials: Trials, blocks: int | None = None) -> list[Piece]:
    """Cut trials into pieces of some blocks, `PIECE_BLOCKS` unless told otherwise.

    Example:
        >>> from types import SimpleNamespace
        >>> [tuple(piece) for piece in pieces_of(SimpleNamespace(n=1000, replicates=2), blocks=1)]
        [(0, 0, 0, 512), (1, 0, 512, 1000), (2, 1, 0, 512), (3, 1, 512, 1000)]
    """
    size = (PIECE_BLOCKS if blocks is None else blocks) * BLOCK
    places = [
        (trial, first, min(first + size, trials.n))
        for trial in range(trials.replicates)
        for first in range(0, trials.n, size)
    ]
    return [Piece(number, *place) for number, place in enumerate(places)]


def write_piece(task: Task) -> Written:
    """Simulate a piece and write its parts."""
    piece, trials = task.piece, task.trials
    rows, where = trials.rows, Path(task.folder)
    kind = table_format(task.table_format)
    blocks = trials.blocks(piece.trial, piece.first, piece.last)
    samples = below = above = 0
    targets = [where / part_name(name, piece.number) for name in TABLES]
    if task.table_format == "csv":
        with (
            targets[0].open("w", encoding="utf-8", newline="") as one,
            targets[1].open("w", encoding="utf-8", newline="") as two,
        ):
            for block in blocks:
                one.write(rows.samples_text(block))
                two.write(rows.patients_text(block))
                flags = block.censored[block.taken]
                samples, below, above = samples + len(flags), below + (flags == 1).sum(), above + (flags == -1).sum()
    else:
        found = list(blocks)
        for table, target in zip((rows.samples(found), rows.patients(found)), targets, strict=True):
            kind.write_part(table, target)
        for block in found:
            flags = block.censored[block.taken]
            samples, below, above = samples + len(flags), below + (flags == 1).sum(), above + (flags == -1).sum()
    return Written(piece.number, piece.last - piece.first, samples, int(below), int(above))


def part_name(table: str, number: int) -> str:
    """Return the name of a part of a table."""
    return f"{table}.{number:07d}.part"


def write_trials(
    trials: Trials,
    folder: OutputFolder,
    *,
    format_name: str = "csv",
    crew: Crew = ALONE,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Simulate trials and write ``simulated``, ``simulated_patients`` (CSV or Parquet) and their parameters.

    The same bytes come out whatever the number of processes.

    Args:
        trials: what is simulated.
        folder: for the results; parts stand in a folder within it until they are joined.
        format_name: ``csv`` or ``parquet``.
        crew: who works.
        progress: called with the patients that are done and all of them.

    Returns:
        What all pieces hold together.

    Raises:
        SettingsError: for a format that cannot be written, or a model of one's own in several processes.
        OutputError: if the files cannot be written.
    """
    kind = table_format(format_name)
    if crew != ALONE:
        _check_can_be_sent(trials)
    pieces = pieces_of(trials)
    total = trials.n * trials.replicates
    found = Written(len(pieces), 0, 0, 0, 0)
    try:
        with tempfile.TemporaryDirectory(prefix=".cellkinetics-", dir=folder.path) as parts:
            tasks = [Task(piece, trials, format_name, parts) for piece in pieces]
            for one in engines.run(write_piece, tasks, crew):
                found = Written(len(pieces), *(a + b for a, b in zip(found[1:], one[1:], strict=True)))
                if progress is not None:
                    progress(found.patients, total)
            _join(trials, folder, kind, Path(parts), len(pieces))
    except OSError as error:
        raise OutputError(f"cannot write {folder.path}: {error.strerror or error}") from error
    folder.write_table("simulated_parameters.csv", trials.parameters())
    return found


def _check_can_be_sent(trials: Trials) -> None:
    try:
        pickle.dumps(trials)
    except (pickle.PicklingError, AttributeError, TypeError):
        name = trials.known.population.model.name
        raise SettingsError(f"{name} is a model of your own, which works in one process only: take 1 job") from None


def _join(trials: Trials, folder: OutputFolder, kind: TableFormat, parts: Path, count: int) -> None:
    rows = trials.rows
    for table, columns in zip(TABLES, (rows.sample_columns, rows.patient_columns), strict=True):
        name = f"{table}.{kind.suffix}"
        paths = [parts / part_name(table, number) for number in range(count)]
        whole = parts / name
        folder.written[name] = kind.join(paths, columns, whole)
        for path in paths:
            path.unlink()
        shutil.move(whole, folder / name)
