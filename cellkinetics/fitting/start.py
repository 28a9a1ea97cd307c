"""Where the fit of one patient starts, between which bounds it searches, and what the samples cannot tell."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED, RIGHT_CENSORED, BoolArray, FloatArray, IntArray
from cellkinetics.errors import ModelError
from cellkinetics.models.base import Model
from cellkinetics.models.phases import Phases
from cellkinetics.models.published import STEIN_2019
from cellkinetics.models.residual import Residual

CMAX_FACTOR = 5.0
"""Cmax is searched between the highest observation divided and multiplied by this."""
TMAX_FACTOR = 2.0
"""Tmax is searched between the day of the highest sample divided and multiplied by this, or two samples
to either side, whichever is further."""
SPIKE = 3.0
"""How many times the highest sample a peak between samples is taken to be, where a search begins with one."""
GROWTH_SAMPLES = 2
"""Quantifiable samples before the peak that growth needs."""
CONTRACTION_SAMPLES = 2
"""Quantifiable samples after the peak that contraction needs."""
PERSISTENCE_SAMPLES = 4
"""Quantifiable samples after the peak that two phases of decline need."""
SIGMA = (0.05, 0.4, 3.0)
"""Lowest, first and highest value of the residual SD on ln C, or relative to C. A likelihood of one patient has
no maximum as sigma goes to 0 when there are as many parameters as samples, hence the floor."""
DEFAULT = STEIN_2019.typical
"""Where the samples say nothing these typical values draw the curve."""
DEFAULT_RISE = {"foldx": DEFAULT["foldx"], "tlag": 3.27, "t0": 1.0, "delta": 0.5}
"""The same for the rise; the lag is that of Ogasawara 2021, the other two are round numbers."""
ONE_PHASE = {"fb": 1e-7, "beta": DEFAULT["beta"]}
"""What switches persistence off."""


@dataclass(frozen=True)
class Why:
    """Why a parameter cannot be had: a short code and a sentence."""

    code: str
    sentence: str


@dataclass(frozen=True)
class Start:
    """Named starting values of one search, and the limits that it has besides the plan's bounds.

    One that is not ``usual`` looks for an optimum that few patients have, and says nothing of a population.
    """

    values: Mapping[str, float]
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    usual: bool = True


@dataclass(frozen=True)
class Segment:
    """One sampling interval for Tmax, with its starts; ``interval`` is None for a model without Tmax.

    Inside a sampling interval the likelihood is smooth in a change point, at a sampling time it has a kink:
    so each interval is searched by itself, and each combination of intervals where there are more change
    points than Tmax (the end of a lag or of the distribution phase).
    """

    interval: tuple[float, float] | None
    starts: tuple[Start, ...]


@dataclass(frozen=True)
class Plan:
    """How one patient is fitted; everything on the natural scale.

    Attributes:
        segments: intervals of Tmax in order of time.
        central: first and one past the last segment that are searched in any case; a segment further
            out is searched while its neighbour holds the best fit.
        bounds: parameter to lowest and highest value.
        held: parameters that are not searched, with their value.
        unidentified: parameters that the samples cannot determine, with the reason.
        simpler: values that switch a phase off, tried after the search; if AICc prefers them, the phase's
            parameters are not reported.
        may_vanish: rates that the samples may not tell from 0; their intervals reach down on the natural scale.
        spread: lowest, first and highest value of each parameter of the residual.
    """

    segments: tuple[Segment, ...]
    central: tuple[int, int]
    bounds: Mapping[str, tuple[float, float]]
    held: Mapping[str, float] = field(default_factory=dict)
    unidentified: Mapping[str, Why] = field(default_factory=dict)
    simpler: Mapping[str, float] = field(default_factory=dict)
    may_vanish: tuple[str, ...] = ()
    spread: tuple[tuple[float, float, float], ...] = (SIGMA,)

    def simplified(self) -> Plan:
        """Return the plan with the phase switched off."""
        return replace(self, held={**self.held, **self.simpler}, simpler={})

    def one_phase(self) -> Plan:
        """Return the plan with the parameters of the second phase marked; they stay in the search.

        Held, they would count as known, and contraction would look surer than it is.
        """
        names = [name for name in ONE_PHASE if name in {*self.simpler, *self.held}]
        reason = Why(
            "one_phase", f"AICc prefers one phase of decline to two, which says nothing of {' and '.join(names)}"
        )
        return replace(self, unidentified={**self.unidentified, **dict.fromkeys(names, reason)}, simpler={})


def plan_fit(
    model: Model,
    time: FloatArray,
    y: FloatArray,
    censored: IntArray,
    *,
    starts: Sequence[Mapping[str, float]] = (),
) -> Plan:
    """Plan the fit of one patient from the samples that enter the likelihood, in order of time.

    Args:
        model: an expansion model, for which starts come from the profile, or another one with ``starts`` given.
        time: days, shape ``(m,)``.
        y: values, or limits where censored.
        censored: 0 quantified, 1 below the LLOQ, -1 above the ULOQ.
        starts: named starting values, searched from besides those found here.

    Raises:
        ModelError: for another model without ``starts``, starts that are not its parameters, or off their scale.
    """
    for start in starts:
        model.theta(start)
        model.check_values(start)
    if model.phases is not None:
        return _plan_expansion(model, model.phases, time, y, censored, starts)
    if not starts:
        raise ModelError(
            f"model {model.name} has no rule for its starting values; give starts={{name: value}} "
            f"for {', '.join(model.names)}"
        )
    bounds = {p.name: (p.lower, p.upper) for p in model.parameters}
    return Plan((Segment(None, tuple(Start(start) for start in starts)),), (0, 1), bounds)


def spread_of(residual: Residual, y: FloatArray) -> tuple[tuple[float, float, float], ...]:
    """Return lowest, first and highest value of each parameter of the residual, for samples ``y`` (m,).

    One in the unit of the value goes from a hundredth of the lowest sample or limit to the highest.

    Example:
        >>> from cellkinetics.models.residual import get_residual
        >>> spread_of(get_residual("natural-combined"), np.array([50.0, 900.0]))
        ((0.5, 25.0, 900.0), (0.05, 0.4, 3.0))
    """
    low, high = float(y.min(initial=np.inf)), float(y.max(initial=0.0))
    own = (0.01 * low, 0.5 * low, high) if 0 < low <= high else SIGMA
    return tuple(own if unit == "value" else SIGMA for unit in residual.units)


def _plan_expansion(
    model: Model,
    phases: Phases,
    time: FloatArray,
    y: FloatArray,
    censored: IntArray,
    given: Sequence[Mapping[str, float]],
) -> Plan:
    # A value above the ULOQ is at least its limit: it counts for the peak and on either side of it.
    seen = censored != LEFT_CENSORED
    peak = int(np.flatnonzero(seen)[np.argmax(y[seen])])
    highest, day = float(y[peak]), float(time[peak])
    before, after = seen & (time < day), seen & (time > day)
    bounds = {p.name: (p.lower, p.upper) for p in model.parameters}
    above = censored == RIGHT_CENSORED
    bounds["cmax"] = (highest / CMAX_FACTOR, bounds["cmax"][1] if above.any() else highest * CMAX_FACTOR)

    held, why = _structure(phases, int(before.sum()), int(after.sum()))
    # Without any sample on one side, not even a censored one, nothing pulls at its parameter.
    if not (time < day).any():
        held |= {name: DEFAULT_RISE[name] for name in model.names if name in DEFAULT_RISE}
    if not (time > day).any():
        held |= {name: DEFAULT[name] for name in ("alpha", "beta") if name in model.names and name not in held}
    low, high = bounds["tmax"]
    if "tmax" in why:
        held["tmax"] = float(np.clip(day, low, high))
        intervals, central = [(low, high)], (0, 1)
    else:
        intervals, central = _intervals(np.unique(time), day, low, high)
        bounds["tmax"] = (intervals[0][0], intervals[-1][1])

    declines = _declines(phases, time, y, seen & (time >= day), day, highest)
    if "fb" in held:
        declines = declines[:1]
    rising = seen & (time <= day)
    slope = _slope(time[rising], y[rising])
    segments = []
    for interval in intervals:
        tmax = held.get("tmax", 0.5 * sum(interval))
        starts = []
        latest = held.get("tmax", interval[1])
        for corners in corner_intervals(phases, np.unique(time), latest, bounds):
            rise = _rise(model, corners, tmax, highest, slope)
            limits = {"tmax": interval, **{name: span for name, span in corners.items() if name not in held}}
            starts += [Start({**rise, **decline, **held}, limits, "cmax" not in decline) for decline in declines]
        own = [
            Start({**start, **held}, {"tmax": interval})
            for start in given
            if "tmax" in held or interval[0] <= start["tmax"] <= interval[1]
        ]
        segments.append(Segment(interval, (*starts, *own)))
    two = phases.contraction and phases.persistence and "fb" not in held
    vanishing = ("beta",) if "beta" in model.names else ()
    return Plan(tuple(segments), central, bounds, held, why, ONE_PHASE if two else {}, vanishing)


def _rise(
    model: Model,
    corners: Mapping[str, tuple[float, float]],
    tmax: float,
    highest: float,
    slope: float | None,
) -> dict[str, float]:
    """Return starting values of the curve before the peak."""
    days = {name: 0.5 * sum(span) for name, span in corners.items()}
    grows = tmax - max(days.values(), default=0.0)
    foldx = DEFAULT["foldx"] if slope is None else float(np.exp(np.clip(slope * grows, 0.7, 16.0)))
    values = {"cmax": 1.1 * highest, "tmax": tmax, "foldx": foldx, **days}
    return values | ({"delta": DEFAULT_RISE["delta"]} if "delta" in model.names else {})


def corner_intervals(
    phases: Phases, times: FloatArray, latest: float, bounds: Mapping[str, tuple[float, float]]
) -> list[dict[str, tuple[float, float]]]:
    """Return the combinations of sampling intervals in which growth may begin, before the peak's."""
    names = [name for name, there in (("t0", phases.distribution), ("tlag", phases.lag)) if there]
    spans = {}
    for name in names:
        low = bounds[name][0]
        high = max(latest, 2.0 * low)
        edges = np.unique(np.clip([low, *times[times < high], high], low, high))
        spans[name] = list(itertools.pairwise(edges.tolist()))
    combinations = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*spans.values())]
    return [one for one in combinations if len(one) < 2 or one["t0"][0] <= one["tlag"][0]]


