"""One parameter of many profiles: its key and its arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.nca.reasons import Why

ReasonArray = NDArray[np.int8]
FlagArray = NDArray[np.int16]


class Key(NamedTuple):
    """A parameter, and for a windowed one its window, of length 0 for a day; as in a table, NaN for the times
    says none.

    Example:
        >>> Key("AUCINT", 0.0, 28.0).column, Key("CMAX").column
        ('AUCINT_0_28', 'CMAX')
        >>> Key("TMAX", float("nan"), float("nan")).column, Key("CDAY", 28.0, 28.0).column
        ('TMAX', 'CDAY_28')
    """

    code: str
    start: float | None = None
    end: float | None = None

    @property
    def column(self) -> str:
        """The parameter's column in a wide table."""
        if self.start is None or math.isnan(self.start):
            return self.code
        if self.start == self.end:
            return f"{self.code}_{self.start:.12g}"
        return f"{self.code}_{self.start:.12g}_{self.end:.12g}"


@dataclass(frozen=True, eq=False)
class Column:
    """One parameter of all profiles, arrays ``(n,)``.

    Attributes:
        value: NaN where it is not calculated.
        why: a `Why`, ``CALCULATED`` where there is a value.
        flags: a combination of `cellkinetics.nca.acceptance.Flag`; the value stays.
    """

    value: FloatArray
    why: ReasonArray
    flags: FlagArray


class Part(NamedTuple):
    """Values and reasons of one parameter, arrays ``(n,)``, on their way to a `Column`."""

    value: FloatArray
    why: ReasonArray


Parts = dict[Key, Part]


def because(n: int, *conditions: tuple[BoolArray, Why]) -> ReasonArray:
    """Return for each profile the first reason whose condition holds.

    Example:
        >>> because(2, (np.array([True, False]), Why.NO_QUANTIFIABLE)).tolist()
        [2, 0]
    """
    why = np.zeros(n, np.int8)
    for condition, reason in reversed(conditions):
        why[condition] = reason
    return why


def join(*reasons: ReasonArray) -> ReasonArray:
    """Return for each profile the first of several reasons, arrays ``(n,)``.

    Example:
        >>> join(np.array([0, 0, 8], np.int8), np.array([0, 27, 27], np.int8)).tolist()
        [0, 27, 8]
    """
    why = reasons[0]
    for more in reasons[1:]:
        why = np.where(why == Why.CALCULATED, more, why)
    return why.astype(np.int8)
