"""What a patient's fit can say: estimates, derived quantities and statistics, each with its status."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.fitting.case import Case
from cellkinetics.fitting.derived import Derivation
from cellkinetics.fitting.precision import WEAK_SE, interval, reach_down
from cellkinetics.fitting.profile import Profiled
from cellkinetics.fitting.quantities import derived_rows
from cellkinetics.fitting.remarks import (
    drawn_far_above,
    far_from_observed,
    is_passed_on,
    remarked,
    remarks_of,
    rough,
    taken_as_known,
    unknown_row,
)
from cellkinetics.fitting.result import Estimate, IndividualFit, LikelihoodProfile
from cellkinetics.fitting.settled import Drawn, Search
from cellkinetics.fitting.start import CMAX_FACTOR as SEARCHED_CMAX_FACTOR
from cellkinetics.fitting.start import Plan, Why
from cellkinetics.models.base import Model

STEEP = 0.05
"""Largest slope of -2LL on the transformed scale at which a search counts as ended."""
FOLLOW_UP = 0.5
"""Half-lives from the peak to the last quantified sample that a rate of persistence needs."""
_TMAX_HELD = Why("tmax_held", "given a peak on the day of the highest sample")


def judge(
    case: Case, plan: Plan, search: Search, days: FloatArray, quantities: Derivation, drawn: Drawn
) -> IndividualFit:
    """Turn the end of a search into rows with statuses.

    Args:
        case: the patient's samples, the model and its residual.
        plan: how it was searched.
        search: where the search ended.
        days: of the samples that entered.
        quantities: the derived quantities there.
        drawn: parameters and curve there.
    """
    if not np.isfinite(search.value) or search.slope > STEEP:
        sentence = (
            f"the search ended where -2LL still has a slope of {search.slope:.2g}; give starts=, or leave the "
            "patient to a population fit"
        )
        return case.failed("not_converged", sentence)
    model, p = case.model, len(case.model.parameters)
    values, se = case.values(search, drawn), search.se
    n_searched = int(search.searched[:p].sum())
    df = max(search.n_quantified - n_searched, 1)
    why = _unidentified(plan, search, values, se, n_searched)
    rows = []
    kinked = taken_as_known(search)
    for k, (name, unit) in enumerate(zip(search.names, case.parameter_units, strict=True)):
        transform = model.parameters[k].transform if k < p else "log"
        if name in why:
            rows.append(unknown_row(name, unit, why[name]))
            if name == "cmax" and (far := drawn_far_above(float(drawn.curve.max()), search)):
                rows[-1] = replace(rows[-1], reason=f"{rows[-1].reason}; {far}")
        elif search.at_kink[k]:
            note = Why("at_sampling_time", "ends at a sampling day, where the likelihood has a kink: no standard error")
            rows.append(Estimate(name, unit, float(values[k]), reason=note.sentence, reason_code=note.code))
        else:
            spread = interval(transform, float(values[k]), float(se[k]), df)
            remarks = [*([_TMAX_HELD] if "tmax" in plan.held else []), *kinked] if k < p else []
            if name == "cmax":
                remarks = [*far_from_observed(float(values[k]), search.highest, search.ceiling), *remarks]
            if name in plan.may_vanish:
                spread = reach_down(spread, float(values[k]), float(se[k]), 1.0, df)
                if spread.ci_low == 0.0:
                    remarks.insert(0, Why("may_be_zero", "the samples do not tell this rate from 0, a plateau"))
            rows.append(remarked(Estimate(name, unit, float(values[k]), *spread), remarks))
    if search.profiled is not None:
        rows = [_with_profile(row, model, search.profiled, why.get(row.parameter)) for row in rows]
    rows, of_residual = rows[:p], rows[p:]
    rows += derived_rows(case, plan, search, quantities, why, df, last_day=float(days[-1]))
    rows += [*of_residual, *case.statistics({"minus2ll": search.value, "aic": search.aic, "bic": search.bic})]

    unknown = [name for name in search.names if name in why]
    reason = ""
    if unknown:
        sentences = dict.fromkeys(why[name].sentence for name in unknown)
        reason = f"{', '.join(unknown)} not identifiable: {'; '.join(sentences)}"
    return case.fitted(
        search,
        plan,
        drawn,
        rows,
        "not_identifiable" if unknown else "ok",
        reason,
        n_effective=float(search.searched[:p].sum()),
        held=tuple(plan.held),
        profiles={} if search.profiled is None else _drawn_profiles(case, search.profiled),
    )


def _unidentified(
    plan: Plan, search: Search, values: tuple[float, ...], se: FloatArray, n_searched: int
) -> dict[str, Why]:
    """Return every parameter that cannot be had, the most telling reason first."""
    why = dict(plan.unidentified)
    for k, name in enumerate(search.names):
        if name in why:
            continue
        if search.at_bound[k]:
            why[name] = Why(
                "at_bound", f"{name} ended at a bound of its search, {values[k]:.3g}{_bound_of(name, search)}"
            )
        elif search.n_quantified <= n_searched:
            why[name] = Why(
                "no_degrees_of_freedom",
                f"{search.n_quantified} quantified samples for {n_searched} parameters: "
                "the curve runs through all of them and no residual is left to judge it by",
            )
        elif not se[k] <= WEAK_SE:  # NaN as well
            why[name] = Why(
                "flat_likelihood",
                f"the likelihood hardly changes with {name}: by its curvature, a standard error of more than "
                f"{WEAK_SE:g} on the log or logit scale",
            )
        elif name in plan.may_vanish:
            half_lives = _follow_up(search, values, k)
            if half_lives < FOLLOW_UP:
                why[name] = Why(
                    "short_follow_up",
                    f"the last quantified sample is {half_lives:.2g} half-lives of {name} after the peak, "
                    f"which needs {FOLLOW_UP:g}",
                )
    for name in () if search.profiled is None else search.profiled.flat:
        flat = Why("flat_profile", f"the profile of -2LL in {name} has no end on either side")
        if name not in why:
            why[name] = flat
        elif is_passed_on(why[name]):
            why[name] = Why(f"{why[name].code};{flat.code}", f"{why[name].sentence}; {flat.sentence}")
    return why


def _bound_of(name: str, search: Search) -> str:
    """Say what the bound of Cmax is: the only one that comes from the samples alone."""
    if name != "cmax" or search.highest is None:
        return ""
    factor, highest = SEARCHED_CMAX_FACTOR, search.highest
    return f": it is searched within a factor of {factor:g} of the highest quantified sample, {highest:.4g}"


def _follow_up(search: Search, values: tuple[float, ...], k: int) -> float:
    """Return the time from the peak to the last quantified sample in half-lives of the rate number ``k``."""
    peak = values[search.names.index("tmax")]
    return float((search.last_quantified - peak) * values[k] / np.log(2.0))


def _with_profile(row: Estimate, model: Model, profiled: Profiled, why: Why | None) -> Estimate:
    """Return the row of a parameter with the ends of its profile, and a remark where one is open or rough."""
    name = row.parameter
    if name not in profiled.low or not (why is None or is_passed_on(why)):
        return row
    low, high = (
        None if np.isnan(end) else natural_value(model, name, end) for end in (profiled.low[name], profiled.high[name])
    )
    row = replace(row, profile_low=low, profile_high=high)
    open_ = [word for word, end in (("lower", low), ("upper", high)) if end is None]
    remarks = remarks_of(row)
    if why is None and len(open_) == 1:
        sentence = f"the profile of -2LL has no {open_[0]} end within the bounds"
        remarks.append(Why(f"profile_no_{open_[0]}_end", sentence))
    return remarked(row, [*remarks, *rough(profiled.loose[name])])


def _drawn_profiles(case: Case, profiled: Profiled) -> dict[str, LikelihoodProfile]:
    """Return the profiles on the natural scale."""
    out, model = {}, case.model
    for name in profiled.value:
        kind = model[name].unit if name in model.names else "none"
        value, low, high = (
            np.array([natural_value(model, name, end) for end in values])
            for values in (profiled.value[name], [profiled.low[name]], [profiled.high[name]])
        )
        out[name] = LikelihoodProfile(
            parameter=name,
            unit=case.unit(kind),
            value=value,
            delta=profiled.delta[name],
            rise=profiled.rise[name],
            low=None if np.isnan(low[0]) else float(low[0]),
            high=None if np.isnan(high[0]) else float(high[0]),
        )
    return out


def natural_value(model: Model, name: str, value: float) -> float:
    """Return a parameter of the model or of the residual on the natural scale."""
    return model[name].natural(value) if name in model.names else float(np.exp(value))
