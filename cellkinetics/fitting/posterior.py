"""One patient's fit with a population as prior: where to search, and what samples and prior say together.

    minimise  -2LL(phi, sigma) + (phi - m)^T Omega^-1 (phi - m)

The mode is the empirical Bayes estimate of a population fit. Its covariance is Laplace's: the inverse of half
the Hessian. The posterior SD over the prior SD says how much came from the samples: 1 is nothing, 0 all.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED, BoolArray, FloatArray, IntArray
from cellkinetics.fitting.case import Case
from cellkinetics.fitting.derived import Derivation
from cellkinetics.fitting.precision import WEAK_SE, interval
from cellkinetics.fitting.prior import ModelPrior
from cellkinetics.fitting.remarks import far_from_observed, remarked, unknown_row
from cellkinetics.fitting.result import Estimate, IndividualFit
from cellkinetics.fitting.settled import Drawn, Mode
from cellkinetics.fitting.start import (
    CMAX_FACTOR,
    DEFAULT,
    DEFAULT_RISE,
    Plan,
    Segment,
    Start,
    Why,
    corner_intervals,
    plan_fit,
)
from cellkinetics.fitting.verdict import STEEP
from cellkinetics.models.base import Model

SAYS_THE_PRIOR = 0.9
"""Posterior SD over prior SD above which an estimate has status ``prior``: the samples moved it by little."""
UNUSUAL = 3.0
"""Prior SDs from the typical value beyond which an estimate gets a remark."""
REACH = 3.0
"""Prior SDs of Tmax to either side of its typical value that are searched in any case."""
_FEWEST = 2  # quantified samples that a start from the profile itself needs


def plan_posterior(
    model: Model,
    prior: ModelPrior,
    time: FloatArray,
    y: FloatArray,
    censored: IntArray,
    *,
    starts: Sequence[Mapping[str, float]] = (),
) -> Plan:
    """Plan a search in which nothing is held: whatever the samples leave open, the prior decides.

    Tmax may lie in every sampling interval, before the first sample and after the last one too. Searches start
    at the typical values, at those with the patient's own level, and, where there are samples enough, at the
    profile's slopes. Bounds are the model's, but for a Cmax that the prior is silent about: it stays within a factor
    of `CMAX_FACTOR` of the highest sample.
    """
    bounds = {p.name: (p.lower, p.upper) for p in model.parameters}
    seen = censored != LEFT_CENSORED
    middle = {**DEFAULT_RISE, **DEFAULT, **prior.typical}
    typical = {p.name: middle.get(p.name, float(np.sqrt(p.lower * p.upper))) for p in model.parameters}
    centres = [typical]
    if "cmax" in model.names and seen.any():
        highest = float(y[seen].max())
        centres.append({**typical, "cmax": highest})
        if "cmax" not in prior.typical:
            bounds["cmax"] = (highest / CMAX_FACTOR, highest * CMAX_FACTOR)
            centres = centres[1:]
    own = _from_profile(model, time, y, censored) if seen.sum() >= _FEWEST else []
    if "tmax" not in model.names:
        return Plan((Segment(None, tuple(Start(values) for values in (*centres, *own, *starts))),), (0, 1), bounds)
    intervals = _intervals(np.unique(time), *bounds["tmax"])
    k = model.names.index("tmax")
    reach = REACH * float(prior.sd[k]) if prior.known[k] else np.inf
    near = [typical["tmax"] * float(np.exp(side * reach)) for side in (-1, 1)]
    if seen.any():
        day = float(time[seen][np.argmax(y[seen])])
        near = [min(near[0], day), max(near[1], day)]
    within = [number for number, (low, high) in enumerate(intervals) if high >= near[0] and low <= near[1]]
    segments = []
    for low, high in intervals:
        inside = float(np.clip(typical["tmax"], low + 0.05 * (high - low), high - 0.05 * (high - low)))
        corners = [{}] if model.phases is None else corner_intervals(model.phases, np.unique(time), high, bounds)
        found = []
        for spans in corners:
            days = {"tmax": inside, **{name: 0.5 * sum(span) for name, span in spans.items()}}
            found += [Start({**values, **days}, {"tmax": (low, high), **spans}) for values in centres]
        mine = [values for values in (*own, *starts) if low <= values["tmax"] <= high]
        segments.append(Segment((low, high), (*found, *(Start(values, {"tmax": (low, high)}) for values in mine))))
    return Plan(tuple(segments), (within[0], within[-1] + 1), bounds)


def _intervals(times: FloatArray, low: float, high: float) -> list[tuple[float, float]]:
    edges = [low, *times[(times > low) & (times < high)].tolist(), high]
    return list(itertools.pairwise(edges))


def _from_profile(model: Model, time: FloatArray, y: FloatArray, censored: IntArray) -> list[dict[str, float]]:
    """Return the starts that a fit without prior would take."""
    if model.phases is None:
        return []
    plan = plan_fit(model, time, y, censored)
    return [dict(start.values) for segment in plan.segments for start in segment.starts]


def laplace(exact: FloatArray, approximate: FloatArray, free: BoolArray, *, smooth: bool) -> FloatArray:
    """Return the covariance of the mode: the inverse of half the Hessian over the free elements, 0 elsewhere.

    At a kink, and where the exact Hessian is not positive definite, the Gauss-Newton one stands in, which is
    never below the prior's: the SD then errs on the large side.

    Args:
        exact: Hessian of the objective, ``(q, q)``.
        approximate: that of Gauss and Newton.
        free: elements that were searched, ``(q,)``.
        smooth: False at a kink.
    """
    out, index = np.zeros_like(exact), np.flatnonzero(free)
    block = 0.5 * exact[np.ix_(index, index)]
    if not smooth or np.linalg.eigvalsh(block)[0] <= 0:
        block = 0.5 * approximate[np.ix_(index, index)]
    # A parameter that neither samples nor prior say anything about: an SD of 1000.
    values, vectors = np.linalg.eigh(block)
    out[np.ix_(index, index)] = (vectors / np.maximum(values, 1e-6)) @ vectors.T
    return out


def judge_posterior(
    case: Case, prior: ModelPrior, plan: Plan, mode: Mode, quantities: Derivation, drawn: Drawn
) -> IndividualFit:
    """Turn a mode into rows with statuses; arguments as in `cellkinetics.fitting.verdict.judge`.

    Every parameter gets an estimate, but one that the prior is silent about and the samples do not identify: the
    likelihood hardly changes with it, or it ended at a bound of its search.
    """
    if not np.isfinite(mode.value) or mode.slope > STEEP:
        sentence = f"the search ended where the posterior still has a slope of {mode.slope:.2g}; give starts="
        return case.failed("not_converged", sentence)
    model, p = case.model, len(case.model.parameters)
    values, se = case.values(mode, drawn), mode.se
    rows = []
    for k, (name, unit) in enumerate(zip(mode.names, case.parameter_units, strict=True)):
        estimate = float(values[k])
        if not mode.searched[k]:
            rows.append(_held(name, unit, estimate))
        elif (k >= p or not prior.known[k]) and (mode.at_bound[k] or not se[k] <= WEAK_SE):
            why = _at_bound(name, estimate) if mode.at_bound[k] else _flat(name)
            sentence = f"the prior is silent about it, and {why.sentence}" if k < p else why.sentence
            rows.append(unknown_row(name, unit, Why(why.code, sentence)))
        else:
            transform = model.parameters[k].transform if k < p else "log"
            row = Estimate(name, unit, estimate, *interval(transform, estimate, float(se[k])))
            sd = float(prior.sd[k]) if k < p else float("nan")
            rows.append(_weighed(row, float(se[k]), sd, _remarks(mode, prior, k, estimate)))
    of_residual = rows[p:]
    rows = rows[:p] + _derived(case, prior, mode, quantities, rows) + of_residual
    rows += case.statistics({"minus2ll": mode.value - mode.penalty, "minus2lp": mode.value})
    unknown = [row for row in rows[:p] if row.status == "not_identifiable"]
    of_prior = [row.parameter for row in rows[:p] if row.status == "prior"]
    few = _few(mode.n_quantified, case.counts[0])
    return case.fitted(
        mode,
        plan,
        drawn,
        rows,
        "not_identifiable" if unknown else "prior" if of_prior else "ok",
        "; ".join([*few, *(row.reason for row in unknown), *_said(of_prior)]),
        n_effective=sum(1.0 - min(row.sd_ratio or 0.0, 1.0) ** 2 for row in rows[:p]),
        held=tuple(name for name, own in zip(mode.names, mode.searched, strict=True) if not own),
    )


def _held(name: str, unit: str, value: float) -> Estimate:
    sentence = "held at the population's residual SD: no standard error"
    return Estimate(name, unit, value, reason=sentence, reason_code="held_at_population")


def _at_bound(name: str, estimate: float) -> Why:
    return Why("at_bound", f"{name} ended at a bound of its search, {estimate:.3g}")


def _flat(name: str) -> Why:
    return Why("flat_likelihood", f"the samples hardly change the likelihood with {name}")


def _weighed(row: Estimate, se: float, sd: float, remarks: Sequence[Why]) -> Estimate:
    """Return the row with its SD over the prior's, and status ``prior`` where that is near 1."""
    notes = list(remarks)
    if np.isnan(sd):
        ratio = None
    else:
        ratio = se / sd
        if ratio > SAYS_THE_PRIOR:
            sentence = f"says what the prior says: posterior SD {100 * ratio:.0f} % of the prior's"
            notes.insert(0, Why("says_the_prior", sentence))
            row = replace(row, status="prior")
    return remarked(replace(row, sd_ratio=ratio), notes)


