"""One command at work: its folder, its manifest, its steps, and what its errors become."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from cellkinetics.cli.screen import Screen
from cellkinetics.errors import CellKineticsError, DataError, FitError, OutputError, SettingsError
from cellkinetics.report.manifest import Manifest, Stage, Status
from cellkinetics.report.output import FAULT_TABLE, READING, OutputFolder

if TYPE_CHECKING:
    from cellkinetics.data.cohort import Cohort

DONE, FAULTS, USAGE, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130
IN_MANIFEST = "manifest.json under stages"


class Session:
    """A command that reads data and writes results; use it as a context manager.

    Whatever goes wrong inside becomes a message, an exit code and, once the folder is claimed for this
    input, a manifest that says so. The block's end raises `typer.Exit` with the exit code.

    Attributes:
        screen: where messages go.
        folder: the results folder.
        manifest: the record.
        code: the exit code so far.
    """

    def __init__(
        self,
        command: str,
        options: Mapping[str, Any],
        *,
        data: Path | Sequence[Path],
        out: Path,
        planned: Sequence[str],
        force: bool = False,
        quiet: bool = False,
        seed: int | None = None,
    ) -> None:
        self.screen = Screen(quiet=quiet)
        self.manifest = Manifest(command=command, options=dict(options), seed=seed)
        self.code = DONE
        self._data, self._out, self._planned, self._force = data, out, tuple(planned), force
        self._claimed = False

    def __enter__(self) -> Session:
        try:
            self.folder = OutputFolder.create(self._out, planned=self._planned, force=self._force, source=self._data)
        except OutputError as error:
            self.screen.error(str(error))
            raise typer.Exit(USAGE) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> Literal[False]:
        if isinstance(error, typer.Exit):
            return False
        status: Status = "faults" if self.code == FAULTS else "done"
        message = ""
        if error is not None:
            if not isinstance(error, (Exception, KeyboardInterrupt)):
                return False
            self.code, message = explain(error, trace=IN_MANIFEST if self._claimed else None)
            status = "interrupted" if self.code == INTERRUPTED else "failed"
            self._note_trace(error)
            self.screen.error(message)
        elif self.code not in (DONE, FAULTS):
            status = "failed"
        if self._claimed:
            try:
                self.manifest.write(self.folder, status, message)
            except OutputError as fault:
                self.screen.error(str(fault))
                self.code = USAGE
        raise typer.Exit(self.code) from None

    def read(self, path: Path, check: Callable[[Cohort], object] | None = None, **options: Any) -> Cohort:
        """Read the input, write ``samples.csv`` and ``check.csv``, and claim the folder for it.

        Args:
            path: the input.
            check: refuses options that do not suit the data, before any earlier result goes.
            options: those of the reading.

        Raises:
            DataError: if nothing can be read; the faults are written to ``check.csv`` all the same.
        """
        from cellkinetics.data.reading import read
        from cellkinetics.data.samples import fault_table, sample_table

        try:
            cohort = read(path, **options)
        except DataError as error:
            self._record_unreadable(path, error)
            raise
        if check is not None:
            check(cohort)
        samples = sample_table(cohort)
        self.folder.write_reading(samples, fault_table(cohort))
        self._claimed = True
        self.folder.clear(self._planned)
        self.manifest.describe_reading(cohort, samples)
        if any(fault.effect != "note" for fault in cohort.faults):
            self.code = FAULTS
        return cohort

    @contextlib.contextmanager
    def stage(self, name: str, *, alone: bool = True) -> Iterator[Stage]:
        """Record a step; a step that is not ``alone`` may fail without ending the others.

        An error of ours is a reason that stands in the report (``not_possible``); any other error is a
        fault of the program, recorded with its trace.
        """
        stage = Stage(name)
        self.manifest.stages.append(stage)
        begun = time.perf_counter()
        try:
            yield stage
        except Exception as error:
            code, stage.message = explain(error, trace=IN_MANIFEST)
            stage.status = "not_possible" if isinstance(error, CellKineticsError) else "failed"
            if alone:
                raise
            self._note_trace(error, stage)
            # A population that cannot be fitted, or is not chosen among several analytes, is a result;
            # anything else shows in the exit code.
            if isinstance(error, (FitError, SettingsError)):
                self.screen.warn(f"{name}: {stage.message}")
            else:
                self.code = max(self.code, code)
                self.screen.fault(f"{name}: {stage.message}")
        except KeyboardInterrupt:
            stage.status, stage.message = "failed", "interrupted"
            raise
        finally:
            stage.seconds = time.perf_counter() - begun

    def claim(self) -> None:
        """Let the manifest be written whatever comes: the folder's files are those of this input."""
        self._claimed = True

    def write_manifest(self) -> None:
        """Write the manifest as it stands, so that the report can show it."""
        self.manifest.write(self.folder, "faults" if self.code == FAULTS else "done")

    def _record_unreadable(self, path: Path, error: DataError) -> None:
        """Write what was found in an input that cannot be read, unless the folder holds results.

        Results stay even with ``--force``: nothing has come that could stand in their place.
        """
        import pandas as pd

        from cellkinetics.report.output import previous_outputs, sha256_of

        earlier = dict.fromkeys([*previous_outputs(self.folder.path), *READING, *self._planned])
        if any((self.folder / name).exists() for name in earlier if name != FAULT_TABLE):
            self.screen.warn(f"the results that {self.folder.path} holds stay as they were")
            return
        columns = ["row", "subject", "column", "code", "effect", "message", "action"]
        faults = pd.DataFrame([fault.to_dict() for fault in error.faults], columns=columns)
        self.folder.write_table(FAULT_TABLE, faults)
        with contextlib.suppress(OSError):
            self.manifest.input = {"name": path.name, "sha256": sha256_of(path), "dialect": "", "rows": 0}
        self._claimed = True

    def _note_trace(self, error: BaseException, stage: Stage | None = None) -> None:
        if isinstance(error, (CellKineticsError, OSError, KeyboardInterrupt)):
            return
        import traceback

        if stage is None:
            stage = self.manifest.stages[-1] if self.manifest.stages else Stage("start", "failed")
            if not self.manifest.stages:
                self.manifest.stages.append(stage)
        stage.detail = "".join(traceback.format_exception(error))


def explain(error: BaseException, *, trace: str | None = None) -> tuple[int, str]:
    """Return the exit code of an error and the sentence that the user reads.

    Args:
        error: what went wrong.
        trace: where the trace of a fault of the program is recorded; where it is not, a file is made for it.
    """
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted; what was written so far stays"
    if isinstance(error, (DataError, FitError)):
        return FAULTS, str(error)
    if isinstance(error, CellKineticsError):
        return USAGE, str(error)
    if isinstance(error, MemoryError):
        return USAGE, "not enough memory for this input; give fewer profiles at a time"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return USAGE, f"{where}{error.strerror or error}"
    return INTERNAL, (
        f"cellkinetics failed unexpectedly ({type(error).__name__}: {error}); this is a fault of the program, "
        f"its trace stands in {trace or _save_trace(error)}; please report it"
    )


def _save_trace(error: BaseException) -> str:
    """Write the trace of an error to a file outside the results, and return its path."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="cellkinetics-trace-", suffix=".txt", delete=False
    ) as stream:
        stream.write("".join(traceback.format_exception(error)))
    return stream.name


@contextlib.contextmanager
def guarded(screen: Screen) -> Iterator[None]:
    """Turn errors of a command without a results folder into a message and an exit code."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, typer.Exit):
            raise
        code, message = explain(error)
        screen.error(message)
        raise typer.Exit(code) from None
