"""The folder of a batch that is not finished yet: its plan, its pieces, and the files that they become."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cellkinetics.batch.job import Job, Piece
from cellkinetics.errors import OutputError, SettingsError
from cellkinetics.locking import locked

UNFINISHED = "unfinished"
_GONE, _LOCK = ".unfinished-", ".unfinished.lock"
_PLAN, _COMMIT = "plan.json", "commit.json"
_OURS = (_PLAN, _COMMIT, "pieces", "rows", "final", "values-", "unknown-")


class WorkFolder:
    """``unfinished`` in the results folder; it is there as long as a batch is not finished.

    ``plan.json`` is written when it is known what is to be done, ``commit.json`` when all files are made
    and only have to be moved. Each appears whole or not at all, so that a batch that dies at any moment
    goes on from there.
    """

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self.path = self.out / UNFINISHED
        self.pieces, self.staging, self.final = (self.path / name for name in ("pieces", "rows", "final"))

    @property
    def planned(self) -> dict[str, Any] | None:
        """What an unfinished batch set out to do; None where there is none."""
        return self._read(_PLAN)

    @property
    def commit(self) -> dict[str, Any] | None:
        """Which files are made and may be moved, with their SHA-256; None as long as they are not."""
        return self._read(_COMMIT)

    @property
    def n_done(self) -> int:
        """Number of pieces that are done."""
        with contextlib.suppress(FileNotFoundError):
            return sum(not name.startswith(".") for name in os.listdir(self.pieces))
        return 0

    def write_plan(self, job: Job, inputs: Sequence[Mapping[str, Any]], pieces: Sequence[Piece]) -> None:
        """Set down what is to be done; from now on the batch can be resumed."""
        content = {"options": job.describe(), "inputs": list(inputs), "pieces": [piece.to_dict() for piece in pieces]}
        self._write(_PLAN, content)

    def write_commit(self, files: Mapping[str, str]) -> None:
        """Set down that all files are made; from now on they are only moved."""
        self._write(_COMMIT, {"files": dict(files)})

    def start(self) -> None:
        """Make the folder, and remove what a process that died has left half done."""
        self.pieces.mkdir(parents=True, exist_ok=True)
        for name in os.listdir(self.pieces):
            if name.startswith("."):
                shutil.rmtree(self.pieces / name, ignore_errors=True)
        if self.commit is None:
            shutil.rmtree(self.final, ignore_errors=True)

    def clear(self) -> None:
        """Remove the folder at once; if the removal is interrupted, what is left has another name.

        Raises:
            OutputError: if it holds what no batch has put there.
        """
        self.tidy()
        if self.path.exists():
            strange = [name for name in os.listdir(self.path) if not name.startswith((".", *_OURS))]
            if strange:
                raise OutputError(
                    f"{self.path} is not of a batch: it holds {strange[0]}; give another folder with --out"
                )
            gone = self.out / f"{_GONE}{os.getpid()}"
            os.rename(self.path, gone)
            shutil.rmtree(gone, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what is left of earlier folders whose removal was interrupted."""
        for rest in self.out.glob(f"{_GONE}*"):
            shutil.rmtree(rest, ignore_errors=True)

    def locked(self) -> AbstractContextManager[None]:
        """Keep a second batch out of the folder; see `cellkinetics.locking.locked`.

        Raises:
            OutputError: if a batch is at work in it.
        """
        return locked(self.out / _LOCK, f"another batch is at work in {self.out}; wait, or give another folder")

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.path / name).read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise OutputError(f"{self.path / name} is damaged ({error}); start anew with --force") from error

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        temporary = self.path / f".{name}"
        temporary.write_text(json.dumps(content), encoding="utf-8")
        os.replace(temporary, self.path / name)


def check_same(plan: Mapping[str, Any], job: Job, inputs: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to go on with other options or other files than those of the plan.

    Raises:
        SettingsError: naming what differs.
    """
    before, now = plan["options"], job.describe()
    flat = [({**options, **options["rules"], **options["reading"]}) for options in (before, now)]
    names = [name for name in flat[1] if name not in ("rules", "reading")]
    changed = [name for name in names if json.dumps(flat[0].get(name)) != json.dumps(flat[1][name])]
    if "several" in changed:
        was = "a folder or several files" if flat[0].get("several") else "one file"
        raise SettingsError(
            f"the unfinished batch had another input, {was}; give that again, or start anew with --force"
        )
    if changed:
        name = changed[0]
        raise SettingsError(
            f"the unfinished batch had other options: {', '.join(changed)} ({name} was {flat[0].get(name)}, "
            f"is {flat[1][name]}); resume with the same ones, or start anew with --force"
        )
    old = {item["file"]: item["sha256"] for item in plan["inputs"]}
    new = {item["file"]: item["sha256"] for item in inputs}
    for what, files in (
        ("has changed", [name for name in new if name in old and new[name] != old[name]]),
        ("is new", [name for name in new if name not in old]),
        ("is gone", [name for name in old if name not in new]),
    ):
        if files:
            others = f", as {len(files) - 1} others" if len(files) > 1 else ""
            raise SettingsError(
                f"{files[0]} {what}{others} since the unfinished batch began; "
                "put the files back as they were, or start anew with --force"
            )


def planned_pieces(plan: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]) -> list[Piece]:
    """Return the pieces of a plan, of files that hold what they held, but may have been copied since."""
    now = {item["file"]: {name: item[name] for name in ("path", "size", "changed")} for item in inputs}
    return [Piece.from_dict({**entry, **now[entry["file"]]}) for entry in plan["pieces"]]
