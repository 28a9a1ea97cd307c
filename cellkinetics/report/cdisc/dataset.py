"""A data set with the description of its variables, and what it must fulfil before it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from cellkinetics.errors import OutputError

Kind = Literal["Char", "Num"]

NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,7}")
LONGEST_LABEL = 40
LONGEST_VALUE = 200
SMALLEST_NUMBER, LARGEST_NUMBER = 1e-78, 1e74  # a little less than the format holds: not every reader reads its ends
_NOT_PRINTABLE = re.compile(r"[^ -~]")


class Variable(NamedTuple):
    """A column of a data set: name, label, type, and where its values come from (origin)."""

    name: str
    label: str
    kind: Kind
    origin: str


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table that is to be written as CSV and XPT.

    Attributes:
        name: such as ``PP``.
        label: what it holds.
        variables: one a column, in the order of the columns.
        table: texts (never missing) in ``Char`` columns, float64 or integers in ``Num`` columns.
    """

    name: str
    label: str
    variables: tuple[Variable, ...]
    table: pd.DataFrame

    def lengths(self) -> tuple[int, ...]:
        """Bytes that each variable takes: 8 for numbers, else those of the longest value, at least 1."""
        return tuple(
            8 if variable.kind == "Num" else max((1, *map(len, self.table[variable.name].unique())))
            for variable in self.variables
        )


def check(dataset: Dataset) -> None:
    """Refuse what an XPT version 5 file cannot hold, or would hold otherwise than it was given.

        names    [A-Z_][A-Z0-9_]{0,7}, each once        labels  1 to 40 bytes
        texts    at most 200 bytes, printable ASCII, no blank at either end
        numbers  0, or 1e-78 to 1e74 in size (floating point of IBM mainframes); no infinity

    Source: SAS Institute, "Record Layout of a SAS Version 5 or 6 Data Set in SAS Transport (XPORT)
    Format" (TS-140); FDA Study Data Technical Conformance Guide (printable ASCII, 200 bytes).

    Raises:
        OutputError: naming data set, row, subject and variable.

    Example:
        >>> check(Dataset("PP", "Parameters", (Variable("cmax", "Max Conc", "Num", ""),), pd.DataFrame()))
        Traceback (most recent call last):
        cellkinetics.errors.OutputError: data set PP: 'cmax' is no name of a variable; ...
    """
    if not NAME.fullmatch(dataset.name):
        raise OutputError(f"{dataset.name!r} is no name of a data set; {_NAMES}")
    _check_label(f"data set {dataset.name}", dataset.label)
    names = [variable.name for variable in dataset.variables]
    for variable in dataset.variables:
        if not NAME.fullmatch(variable.name):
            raise OutputError(f"data set {dataset.name}: {variable.name!r} is no name of a variable; {_NAMES}")
        _check_label(f"data set {dataset.name}, variable {variable.name}", variable.label)
    if len(set(names)) < len(names) or names != list(dataset.table.columns):
        raise OutputError(f"data set {dataset.name}: every column needs one variable; describe each once, in order")
    for variable in dataset.variables:
        if variable.kind == "Char":
            _check_texts(dataset, variable.name)
        else:
            _check_numbers(dataset, variable.name)


_NAMES = "give 1 to 8 of A-Z, 0-9 and _, no digit first"


def _check_label(where: str, label: str) -> None:
    if not 0 < len(label) <= LONGEST_LABEL or _NOT_PRINTABLE.search(label) or label != label.strip():
        raise OutputError(f"{where}: the label {label!r} must have 1 to {LONGEST_LABEL} characters of ASCII")


def _check_texts(dataset: Dataset, name: str) -> None:
    # Values repeat, so each is looked at once.
    for value in dataset.table[name].unique():
        fault = _text_fault(value)
        if fault:
            row = int(np.flatnonzero((dataset.table[name] == value).to_numpy())[0]) if isinstance(value, str) else 0
            raise OutputError(f"{_place(dataset, row, name)}: {fault}")


def _text_fault(value: object) -> str:
    if not isinstance(value, str):
        return f"{value!r} is no text; give an empty text where there is no value"
    bad = _NOT_PRINTABLE.search(value)
    if bad:
        return f"{value!r} holds {bad[0]!r}, which is not printable ASCII; write it otherwise in the input"
    if len(value) > LONGEST_VALUE:
        return f"{value[:30]!r}... has {len(value)} bytes, and {LONGEST_VALUE} is the most; shorten it in the input"
    if value != value.strip():
        return f"{value!r} has a blank at an end, which is lost in XPT; remove it"
    return ""


def _check_numbers(dataset: Dataset, name: str) -> None:
    values = dataset.table[name]
    if values.dtype.kind not in "iuf":
        raise OutputError(
            f"{_place(dataset, 0, name)}: the column holds {values.dtype}, not numbers; describe it as Char"
        )
    size = np.abs(values.to_numpy(np.float64))
    wrong = np.flatnonzero((size > LARGEST_NUMBER) | ((size < SMALLEST_NUMBER) & (size > 0)))
    if wrong.size:
        row = int(wrong[0])
        raise OutputError(
            f"{_place(dataset, row, name)}: {values.iloc[row]} is outside of what XPT holds "
            f"({SMALLEST_NUMBER:g} to {LARGEST_NUMBER:g}); use another unit, or leave the subject out"
        )


def _place(dataset: Dataset, row: int, name: str) -> str:
    """Name a cell as it would stand in the CSV file, its header being line 1."""
    subject = dataset.table["USUBJID"].iloc[row] if "USUBJID" in dataset.table and len(dataset.table) > row else ""
    whose = f", subject {subject!r}" if isinstance(subject, str) and subject and name != "USUBJID" else ""
    return f"{dataset.name.lower()}.csv, line {row + 2}{whose}, variable {name}"
