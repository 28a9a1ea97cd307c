"""Rows of the derived quantities of a patient's fit, and whose doubts they share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.fitting.case import Case
from cellkinetics.fitting.derived import Derivation
from cellkinetics.fitting.precision import WEAK_SE, interval, reach_down
from cellkinetics.fitting.remarks import is_passed_on, remarked, remarks_of, rough, taken_as_known, unknown_row
from cellkinetics.fitting.result import Estimate
from cellkinetics.fitting.settled import Search
from cellkinetics.fitting.start import Plan, Why

SENSITIVE = 0.05
"""A derived quantity depends on a parameter if it changes by more than this percentage for 1 % of it."""
_AREA_END = {"auc_0_28": 28.0}


def derived_rows(
    case: Case,
    plan: Plan,
    search: Search,
    quantities: Derivation,
    why: dict[str, Why],
    df: int,
    *,
    last_day: float,
) -> list[Estimate]:
    """Return a row for each derived quantity of the model; arguments as in `cellkinetics.fitting.verdict.judge`.

    ``why`` names the parameters that cannot be had, ``df`` the degrees of freedom of the intervals.
    """
    model = case.model
    if not model.derived:
        return []
    rows = []
    for quantity, log_number, gradient in zip(model.derived, *quantities, strict=True):
        unit = case.unit(quantity.unit)
        alone = (gradient != 0.0).sum() == 1
        blamed = [
            name
            for k, name in enumerate(search.names)
            if name in why and abs(gradient[k]) > SENSITIVE and (alone or _is_blamed(search, why[name], k))
        ]
        vanishing = [
            (k, name)
            for k, name in enumerate(search.names)
            if name in plan.may_vanish and name not in why and abs(gradient[k]) > SENSITIVE
        ]
        se = float(np.sqrt(max(gradient @ search.covariance @ gradient, 0.0)))
        if blamed:
            sentence = f"depends on {', '.join(blamed)}: {why[blamed[0]].sentence}"
            rows.append(unknown_row(quantity.name, unit, Why(why[blamed[0]].code, sentence)))
        elif not (np.isfinite(log_number) and se <= WEAK_SE):
            sentence = f"the likelihood hardly changes with {quantity.name}"
            rows.append(unknown_row(quantity.name, unit, Why("flat_likelihood", sentence)))
        else:
            remarks = _doubts(search, why, gradient)
            if last_day < _AREA_END.get(quantity.name, last_day):
                sentence = f"the model carries the area on beyond the last sample, day {last_day:g}"
                remarks.append(Why("extrapolated", sentence))
            number = float(np.exp(log_number))
            remarks += taken_as_known(search)
            spread = interval("log", number, se, df)
            for k, _ in vanishing:
                rate_se = float(np.sqrt(search.covariance[k, k]))
                spread = reach_down(spread, number, rate_se, float(gradient[k]), df)
            if np.isinf(spread.ci_high):
                rate = vanishing[0][1]
                sentence = f"the samples do not tell {rate} from 0, where {quantity.name} has no upper end"
                rows.append(unknown_row(quantity.name, unit, Why("may_be_zero", sentence)))
            else:
                row = remarked(Estimate(quantity.name, unit, number, *spread), remarks)
                rows.append(_with_power_of_profile(row, search, gradient))
    return rows


def _with_power_of_profile(row: Estimate, search: Search, gradient: FloatArray) -> Estimate:
    """Return a half-life's row with the ends of its rate's profile; a quantity of several parameters has none."""
    (felt,) = np.nonzero(gradient)
    if search.profiled is None or len(felt) != 1 or abs(abs(gradient[felt[0]]) - 1.0) > 1e-9:
        return row
    k, power = felt[0], float(gradient[felt[0]])
    name = search.names[k]
    if name not in search.profiled.low or row.estimate is None:
        return row
    ends = [search.profiled.low[name], search.profiled.high[name]][:: 1 if power > 0 else -1]
    low, high = (None if np.isnan(end) else row.estimate * float(np.exp(power * (end - search.x[k]))) for end in ends)
    sides = [side if power > 0 else {"lower": "upper", "upper": "lower"}[side] for side in search.profiled.loose[name]]
    return remarked(replace(row, profile_low=low, profile_high=high), [*remarks_of(row), *rough(sides)])


def _doubts(search: Search, why: dict[str, Why], gradient: FloatArray) -> list[Why]:
    """Return the remark on a quantity that can be had although parameters in its formula cannot."""
    inside = [(name, abs(g) > SENSITIVE) for name, g in zip(search.names, gradient, strict=True) if name in why and g]
    if not inside:
        return []
    names = ", ".join(name for name, _ in inside)
    carried = any(felt for _, felt in inside)
    what = "its own interval carries that doubt" if carried else "that hardly changes it"
    return [Why("contains_not_identifiable", f"contains {names}, not identifiable by the samples: {what}")]


def _is_blamed(search: Search, why: Why, k: int) -> bool:
    """Say whether a derived quantity must do without parameter ``k``; else its own SE carries the doubt."""
    return not is_passed_on(why) or not search.searched[k]
