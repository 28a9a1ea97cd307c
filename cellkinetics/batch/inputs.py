"""Which files a batch reads, and what they are called in its tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cellkinetics.errors import DataError, SettingsError

ENDINGS = (".csv", ".tsv", ".txt", ".dat", ".tab", ".xlsx", ".xlsm", ".xls", ".ods", ".parquet", ".pq", ".xpt")
"""Files of a folder that are taken for tables; a file that is given by its name may be called anything."""


class Input(NamedTuple):
    """A file of a batch.

    Attributes:
        file: its name, with so much of its path as tells it from the others.
        path: where it is.
    """

    file: str
    path: Path


def find_inputs(paths: Sequence[Path]) -> tuple[list[Input], list[str]]:
    """Return the files of a folder, or those that were given, and what stands in a folder and is not read.

    Files of a folder are in order of their names; folders in it are not entered.

    Raises:
        DataError: for a folder without a table, or what is not there.
        SettingsError: if a folder is given beside other things, or a file twice.
    """
    folders = [path for path in paths if path.is_dir()]
    if folders and len(paths) > 1:
        raise SettingsError(f"give one folder, or several files; {folders[0]} is a folder beside other data")
    gone = [path for path in paths if not path.exists()]
    if gone:
        raise DataError(f"there is no file {gone[0]}; look at the name and the folder")
    if not folders:
        real = [path.resolve() for path in paths]
        twice = [path for path, place in zip(paths, real, strict=True) if real.count(place) > 1]
        if twice:
            raise SettingsError(f"{twice[0]} is given twice")
        above = Path(os.path.commonpath([path.parent for path in real]))
        return [Input(place.relative_to(above).as_posix(), place) for place in real], []
    inside = sorted(
        (path for path in folders[0].iterdir() if not path.name.startswith(".")), key=lambda path: path.name
    )
    tables = [path for path in inside if path.is_file() and path.suffix.lower() in ENDINGS]
    if not tables:
        raise DataError(f"no table in the folder {folders[0]}; names of tables end in {', '.join(ENDINGS)}")
    others = [path.name + ("/" if path.is_dir() else "") for path in inside if path not in tables]
    return [Input(path.name, path.resolve()) for path in tables], others


def stamp(path: Path) -> tuple[int, int]:
    """Return size and time of the last change (ns): a file of another stamp is not the file that it was."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def hashed(inputs: Sequence[Input], progress: Callable[[int, int], None] | None = None) -> list[dict[str, Any]]:
    """Return name, path, size, time of the last change and SHA-256 of each file.

    Raises:
        OSError: for a file that cannot be opened.
    """
    from cellkinetics.report.output import sha256_of

    found = []
    for number, each in enumerate(inputs, start=1):
        size, changed = stamp(each.path)
        entry = {"file": each.file, "path": str(each.path), "sha256": sha256_of(each.path)}
        found.append({**entry, "size": size, "changed": changed})
        if progress is not None:
            progress(number, len(inputs))
    return found