def _remarks(mode: Mode, prior: ModelPrior, k: int, estimate: float) -> list[Why]:
    name, notes = mode.names[k], []
    if mode.at_bound[k]:
        notes.append(_at_bound(name, estimate))
    if mode.at_kink[k]:
        sentence = "ends at a sampling day, where the posterior has a kink: the SD errs on the large side"
        notes.append(Why("at_sampling_time", sentence))
    if name == "cmax":
        notes += far_from_observed(estimate, mode.highest, mode.ceiling)
    if k < len(prior.mean) and prior.known[k]:
        away = (mode.x[k] - prior.mean[k]) / prior.sd[k]
        if abs(away) > UNUSUAL:
            side = "above" if away > 0 else "below"
            sentence = f"{abs(away):.1f} SDs {side} the population's typical value: is the prior of such patients?"
            notes.append(Why("unlike_population", sentence))
    return notes


def _derived(
    case: Case, prior: ModelPrior, mode: Mode, quantities: Derivation, rows: Sequence[Estimate]
) -> list[Estimate]:
    model, p, out = case.model, len(case.model.parameters), []
    unknown = {row.parameter: row.reason_code for row in rows if row.estimate is None}
    covariance = np.where(np.isnan(prior.covariance), 0.0, prior.covariance)
    for quantity, log_value, gradient in zip(model.derived, *quantities, strict=True):
        unit = case.unit(quantity.unit)
        felt = np.abs(gradient) > 0.0
        blamed = [name for k, name in enumerate(mode.names) if felt[k] and name in unknown]
        if blamed or not np.isfinite(log_value):
            sentence = f"depends on {', '.join(blamed)}" if blamed else "is no finite number at these parameters"
            code = unknown[blamed[0]] if blamed else "numerical"
            out.append(unknown_row(quantity.name, unit, Why(code, sentence)))
            continue
        se = float(np.sqrt(max(gradient @ mode.covariance @ gradient, 0.0)))
        estimate = float(np.exp(log_value))
        row = Estimate(quantity.name, unit, estimate, *interval("log", estimate, se))
        of_prior = gradient[:p]
        known = not (felt[:p] & ~prior.known).any()
        sd = float(np.sqrt(of_prior @ covariance @ of_prior)) if known else float("nan")
        out.append(_weighed(row, se, sd, []))
    return out


def _few(n_quantified: int, n: int) -> list[str]:
    """Say that there is little to go by, for a fit that without a prior would not be made."""
    if n_quantified >= _FEWEST or not n:
        return []
    what = "no quantified sample" if n_quantified == 0 else "one quantified sample"
    return [f"{what} and {n - n_quantified} censored: the estimates are mostly the prior's"]


def _said(names: Sequence[str]) -> list[str]:
    return [f"the samples say little of {', '.join(names)}: the prior does"] if names else []
