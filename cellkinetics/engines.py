"""Where independent tasks are done: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cellkinetics.errors import SettingsError

_T = TypeVar("_T")
_R = TypeVar("_R")

ENGINES = ("processes", "dask")
PATIENCE = 10.0
"""Seconds that a scheduler has to answer."""
_THREADS = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ONE_THREAD = dict.fromkeys(_THREADS, "1")
"""Environment of a process among several: each has one thread, so that they do not fight for processors.
XLA takes NPROC, which, unlike its flags, leaves the programs in its cache good for every process."""


@dataclass(frozen=True)
class Crew:
    """Who works.

    Attributes:
        engine: ``processes`` or ``dask``.
        jobs: number of processes on this machine; with 1 everything happens in this one.
        scheduler: address of the Dask scheduler.
    """

    engine: str = "processes"
    jobs: int = 1
    scheduler: str | None = None


ALONE = Crew()
"""This process, and no other."""


def run(work: Callable[[_T], _R], tasks: Sequence[_T], crew: Crew = ALONE) -> Iterator[_R]:
    """Do all tasks and give what comes of each, in the order in which they are done.

    Args:
        work: does one task; a function that another process can import, as the tasks can be sent there.
        tasks: what is to be done.
        crew: who works.

    Raises:
        SettingsError: for an engine that does not exist, or cannot be reached; if a process was ended
            from outside.

    Example:
        >>> list(run(abs, [-1, 2]))
        [1, 2]
    """
    check_crew(crew)
    if crew.engine == "dask":
        return _dask(work, tasks, str(crew.scheduler))
    if crew.jobs == 1 or len(tasks) < 2:
        return map(work, tasks)
    return _processes(work, tasks, min(crew.jobs, len(tasks)))


def check_crew(crew: Crew) -> None:
    """Refuse a choice that makes no sense before anything is read.

    Raises:
        SettingsError: for such a choice, or if the extra ``dask`` is not installed.
    """
    engine, jobs, scheduler = crew.engine, crew.jobs, crew.scheduler
    if engine not in ENGINES:
        raise SettingsError(f"engine {engine!r} does not exist; take {' or '.join(ENGINES)}")
    if jobs < 1:
        raise SettingsError(f"jobs must be 1 or more, not {jobs}")
    if engine == "processes":
        if scheduler:
            raise SettingsError("a scheduler is for the engine dask; add --engine dask, or leave --scheduler out")
        return
    if not scheduler:
        raise SettingsError("the engine dask needs the address of a scheduler: --scheduler tcp://HOST:8786")
    if jobs > 1:
        raise SettingsError("with the engine dask the cluster says how many processes there are; leave --jobs out")
    try:
        importlib.import_module("distributed")
    except ImportError as error:
        raise SettingsError("the engine dask needs the extra 'dask': pip install 'dask[distributed]'") from error


def _processes(work: Callable[[_T], _R], tasks: Sequence[_T], jobs: int) -> Iterator[_R]:
    # Fresh processes, the same on every system: a copy of this one may hold locks of its threads.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_process)
    try:
        # No list of them is kept: a future is let go, with its result, as soon as it is done with.
        for future in concurrent.futures.as_completed(_submit(pool, work, tasks)):
            yield future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise SettingsError(
            f"one of {jobs} processes was ended from outside, perhaps for want of memory; "
            "take fewer with --jobs and go on with --resume"
        ) from error
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(
    pool: concurrent.futures.Executor, work: Callable[[_T], _R], tasks: Sequence[_T]
) -> list[concurrent.futures.Future[_R]]:
    """Hand all tasks in; the processes that begin meanwhile take their environment from this one."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        return [pool.submit(work, task) for task in tasks]
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin_process() -> None:
    """Leave Ctrl-C to the first process, and end when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _dask(work: Callable[[_T], _R], tasks: Sequence[_T], scheduler: str) -> Iterator[_R]:
    distributed: Any = importlib.import_module("distributed")
    try:
        client = distributed.Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise SettingsError(f"no Dask scheduler answers at {scheduler}: {error}") from error
    with client:
        # A task whose worker dies is done again elsewhere; each has its own key, for none is like another.
        futures = client.map(work, tasks, pure=False, retries=3, batch_size=500)
        try:
            for future in distributed.as_completed(futures):
                yield future.result()
                future.release()
        except distributed.scheduler.KilledWorker as error:
            message = f"the cluster lost its workers again and again ({error}); go on with --resume when it is well"
            raise SettingsError(message) from error
        finally:
            with contextlib.suppress(Exception):
                client.cancel(futures)
