"""Acceptance: rules that mark results as ``flagged``. Nothing is calculated or deleted here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntFlag

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.nca.column import FlagArray, Key
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.parameters import BY_CODE, required


class Flag(IntFlag):
    """Marks of a result; several may hold. The lower-case name is its ``reason_code``."""

    R2ADJ_LOW = 1
    SPAN_SHORT = 2
    EXTRAPOLATED_HIGH = 4
    TMAX_EARLY = 8
    ABOVE_ULOQ = 16
    SAMPLE_LEFT_OUT = 32
    ONE_QUANTIFIABLE_SAMPLE = 64
    STRADDLES_BREAK = 128
    TWO_QUANTIFIABLE_POINTS = 256


_PEAK = frozenset({"CMAX", "TMAX"})
_AREAS = frozenset({"AUCLST", "AUCALL", "AUMCLST"})
_OBSERVED = frozenset({"AUCIFO", "AUMCIFO"})
_PREDICTED = frozenset({"AUCIFP", "AUMCIFP"})
_INTERVAL = frozenset({"AUCTAU", "CTROUGH"})


def sentence(flag: Flag, options: NCAOptions) -> str:
    """Say in words what a flag means under these options.

    Example:
        >>> sentence(Flag.R2ADJ_LOW, NCAOptions())
        'adjusted R2 of the terminal line is below 0.7'
    """
    limits = options.acceptance
    return {
        Flag.R2ADJ_LOW: f"adjusted R2 of the terminal line is below {limits.r2adj_min}",
        Flag.SPAN_SHORT: f"terminal points span fewer than {limits.span_min} half-lives",
        Flag.EXTRAPOLATED_HIGH: f"more than {limits.extrapolated_max} % of the area is extrapolated",
        Flag.TMAX_EARLY: f"Tmax is before day {limits.tmax_min}: the peak may come from the infusion catheter",
        Flag.STRADDLES_BREAK: (
            "the terminal points lie on both sides of the break between contraction and persistence: "
            "their half-life is that of neither phase"
        ),
        Flag.ABOVE_ULOQ: (
            "it rests on a sample above the upper limit of quantification, whose true value is higher; "
            "Cmax and the areas that are not extrapolated are lower bounds"
        ),
        Flag.SAMPLE_LEFT_OUT: (
            "a sample of this profile was left out because of a fault in its row (see the check of the table); "
            "with it the value may be another"
        ),
        Flag.TWO_QUANTIFIABLE_POINTS: (
            "the terminal line has two quantifiable points; only samples below quantification tell its scatter"
        ),
        Flag.ONE_QUANTIFIABLE_SAMPLE: "it rests on a single quantifiable sample; the rest of the area is assumed",
    }[flag]


def below(value: FloatArray, limit: float | FloatArray) -> BoolArray:
    """Say which values are below a limit by more than rounding (1e-9 of the limit).

    A span of exactly two half-lives comes out as 1.9999999999996 as easily as 2.

    Example:
        >>> below(np.array([1.9, 1.9999999999996, np.nan]), 2.0).tolist()
        [True, False, False]
    """
    return np.asarray(value < limit - 1e-9 * np.abs(limit))


def terminal_flags(r2adj: FloatArray, span: FloatArray, n_points: FloatArray, options: NCAOptions) -> FlagArray:
    """Mark terminal lines; arrays ``(n,)``. A line without a mark is accepted for extrapolation.

    A line with two quantifiable points (a censored one) has no adjusted R2, and always a mark.

    Example:
        >>> r2adj, span, n_points = np.array([[0.9, 0.5, np.nan], [3.0, 1.0, 2.0], [4, 3, 2]])
        >>> terminal_flags(r2adj, span, n_points, NCAOptions()).tolist()
        [0, 3, 256]
    """
    limits = options.acceptance
    flags = np.where(n_points <= 2, Flag.TWO_QUANTIFIABLE_POINTS, 0).astype(np.int16)
    if limits.r2adj_min is not None:
        flags[below(r2adj, limits.r2adj_min)] |= Flag.R2ADJ_LOW
    if limits.span_min is not None:
        flags[below(span, limits.span_min)] |= Flag.SPAN_SHORT
    return flags


def straddle_flags(lower: FloatArray, upper: FloatArray, break_time: FloatArray) -> FlagArray:
    """Mark terminal lines with points on both sides of the break between the phases; arrays ``(n,)``.

    A point at the break belongs to both phases. Where there is no break (NaN) nothing is marked.

    Example:
        >>> straddle_flags(np.array([14.0, 21.0]), np.array([84.0, 84.0]), np.array([21.0, 21.0])).tolist()
        [128, 0]
    """
    astride = below(lower, break_time) & below(break_time, upper)
    return np.where(astride, Flag.STRADDLES_BREAK, 0).astype(np.int16)


def flag(
    keys: Iterable[Key],
    value: dict[Key, FloatArray],
    *,
    terminal: FlagArray,
    tmax: FloatArray,
    extrapolated: dict[Key, FloatArray],
    above: Mapping[Key, BoolArray],
    single: BoolArray,
    options: NCAOptions,
) -> dict[Key, FlagArray]:
    """Mark every result that a missed threshold, or a doubtful sample, touches.

    A mark of the terminal line touches whatever depends on lambda_z, windows apart: a line with a
    mark is not used for those. It touches what rests on a dosing interval that ends beyond the curve. A
    large extrapolated part touches the area, its moment and mean time; an early Tmax touches the peak; for
    values above the upper limit see `cellkinetics.nca.aboveuloq.rests_above`.

    Args:
        keys: results to mark.
        value: their values, ``(n,)`` each.
        terminal: from `terminal_flags`.
        tmax: ``(n,)``.
        extrapolated: percent extrapolated, ``(n,)``, of the areas to infinity (by the key AUCPEO or
            AUCPEP), of the windows (by the key of the AUCINT) and of the dosing interval (AUCTAU).
        above: by key, the profiles ``(n,)`` whose result rests on such a value.
        single: profiles ``(n,)`` with one quantifiable sample; their areas and mean times get a mark.
        options: thresholds and route.
    """
    limits = options.acceptance
    early = np.zeros(len(tmax), bool)
    if limits.tmax_min is not None and options.route == "cells":
        early = below(tmax, limits.tmax_min)
    high: dict[Key, FlagArray] = {}
    if limits.extrapolated_max is not None:
        high = {
            name: _where(below(-percent, -limits.extrapolated_max), Flag.EXTRAPOLATED_HIGH)
            for name, percent in extrapolated.items()
        }
    peak, alone = _where(early, Flag.TMAX_EARLY), _where(single, Flag.ONE_QUANTIFIABLE_SAMPLE)
    flags = {}
    for key in keys:
        marks = np.zeros(len(tmax), np.int16)
        needs = required([key])
        if "LAMZ" in needs and not BY_CODE[key.code].windowed:
            marks |= terminal
        elif needs & _INTERVAL and Key("AUCTAU") in extrapolated:
            marks |= np.where(extrapolated[Key("AUCTAU")] > 0, terminal, np.int16(0))
        share = _extrapolated(key, needs, high)
        if share is not None:
            marks |= share
        if needs & _PEAK:
            marks |= peak
        if key in above:
            marks |= _where(above[key], Flag.ABOVE_ULOQ)
        if needs & _AREAS:
            marks |= alone
        flags[key] = np.where(np.isnan(value[key]), np.int16(0), marks)
    return flags


def _where(condition: BoolArray, mark: Flag) -> FlagArray:
    return np.where(condition, np.int16(mark), np.int16(0))


def _extrapolated(key: Key, needs: frozenset[str], extrapolated: dict[Key, FlagArray]) -> FlagArray | None:
    """Return the marks of the extrapolated area that a result rests on."""
    if BY_CODE[key.code].windowed:
        return extrapolated.get(Key("AUCINT", key.start, key.end)) if "AUCINT" in needs else None
    if "AUCTAU" in needs:
        return extrapolated.get(Key("AUCTAU"))
    if needs & _OBSERVED:
        return extrapolated.get(Key("AUCPEO"))
    return extrapolated.get(Key("AUCPEP")) if needs & _PREDICTED else None
