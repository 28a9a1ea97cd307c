"""Many independent tasks, such as refits of resampled data: each leaves a record, and an interrupted run goes on."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import pickle
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

import cellkinetics
from cellkinetics import engines
from cellkinetics.data.cohort import Cohort
from cellkinetics.engines import ALONE, Crew
from cellkinetics.errors import CellKineticsError, OutputError, SettingsError
from cellkinetics.locking import locked
from cellkinetics.plain import jsonable

HEADER, RECORDS = "header.json", "records"
_LOCK, _GONE = ".replicates.lock", ".gone-"
_COMPUTING = ("jax", "jaxlib", "numpy")

Progress = Callable[[int, int], None]
Work = Callable[[Any, Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Task:
    """One thing to do: its name, which no other task of the folder has, and what the function that does it is told."""

    name: str
    content: Any = None


@dataclass(frozen=True)
class Record:
    """What came of a task.

    Attributes:
        name: of the task.
        status: ``done`` or ``failed``.
        reason: why it failed.
        result: what the function returned, as JSON holds it (None for a number that does not exist).
        seconds: how long it took.
        trace: of a fault of the program.
    """

    name: str
    status: str = "done"
    reason: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)
    trace: str = field(default="", compare=False)


class Replicates:
    """The records of tasks, in a folder or, without one, in memory; use it as a context manager.

    ``header.json`` says what the tasks are about; ``records`` holds one small file a finished task, which appears
    whole or not at all. A run that dies at any moment is gone on with by ``resume``: what is done is not done again,
    and the numbers are those of a run that was never interrupted. Only the process that holds the folder writes to
    it, so that workers need not reach it.

    Args:
        folder: where the records are kept; made if it does not exist.
        header: what decides the results: name it all (`fingerprint` of the input, options, seed). The versions of
            what computes are added.
        resume: go on with what the folder holds, if it holds anything.
        force: remove what it holds.

    Raises:
        SettingsError: if ``resume`` finds records of another header.
        OutputError: if there are records, and neither ``resume`` nor ``force`` says what is to become of them; if
            another process is at work in the folder, or it cannot be written to.

    Example:
        >>> def double(shared, content):
        ...     return {"value": shared * content}
        >>> with Replicates(None, {"seed": 1}) as replicates:
        ...     records = replicates.run(double, [Task("1", 10), Task("2", 20)], shared=2)
        >>> [record.result["value"] for record in records]
        [20, 40]
    """

    def __init__(
        self, folder: str | Path | None, header: Mapping[str, Any], *, resume: bool = False, force: bool = False
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.header = {**jsonable(header), "versions": versions()}
        self._resume, self._force = resume, force
        self._known: dict[str, Record] = {}
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Replicates:
        if self.folder is None:
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            message = f"another run is at work in {self.folder}; wait, or give another folder"
            self._held.enter_context(locked(self.folder / _LOCK, message))
            with contextlib.ExitStack() as on_error:
                on_error.push(self._held)
                self._open(self.folder)
                on_error.pop_all()
        except OSError as error:
            raise OutputError(f"cannot write to {self.folder}: {error.strerror or error}") from error
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    @property
    def n_done(self) -> int:
        """Number of tasks that have a record."""
        return len(self._known)

    def run(
        self,
        work: Work,
        tasks: Sequence[Task],
        *,
        shared: Any = None,
        crew: Crew = ALONE,
        progress: Progress | None = None,
    ) -> list[Record]:
        """Do the tasks that have no record yet, and return the records of all, in the order of the tasks.

        Args:
            work: called as ``work(shared, content)``; returns a mapping of what JSON holds (numpy numbers too).
                An error is a result: the record says why. Another process must be able to import it.
            tasks: what is to be done; a name stands for the same task whenever the folder is opened.
            shared: what all tasks need.
            crew: who works; each of several processes has one thread.
            progress: called as ``progress(done, total)``.

        Raises:
            SettingsError: see `cellkinetics.engines.run`.
            OutputError: if a record cannot be written.
        """
        names = [task.name for task in tasks]
        assert len(set(names)) == len(names), "two tasks of one name"
        waiting = [task for task in tasks if task.name not in self._known]
        done = len(tasks) - len(waiting)
        if progress is not None:
            progress(done, len(tasks))
        do = partial(_attempt, work, shared)
        if crew != ALONE and waiting:
            _check_portable(do)
        for record in engines.run(do, waiting, crew):
            self._keep(record)
            done += 1
            if progress is not None:
                progress(done, len(tasks))
        return [self._known[name] for name in names]

    def _open(self, folder: Path) -> None:
        for rest in folder.glob(f"{_GONE}*"):
            shutil.rmtree(rest, ignore_errors=True)
        if self._force and not self._resume:
            # Without its header the folder holds nothing to go on with.
            (folder / HEADER).unlink(missing_ok=True)
        before = _read(folder / HEADER)
        if before is not None and not self._resume:
            count = sum(1 for _ in _record_files(folder))
            raise OutputError(
                f"{folder} holds the records of {count} tasks of an earlier run; go on with --resume, start anew with "
                "--force, or give another folder"
            )
        if before is None:
            if (folder / RECORDS).is_dir():
                gone = folder / f"{_GONE}{os.getpid()}"
                os.rename(folder / RECORDS, gone)
                shutil.rmtree(gone, ignore_errors=True)
            (folder / RECORDS).mkdir()
            _write(folder / HEADER, self.header)
            return
        _check_same(folder, before, self.header)
        for path in _record_files(folder):
            content = _read(path)
            if content is not None:
                record = Record(**content)
                self._known[record.name] = record

    def _keep(self, record: Record) -> None:
        if self.folder is not None:
            path = self.folder / RECORDS / f"{quote(record.name, safe='')}.json"
            try:
                _write(path, vars(record))
            except OSError as error:
                raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        self._known[record.name] = record


def fingerprint(cohort: Cohort) -> str:
    """Return the SHA-256 of all that a fit could take from a cohort: samples, names, doses and covariates.

    Example:
        >>> cohort = Cohort.from_arrays([[1, 7]], [[90, 400]])
        >>> fingerprint(cohort) == fingerprint(Cohort.from_arrays([[1, 7]], [[90, 401]]))
        False
    """
    digest = hashlib.sha256()
    n, m = cohort.time.shape
    words = [cohort.subject, cohort.analyte, cohort.occasion, cohort.specimen, cohort.group, cohort.value_unit]
    digest.update(json.dumps([n, m, cohort.time_unit, words]).encode())
    numbers = (cohort.time, cohort.value, cohort.censored, cohort.lloq, cohort.uloq, cohort.lower, cohort.mask)
    for array in (*numbers, cohort.dose, cohort.occasion_start):
        digest.update(np.ascontiguousarray(array).tobytes())
    for name in sorted(cohort.covariates):
        digest.update(json.dumps([name, jsonable(cohort.covariates[name])]).encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of what computes; other ones may give other last digits."""
    return {"cellkinetics": cellkinetics.__version__, **{name: importlib.metadata.version(name) for name in _COMPUTING}}


