"""Which samples enter a likelihood, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import (
    LEFT_CENSORED,
    NOT_CENSORED,
    RIGHT_CENSORED,
    BoolArray,
    Cohort,
    FloatArray,
    IntArray,
)
from cellkinetics.errors import FitError
from cellkinetics.units import is_day

REASONS = {
    "blq_without_lloq": "below quantification without an LLOQ",
    "alq_without_uloq": "above quantification without a ULOQ",
    "before_infusion": "taken at or before infusion",
    "not_positive": "quantified, but not a positive number",
}
"""Reason code of a sample that is left out, and what it says."""


@dataclass(frozen=True, eq=False)
class Observations:
    """A cohort's samples as a likelihood takes them; arrays are ``(n, m)`` like the cohort's.

    Attributes:
        used: True where the sample enters.
        y: the value, or the limit where the sample is censored.
        lower: lower end of the interval of a sample below the LLOQ; NaN where there is none.
        code: why a sample is left out (a key of `REASONS`), "" where it enters or is padding.
        n_lost: samples of each profile that reading left out because of a fault, shape ``(n,)``.
    """

    used: BoolArray
    y: FloatArray
    lower: FloatArray
    code: NDArray[np.str_]
    n_lost: IntArray

    def left_out(self, i: int) -> str:
        """Say how many samples of profile ``i`` are left out and why; "" where none are."""
        codes, counts = np.unique(self.code[i][self.code[i] != ""], return_counts=True)
        kinds = [f"{n} {REASONS[str(code)]}" for code, n in zip(codes, counts, strict=True)]
        if self.n_lost[i]:
            kinds.append(f"{self.n_lost[i]} because of a fault in the row (see the check of the table)")
        return f"left out: {', '.join(kinds)}" if kinds else ""


def observations(cohort: Cohort, *, natural: bool = False) -> Observations:
    """Choose the samples of a cohort that enter a likelihood.

    A sample below the LLOQ enters as its LLOQ, left-censored, or censored to an interval where its lower end is
    known; one above the ULOQ as its ULOQ. Left out
    are censored samples without their limit, quantified values that are not positive, whatever was taken
    at a negative time, and BLQ samples at time 0: they are taken before infusion, where a model of the
    infused cells says nothing.

    Args:
        cohort: profiles.
        natural: the residual is on the natural scale, where a quantified value may be 0 or negative.

    Example:
        >>> cohort = Cohort.from_arrays([[0, 7, 14, 28]], [[0, 0, 900, 400]], lloq=[[50, 50, 50, 50]])
        >>> chosen = observations(cohort)
        >>> chosen.used.tolist(), chosen.left_out(0)
        ([[False, True, True, True]], 'left out: 1 taken at or before infusion')
    """
    flag = cohort.censored
    y = np.select([flag == LEFT_CENSORED, flag == RIGHT_CENSORED], [cohort.lloq, cohort.uloq], cohort.value)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(y) & ((y > 0) | (natural & (flag == NOT_CENSORED)))
        early = (cohort.time < 0) | ((cohort.time == 0) & (flag == LEFT_CENSORED))
    code = np.select(
        [
            ~cohort.mask,
            early,
            known,
            flag == LEFT_CENSORED,
            flag == RIGHT_CENSORED,
            flag == NOT_CENSORED,
        ],
        ["", "before_infusion", "", "blq_without_lloq", "alq_without_uloq", "not_positive"],
        default="",
    )
    with np.errstate(invalid="ignore"):
        lower = np.where((flag == LEFT_CENSORED) & (cohort.lower < y), cohort.lower, np.nan)
    return Observations(used=cohort.mask & (code == ""), y=y, lower=lower, code=code, n_lost=cohort.n_lost)


def require_days(cohort: Cohort) -> None:
    """Raise FitError unless the cohort's times are in days, in which bounds and starting values are.

    Example:
        >>> require_days(Cohort.from_arrays([[7.0]], [[900.0]]))
    """
    if not is_day(cohort.time_unit):
        raise FitError(
            f"a fit needs times in days, and these are in {cohort.time_unit}: convert the times to days "
            "(time unit day), or use the noncompartmental analysis, which works in any unit"
        )
