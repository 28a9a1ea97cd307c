"""Remarks on the rows of a patient's fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cellkinetics.fitting.result import Estimate, FitStatus
from cellkinetics.fitting.settled import Search
from cellkinetics.fitting.start import Why

CMAX_FACTOR = 2.0
"""A Cmax further from the highest quantified sample than this factor, either way, gets a remark."""
ULOQ_FACTOR = 5.0
"""A Cmax above the highest ULOQ that a sample is above by more than this factor gets the same remark."""
# Reasons that the covariance carries along.
_PASSED_ON = {"flat_likelihood", "flat_profile", "one_phase", "short_follow_up"}


def far_from_observed(cmax: float, highest: float | None, ceiling: float | None) -> list[Why]:
    """Return the remark on a Cmax that no sample came near; arguments as in `Search`."""
    if ceiling is not None:
        far, what = cmax / ceiling > ULOQ_FACTOR, f"far above the highest ULOQ that a sample is above, {ceiling:.4g}"
    elif highest is not None:
        far = not 1.0 / CMAX_FACTOR <= cmax / highest <= CMAX_FACTOR
        what = f"far from the highest quantified sample, {highest:.4g}"
    else:
        return []
    return [Why("cmax_far_from_observed", f"cmax, {cmax:.4g}, is {what}; look at the fit")] if far else []


def drawn_far_above(peak: float, search: Search) -> str:
    """Say that the curve of a patient without a Cmax is drawn far above the samples; "" where it is not."""
    factor, highest = (CMAX_FACTOR, search.highest) if search.ceiling is None else (ULOQ_FACTOR, search.ceiling)
    if highest is None or peak <= factor * highest:
        return ""
    what = "quantified sample" if search.ceiling is None else "ULOQ that a sample is above"
    return f"the curve is drawn with a peak of {peak:.4g}, {peak / highest:.2g} times the highest {what}"


def taken_as_known(search: Search) -> list[Why]:
    """Return the remark on a standard error beside change points that ended at a kink of the likelihood."""
    names = [name for name, known in zip(search.names, search.at_kink, strict=True) if known]
    sentence = "the standard error takes {} as known, which ended at a sampling day"
    return [Why("at_sampling_time", sentence.format(" and ".join(names)))] if names else []


def rough(sides: Sequence[str]) -> list[Why]:
    """Return the remarks on ends of a profile that were not found closely."""
    sentence = "the {} end of the profile is rough: the search for it was not at its end"
    return [Why(f"profile_{side}_end_rough", sentence.format(side)) for side in sides]


def is_passed_on(why: Why) -> bool:
    """Say whether the covariance carries along the doubt about a parameter that cannot be had."""
    return _PASSED_ON.issuperset(why.code.split(";"))


def remarked(row: Estimate, remarks: Sequence[Why]) -> Estimate:
    """Return the row with its remarks; several are joined with ``;``."""
    return replace(
        row,
        reason="; ".join(remark.sentence for remark in remarks),
        reason_code=";".join(remark.code for remark in remarks),
    )


def remarks_of(row: Estimate) -> list[Why]:
    """Return the remarks that a row has."""
    return [Why(row.reason_code, row.reason)] if row.reason_code else []


def unknown_row(name: str, unit: str, why: Why, status: FitStatus = "not_identifiable") -> Estimate:
    """Return a row without a value, and why."""
    return Estimate(name, unit, status=status, reason=why.sentence, reason_code=why.code)