def _structure(phases: Phases, n_before: int, n_after: int) -> tuple[dict[str, float], dict[str, Why]]:
    """Return what is held and what is not identifiable, given the quantifiable samples around the peak."""
    held: dict[str, float] = {f"f_{drug}": 1.0 for drug in phases.comedication}
    never = Why("no_comedication_times", "the days on which it was given are not known; it is taken as without effect")
    why: dict[str, Why] = dict.fromkeys(held, never)
    early = [("t0", 4), ("delta", 4)] if phases.distribution else []
    early += [("tlag", 3)] if phases.lag else []
    for name, needed in early:
        if n_before < needed:
            why[name] = Why("few_samples_before_peak", f"{_count(n_before)} before the peak, {name} needs {needed}")
    if n_before < GROWTH_SAMPLES:
        reason = Why(
            "few_samples_before_peak",
            f"{_count(n_before)} before the peak, growth needs {GROWTH_SAMPLES}; "
            "the curve is drawn with its peak on the day of the highest sample",
        )
        why |= {"cmax": reason, "tmax": reason, "foldx": reason}
    decline = {"alpha": phases.contraction, "fb": phases.contraction and phases.persistence, "beta": phases.persistence}
    present = [name for name, there in decline.items() if there]
    second = "fb" in present
    if n_after < CONTRACTION_SAMPLES:
        reason = Why(
            "few_samples_after_peak", f"{_count(n_after)} after the peak, contraction needs {CONTRACTION_SAMPLES}"
        )
        why |= dict.fromkeys(present, reason)
    elif second and n_after < PERSISTENCE_SAMPLES:
        reason = Why(
            "few_samples_after_peak",
            f"{_count(n_after)} after the peak, two phases of decline need {PERSISTENCE_SAMPLES}; one phase is fitted",
        )
        why |= {"fb": reason, "beta": reason}
    if second and n_after < PERSISTENCE_SAMPLES:
        held |= ONE_PHASE
    if n_after == 0:
        reason = Why("peak_not_passed", "the highest quantifiable sample is the last one: the peak may come later")
        why |= {"cmax": reason, "tmax": reason}
    return held, why


