"""From samples to the curve that is integrated: exclusions, BLQ by place, time zero.

Inside the engine arrays are position first, ``(positions, n)``: every step over positions is then one
contiguous operation on all profiles, and a sum has the same order however many profiles there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import LEFT_CENSORED, RIGHT_CENSORED, BoolArray, Cohort, FloatArray, IntArray
from cellkinetics.nca.occasions import first_of_several
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.positions import first_true, last_true
from cellkinetics.nca.reasons import Why

BLOCK = 4096
"""Profiles at a time: the arrays of one block stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The arrays that the engine works on, each ``(n, m)``, and those of one number a profile, as in `Cohort`.

    ``dose``, ``infusion_duration``, ``tau`` and ``steady_state`` are ``(n,)``, NaN where unknown; ``first``
    says which profiles are the first of several occasions.
    """

    time: FloatArray
    value: FloatArray
    censored: IntArray
    lloq: FloatArray
    uloq: FloatArray
    mask: BoolArray
    dose: FloatArray
    infusion_duration: FloatArray = field(default_factory=lambda: np.empty(0))
    tau: FloatArray = field(default_factory=lambda: np.empty(0))
    steady_state: FloatArray = field(default_factory=lambda: np.empty(0))
    first: BoolArray = field(default_factory=lambda: np.empty(0, np.bool_))

    def __post_init__(self) -> None:
        unknown = (("infusion_duration", np.nan), ("tau", np.nan), ("steady_state", np.nan), ("first", False))
        for name, value in unknown:
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self.time), value))

    @classmethod
    def of(cls, cohort: Cohort, time: Literal["actual", "nominal"] = "actual") -> Samples:
        """Take the arrays of a cohort, with actual or nominal times."""
        times = cohort.time if time == "actual" else cohort.nominal_time
        return cls(
            times,
            *(cohort.value, cohort.censored, cohort.lloq, cohort.uloq, cohort.mask),
            *(cohort.dose, cohort.infusion_duration, cohort.tau, cohort.steady_state),
            first_of_several(cohort),
        )

    def block(self, start: int, stop: int) -> Samples:
        """Return the profiles ``start`` to ``stop - 1``."""
        return self.take(slice(start, stop))

    def take(self, which: slice | IntArray) -> Samples:
        """Return some of the profiles."""
        return Samples(*(getattr(self, item.name)[which] for item in fields(self)))

    def __len__(self) -> int:
        return len(self.time)


class Role(IntEnum):
    """What became of one sample of the data."""

    PADDING = 0
    QUANTIFIED = 1
    SUBSTITUTED = 2  # below quantification, counts as zero or as a part of its LLOQ
    DROPPED = 3  # below quantification, left out by the rule for its place
    BEFORE_INFUSION = 4
    NO_TIME = 5
    NO_VALUE = 6


@dataclass(frozen=True, eq=False)
class Curve:
    """The curve of every profile, and what was done to get it.

    The curve's own arrays have ``m + 1`` positions: position 0 is for an imputed sample at time
    zero, the samples that count follow without a gap from position 1.

    Attributes:
        time: ``(m + 1, n)``; +inf after the last sample, -inf at an unused position 0.
        value: ``(m + 1, n)``, 0 where unused.
        used: ``(m + 1, n)``, the positions that belong to the curve.
        quantified: ``(m + 1, n)``, those with a measured value.
        imputed: ``(n,)``, whether position 0 is in use.
        n_samples: ``(n,)``, samples with a result at or after time zero.
        end: ``(n,)``, the time of the last of these, quantifiable or not.
        before_first: ``(n,)``, time of the sample before the first quantifiable one, imputed ones
            included; 0 if that one is at time zero; NaN if there is none.
        above: ``(m + 1, n)``, those above the upper limit; an imputed value that is had from such a
            sample counts too.
        tau: ``(n,)``, the end of the dosing interval, which starts at time zero; +inf where there is none.
        steady: ``(n,)``, whether the profile is at steady state.
        fault: ``(n,)``, a `Why` for profiles of which nothing can be calculated.
        sample_time: ``(m, n)``, the time of each sorted sample, +inf where it is left out.
        limit: ``(n,)``, the largest LLOQ of the samples with a result; NaN if there is none.
        has_blq: ``(n,)``, whether one of them is below quantification.
        order: ``(m, n)``, the position in the data of each sorted sample.
        role: ``(m, n)``, a `Role` of each sorted sample.
        level: ``(m, n)``, the value that each sorted sample counts as.
        lloq: ``(m, n)``, the LLOQ of each sorted sample.
    """

    time: FloatArray
    value: FloatArray
    used: BoolArray
    quantified: BoolArray
    imputed: BoolArray
    n_samples: IntArray
    end: FloatArray
    before_first: FloatArray
    above: BoolArray
    tau: FloatArray
    steady: BoolArray
    fault: NDArray[np.int8]
    sample_time: FloatArray
    limit: FloatArray
    has_blq: BoolArray
    order: IntArray
    role: NDArray[np.int8]
    level: FloatArray
    lloq: FloatArray


def arrange(samples: Samples, options: NCAOptions) -> Curve:
    """Sort, exclude, apply the BLQ rules and the rule for time zero.

    Samples without a time or a value are left out; so are those before time zero, because they
    stand before the infusion. A profile with an infinite or negative quantified value, or with two
    samples at one time, gets a fault.
    """
    time, value, censored, lloq, uloq, mask = (
        _position_first(array)
        for array in (samples.time, samples.value, samples.censored, samples.lloq, samples.uloq, samples.mask)
    )
    m, n = time.shape
    above = (censored == RIGHT_CENSORED) & mask
    if above.any():
        value = np.where(above & np.isnan(value), uloq, value)
    blq = (censored == LEFT_CENSORED) | (value == 0)

    role = np.zeros((m, n), np.int8)
    role[mask] = Role.QUANTIFIED
    role[mask & ~blq & np.isnan(value)] = Role.NO_VALUE
    role[mask & (time < 0)] = Role.BEFORE_INFUSION
    role[mask & ~np.isfinite(time)] = Role.NO_TIME
    order = np.broadcast_to(np.arange(m)[:, None], (m, n))
    key = np.where(role == Role.QUANTIFIED, time, np.inf)
    unsorted = (key[1:] < key[:-1]).any(axis=0)
    if unsorted.any():
        order = order.copy()
        order[:, unsorted] = np.argsort(key[:, unsorted], axis=0, kind="stable")
        columns = np.flatnonzero(unsorted)
        for array in (key, value, blq, lloq, role, above):
            array[:, columns] = array[order[:, columns], columns]
    valid = role == Role.QUANTIFIED
    n_samples = valid.sum(axis=0)
    quantified = valid & ~blq
    has = quantified.any(axis=0)
    first = np.where(has, first_true(quantified), m)
    last = np.where(has, last_true(quantified), m)
    profiles = np.arange(n)

    fault = np.full(n, Why.CALCULATED, np.int8)
    level, missing_lloq = _substitute(role, value, lloq, valid & blq, first, last, options)
    fault[missing_lloq] = Why.BLQ_WITHOUT_LLOQ
    fault[((key[1:] == key[:-1]) & valid[1:]).any(axis=0)] = Why.DUPLICATE_TIME
    fault[(quantified & (value < 0)).any(axis=0)] = Why.NEGATIVE_VALUE
    fault[(quantified & np.isinf(value)).any(axis=0)] = Why.INFINITE_VALUE
    fault[n_samples == 0] = Why.NO_SAMPLES

    counts = (role == Role.QUANTIFIED) | (role == Role.SUBSTITUTED)
    t, c, used, measured, over = _pack(key, level, counts, quantified, above & quantified)
    tau, steady = _dosing_interval(samples, options, (key[0] == 0) & blq[0])
    t[0], c[0], used[0] = _time_zero(t, c, used, n_samples, options)
    if steady.any() and options.time_zero_rule == "minimum":
        _fall_to_minimum(t, c, used, over, tau, np.flatnonzero(steady & used[0]))
    if options.time_zero_rule in {"first", "c0"}:
        sources = 1 if options.time_zero_rule == "first" else 2
        over[0] = used[0] & over[1 : 1 + sources].any(axis=0)
    before = np.maximum(first, 1) - 1
    at_zero = has & (first == 0) & (used[0] | (key[0] == 0))
    return Curve(
        time=t,
        value=c,
        used=used,
        quantified=measured,
        imputed=used[0],
        n_samples=n_samples,
        end=key[np.maximum(n_samples, 1) - 1, profiles],
        before_first=np.where(has & (first > 0), key[before, profiles], np.where(at_zero, 0.0, np.nan)),
        above=over,
        tau=tau,
        steady=steady,
        fault=fault,
        sample_time=key,
        limit=np.fmax.reduce(np.where(valid, lloq, np.nan), axis=0),
        has_blq=np.asarray((valid & blq).any(axis=0)),
        order=order,
        role=role,
        level=level,
        lloq=lloq,
    )


def _position_first(array: NDArray[Any]) -> NDArray[Any]:
    """Copy ``(n, m)`` to ``(m, n)``, with at least one (empty) position."""
    if not array.shape[1]:
        return np.zeros((1, len(array)), array.dtype)
    return np.array(array.T, order="C", copy=True)


def _substitute(
    role: NDArray[np.int8],
    value: FloatArray,
    lloq: FloatArray,
    blq: BoolArray,
    first: IntArray,
    last: IntArray,
    options: NCAOptions,
) -> tuple[FloatArray, BoolArray]:
    """Give each BLQ sample its level and role by place; also say which profiles lack an LLOQ."""
    position = np.arange(len(role))[:, None]
    level = np.where(role == Role.QUANTIFIED, value, 0.0)
    missing = np.zeros(role.shape[1], bool)
    if not blq.any():
        return level, missing
    factors = {"zero": 0.0, "lloq": 1.0, "lloq/2": 0.5}
    rules = options.blq
    inside = (position > first) & (position < last)
    starts = blq & ~np.concatenate([np.zeros((1, blq.shape[1]), bool), blq[:-1]])
    for rule, place in (
        (rules.before, position < first),
        (rules.between, inside & ~starts),
        (rules.between if rules.first_between is None else rules.first_between, inside & starts),
        (rules.first_after, position == last + 1),
        (rules.later, position > last + 1),
    ):
        here = blq & place
        if rule == "drop":
            role[here] = Role.DROPPED
            level[here] = 0.0
            continue
        factor = factors[rule] if isinstance(rule, str) else rule
        role[here] = Role.SUBSTITUTED
        if factor == 0:
            level[here] = 0.0
        else:
            level[here] = factor * lloq[here]
            missing |= (here & np.isnan(lloq)).any(axis=0)
    return level, missing


def _pack(
    time: FloatArray, level: FloatArray, counts: BoolArray, quantified: BoolArray, above: BoolArray
) -> tuple[FloatArray, FloatArray, BoolArray, BoolArray, BoolArray]:
    """Copy what counts to positions 1, 2, ... without gaps; position 0 stays unused."""
    m, n = time.shape
    t, c = np.full((m + 1, n), np.inf), np.zeros((m + 1, n))
    used, measured, over = (np.zeros((m + 1, n), bool) for _ in range(3))
    np.copyto(t[1:], time, where=counts)
    np.copyto(c[1:], level, where=counts)
    used[1:], measured[1:], over[1:] = counts, quantified, above
    gap = np.flatnonzero((counts[1:] & ~counts[:-1]).any(axis=0))
    if gap.size:
        order = 1 + np.argsort(~counts[:, gap], axis=0, kind="stable")
        for array in (t, c, used, measured, over):
            array[1:, gap] = array[order, gap]
    t[0] = -np.inf
    return t, c, used, measured, over


def _time_zero(
    t: FloatArray, c: FloatArray, used: BoolArray, n_samples: IntArray, options: NCAOptions
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Return time, value and use of position 0."""
    rule = options.time_zero_rule
    starts_at_zero = used[1] & (t[1] == 0)
    impute = ~starts_at_zero & (n_samples > 0)
    if rule == "none":
        impute = np.zeros_like(impute)
    start = np.zeros(t.shape[1])
    if rule == "first":
        start = c[1].copy()
    elif rule == "c0":
        start = back_extrapolate(t, c, used)
    return np.where(impute, 0.0, -np.inf), np.where(impute, start, 0.0), impute


