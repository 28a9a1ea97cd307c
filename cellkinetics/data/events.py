"""Which rows of a table are samples, and which are doses or other events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import BoolArray
from cellkinetics.data.column import Column

SAMPLE, DOSE, EVENT, NOT_OBSERVED, UNKNOWN = range(5)


@dataclass(frozen=True, eq=False)
class RowKinds:
    """Kind of each row ``(rows,)``: `SAMPLE`, `DOSE`, `EVENT` (other, reset), `NOT_OBSERVED` (MDV 1), `UNKNOWN`."""

    kind: NDArray[np.int8]

    def of(self, kind: int) -> BoolArray:
        """Mask of the rows of one kind."""
        return self.kind == kind


def every_row_a_sample(columns: Mapping[str, Column], rows: int) -> RowKinds:
    """Classify the rows of a table that knows only samples."""
    return RowKinds(np.zeros(rows, np.int8))


def classify_by_events(columns: Mapping[str, Column], rows: int) -> RowKinds:
    """Classify rows by EVID, MDV and AMT.

        EVID 0 sample, 1 and 4 dose, 2 and 3 other event; MDV 1 without a dose: no observation
        without EVID: a row with AMT > 0 and MDV 1, or with AMT > 0 and neither a value nor a
        censoring flag, is a dose

    A value of zero beside an amount counts as no value, since dose records often carry DV = 0, unless
    amounts also stand beside positive values: AMT is then repeated in every row, as a covariate.
    """
    kind = np.full(rows, SAMPLE, np.int8)
    unobserved = np.zeros(rows, bool)
    known = np.ones(rows, bool)
    if "mdv" in columns:
        mdv = np.where(columns["mdv"].missing, 0.0, columns["mdv"].numbers)
        unobserved = mdv == 1
        known &= np.isin(mdv, (0.0, 1.0))
        kind[unobserved] = NOT_OBSERVED
    if "evid" in columns:
        evid = np.where(columns["evid"].missing, 0.0, columns["evid"].numbers)
        kind[np.isin(evid, (1.0, 4.0))] = DOSE
        kind[np.isin(evid, (2.0, 3.0))] = EVENT
        known &= np.isin(evid, (0.0, 1.0, 2.0, 3.0, 4.0))
    elif "amt" in columns:
        value, given = columns["value"], columns["amt"].numbers > 0
        repeated = bool((given & (value.numbers > 0)).any())
        empty = value.missing | ((value.numbers == 0) & (not repeated))
        if "censored" in columns:
            empty &= columns["censored"].missing | (columns["censored"].numbers == 0)
        kind[given & (unobserved if "mdv" in columns else empty)] = DOSE
    kind[~known] = UNKNOWN
    return RowKinds(kind)