def _attempt(work: Work, shared: Any, task: Task) -> Record:
    """Do a task; whatever is wrong with it is its result, but not a lack of memory or of a file."""
    begun = time.perf_counter()
    try:
        # What is remembered is what would be read back, so that a resumed run has the same numbers.
        result = json.loads(json.dumps(jsonable(work(shared, task.content)), allow_nan=False))
        return Record(task.name, result=result, seconds=_seconds(begun))
    except CellKineticsError as error:
        return Record(task.name, "failed", str(error), seconds=_seconds(begun))
    except (OSError, MemoryError):
        raise
    except Exception as error:
        reason = f"the program failed unexpectedly ({type(error).__name__}: {error}); please report it"
        trace = "".join(traceback.format_exception(error))
        return Record(task.name, "failed", reason, seconds=_seconds(begun), trace=trace)


def _check_portable(work: Any) -> None:
    """Refuse what cannot go to another process, before one is begun.

    Raises:
        SettingsError: in that case.
    """
    try:
        pickle.dumps(work)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SettingsError(
            f"the work cannot be sent to other processes ({error}); take one process (jobs=1), or make a model of "
            "your own from functions that have a name in a module"
        ) from error


def _seconds(begun: float) -> float:
    return round(time.perf_counter() - begun, 3)


def _record_files(folder: Path) -> Iterator[Path]:
    # What a process that died has left half written ends otherwise.
    return iter(sorted((folder / RECORDS).glob("*.json")))


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a file holds, None if it is not there or, as after a loss of power, not whole."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    os.replace(temporary, path)


def _check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with other options, another input or another version.

    Raises:
        SettingsError: naming what differs.
    """
    old, new = _flat(before), _flat(now)
    for name in dict.fromkeys([*new, *old]):
        if old.get(name) != new.get(name):
            raise SettingsError(
                f"the records in {folder} are of another run: {name} was {old.get(name, 'not given')}, is "
                f"{new.get(name, 'not given')}; resume with the same, start anew with --force, or give another folder"
            )


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= _flat(value) if isinstance(value, Mapping) else {name: value}
    return flat