def _count(n: int) -> str:
    return f"{n} quantifiable sample{'' if n == 1 else 's'}"


def _intervals(
    times: FloatArray, day: float, low: float, high: float
) -> tuple[list[tuple[float, float]], tuple[int, int]]:
    """Return the sampling intervals that Tmax may lie in, and which of them surround the highest sample.

    They reach two samples to either side of it, or to half and twice its day if that is further; the
    first two on either side are the central ones.
    """
    k = int(np.searchsorted(times, day))
    first = min(max(k - 2, 0), int(np.searchsorted(times, day / TMAX_FACTOR)))
    last = max(min(k + 2, len(times) - 1), int(np.searchsorted(times, day * TMAX_FACTOR, side="right")) - 1)
    edges = np.unique(np.clip(times[first : last + 1], low, high))
    if len(edges) < 2:
        return [(low, high)], (0, 1)
    intervals = list(itertools.pairwise(edges.tolist()))
    middle = int(np.searchsorted(edges, np.clip(day, low, high)))
    return intervals, (max(middle - 2, 0), min(middle + 2, len(intervals)))


def _declines(
    phases: Phases, time: FloatArray, y: FloatArray, keep: BoolArray, day: float, highest: float
) -> list[dict[str, float]]:
    """Return starting values of the decline: two phases by halves, one phase, a slow shallow one, and two spikes.

    A spike is a peak between two samples, from which the curve falls at once to the decline that was seen, or
    to its last part.

    A model with one phase starts from the slopes of the first and of the last half.
    """
    t, value = time[keep], y[keep]
    half = max(len(t) // 2, 2)
    first = -(_slope(t[: half + 1], value[: half + 1]) or -DEFAULT["alpha"])
    last = -(_slope(t[-half:], value[-half:]) or -DEFAULT["beta"])
    alpha = float(np.clip(first, 0.02, 2.0))
    beta = float(np.clip(last, 1e-4, 0.5 * alpha))
    if not (phases.contraction and phases.persistence):
        single = [name for name, there in (("alpha", phases.contraction), ("beta", phases.persistence)) if there]
        return [{name: rate} for name in single for rate in (alpha, beta)] or [{}]
    level = float(np.mean(np.log(value[-half:]) + beta * (t[-half:] - day))) - np.log(highest)
    left = float(np.clip(np.exp(level), 1e-4, 0.5))
    return [
        {"alpha": alpha, "fb": left, "beta": beta},
        {"alpha": alpha, "fb": DEFAULT["fb"], "beta": DEFAULT["beta"]},
        {"alpha": min(2 * alpha, 3.0), "fb": 0.15, "beta": float(np.clip(0.15 * alpha, 1e-3, 0.3))},
        {"cmax": SPIKE * highest, "alpha": 4.0, "fb": 1.0 / SPIKE, "beta": float(np.clip(alpha, 1e-3, 0.45))},
        {"cmax": SPIKE * highest, "alpha": 4.0, "fb": left / SPIKE, "beta": beta},
    ]


def _slope(time: FloatArray, y: FloatArray) -> float | None:
    """Return the least-squares slope of ln y over time, or None with fewer than two times."""
    if len(np.unique(time)) < 2:
        return None
    centred = time - time.mean()
    return float(centred @ np.log(y) / (centred @ centred))


def faster_phase_first(model: Model, x: FloatArray) -> FloatArray:
    """Name the phases of decline so that contraction is the faster one; ``x`` begins with phi.

    The curve is the same with alpha and beta exchanged and F replaced by 1 - F.
    """
    if model.phases is None or not (model.phases.contraction and model.phases.persistence):
        return x
    alpha, fb, beta = (model.names.index(name) for name in ("alpha", "fb", "beta"))
    if x[alpha] >= x[beta]:
        return x
    out = x.copy()
    out[alpha], out[fb], out[beta] = x[beta], -x[fb], x[alpha]
    return out
