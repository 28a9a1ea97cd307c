"""A batch from its input to its files: planned, worked on wherever it may be, put together, and resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from cellkinetics import engines
from cellkinetics.batch.assemble import Batch, Units, UnsuitableError
from cellkinetics.batch.blocks import check_unchanged, cut
from cellkinetics.batch.folder import WorkFolder, check_same, planned_pieces
from cellkinetics.batch.inputs import Input, hashed
from cellkinetics.batch.job import Job, Piece, Task
from cellkinetics.batch.worker import Receipt, read_receipt
from cellkinetics.batch.worker import work as do_piece
from cellkinetics.engines import ALONE, Crew
from cellkinetics.errors import OutputError, SettingsError
from cellkinetics.report.output import OutputFolder, sha256_of

Progress = Callable[[int, int], None]
Bar = Callable[[str], AbstractContextManager[Progress | None]]

_ALWAYS = frozenset({"group", "occasion", "analyte", "specimen", "file"})


@dataclass(frozen=True)
class Finished:
    """A batch whose files stand in the results folder.

    Attributes:
        batch: its pieces.
        inputs: name, path and SHA-256 of each file.
        summary: the summary, None if the batch had come that far before it was interrupted.
        done_before: number of pieces that were done before it was resumed.
    """

    batch: Batch
    inputs: Sequence[Mapping[str, str]]
    summary: pd.DataFrame | None
    done_before: int


def may_begin(out: Path, *, resume: bool, force: bool) -> bool:
    """Return whether an unfinished batch is gone on with; a new one may begin where this is False.

    Raises:
        OutputError: if there is one, and neither ``resume`` nor ``force`` says what is to become of it; if its
            plan is damaged, unless it is to go.
    """
    if force and not resume:
        return False
    work = WorkFolder(out)
    plan = work.planned
    if plan is not None and not resume:
        raise OutputError(
            f"{out} holds an unfinished batch ({work.n_done} of {len(plan['pieces'])} pieces are done); "
            "go on with --resume, or start anew with --force"
        )
    return plan is not None and resume


def run_batch(
    inputs: Sequence[Input], job: Job, folder: OutputFolder, *, resume: bool = False, crew: Crew = ALONE, bar: Bar
) -> Finished:
    """Do what is not done yet, and put the files of the batch into its folder.

    The caller holds the lock of the work folder (`WorkFolder.locked`) until the manifest is written and the work
    folder is cleared, so that no other batch meets a folder that is only half of this one's.

    Args:
        inputs: the files, in order.
        job: what is asked for.
        folder: for the results; `may_begin` has been asked.
        resume: go on with the unfinished batch in it.
        crew: who works.
        bar: shows a progress bar under a title.

    Raises:
        SettingsError: if the unfinished batch had other options or files, or the options do not suit the data.
        OutputError: if a file changes while the batch is at work, or another batch has finished the unfinished one.
        OSError: if nothing can be written.
    """
    work = WorkFolder(folder.path)
    with bar("Reading names and hashes") as progress:
        found = hashed(inputs, progress)
    if resume:
        plan = work.planned
        if plan is None:
            raise OutputError(f"another batch has finished what was begun in {folder.path}; its results stand there")
        check_same(plan, job, found)
        work.start()
        pieces = planned_pieces(plan, found)
    else:
        work.clear()
        work.start()
        pieces = _plan(found, job, work, bar)
        work.write_plan(job, found, pieces)
    before = work.n_done
    summary = None
    if work.commit is None:
        with _leaving_nothing(work):
            _work(pieces, job, work, crew, bar)
            batch = Batch.read(job, work.pieces, pieces)
        with bar("Putting results together") as progress:
            files, summary = batch.write(work.final, progress)
        _check_unchanged(pieces, work)
        work.write_commit(files)
    else:
        batch = Batch.read(job, work.pieces, pieces)
    commit = work.commit or {}
    folder.replace_all(commit["files"], work.final)
    return Finished(batch, found, summary, before)


@contextmanager
def _leaving_nothing(work: WorkFolder) -> Iterator[None]:
    """Leave nothing of a batch whose options do not suit the data: it cannot be gone on with as it is."""
    try:
        yield
    except UnsuitableError:
        work.clear()
        raise


def _check_unchanged(pieces: Sequence[Piece], work: WorkFolder) -> None:
    """Refuse results of a file that was read in parts, and is another one at the end.

    Raises:
        OutputError: in that case; then nothing of the batch stays.
    """
    for piece in {piece.path: piece for piece in pieces if piece.kind != "file"}.values():
        try:
            check_unchanged(piece)
            same = sha256_of(piece.path) == piece.sha256
        except (OutputError, FileNotFoundError):
            same = False
        if not same:
            work.clear()
            raise OutputError(f"{piece.path} has changed while the batch was at work; start anew")


def _plan(found: Sequence[Mapping[str, Any]], job: Job, work: WorkFolder, bar: Bar) -> list[Piece]:
    pieces: list[Piece] = []
    asked = partial(cut, grouping=job.grouping, nominal=job.rules.time == "nominal")
    with bar("Looking for subjects") as progress:
        for number, entry in enumerate(found):
            whole = Piece(0, **entry)
            pieces += asked(whole, job.reading, job.piece_rows, work.staging / f"{number:06d}", progress)
    return [replace(piece, number=number) for number, piece in enumerate(pieces)]


def _work(pieces: Sequence[Piece], job: Job, work: WorkFolder, crew: Crew, bar: Bar) -> None:
    tasks = [Task(piece, job, str(work.pieces)) for piece in pieces if read_receipt(work.pieces, piece.number) is None]
    done = len(pieces) - len(tasks)
    unusual = [name for name in job.grouping if name not in _ALWAYS]
    units = Units()
    with bar("Noncompartmental analysis") as progress:
        if progress is not None:
            progress(done, len(pieces))
        if unusual and not done:
            # A column that is not there is better missed after one piece than after all of them.
            tasks = _try_first(tasks)
            done = len(pieces) - len(tasks)
        for receipt in engines.run(do_piece, tasks, crew):
            _check_faithful(receipt, job)
            units.add(receipt)  # better now than when all are done
            done += 1
            if progress is not None:
                progress(done, len(pieces))


def _try_first(tasks: list[Task]) -> list[Task]:
    """Do the first piece that can be analysed, and return what is left.

    Raises:
        UnsuitableError: if it lacks a column to group by.
    """
    for number, task in enumerate(tasks):
        receipt = next(iter(engines.run(do_piece, [task])))
        if receipt["status"] == "done":
            if receipt["grouping_missing"]:
                missing = ", ".join(receipt["grouping_missing"])
                raise UnsuitableError(f"no column {missing!r} to group by in {receipt['file']}")
            return tasks[number + 1 :]
    return []


def _check_faithful(receipt: Receipt, job: Job) -> None:
    if receipt["fingerprint"] != job.fingerprint:
        raise SettingsError(
            f"a worker has another version of cellkinetics, or took other options, for {receipt['file']}; "
            "install the same version everywhere, and start anew with --force"
        )