def _dosing_interval(samples: Samples, options: NCAOptions, from_nothing: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Return the end of each dosing interval, +inf where there is none, and which profiles are at steady state.

    ``auto`` follows the data where they say it. Else it guesses: a profile is at steady state unless it is the first
    of several occasions, or its sample at time zero is below quantification (``from_nothing``), so that
    nothing is left of earlier doses.
    """
    n = len(samples)
    if options.route == "cells":
        return np.full(n, np.inf), np.zeros(n, bool)
    given = samples.tau if options.tau is None else np.full(n, options.tau)
    known = np.isfinite(given) & (given > 0)
    said = samples.steady_state
    guess = np.where(np.isnan(said), ~samples.first & ~from_nothing, said > 0)
    steady = {"all": known, "auto": known & guess, "none": np.zeros(n, bool)}[options.steady_state]
    return np.where(known, given, np.inf), steady


def _fall_to_minimum(
    t: FloatArray, c: FloatArray, used: BoolArray, over: BoolArray, tau: FloatArray, which: IntArray
) -> None:
    """Let the value imputed at time zero be the smallest one in the dosing interval, in place.

    At steady state the curve comes to time zero from the interval before. Where no sample lies in the
    interval, nothing is imputed.
    """
    inside = used[1:, which] & (t[1:, which] <= tau[which])
    lowest = 1 + np.argmin(np.where(inside, c[1:, which], np.inf), axis=0)
    found = np.asarray(inside.any(axis=0))
    c[0, which] = np.where(found, c[lowest, which], 0.0)
    over[0, which] = found & over[lowest, which]
    used[0, which] = found
    t[0, which] = np.where(found, 0.0, -np.inf)


def back_extrapolate(t: FloatArray, c: FloatArray, used: BoolArray) -> FloatArray:
    """Return the value at time zero of the exponential through the first two samples of a bolus.

        C0 = C1 * (C1/C2)^(t1/(t2 - t1))   if C1 > C2 > 0, else the first value above zero

    ``t``, ``c`` and ``used`` are ``(positions, n)`` with the first sample at position 1. Where no
    value is above zero the result is 0.
    """
    positive = c > 0
    c0 = np.where(positive.any(axis=0), c[first_true(positive), np.arange(t.shape[1])], 0.0)
    if len(t) < 3:
        return c0
    falls = used[1] & used[2] & (c[1] > c[2]) & (c[2] > 0)
    t1, t2, c1, c2 = t[1][falls], t[2][falls], c[1][falls], c[2][falls]
    c0[falls] = c1 * np.exp((np.log(c1) - np.log(c2)) * (t1 / (t2 - t1)))
    return c0
