"""Several occasions of a subject: which is the first, and how the later ones compare with it.

Source of the ratios: CDISC controlled terminology, codelist PKPARMCD (C85839); of the effective half-life:
Boxenbaum H, Battle M. J Clin Pharmacol 1995;35:763-766.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from cellkinetics.data.cohort import BoolArray, Cohort, FloatArray, IntArray
from cellkinetics.nca.column import Column, Key, ReasonArray
from cellkinetics.nca.reasons import Why

RATIOS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ARAUC": ("AUCTAU", "AUCTAU"),
        "ARAUCD": ("AUCTAUD", "AUCTAUD"),
        "ARCMAX": ("CMAX", "CMAX"),
        "ARCMIN": ("CMIN", "CMIN"),
        "ARCTROUG": ("CTROUGH", "CTROUGH"),
        "SRAUC": ("AUCTAU", "AUCIFO"),
    }
)
"""Code of a ratio: the parameter of the later occasion, and that of the first one it is divided by."""

CODES = frozenset({*RATIOS, "EFFHL"})


def first_occasions(cohort: Cohort) -> IntArray:
    """Return for each profile the number of the first occasion of its subject, analyte and specimen.

    The first is the one that began first (`Cohort.occasion_start`); where the data do not tell it, that of the
    smallest number in names that differ only by their numbers. The order of rows never counts.

    Shape ``(n,)``; the profile itself where there is no other, -1 where nothing tells which is the first.

    Example:
        >>> from dataclasses import replace
        >>> cohort = Cohort.from_arrays([[0.0]] * 5, [[1.0]] * 5, subject=["A", "A", "B", "C", "C"])
        >>> first_occasions(replace(cohort, occasion=("DOSE 14", "DOSE 2", "1", "early", "late"))).tolist()
        [1, 1, 2, -1, -1]
    """
    reference = np.arange(len(cohort))
    if len(set(cohort.occasion)) < 2:
        return reference
    members: dict[tuple[str, str, str], list[int]] = {}
    for i, key in enumerate(zip(cohort.subject, cohort.analyte, cohort.specimen, strict=True)):
        members.setdefault(key, []).append(i)
    for several in members.values():
        if len(several) > 1:
            first = _first(cohort.occasion_start[several].tolist(), [cohort.occasion[i] for i in several])
            reference[several] = -1 if first < 0 else several[first]
    return reference


def _first(starts: Sequence[float], names: Sequence[str]) -> int:
    """Return the place of the first of several occasions, -1 where neither their starts nor their names tell it."""
    orders: list[Sequence[tuple[float, ...]]] = [[(start,) for start in starts], _numbers_in(names)]
    for order in orders:
        known = all(np.isfinite(number) for numbers in order for number in numbers)
        if known and order and list(order).count(min(order)) == 1:
            return order.index(min(order))
    return -1


def _numbers_in(names: Sequence[str]) -> list[tuple[float, ...]]:
    """Return the numbers in names, none if the names differ by anything else (``week 2`` and ``day 28``)."""
    try:
        return [(float(name),) for name in names]
    except ValueError:
        words = {_NUMBER.sub("#", name.strip().upper()) for name in names}
        return [tuple(map(float, _NUMBER.findall(name))) for name in names] if len(words) == 1 else []


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def first_of_several(cohort: Cohort) -> BoolArray:
    """Say which profiles are the first of several occasions, shape ``(n,)``."""
    reference = first_occasions(cohort)
    itself = reference == np.arange(len(cohort))
    return np.asarray(itself & (_members(reference) > 1))


def _members(reference: IntArray) -> IntArray:
    """Count the profiles that are compared with each, itself among them; ``(n,)``."""
    return np.bincount(reference[reference >= 0], minlength=len(reference))


def sources(keys: Sequence[Key]) -> tuple[Key, ...]:
    """Return the parameters that the ratios among ``keys`` are made of, those among ``keys`` left out."""
    codes = [code for key in keys if key.code in CODES for code in RATIOS[_ratio_of(key.code)]]
    return tuple(key for key in map(Key, dict.fromkeys(codes)) if key not in keys)


def _ratio_of(code: str) -> str:
    return "ARAUC" if code == "EFFHL" else code


def compare(code: str, columns: Mapping[Key, Column], reference: IntArray, tau: FloatArray) -> Column:
    """Return the ratio of every later occasion to the first one, or the effective half-life from it.

        ratio R = parameter / parameter of the first occasion
        effective half-life = ln 2 tau / ln(R / (R - 1)),   R = ARAUC

    A mark of either of the two parameters marks the ratio.

    Args:
        code: one of `RATIOS`, or EFFHL.
        columns: what `sources` names.
        reference: from `first_occasions`.
        tau: dosing intervals ``(n,)``.
    """
    of, by = RATIOS[_ratio_of(code)]
    later, first = columns[Key(of)], columns[Key(by)]
    base = np.where(reference >= 0, first.value[reference], np.nan)
    with np.errstate(all="ignore"):
        value = later.value / base
        grows = value > 1
        if code == "EFFHL":
            value = np.log(2.0) * tau / np.log(value / (value - 1.0))
    why = _reasons(later.why, base, reference)
    if code == "EFFHL":
        why = np.where((why == Why.CALCULATED) & ~grows, Why.NO_ACCUMULATION, why).astype(np.int8)
    why = np.where((why == Why.CALCULATED) & ~np.isfinite(value), Why.OVERFLOW, why).astype(np.int8)
    done = why == Why.CALCULATED
    return Column(
        np.where(done, value, np.nan), why, np.where(done, later.flags | first.flags[reference], 0).astype(np.int16)
    )


def _reasons(why: ReasonArray, base: FloatArray, reference: IntArray) -> ReasonArray:
    itself = reference == np.arange(len(reference))
    several = _members(reference)[reference] > 1
    missing = np.where(reference < 0, Why.OCCASIONS_UNORDERED, np.where(~(base > 0), Why.NO_REFERENCE_VALUE, why))
    fixed = np.array(why == Why.NOT_FOR_ROUTE) | (why == Why.UNUSABLE_PROFILE)
    reasons = np.where(itself, np.where(several, Why.FIRST_OCCASION, Why.NO_OTHER_OCCASION), missing)
    return np.where(fixed, why, reasons).astype(np.int8)
