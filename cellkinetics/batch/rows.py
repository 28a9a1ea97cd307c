"""The rows of a large table, block by block, whether they stand in a Parquet file or in a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from cellkinetics.batch.job import Piece
from cellkinetics.data.cohort import IntArray
from cellkinetics.data.delimited import Cells, header_line, parse_delimited
from cellkinetics.data.dialects import Layout
from cellkinetics.data.encoding import decode
from cellkinetics.data.faultlog import FaultLog

Progress = Callable[[int, int], None]

BLOCK_ROWS = 1 << 18
BLOCK_BYTES = 1 << 24
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that follow each other.

    Attributes:
        subject: cell of each row in the column of subjects ``(rows,)``.
        place: where each row begins: its number from 0, or its byte ``(rows,)``.
        line: line of each row in the file, the header being line 1 at the earliest ``(rows,)``.
        columns: cells of the columns that were wanted, by their names.
    """

    subject: pd.Series[Any]
    place: IntArray
    line: IntArray
    columns: dict[str, pd.Series[Any]] = field(default_factory=dict)


Assign = Callable[[Block], IntArray]


class ParquetRows:
    """A Parquet file; places are numbers of rows."""

    head = 0
    separator = ""

    def __init__(self, path: Path, layout: Layout) -> None:
        import pyarrow.parquet as pq

        self.file = pq.ParquetFile(path)
        self.names = tuple(str(name) for name in self.file.schema_arrow.empty_table().to_pandas().columns)
        self.layout = layout
        self.end = self.file.metadata.num_rows
        sizes = [self.file.metadata.row_group(k).num_rows for k in range(self.file.metadata.num_row_groups)]
        self.largest = max(sizes, default=0)

    @classmethod
    def open(cls, path: Path, layout: Layout, piece_rows: int) -> ParquetRows | None:
        """Return the rows of a file that is to be cut; None for any other."""
        with path.open("rb") as stream:
            if stream.read(4) != b"PAR1":
                return None
        try:
            rows = cls(path, layout)
        except Exception:  # damaged, or no reader: the reading of the whole file says so
            return None
        return rows if rows.end > piece_rows and layout.fits(rows.names) else None

    def seekable(self, piece_rows: int) -> bool:
        """Tell whether a piece can be read without reading much more than it."""
        return bool(self.largest <= 4 * max(piece_rows, BLOCK_ROWS))

    def is_text(self, name: str) -> bool:
        """Tell whether a column may hold texts."""
        import pyarrow as pa

        kind = self.file.schema_arrow.field(name).type
        return not (pa.types.is_integer(kind) or pa.types.is_floating(kind))

    def blocks(self, wanted: Sequence[str], progress: Progress | None = None) -> Iterator[Block | None]:
        """Give some columns, among them the subjects', block by block."""
        import pyarrow as pa

        subject = self.names[self.layout.roles(self.names)["subject"]]
        done = 0
        for batch in self.file.iter_batches(BLOCK_ROWS, columns=list(wanted)):
            frame = pa.Table.from_batches([batch]).to_pandas(ignore_metadata=True)
            place = np.arange(done, done + len(frame))
            done += len(frame)
            if progress is not None:
                progress(done, self.end)
            yield Block(frame[subject], place, place + 2, {name: frame[name] for name in wanted})

    def gather(self, paths: Sequence[Path], assign: Assign, progress: Progress | None = None) -> None:
        """Write the rows of each piece into a file of its own, beside one of their lines."""
        import pyarrow as pa

        subject = self.names[self.layout.roles(self.names)["subject"]]
        done = 0
        with ExitStack() as stack:
            schema = self.file.schema_arrow
            writers = [stack.enter_context(pa.ipc.new_stream(str(path), schema)) for path in paths]
            lines = [stack.enter_context(_lines_of(path).open("wb")) for path in paths]
            for batch in self.file.iter_batches(BLOCK_ROWS):
                place = np.arange(done, done + len(batch))
                column = pa.Table.from_batches([batch.select([subject])]).to_pandas(ignore_metadata=True)[subject]
                piece = assign(Block(column, place, place + 2))
                for k in np.unique(piece).tolist():
                    here = np.flatnonzero(piece == k)
                    writers[k].write_batch(batch.take(pa.array(here)))
                    lines[k].write((place[here] + 2).tobytes())
                done += len(batch)
                if progress is not None:
                    progress(done, self.end)

    @staticmethod
    def cells(piece: Piece, layout: Layout, log: FaultLog) -> Cells:
        """Return the cells of a piece."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if piece.staged:
            with pa.OSFile(piece.staged) as source:
                table = pa.ipc.open_stream(source).read_all()
            line = np.fromfile(_lines_of(Path(piece.staged)), np.int64)
        else:
            file = pq.ParquetFile(piece.path)
            edges = np.cumsum([0, *(file.metadata.row_group(k).num_rows for k in range(file.metadata.num_row_groups))])
            groups = np.flatnonzero((edges[:-1] < piece.last) & (edges[1:] > piece.first)).tolist()
            table = file.read_row_groups(groups, use_threads=False)
            table = table.slice(piece.first - int(edges[groups[0]]), piece.last - piece.first)
            line = np.arange(piece.first, piece.last) + 2
        frame = table.to_pandas()
        names = tuple(str(name) for name in frame.columns)
        return Cells(names, frame.set_axis(range(len(names)), axis=1).reset_index(drop=True), line)


class TextRows:
    """A delimited text; places are bytes. A text whose lines are not its rows is never cut."""

    def __init__(self, path: Path, layout: Layout, head: bytes) -> None:
        self.path, self.layout, self.start = path, layout, head
        self.head, self.end = len(head), path.stat().st_size
        decoded = decode(head)
        assert decoded is not None, "the beginning was decoded before it was cut off here"
        header = parse_delimited(decoded[0], path.name, layout, FaultLog())
        self.names, self.separator = header.names, header.separator

    @classmethod
    def open(cls, path: Path, layout: Layout, piece_rows: int) -> TextRows | None:
        """Return the rows of a file that is to be cut; None for any other."""
        if path.stat().st_size <= 4 * piece_rows:
            return None
        with path.open("rb") as stream:
            beginning = stream.read(_HEAD_BYTES)
            if b"\0" in beginning or beginning.startswith(b"PAR1"):
                return None
            lines, block = 0, beginning
            while block and lines <= piece_rows:
                lines += block.count(b"\n")
                block = stream.read(BLOCK_BYTES)
        decoded = decode(beginning)
        number = header_line(decoded[0], layout) if decoded is not None and lines > piece_rows else None
        if number is None:
            return None
        head = b"".join(beginning.splitlines(keepends=True)[:number])
        return cls(path, layout, head) if head.count(b"\n") == number else None

    def seekable(self, piece_rows: int) -> bool:
        """Tell whether a piece can be read without reading more than it."""
        return True

    def is_text(self, name: str) -> bool:
        """Tell whether a column may hold texts."""
        return True

    def blocks(self, wanted: Sequence[str], progress: Progress | None = None) -> Iterator[Block | None]:
        """Give all columns, block by block; None if a row is not a line."""
        for block, _, _ in self._parsed(progress):
            yield block

    def gather(self, paths: Sequence[Path], assign: Assign, progress: Progress | None = None) -> None:
        """Write the lines of each piece into a file of its own, beside one of their numbers."""
        with ExitStack() as stack:
            texts: list[IO[bytes]] = [stack.enter_context(path.open("wb")) for path in paths]
            lines = [stack.enter_context(_lines_of(path).open("wb")) for path in paths]
            for block, data, first in self._parsed(progress):
                if block is None or not len(block.line):
                    continue
                rows = data.splitlines(keepends=True)
                # A line that is no row (a comment, a line with too many cells) goes with the row before it.
                row = np.searchsorted(block.line, np.arange(first, first + len(rows)), "right") - 1
                piece = assign(block)[np.maximum(row, 0)]
                for k in np.unique(piece).tolist():
                    here = np.flatnonzero(piece == k)
                    texts[k].write(b"".join(rows[i] if rows[i].endswith(b"\n") else rows[i] + b"\n" for i in here))
                    lines[k].write((here + first).astype(np.int64).tobytes())

    def _parsed(self, progress: Progress | None) -> Iterator[tuple[Block | None, bytes, int]]:
        """Give each block with its bytes and the number of its first line."""
        place, line = self.head, self.start.count(b"\n") + 1
        with self.path.open("rb") as stream:
            stream.seek(place)
            while data := stream.read(BLOCK_BYTES):
                data += stream.readline()
                yield self._block(data, place, line), data, line
                place += len(data)
                line += data.count(b"\n")
                if progress is not None:
                    progress(place, self.end)

    def _block(self, data: bytes, place: int, line: int) -> Block | None:
        content = np.frombuffer(data, np.uint8)
        start = np.append(0, np.flatnonzero(content == ord("\n")) + 1)
        quotes = np.searchsorted(start, np.flatnonzero(content == ord('"')), "right") - 1
        decoded = decode(self.start + data)
        if (np.bincount(quotes) % 2).any() or data.count(b"\r") != data.count(b"\r\n") or decoded is None:
            return None
        numbers = np.arange(line, line + len(start))
        cells = parse_delimited(decoded[0], self.path.name, self.layout, FaultLog(), numbers)
        roles = self.layout.roles(cells.names)
        if cells.names != self.names or "subject" not in roles:
            return None
        columns = {name: cells.frame.iloc[:, k] for k, name in reversed(list(enumerate(cells.names)))}
        subject = cells.frame.iloc[:, roles["subject"]]
        return Block(subject, place + start[cells.line - line], cells.line, columns)

    @staticmethod
    def cells(piece: Piece, layout: Layout, log: FaultLog) -> Cells:
        """Return the cells of a piece."""
        with Path(piece.path).open("rb") as stream:
            head = stream.read(piece.head)
            stream.seek(piece.first)
            data = stream.read(piece.last - piece.first)
        if piece.staged:
            data = Path(piece.staged).read_bytes()
            numbers = np.fromfile(_lines_of(Path(piece.staged)), np.int64)
        else:
            numbers = piece.line + np.arange(data.count(b"\n") + 1)
        decoded = decode(head + data)
        assert decoded is not None, "the text was decoded when it was cut"
        return parse_delimited(decoded[0], Path(piece.path).name, layout, log, numbers)


def _lines_of(path: Path) -> Path:
    """Return the file with the lines of the rows that were gathered in a file."""
    return path.with_name(f"{path.name}.lines")


KINDS: dict[str, type[ParquetRows] | type[TextRows]] = {"parquet": ParquetRows, "text": TextRows}
