"""A file or a data frame becomes columns of text: CSV, Excel, Parquet, XPT, whatever its name ends in."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellkinetics.data.cohort import IntArray
from cellkinetics.data.column import Column, comma_is_decimal
from cellkinetics.data.delimited import Cells, looks_like_data, parse_delimited
from cellkinetics.data.dialects import Dialect, Layout
from cellkinetics.data.encoding import decode
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.data.provenance import Source
from cellkinetics.data.transport import SAS7BDAT, TRANSPORT, from_transport
from cellkinetics.data.whole import Whole
from cellkinetics.errors import Fault, SettingsError

NUMERIC_ROLES = (
    *("time", "value", "nominal_time", "lloq", "uloq", "lod", "limit"),
    *("dose", "amt", "rate", "infusion_duration", "tau", "steady_state"),
)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns with their roles.

    Attributes:
        roles: role to column; a role that the table lacks is not there.
        others: the columns without a role that may be covariates.
        line: line of each row in the file, the header being line 1.
        dialect: the dialect that was recognised or given.
        mapped: roles whose column the user named.
        source: name, SHA-256 and number of rows.
    """

    roles: dict[str, Column]
    others: tuple[Column, ...]
    line: IntArray
    dialect: Dialect
    source: Source
    mapped: frozenset[str] = frozenset()


def load_table(source: str | os.PathLike[str] | pd.DataFrame, layout: Layout, log: FaultLog) -> Table:
    """Read a table and find its columns.

    Raises:
        DataError: if there is no table, or a required column is missing.
        SettingsError: if ``source`` is neither a path nor a data frame, or needs an extra that is not installed.
    """
    if isinstance(source, pd.DataFrame):
        name, digest, cells = "", "", _from_frame(source)
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        data = _read_bytes(path, log)
        name, digest = path.name, hashlib.sha256(data).hexdigest()
        cells = _from_bytes(data, name, layout, log)
    else:
        raise SettingsError(f"give the path of a table or a pandas DataFrame, not a {type(source).__name__}")
    return with_roles(cells, name, digest, layout, log)


def _read_bytes(path: Path, log: FaultLog) -> bytes:
    shown = str(path)
    if path.is_dir():
        log.stop(shown, Fault("is_a_folder", f"{shown} is a folder", "give the file in it", "file"))
    try:
        return path.read_bytes()
    except FileNotFoundError:
        log.stop(shown, Fault("file_not_found", f"there is no file {shown}", "look at the name and the folder", "file"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        log.stop(shown, Fault("not_readable", f"{shown} cannot be opened: {why}", "look at its permissions", "file"))


def _from_bytes(data: bytes, name: str, layout: Layout, log: FaultLog) -> Cells:
    """Read by what the bytes are, not by what the file is called."""
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return _from_workbook(data, name, log)
    if data.startswith(b"PAR1"):
        return _from_parquet(data, name, log)
    if data.startswith(TRANSPORT):
        return from_transport(data, name, log)
    if data[: len(SAS7BDAT)] == SAS7BDAT:
        what = "the file is a SAS data set (sas7bdat), which cannot be read here"
        log.stop(name, Fault("not_a_table", what, "save it as a transport file (XPT version 5) or as CSV", "file"))
    decoded = decode(data)
    if decoded is None:
        what = "the file is no table of text, Excel, Parquet or XPT, or it is damaged"
        log.stop(name, Fault("not_a_table", what, "save the table as CSV", "file"))
    text, encoding = decoded
    if encoding in ("cp1252", "latin-1"):
        message = "the text is not UTF-8 and was read as Latin-1 (Windows-1252)"
        log.add(Fault("encoding", message, "save as UTF-8 if names or units look wrong", "note"))
    return parse_delimited(text, name, layout, log)


def _extra(module: str, extra: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.replace("_", "-")
        raise SettingsError(f"reading {what} needs {package}, the extra '{extra}': pip install {package}") from error


def _from_workbook(data: bytes, name: str, log: FaultLog) -> Cells:
    """Take the first sheet that holds anything; its first non-empty row is the header."""
    calamine = _extra("python_calamine", "excel", "Excel workbooks")
    workbook = _or_damaged(lambda: calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)), "workbook", name, log)
    names = workbook.sheet_names
    filled = []
    for sheet in names:
        rows = _or_damaged(
            lambda sheet=sheet: workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False),  # type: ignore[misc]
            "workbook",
            name,
            log,
        )
        if any(cell != "" for row in rows for cell in row):
            filled.append((sheet, rows))
    if not filled:
        log.stop(name, Fault("empty_file", "the workbook is empty", "give a sheet with one row a sample", "file"))
    sheet, rows = filled[0]
    if len(filled) > 1:
        others = ", ".join(other for other, _ in filled[1:])
        message = f"only the sheet {sheet!r} was read; not {others}"
        log.add(Fault("other_sheets", message, "put the table into the first sheet", "note"))
    top = next(k for k, row in enumerate(rows) if any(cell != "" for cell in row))
    header = tuple(str(cell).strip() for cell in rows[top])
    frame = pd.DataFrame(rows[top + 1 :], columns=list(range(len(header))), dtype=object)
    return Cells(header, frame, np.arange(len(frame), dtype=np.int64) + top + 2)


