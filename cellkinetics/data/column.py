"""One column of a table as distinct texts and codes, so that a million cells parse as fast as their distinct texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray

MISSING = frozenset({"", ".", "NA", "N/A", "#N/A", "NAN", "<NA>", "NULL", "NONE", "NAT", "NOT DONE"})
"""What an empty cell may hold, in upper case."""

_BLANKS = " \t\n\r\f\v\u00a0\u200b\ufeff"
_DECIMAL_COMMA = re.compile(r"[<>≤≥=\s]*[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
_THOUSANDS_COMMA = re.compile(r"[<>≤≥=\s]*[-+]?[1-9]\d{0,2}(?:,\d{3})+")
_THOUSANDS_POINT = re.compile(r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_WHOLE_FLOAT = re.compile(r"[-+]?\d+\.0+")


def keeps_its_point(text: str) -> bool:
    """Tell whether a label is such that no label of its column loses what stands behind the point.

    Example:
        >>> [keeps_its_point(text) for text in ("1.0", "1.5", "P1", ".")]
        [False, True, False, False]
    """
    return "." in text and text.upper() not in MISSING and not _WHOLE_FLOAT.fullmatch(text)


@dataclass(frozen=True, eq=False)
class Column:
    """A column: its name in the file, and for each row the number of its text in ``entries``.

    Attributes:
        name: as it stands in the file.
        codes: shape ``(rows,)``, index into ``entries``.
        entries: the texts that occur, without surrounding blanks; not necessarily all different.
        comma: whether a comma is the decimal mark.
        points: whether labels such as ``1.0`` keep their point, because the file has others such as ``1.5``.
        kind: ``number`` or ``text`` where it is known that the column is a covariate of this kind, ``none``
            where it is known to be none; empty where its own rows decide.
    """

    name: str
    codes: IntArray
    entries: tuple[str, ...]
    comma: bool = False
    points: bool = False
    kind: str = ""

    @classmethod
    def from_cells(cls, name: str, cells: pd.Series[Any]) -> Column:
        """Take the cells of a pandas column of any type."""
        codes, distinct = pd.factorize(cells)
        entries = [_text(cell) for cell in np.asarray(distinct, dtype=object)]
        # pandas gives empty cells the code -1, which as an index is the last entry.
        return cls(name, np.asarray(codes, np.int64) % (len(entries) + 1), (*entries, ""))

    def __len__(self) -> int:
        return len(self.codes)

    def keep(self, rows: BoolArray) -> Column:
        """Return the column of some rows."""
        return replace(self, codes=self.codes[rows])

    def text(self, row: int) -> str:
        """Return the text of a row, cut so that it fits into a message."""
        text = self.entries[self.codes[row]]
        return text if len(text) <= 40 else text[:37] + "..."

    def whole(self, row: int) -> str:
        """Return the whole text of a row."""
        return self.entries[self.codes[row]]

    @cached_property
    def entry_missing(self) -> BoolArray:
        """Mask of the entries that count as an empty cell."""
        return np.array([entry.upper() in MISSING for entry in self.entries], bool)

    @cached_property
    def entry_numbers(self) -> FloatArray:
        """Number of each entry, NaN where it is none."""
        return parse_numbers(self.entries, comma=self.comma)

    @property
    def missing(self) -> BoolArray:
        """Mask of the rows without an entry."""
        return self.entry_missing[self.codes]

    @property
    def numbers(self) -> FloatArray:
        """Number of each row, NaN where it is missing or not a number."""
        return self.entry_numbers[self.codes]

    @property
    def not_numbers(self) -> BoolArray:
        """Mask of the rows that hold something other than a number."""
        return (np.isnan(self.entry_numbers) & ~self.entry_missing)[self.codes]

    @cached_property
    def labels(self) -> tuple[IntArray, tuple[str, ...]]:
        """Codes ``(rows,)`` and names of labels in order of appearance; a missing one has the name "".

        ``1`` and ``1.0`` are one label, as long as no label has other digits behind the point;
        leading zeros stay.
        """
        missing = self.entry_missing
        texts = ["" if gone else entry for entry, gone in zip(self.entries, missing, strict=True)]
        used = np.bincount(self.codes, minlength=len(texts)) > 0
        pointed = [text for text, there in zip(texts, used, strict=True) if there and "." in text]
        if pointed and not self.points and all(_WHOLE_FLOAT.fullmatch(text) for text in pointed):
            texts = [text.split(".")[0] if _WHOLE_FLOAT.fullmatch(text) else text for text in texts]
        entry_codes, _ = pd.factorize(np.array(texts, object))
        codes, appeared = pd.factorize(entry_codes[self.codes])
        names = {int(code): text for code, text in zip(entry_codes, texts, strict=True)}
        return np.asarray(codes, np.int64), tuple(names[int(code)] for code in appeared)


def _text(cell: object) -> str:
    """Write a cell as a person would type it: whole floats without their point."""
    if isinstance(cell, str):
        return cell.strip(_BLANKS)
    if isinstance(cell, (bool, np.bool_)):
        return str(int(cell))
    if isinstance(cell, (float, np.floating)):
        number = float(cell)
        if np.isnan(number):
            return ""
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return str(cell).strip()


def parse_numbers(texts: Iterable[str], *, comma: bool = False) -> FloatArray:
    """Return each text as the nearest float64, NaN where it is not a number, shape ``(len(texts),)``.

    Args:
        texts: what stands in the cells.
        comma: whether a comma is the decimal mark; ``1.234`` is then not taken as a number, because
            it may mean 1234.

    Example:
        >>> parse_numbers(["1.5", "1e3", "BLQ", "1,5"]).tolist()
        [1.5, 1000.0, nan, nan]
        >>> parse_numbers(["1,5", "12", "1.234"], comma=True).tolist()
        [1.5, 12.0, nan]
    """
    cells = np.array(list(texts), object)
    if comma:
        cells = np.array(["?" if _THOUSANDS_POINT.fullmatch(t) else _pointed(t) for t in cells], object)
    numbers = np.full(len(cells), np.nan)
    good = np.asarray(pd.notna(pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce")), bool)
    # Which version of pandas takes 1e400 for a number differs; it is one, though infinite.
    good = good | np.array(
        [not ok and bool(_NUMBER.fullmatch(text)) for ok, text in zip(good, cells, strict=True)], bool
    )
    # pandas may miss the nearest float64 by its last bit; float() does not.
    numbers[good] = cells[good].astype(np.float64)
    return numbers


def _pointed(text: str) -> str:
    return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text


@dataclass
class CommaSigns:
    """What the numbers of a table say of the comma, as far as they were seen.

    Attributes:
        doubtless: whether a number has a comma that can only be a decimal mark (``0,5``).
        commas: whether a number has a comma.
        points: whether a cell has a point.
    """

    doubtless: bool = False
    commas: bool = False
    points: bool = False

    def add(self, texts: Iterable[str]) -> None:
        """Look at more cells."""
        texts = list(texts)
        commas = [text for text in texts if "," in text and _DECIMAL_COMMA.fullmatch(text)]
        self.commas |= bool(commas)
        self.doubtless |= any(not _THOUSANDS_COMMA.fullmatch(text) for text in commas)
        self.points |= any("." in text and text != "." for text in texts)

    def is_decimal(self, separator: str) -> bool:
        """Tell whether the comma is the decimal mark.

        Never when a comma parts the columns. Else when a number says so without doubt, or when
        semicolons part the columns and no number has a point. ``1,234`` alone says nothing.
        """
        if separator == ",":
            return False
        return self.doubtless or (self.commas and separator == ";" and not self.points)


def comma_is_decimal(columns: Iterable[Column], separator: str) -> bool:
    """Tell whether the numbers of a table have a decimal comma, see `CommaSigns`."""
    signs = CommaSigns()
    for column in columns:
        signs.add(column.entries)
    return signs.is_decimal(separator)
