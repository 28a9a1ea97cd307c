"""What a sample says: a number, or that it lies below the LLOQ or above the ULOQ, and which limits hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED, NOT_CENSORED, RIGHT_CENSORED, BoolArray, FloatArray, IntArray
from cellkinetics.data.column import Column, parse_numbers
from cellkinetics.data.rowcheck import RowCheck

BELOW = frozenset(
    {
        "BLQ",
        "BLOQ",
        "BQL",
        "BLLOQ",
        "LLOQ",
        "LOQ",
        "LOD",
        "BLOD",
        "ND",
        "NOT DETECTED",
        "NOT QUANTIFIABLE",
        "UNDETECTED",
    }
)
"""Words, in upper case and with or without ``<``, for a sample below the limit of quantification."""

ABOVE = frozenset({"ULOQ", "ALQ", "ALOQ", "AUL"})
"""Words, with or without ``>``, for a sample above the upper limit of quantification."""

_FLAGS = {
    **dict.fromkeys(("0", "0.0", "N", "NO", "F", "FALSE"), NOT_CENSORED),
    **dict.fromkeys(("1", "1.0", "Y", "YES", "T", "TRUE", "BLQ", "BLOQ"), LEFT_CENSORED),
    **dict.fromkeys(("-1", "-1.0"), RIGHT_CENSORED),
}
_UNKNOWN_FLAG, _NO_FLAG = 9, 8
_LIMIT = re.compile(r"(<|>|≤|≥)\s*=?\s*(.*)")


@dataclass(frozen=True, eq=False)
class Quantified:
    """The numbers of all rows, shape ``(rows,)``; ``value`` of a censored row is its limit, if the cell gave one.

    ``lod`` is the limit of detection, which is never taken for an LLOQ; ``lower`` the lower end of the interval
    that a sample below the LLOQ lies in.
    """

    value: FloatArray
    censored: IntArray
    lloq: FloatArray
    uloq: FloatArray
    lod: FloatArray
    lower: FloatArray


@dataclass(frozen=True, eq=False)
class _Cells:
    """The value column by row: its number, the side that its text names (0, 1 below, -1 above), and its limit."""

    number: FloatArray
    side: IntArray
    limit: FloatArray
    text: BoolArray


def quantify(
    columns: Mapping[str, Column], check: RowCheck, *, lloq: float | None, negative_is_blq: bool
) -> Quantified:
    """Return value, flag and limits of every row; rows that say nothing usable are excluded in ``check``.

    The flag is, in this order: the sign in the value's text (``<50``, ``BLQ``, ``>1e6``), the column
    ``censored``, below if the value is <= 0 or below the LLOQ, above if it is above the ULOQ.
    A value that is flagged as quantified stays so even below the LLOQ, unless it is <= 0.

    The LLOQ is, in this order: the number in the value's text, the row's own LLOQ, the one given for
    the table, the value of a row that is flagged as below. The ULOQ likewise.
    """
    column = columns["value"]
    cells = _read_values(column)
    row_lloq = _limits(columns.get("lloq"), "LLOQ", check)
    row_uloq = _limits(columns.get("uloq"), "ULOQ", check)
    flags = _read_flags(columns.get("censored"), check)
    value, side = cells.number, cells.side

    check.exclude(
        cells.text,
        "text_value",
        "{cell!r} is not a number; the row is left out",
        "write a number without blanks or thousands marks, or <LLOQ, BLQ, ND, >ULOQ; leave it empty if it is missing",
        column,
    )
    contradiction = (side != 0) & (np.abs(flags) <= 1) & (flags != side)
    against = contradiction & (flags != NOT_CENSORED)
    flag_column = columns.get("censored", column)
    action = "let the value and the flag say the same"
    check.exclude(
        against, "flag_contradicts", "the flag {cell!r} contradicts the value; the row is left out", action, flag_column
    )
    check.note(
        contradiction & ~against,
        "flag_contradicts",
        "the flag says quantified, the value does not; the value holds",
        action,
        column,
    )

    flagged = np.where(flags == _NO_FLAG, NOT_CENSORED, flags)
    limit_of_all = np.full(len(value), np.nan if lloq is None else lloq)
    positive = np.where(value > 0, value, np.nan)
    left = _first_number(
        np.where(side == LEFT_CENSORED, cells.limit, np.nan),
        row_lloq,
        limit_of_all,
        np.where(flagged == LEFT_CENSORED, positive, np.nan),
    )
    right = _first_number(
        np.where(side == RIGHT_CENSORED, cells.limit, np.nan),
        row_uloq,
        np.where(flagged == RIGHT_CENSORED, positive, np.nan),
    )
    unflagged = (side == 0) & (flags == _NO_FLAG)
    with np.errstate(invalid="ignore"):
        censored = np.where(side != 0, side, np.where(np.abs(flagged) <= 1, flagged, NOT_CENSORED))
        censored = np.where(unflagged & (value > right), RIGHT_CENSORED, censored)
        censored = np.where(unflagged & (value < left), LEFT_CENSORED, censored)
        # The flag of a negative value must be the user's own; otherwise the number is in doubt.
        negative = (value < 0) & (side == 0) & (flags != LEFT_CENSORED)
        censored = np.where((value <= 0) & (censored == NOT_CENSORED), LEFT_CENSORED, censored)
        below = (value > 0) & (value < left) & (censored == NOT_CENSORED)

    check.note(
        below & (flags == NOT_CENSORED),
        "quantified_below_lloq",
        "the value {cell} is below the LLOQ but flagged as quantified; the flag holds",
        "set the flag to 1 if the sample is below quantification",
        column,
    )
    if negative_is_blq:
        check.change(negative, "negative_as_blq", "the negative value {cell} counts as below quantification", column)
    else:
        check.spoil(
            negative,
            "negative_value",
            "the value {cell} is negative; nothing is calculated for this profile",
            'correct it, flag it as below quantification, or take negative="blq" (--negative blq)',
            column,
        )
    check.spoil(
        np.isinf(value),
        "infinite_value",
        "the value {cell} is infinite; nothing is calculated for this profile",
        "write the number, or >ULOQ with its number if it is above the range of the assay",
        column,
    )
    missing = np.isnan(value) & (censored == NOT_CENSORED) & ~cells.text
    check.exclude(
        missing,
        "missing_value",
        "there is no value; the row is left out",
        "no need to act if the sample was not measured",
        column,
        effect="note",
    )
    check.exclude(
        (censored == RIGHT_CENSORED) & np.isnan(right),
        "no_uloq",
        "the sample is above the ULOQ, but the ULOQ is not given; the row is left out",
        "give the ULOQ in a column uloq, or write >ULOQ with its number",
        column,
    )
    lower = _lower_ends(columns.get("limit"), censored, left, check)
    value = np.where((side != 0) & np.isnan(value), cells.limit, value)
    value = np.where((censored == RIGHT_CENSORED) & np.isnan(value), right, value)
    lod = _limits(columns.get("lod"), "LOD", check)
    with np.errstate(invalid="ignore"):
        check.note(
            lod > left,
            "lod_above_lloq",
            "the limit of detection {cell} is above the LLOQ",
            "look whether the two columns are exchanged",
            columns.get("lod"),
        )
    return Quantified(value=value, censored=censored.astype(np.int64), lloq=left, uloq=right, lod=lod, lower=lower)


def _lower_ends(column: Column | None, censored: IntArray, lloq: FloatArray, check: RowCheck) -> FloatArray:
    """Return the lower end of the interval of each sample below the LLOQ, Monolix' LIMIT; NaN where there is none.

    What it says of others is noted: the upper end of a sample above the ULOQ, and an end not below the LLOQ.
    """
    if column is None:
        return np.full(len(censored), np.nan)
    below = censored == LEFT_CENSORED
    with np.errstate(invalid="ignore"):
        taken = below & (column.numbers >= 0) & ~(column.numbers >= lloq)
    check.note(
        taken & (column.numbers > 0),
        "interval_in_fits",
        "the sample lies between LIMIT {cell} and its limit of quantification, which fits per patient use; "
        "elsewhere it is below quantification",
        "no need to act",
        column,
    )
    check.note(
        below & ~taken & ~column.missing,
        "limit_not_used",
        "LIMIT {cell} is no number below the limit of quantification and is not used",
        "give the lower end of the interval, or leave the cell empty",
        column,
    )
    check.note(
        (censored == RIGHT_CENSORED) & ~column.missing,
        "limit_not_used",
        "the other end of the interval, LIMIT {cell}, is not used; the sample is read as above its limit",
        "no need to act if that is near enough",
        column,
    )
    return np.where(taken, column.numbers, np.nan)


def _first_number(*choices: FloatArray) -> FloatArray:
    """Return, row by row, the first choice that is a number."""
    result = choices[0]
    for choice in choices[1:]:
        result = np.where(np.isnan(result), choice, result)
    return result


def _read_values(column: Column) -> _Cells:
    number = column.entry_numbers
    side = np.zeros(len(number), np.int64)
    limit = np.full(len(number), np.nan)
    text = np.zeros(len(number), bool)
    for k in np.flatnonzero(np.isnan(number) & ~column.entry_missing):
        side[k], limit[k] = _read_text(column.entries[k], comma=column.comma)
        text[k] = side[k] == 0
    rows = column.codes
    return _Cells(number[rows], side[rows], limit[rows], text[rows])


def side_of(text: str, *, comma: bool = False) -> int:
    """Return where a text puts a sample: 1 below the LLOQ, -1 above the ULOQ, 0 nowhere.

    Example:
        >>> [side_of(text) for text in ("<50", "BLQ", "> 1e6", "70", "HEMOLYZED")]
        [1, 1, -1, 0, 0]
    """
    return _read_text(text, comma=comma)[0]


def _read_text(text: str, *, comma: bool) -> tuple[int, float]:
    """Return the side (1 below, -1 above, 0 neither) and the limit of a text that is not a number."""
    found = _LIMIT.fullmatch(text)
    sign, word = (found.group(1), found.group(2).strip()) if found else ("", text)
    word = " ".join(word.upper().split()).strip("()")
    if sign in ("", "<", "≤") and word in BELOW:
        return LEFT_CENSORED, np.nan
    if sign in ("", ">", "≥") and word in ABOVE:
        return RIGHT_CENSORED, np.nan
    limit = float(parse_numbers([word], comma=comma)[0]) if sign else np.nan
    if not (0 < limit < np.inf):
        return 0, np.nan
    return (LEFT_CENSORED if sign in "<≤" else RIGHT_CENSORED), limit


def _limits(column: Column | None, name: str, check: RowCheck) -> FloatArray:
    """Return the limit of each row, NaN where there is none or none that makes sense."""
    if column is None:
        return np.full(check.rows, np.nan)
    limit = column.numbers
    action = f"give a positive number, or leave the cell empty where the {name} is not known"
    check.note(
        column.not_numbers, "text_limit", f"the {name} {{cell!r}} is not a number and is not used", action, column
    )
    wrong = (limit <= 0) | np.isinf(limit)
    check.note(
        wrong, f"bad_{name.lower()}", f"the {name} {{cell}} is not a positive number and is not used", action, column
    )
    return np.where(wrong, np.nan, limit)


def _read_flags(column: Column | None, check: RowCheck) -> IntArray:
    if column is None:
        return np.full(check.rows, _NO_FLAG)
    entries = [
        _NO_FLAG if gone else _FLAGS.get(text.upper(), _UNKNOWN_FLAG)
        for text, gone in zip(column.entries, column.entry_missing, strict=True)
    ]
    flags = np.array(entries)[column.codes]
    check.exclude(
        flags == _UNKNOWN_FLAG,
        "unknown_flag",
        "the flag {cell!r} is not known; the row is left out",
        "write 0 for quantified, 1 for below the LLOQ, -1 for above the ULOQ",
        column,
    )
    return flags
