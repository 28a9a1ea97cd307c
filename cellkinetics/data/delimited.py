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
_BLANK = ' \t\f\v\x1a;,"'


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


def parse_delimited(text: str, name: str, layout: Layout, log: FaultLog) -> Cells:
    """Return the cells of comma-, semicolon-, tab- or blank-separated text.

    Lines that start with a comment mark of the dialect are left out; empty lines count in the
    numbering of lines. Rows with more cells than the header are faults.

    Raises:
        DataError: if there is no header.
    """
    first = text[: text.find("\n") + 1 or len(text)]
    lines = text.split("\n", _HEADER_WITHIN)[:_HEADER_WITHIN]
    if not text.strip(_BLANK + "\n"):
        log.stop(
            name, Fault("empty_file", "the file is empty", "give a table with a header and one row a sample", "file")
        )
    forced = re.fullmatch(r'"?sep=(.)"?\s*', first)
    header = _find_header(lines, layout, forced.group(1) if forced else "")
    if header is None:
        log.stop(name, Fault("no_header", "the file holds nothing but comments", "give a header line", "file"))
    if header.separator == " ":
        text = re.sub(r"(?m)^[ \t]+|[ \t]+$", "", text)
        text = re.sub(r"[ \t]+", "\t", text)
    separator = "\t" if header.separator == " " else header.separator
    data = np.frombuffer(text.encode("utf-8"), np.uint8)
    ends = np.append(np.flatnonzero(data == ord("\n")), len(data))
    starts = np.append(0, ends[:-1] + 1)
    body = slice(header.line, None)  # header.line counts from 1, so this is the line behind it
    starts, ends = starts[body], np.minimum(ends[body] + 1, len(data))
    numbers = np.arange(header.line, header.line + len(starts)) + 1
    comments = _comment_lines(data, starts, layout.choose(header.names).comment_marks, separator)
    comments |= starts >= len(data)
    starts, ends, numbers = starts[~comments], ends[~comments], numbers[~comments]
    quotes = _count(data, ord('"'), starts, ends)
    if (quotes % 2).any():
        return _parse_quoted(data, starts, ends, numbers, header.names, separator, name, log)
    keep, width = _check_widths(data, starts, ends, numbers, quotes, header.names, separator, log)
    starts, ends, numbers = starts[keep], ends[keep], numbers[keep]
    edges = np.zeros(len(data) + 1, np.int8)
    np.add.at(edges, starts, 1)
    np.add.at(edges, ends, -1)
    kept = data[np.cumsum(edges[:-1], dtype=np.int8) > 0].tobytes()
    if not kept:
        return Cells(header.names, _frame([], len(header.names)), numbers, separator)
    frame = pd.read_csv(
        io.BytesIO(kept),
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
    return Cells(header.names, frame.iloc[:, : len(header.names)], numbers, separator)


def _frame(rows: list[list[str]], width: int) -> pd.DataFrame:
    padded = [(row + [""] * width)[:width] for row in rows]
    return pd.DataFrame(padded, columns=list(range(width)), dtype=object)


def _find_header(lines: list[str], layout: Layout, forced: str) -> _Header | None:
    """Return the first line that is no comment; or a commented line just above, if only that one is a header."""
    remembered: _Header | None = None
    for number, line in enumerate(lines[bool(forced) :], start=1 + bool(forced)):
        if not line.strip(_BLANK):
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
        _Header(number, tuple(cell.strip() for cell in next(csv.reader([line], delimiter=separator))), separator)
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


def _count(data: Bytes, byte: int, starts: IntArray, ends: IntArray) -> IntArray:
    """Count a byte between starts and ends."""
    places = np.flatnonzero(data == byte)
    return np.searchsorted(places, ends) - np.searchsorted(places, starts)


def _comment_lines(data: Bytes, starts: IntArray, marks: str, separator: str) -> BoolArray:
    """Mask of the lines that are comments.

    A ``C`` marks a comment where the other rows start with a number, as NONMEM wants it; in a table
    whose subjects have names only a ``C`` that stands alone does.
    """
    padded = np.append(data, np.frombuffer(b"\n\n", np.uint8))
    first = padded[np.minimum(starts, len(data))]
    comment = np.isin(first, [ord(mark) for mark in marks if mark != "C"])
    if "C" not in marks:
        return comment
    with_c = first == ord("C")
    numeric = np.isin(first, list(b'0123456789+-. \t\n"' + separator.encode()))
    if not numeric[~with_c & ~comment].all():
        second = padded[np.minimum(starts, len(data)) + 1]
        with_c &= np.isin(second, list(b" \t\n" + separator.encode()))
    return comment | with_c


def _check_widths(
    data: Bytes,
    starts: IntArray,
    ends: IntArray,
    numbers: IntArray,
    quotes: IntArray,
    names: tuple[str, ...],
    separator: str,
    log: FaultLog,
) -> tuple[BoolArray, int]:
    """Find the lines with more cells than the header; return which lines to keep and their greatest width."""
    widths = _count(data, ord(separator), starts, ends) + 1
    keep = np.ones(len(starts), bool)
    for k in np.flatnonzero(widths > len(names)):
        if quotes[k]:
            line = data[starts[k] : ends[k]].tobytes().decode("utf-8")
            cells = next(csv.reader([line], delimiter=separator))
            widths[k] = len(cells)
            surplus = any(cell.strip() for cell in cells[len(names) :])
        else:
            line = data[starts[k] : ends[k]].tobytes().decode("utf-8")
            surplus = bool("".join(line.split(separator)[len(names) :]).strip())
        if surplus:
            keep[k] = False
            log.add(_too_wide(int(numbers[k]), int(widths[k]), len(names), separator))
    return keep, max(len(names), int(widths[keep].max(initial=1)))


def _too_wide(line: int, width: int, expected: int, separator: str) -> Fault:
    hint = "; if commas are decimal marks, part the columns with semicolons" if separator == "," else ""
    return Fault(
        "too_many_cells",
        f"{width} cells, but the header names {expected} columns; the row is left out",
        f"put cells that hold the separator in quotes{hint}",
        "row",
        line,
    )


def _parse_quoted(
    data: Bytes,
    starts: IntArray,
    ends: IntArray,
    numbers: IntArray,
    names: tuple[str, ...],
    separator: str,
    name: str,
    log: FaultLog,
) -> Cells:
    """Parse text in which quoted cells run over several lines, or a quote is left open."""
    lines = [data[a:b].tobytes().decode("utf-8") for a, b in zip(starts, ends, strict=True)]
    rows: list[list[str]] = []
    where: list[int] = []
    reader = csv.reader(lines, delimiter=separator, strict=True)
    before = 0
    try:
        for cells in reader:
            line, before = int(numbers[before]), reader.line_num
            if any(cell.strip() for cell in cells[len(names) :]):
                log.add(_too_wide(line, len(cells), len(names), separator))
                continue
            rows.append(cells)
            where.append(line)
    except csv.Error as error:
        line = int(numbers[min(before, len(numbers) - 1)])
        log.stop(
            name,
            Fault(
                "open_quote",
                f"a quoted cell is not closed properly ({error})",
                "close or remove the quote",
                "file",
                line,
            ),
        )
    return Cells(names, _frame(rows, len(names)), np.array(where, np.int64), separator)


def looks_like_data(names: tuple[str, ...]) -> bool:
    """Tell whether a header line is rather a row of data: at least one of its cells is a number."""
    return bool(np.isfinite(parse_numbers(names)).any())
