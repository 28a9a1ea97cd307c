"""How a table is written in parts, and the parts joined: CSV, or Parquet.

A file is the same bytes whether it is written at once or joined from its parts.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "parquet")
ROW_GROUP = 1 << 20
"""Rows of a row group of Parquet, at least: small parts are put together."""


class TableFormat(Protocol):
    """A way to write tables; ``suffix`` is the end of the files' names."""

    suffix: str

    def write_part(self, table: pd.DataFrame, path: Path) -> None:
        """Write some rows of a table."""

    def join(self, parts: Sequence[Path], columns: Sequence[str], target: Path) -> str:
        """Write the file of all parts, in their order, and return the SHA-256 of its bytes."""


def table_format(name: str) -> TableFormat:
    """Return the format of this name.

    Raises:
        SettingsError: if there is none, or the extra for it is not installed.

    Example:
        >>> table_format("csv").suffix
        'csv'
    """
    if name == "csv":
        return _CSV()
    if name == "parquet":
        try:
            importlib.import_module("pyarrow")
        except ImportError as error:
            message = "writing Parquet files needs pyarrow, the extra 'parquet': pip install pyarrow"
            raise SettingsError(message) from error
        return _Parquet()
    raise SettingsError(f"format {name!r} does not exist; take {' or '.join(FORMATS)}")


class _CSV:
    suffix = "csv"

    def write_part(self, table: pd.DataFrame, path: Path) -> None:
        table.to_csv(path, index=False, header=False, lineterminator="\n", encoding="utf-8")

    def join(self, parts: Sequence[Path], columns: Sequence[str], target: Path) -> str:
        import pandas as pd

        with target.open("wb") as out:
            out.write(pd.DataFrame(columns=list(columns)).to_csv(index=False, lineterminator="\n").encode())
            for part in parts:
                with part.open("rb") as rows:
                    shutil.copyfileobj(rows, out, 1 << 20)
        with target.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


class _Parquet:
    """Texts are dictionaries, so that a long table of few words stays small in the file and in memory.

    Parts are Arrow files, which cost nothing to read again.
    """

    suffix = "parquet"

    def write_part(self, table: pd.DataFrame, path: Path) -> None:
        import pyarrow as pa

        content = _arrow(table)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, content.schema) as writer:
            writer.write_table(content)

    def join(self, parts: Sequence[Path], columns: Sequence[str], target: Path) -> str:
        import pyarrow as pa
        import pyarrow.parquet as pq

        writer: Any = None
        waiting: list[Any] = []

        def write() -> None:
            nonlocal writer
            content = pa.concat_tables(waiting).unify_dictionaries().combine_chunks()
            if writer is None:
                writer = pq.ParquetWriter(
                    str(target), content.schema, compression="zstd", dictionary_pagesize_limit=1 << 24
                )
            writer.write_table(content, row_group_size=4 * ROW_GROUP)
            waiting.clear()

        try:
            for part in parts:
                with pa.memory_map(str(part)) as source:
                    waiting.append(pa.ipc.open_file(source).read_all())
                if sum(len(table) for table in waiting) >= ROW_GROUP:
                    write()
            if waiting or writer is None:
                write()
        finally:
            if writer is not None:
                writer.close()
        with target.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def _arrow(table: pd.DataFrame) -> Any:
    """Return a table as Arrow has it: texts as dictionaries, NaN as null."""
    import pyarrow as pa

    words = pa.dictionary(pa.int32(), pa.string())
    content = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    columns = []
    for column in content.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_null(column.type):
            column = column.cast(pa.string()).combine_chunks().dictionary_encode().cast(words)
        columns.append(column)
    return pa.table(columns, names=content.column_names)
