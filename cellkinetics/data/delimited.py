"""Delimited text becomes columns, with the line in the file of every row."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellkinetics.data.cohort import BoolArray, IntArray
from cellkinetics.data.column import parse_numbers
from cellkinetics.data.dialects import Layout
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.errors import Fault

Bytes = NDArray[np.uint8]

_SEPARATORS = ("\t", ";", ",")
_HEADER_WITHIN = 200
_BLANK = re.compile(r"[\s;,\"\x1a\u200b\ufeff]*")


@dataclass(frozen=True, eq=False)
class Cells:
    """A table before anything is understood: header, one column of text or numbers a name, lines."""

    names: tuple[str, ...]
    frame: pd.DataFrame
    line: IntArray
    separator: str = ""


@dataclass(frozen=True)
class _Header:
    line: int
    names: tuple[str, ...]
    separator: str


@dataclass(frozen=True, eq=False)
class _Lines:
    """Lines of a text: its bytes, where each line starts and ends (behind its line end), its number."""

    data: Bytes
    start: IntArray
    end: IntArray
    number: IntArray

    @classmethod
    def below(cls, line: int, text: str, numbers: IntArray | None) -> _Lines:
        """Take the lines below line number ``line``; ``numbers`` are theirs, if they do not follow it."""
        data = np.frombuffer(text.encode("utf-8"), np.uint8)
        breaks = np.flatnonzero(data == ord("\n")) + 1
        start = np.append(0, breaks)[line:]
        end = np.append(breaks, len(data))[line:]
        number = np.arange(line + 1, line + 1 + len(start))
        if numbers is not None:
            number[: len(numbers)] = numbers
        return cls(data, start, end, number).keep(start < len(data))

    def __len__(self) -> int:
        return len(self.number)

    def keep(self, mask: BoolArray) -> _Lines:
        """Return some of the lines."""
        return _Lines(self.data, self.start[mask], self.end[mask], self.number[mask])

    def text(self, k: int) -> str:
        """Return line ``k``, counted from 0, with its line end."""
        return self.data[self.start[k] : self.end[k]].tobytes().decode("utf-8")

    def count(self, character: str) -> IntArray:
        """Count a character in every line."""
        places = np.flatnonzero(self.data == ord(character))
        return np.searchsorted(places, self.end) - np.searchsorted(places, self.start)

    def byte(self, offset: int) -> Bytes:
        """Return the byte at an offset from the start of every line; a line end where there is none."""
        padded = np.append(self.data, np.full(offset + 1, ord("\n"), np.uint8))
        return padded[self.start + offset]

    def joined(self) -> bytes:
        """Return the lines as bytes."""
        edges = np.zeros(len(self.data) + 1, np.int8)
        edges[self.start] += 1
        edges[self.end] -= 1
        return self.data[np.cumsum(edges[:-1], dtype=np.int8) > 0].tobytes()


def header_line(text: str, layout: Layout) -> int | None:
    r"""Return the number of the header's line, None where there is no header.

    Example:
        >>> header_line("# made by hand\nsubject,time,value\n1,0,5\n", Layout())
        2
    """
    header = _header(text, layout)
    return None if header is None else header.line


def _header(text: str, layout: Layout) -> _Header | None:
    lines = text.split("\n", _HEADER_WITHIN)[:_HEADER_WITHIN]
    forced = re.fullmatch(r'"?sep=([,;|:\t ])"?\s*', lines[0])
    return _find_header(lines, layout, forced.group(1) if forced else "")


def parse_delimited(text: str, name: str, layout: Layout, log: FaultLog, numbers: IntArray | None = None) -> Cells:
    """Return the cells of comma-, semicolon-, tab- or blank-separated text.

    Lines that start with a comment mark of the dialect are left out; empty lines count in the
    numbering of lines. Rows with more cells than the header are faults.

    Args:
        text: header and rows.
        name: of the file, for messages.
        layout: what is known of the columns.
        log: takes the faults.
        numbers: the line in the file of each line below the header, where the text is a part of a file.

    Raises:
        DataError: if there is no header.
    """
    if _BLANK.fullmatch(text):
        action = "give a table with a header and one row a sample"
        log.stop(name, Fault("empty_file", "the file is empty", action, "file"))
    header = _header(text, layout)
    if header is None:
        log.stop(name, Fault("no_header", "the file holds nothing but comments", "give a header line", "file"))
    separator = header.separator
    if separator == " ":
        text = re.sub(r"(?m)^[ \t]+|[ \t]+$", "", text)
        text, separator = re.sub(r"[ \t]+", "\t", text), "\t"
    rows = _Lines.below(header.line, text, numbers)
    rows = rows.keep(~_comments(rows, layout.choose(header.names).comment_marks, separator))
    if not len(rows):
        return Cells(header.names, _frame([], len(header.names)), rows.number, separator)
    if (rows.count('"') % 2).any():
        return _parse_quoted(rows, header.names, separator, name, log)
    keep, width, faults = _check_widths(rows, header.names, separator)
    try:
        frame = pd.read_csv(
            io.BytesIO(rows.keep(keep).joined()),
            sep=separator,
            header=None,
            names=list(range(width)),
            index_col=False,
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
            encoding="utf-8",
            engine="c",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError):
        frame = None
    if frame is None or len(frame) != keep.sum():  # a quote did not mean what its line alone made believe
        return _parse_quoted(rows, header.names, separator, name, log)
    for fault in faults:
        log.add(fault)
    return Cells(header.names, frame.iloc[:, : len(header.names)], rows.number[keep], separator)


def _row(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error:
        return line.split(separator)


def _frame(rows: list[list[str]], width: int) -> pd.DataFrame:
    padded = [(row + [""] * width)[:width] for row in rows]
    return pd.DataFrame(padded, columns=list(range(width)), dtype=object)


def _find_header(lines: list[str], layout: Layout, forced: str) -> _Header | None:
    """Return the first line that is no comment; or a commented line just above, if only that one is a header."""
    remembered: _Header | None = None
    for number, line in enumerate(lines[bool(forced) :], start=1 + bool(forced)):
        if _BLANK.fullmatch(line):
            continue
        bare = line.lstrip()
        commented = bare[0] in "#@"
        candidate = _split(number, bare.lstrip("#@") if commented else line, layout, forced)
        fits = layout.fits(candidate.names)
        if commented:
            remembered = candidate if fits else remembered
        elif fits or not re.match(r"C\s", line):
            return remembered if remembered and not fits else candidate
    return remembered


def _split(number: int, line: str, layout: Layout, forced: str) -> _Header:
    """Split a header line by the separator that makes sense of it, else by the most frequent one."""
    choices = [
        _Header(number, tuple(cell.strip() for cell in _row(line, separator)), separator)
        for separator in ((forced,) if forced else _SEPARATORS)
    ]
    if not forced and not any(separator in line for separator in (";", ",")) and len(line.split()) > 1:
        choices.append(_Header(number, tuple(line.split()), " "))
    fitting = [choice for choice in choices if layout.fits(choice.names)]
    if fitting:
        return fitting[0]
    widths = Counter({choice.separator: len(choice.names) for choice in choices if choice.separator != " "})
    widest = widths.most_common(1)[0][0]
    return next(choice for choice in choices if choice.separator == widest)


def _comments(rows: _Lines, marks: str, separator: str) -> BoolArray:
    """Mask of the lines that are comments.

    A ``C`` marks a comment where the other rows start with a number, as NONMEM wants it; in a table
    whose subjects have names only a ``C`` that stands alone does.
    """
    first = rows.byte(0)
    comment = np.isin(first, [ord(mark) for mark in marks if mark != "C"])
    if "C" not in marks:
        return comment
    with_c = first == ord("C")
    if not np.isin(first[~with_c & ~comment], list(b'0123456789+-. \t\n"' + separator.encode())).all():
        with_c &= np.isin(rows.byte(1), list(b" \t\n" + separator.encode()))
    return comment | with_c


def _check_widths(rows: _Lines, names: tuple[str, ...], separator: str) -> tuple[BoolArray, int, list[Fault]]:
    """Find the lines with more cells than the header.

    Returns:
        Which lines to keep, the greatest width of those, and a fault for each other line.
    """
    widths = rows.count(separator) + 1
    keep = np.ones(len(rows), bool)
    faults = []
    for k in np.flatnonzero(widths > len(names)).tolist():
        cells = _row(rows.text(k), separator)
        widths[k] = len(cells)
        if any(cell.strip() for cell in cells[len(names) :]):
            keep[k] = False
            faults.append(_too_wide(int(rows.number[k]), len(cells), len(names), separator))
    return keep, max(len(names), int(widths[keep].max(initial=1))), faults


def _too_wide(line: int, width: int, expected: int, separator: str) -> Fault:
    hint = "; if commas are decimal marks, part the columns with semicolons" if separator == "," else ""
    return Fault(
        "too_many_cells",
        f"{width} cells, but the header names {expected} columns; the row is left out",
        f"put cells that hold the separator in quotes{hint}",
        "row",
        line,
    )


def _parse_quoted(lines: _Lines, names: tuple[str, ...], separator: str, name: str, log: FaultLog) -> Cells:
    """Parse text in which quoted cells run over several lines, or a quote is left open."""
    rows: list[list[str]] = []
    numbers: list[int] = []
    reader = csv.reader((lines.text(k) for k in range(len(lines))), delimiter=separator, strict=True)
    before = 0
    try:
        for cells in reader:
            number, before = int(lines.number[before]), reader.line_num
            if any(cell.strip() for cell in cells[len(names) :]):
                log.add(_too_wide(number, len(cells), len(names), separator))
                continue
            rows.append(cells)
            numbers.append(number)
    except csv.Error as error:
        number = int(lines.number[min(before, len(lines) - 1)])
        message = f"a quoted cell is not closed properly ({error})"
        log.stop(name, Fault("open_quote", message, "close or remove the quote", "file", number))
    return Cells(names, _frame(rows, len(names)), np.array(numbers, np.int64), separator)


def looks_like_data(names: tuple[str, ...]) -> bool:
    """Tell whether a header line is rather a row of data: at least one of its cells is a number."""
    return bool(np.isfinite(parse_numbers(names)).any())