def _from_parquet(data: bytes, name: str, log: FaultLog) -> Cells:
    _extra("pyarrow", "parquet", "Parquet files")
    return _from_frame(_or_damaged(lambda: pd.read_parquet(io.BytesIO(data)), "Parquet file", name, log))


def _or_damaged(read: Callable[[], Any], what: str, name: str, log: FaultLog) -> Any:
    try:
        return read()
    except Exception as error:  # the readers raise their own kinds, none of them public
        message = f"the {what} is damaged or protected ({error})"
        log.stop(
            name, Fault("not_a_table", message, "open it in its program and save it again, or save it as CSV", "file")
        )


def _from_frame(frame: pd.DataFrame) -> Cells:
    """Number the rows as if the frame stood in a file below its header."""
    names = tuple(str(name) for name in frame.columns)
    bare = frame.set_axis(range(len(names)), axis=1).reset_index(drop=True)
    return Cells(names, bare, np.arange(len(frame), dtype=np.int64) + 2)


def with_roles(
    cells: Cells, name: str, digest: str, layout: Layout, log: FaultLog, whole: Whole | None = None
) -> Table:
    """Find the columns of cells that were read from a file, or from a part of it, with what holds for the ``whole``.

    Raises:
        DataError: if a required column is missing, or there is no row.
    """
    names = cells.names
    faults = layout.header_faults(names)
    if any(fault.code == "missing_column" for fault in faults) and looks_like_data(names):
        message = f"the first line is data, not a header: {', '.join(names)[:80]}"
        log.stop(name, Fault("no_header", message, "put the names subject, time, value above the columns", "file", 1))
    if faults:
        for fault in faults[:-1]:
            log.add(fault)
        log.stop(name, faults[-1])
    columns = [Column.from_cells(title, cells.frame.iloc[:, k]) for k, title in enumerate(names)]
    filled = np.zeros(len(cells.line), bool)
    for column in columns:
        filled |= np.array([entry != "" for entry in column.entries], bool)[column.codes]
    if not filled.any():
        log.stop(name, Fault("no_rows", "there is a header, but no row below it", "give one row a sample", "file"))
    columns = [column.keep(filled) for column in columns]
    positions = layout.roles(names)
    dialect = layout.choose(names)
    if whole is not None:
        columns = [whole.column(column) for column in columns]
    elif comma_is_decimal((columns[positions[r]] for r in NUMERIC_ROLES if r in positions), cells.separator):
        columns = [replace(column, comma=True) for column in columns]
    return Table(
        roles={role: columns[position] for role, position in positions.items()},
        others=_other_columns(columns, set(positions.values()), dialect, log),
        line=cells.line[filled],
        dialect=dialect,
        source=Source(name=name, sha256=digest, dialect=dialect.name, rows=int(filled.sum())),
        mapped=frozenset(layout.mapping),
    )


def _other_columns(columns: list[Column], taken: set[int], dialect: Dialect, log: FaultLog) -> tuple[Column, ...]:
    others: dict[str, Column] = {}
    for position, column in enumerate(columns):
        if position in taken or column.name.strip().lower() in dialect.ignored:
            continue
        if not column.name.strip():
            if not column.missing.all():
                message = f"column {position + 1} has no name and is not read"
                log.add(Fault("unnamed_column", message, "give it a name if it is a covariate", "note"))
        elif column.name in others:
            message = f"two columns are called {column.name}; the first one is read"
            log.add(Fault("duplicate_column", message, "give every column its own name", "note", column=column.name))
        else:
            others[column.name] = column
    return tuple(others.values())
