"""The folder that results are written to: checked before work starts, each file written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellkinetics.errors import OutputError
from cellkinetics.plain import jsonable
from cellkinetics.report.recorded import MANIFEST, read_manifest

if TYPE_CHECKING:
    import pandas as pd

FAULT_TABLE = "check.csv"
READING = ("samples.csv", FAULT_TABLE)
"""Files that every command on data writes; commands on one input may share a folder."""


@dataclass
class OutputFolder:
    """A folder for results, and a record of what was written into it.

    Attributes:
        path: the folder.
        force: whether existing results may be overwritten.
        written: file name (with ``/``) to SHA-256 of its bytes, in order of writing.

    Example:
        >>> import tempfile
        >>> folder = OutputFolder.create(tempfile.mkdtemp(), planned=["note.txt"])
        >>> folder.write_text("note.txt", "done").name
        'note.txt'
        >>> folder.written["note.txt"][:8]
        'a4c3ed04'
    """

    path: Path
    force: bool = False
    written: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        planned: Iterable[str] = (),
        force: bool = False,
        source: str | Path | Iterable[Path] | None = None,
    ) -> OutputFolder:
        """Make the folder, prove that it can be written to, and refuse to overwrite results.

        Args:
            path: the folder; it and its parents are made if they do not exist.
            planned: names that the command is going to write.
            force: allow existing files of these names to be replaced.
            source: the user's input, one or several files, which no result may replace.

        Raises:
            OutputError: if the folder cannot be made or written to, or holds planned files; if the
                input is among the files that would be written or removed, even with ``force``.
        """
        path, planned = Path(path), tuple(planned)
        try:
            path.mkdir(parents=True, exist_ok=True)
            handle, probe = tempfile.mkstemp(prefix=".cellkinetics-", dir=path)
            os.close(handle)
            Path(probe).unlink()
        except (FileExistsError, NotADirectoryError) as error:
            raise OutputError(
                f"cannot write to {path}: a file stands where a folder is needed; give another folder with --out"
            ) from error
        except OSError as error:
            raise OutputError(
                f"cannot write to {path}: {error.strerror or error}; give another folder with --out"
            ) from error
        for one in [source] if isinstance(source, (str, Path)) else source or ():
            _refuse_to_replace(Path(one), path, planned)
        present = [name for name in planned if (path / name).exists()]
        if present and not force:
            raise OutputError(
                f"{path} holds {_listed(present)} already; overwrite with --force, or give another folder with --out"
            )
        return cls(path=path, force=force)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def clear(self, names: Iterable[str]) -> None:
        """Remove files of these names, so that nothing old stands beside new results."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (self.path / name).unlink()

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write a file atomically (a temporary file that is renamed) and record its SHA-256.

        Raises:
            OutputError: if the file cannot be written (no permission, no space).
        """
        target = self.path / name
        probe: str | None = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, probe = tempfile.mkstemp(prefix=".cellkinetics-", dir=target.parent)
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            # mkstemp makes files private; results get the permissions that any new file would get.
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(probe, 0o666 & ~mask)
            os.replace(probe, target)
            probe = None
        except OSError as error:
            raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
        finally:
            if probe is not None:
                with contextlib.suppress(OSError):
                    os.unlink(probe)
        self.written[name] = hashlib.sha256(data).hexdigest()
        return target

    def write_text(self, name: str, text: str) -> Path:
        """Write UTF-8 text with line feeds; see `write_bytes`."""
        return self.write_bytes(name, text.encode("utf-8"))

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write JSON (numbers that do not exist become null); see `write_bytes`."""
        text = json.dumps(jsonable(content), indent=2, ensure_ascii=False, allow_nan=False)
        return self.write_text(name, text + "\n")

    def write_table(self, name: str, table: pd.DataFrame) -> Path:
        """Write a table as CSV: no index, shortest round-trip numbers, empty cells for what is missing."""
        return self.write_bytes(name, csv_bytes(table))

    def write_reading(self, samples: pd.DataFrame, faults: pd.DataFrame) -> None:
        """Write ``samples.csv`` and ``check.csv``, which all commands on one input share.

        Files that hold the same bytes already are left; other bytes mean that the folder belongs to
        another input or to other reading options: then every earlier result goes (``force``) or stays.

        Raises:
            OutputError: if the folder holds results of another reading and ``force`` is off.
        """
        tables = dict(zip(READING, (csv_bytes(samples), csv_bytes(faults)), strict=True))
        differs = [name for name, data in tables.items() if self._differs(name, data)]
        # A folder that holds nothing but a reading has nothing to lose: the table was put right and is read anew.
        only_read = set(previous_outputs(self.path)) == set(READING)
        if differs and not (self.force or only_read):
            raise OutputError(
                f"{self.path} holds results of another input, or of other reading options "
                f"({_listed(differs)} would change); replace them with --force, or give another folder with --out"
            )
        if differs:
            self.clear(previous_outputs(self.path))
        for name, data in tables.items():
            self.write_bytes(name, data)

    def replace_all(self, files: Mapping[str, str], source: Path) -> None:
        """Move finished files from a folder beside, and remove all that earlier commands wrote.

        Files that are moved already are only recorded, so that an interrupted move can be gone on with.

        Args:
            files: name to SHA-256.
            source: where they are, in the same file system.

        Raises:
            OutputError: if a file cannot be moved.
        """
        self.clear(name for name in previous_outputs(self.path) if name not in files)
        for name, digest in files.items():
            try:
                os.replace(source / name, self.path / name)
            except FileNotFoundError:
                if not (self.path / name).is_file():
                    raise OutputError(f"{self.path / name} is gone; start anew with --force") from None
            except OSError as error:
                raise OutputError(f"cannot write {self.path / name}: {error.strerror or error}") from error
            self.written[name] = digest

    def _differs(self, name: str, data: bytes) -> bool:
        try:
            return (self.path / name).read_bytes() != data
        except FileNotFoundError:
            return False
        except OSError as error:
            raise OutputError(f"cannot read {self.path / name}: {error.strerror or error}") from error


def _refuse_to_replace(source: Path, folder: Path, planned: Iterable[str]) -> None:
    """Refuse a folder in which the input itself would be written over, or removed as an earlier result."""
    for name in (*planned, *READING, MANIFEST, *previous_outputs(folder)):
        target = folder / name
        same = target.resolve() == source.resolve()
        with contextlib.suppress(OSError):
            same = same or target.samefile(source)
        if same:
            raise OutputError(
                f"{source} is the input, and results in {folder} would replace it; give another folder with --out"
            )


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as the bytes of its CSV file."""
    return table.to_csv(index=False, lineterminator="\n").encode("utf-8")


def previous_outputs(path: str | Path) -> list[str]:
    """Return the names of the files that earlier commands wrote into a folder, by its manifest."""
    manifest = read_manifest(path)
    entries = [manifest, *manifest.get("earlier", [])]
    names = dict.fromkeys(name for entry in entries for name in entry.get("outputs", {}))
    # The names come from a file: one that leads out of the folder is not ours to remove.
    return [name for name in names if not Path(name).is_absolute() and ".." not in Path(name).parts]


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _listed(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more files"
