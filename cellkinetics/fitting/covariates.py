"""Covariates of a population: which parameter depends on what, and how, as terms that make a design.

    h(theta_i) = mu + sum over terms of beta * z(x_i) + eta_i

with h the parameter's transform and z zero at the reference, so that mu belongs to a patient at the reference:

    power         z = ln(x / reference)              theta = theta_ref * (x / reference)^beta   (h = ln)
    exponential   z = x - reference                  theta = theta_ref * exp(beta (x - reference))
    categorical   z = 1 for the level, else 0        one beta for each level beside the reference
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort, FloatArray
from cellkinetics.errors import DataError, SettingsError
from cellkinetics.fitting.terms import (
    Form,
    Term,
    as_number,
    level_labels,
    listed_subjects,
    missing_mask,
    numbers_of,
)
from cellkinetics.models.base import Model
from cellkinetics.models.registry import unknown

Missing = Literal["error", "reference", "drop"]
Covariates = Mapping[str, Any]
"""Name of a covariate to its values, one a patient; a pandas table is one too."""

FEW_PATIENTS = 2
"""A level with fewer patients than this is worth a warning."""
_INDEPENDENT = 1e-8  # of a standardised column: what others leave of it


def parse_terms(formulas: Sequence[str], model: Model, cohort: Cohort) -> tuple[Term, ...]:
    """Read formulas such as ``cmax ~ group`` and settle forms, references and levels by the cohort.

    | written | meaning |
    |---|---|
    | ``tmax ~ weight + sex`` | two covariates |
    | ``cmax ~ power(weight)``, ``cmax ~ power(weight, 70)`` | with the reference of the cohort, or this one |
    | ``alpha ~ exponential(age)`` | likewise |
    | ``beta ~ categorical(dose)``, ``cmax ~ categorical(group, R)`` | a coefficient for each other level |

    Without a form, text and numbers of two different values are categorical, other numbers a power if all are
    positive, else exponential. The reference is the most frequent level (of equal ones the first in order), or the
    median rounded to two digits (to more where that leaves the middle half of the values). ``group`` and ``dose``
    are those of the cohort, others its covariates.

    Args:
        formulas: any number, each for one parameter.
        model: whose parameters they name.
        cohort: its patients that can be used.

    Raises:
        SettingsError: for a text that is no formula, a covariate that the data do not have or that is the same for
            all patients, a pair given twice, a reference that no patient has (categorical).
        ModelError: for a parameter that the model does not have.
        DataError: for values that the form cannot take.

    Example:
        >>> from cellkinetics.models.registry import get_model
        >>> cohort = Cohort.from_arrays([[1.0]] * 3, [[5.0]] * 3, group=["R", "NR", "R"], dose=[50, 100, 150])
        >>> for term in parse_terms(["cmax ~ group + dose"], get_model("ecp"), cohort):
        ...     print(term, *term.names)
        cmax ~ categorical(group, R) beta_cmax_group_NR
        cmax ~ power(dose, 100) beta_cmax_dose
    """
    terms: list[Term] = []
    for formula in formulas:
        for parameter, form, name, reference in _parts(formula):
            model[parameter]
            covariate, values = _find(cohort, name)
            term = _term(parameter, covariate, form, reference, values, cohort.subject)
            if any((one.parameter, one.covariate) == (parameter, covariate) for one in terms):
                raise SettingsError(f"covariates: {covariate} is given twice for {parameter}")
            terms.append(term)
    return tuple(terms)


def coefficient_names(terms: Sequence[Term]) -> tuple[str, ...]:
    """Return the names of all coefficients in the order of the design."""
    return tuple(name for term in terms for name in term.names)


def design(
    terms: Sequence[Term], model: Model, cohort: Cohort, index: Sequence[int], *, missing: Missing = "error"
) -> FloatArray:
    """Return the design of some profiles of a cohort ``(n, p, c)``: h(theta_i) = mu + design[i] @ beta + eta_i.

    Args:
        terms: of `parse_terms`.
        model: with p parameters.
        cohort: where the values are.
        index: places of n profiles in the cohort, one a patient.
        missing: what a missing value means: ``error``, or ``reference`` (the patient is taken to be at the
            reference of the terms that it concerns). With ``drop`` the caller leaves out who is named by
            `without_values`, and no one may be left without a value here.

    Raises:
        DataError: for missing values, naming the patients.
        SettingsError: for a covariate that is the same for all these patients, or that others determine.
    """
    if missing != "reference":
        require_values(terms, cohort, index)
    values = covariate_values(cohort, terms, np.asarray(index, dtype=np.int64))
    array = design_of(terms, model, values, missing="reference")
    check_design(terms, model, array)
    return array


def design_of(terms: Sequence[Term], model: Model, values: Covariates, *, missing: Missing = "error") -> FloatArray:
    """Return the design ``(n, p, c)`` of any patients, such as simulated ones.

    Args:
        terms: of a fit.
        model: with p parameters.
        values: each covariate's values, n of them, or one for all; a table with a row a patient will do.
        missing: ``error``, or ``reference`` for zero where a value is missing.

    Raises:
        SettingsError: for a covariate that ``values`` does not have, or different numbers of patients.
        DataError: for missing values, or a level that the terms do not know.

    Example:
        >>> from cellkinetics.models.registry import get_model
        >>> term = Term("tmax", "weight", "power", 70.0)
        >>> design_of([term], get_model("ecp"), {"weight": [70.0, 140.0]}).round(3)[:, :2, 0].tolist()
        [[0.0, 0.0], [0.0, 0.693]]
    """
    blocks = []
    for term in terms:
        if term.covariate not in values:
            raise SettingsError(f"the covariate {term.covariate} is needed, for {term}; give its values")
        blocks.append(term.columns(values[term.covariate]))
    n = max((len(block) for block in blocks), default=1)
    array = np.zeros((n, len(model.names), sum(block.shape[1] for block in blocks)))
    at = 0
    for term, block in zip(terms, blocks, strict=True):
        if len(block) not in (1, n):
            raise SettingsError(f"the covariate {term.covariate} has {len(block)} values, and another has {n}")
        if np.isnan(block).any() and missing != "reference":
            count = int(np.isnan(block).any(axis=1).sum())
            raise DataError(f"the covariate {term.covariate} is missing for {count} of {n} patients")
        array[:, model.names.index(term.parameter), at : at + block.shape[1]] = np.nan_to_num(block, nan=0.0)
        at += block.shape[1]
    return array


def without_values(terms: Sequence[Term], cohort: Cohort, index: Sequence[int]) -> dict[int, str]:
    """Return the profiles that lack a covariate, place in the cohort to the reason in words."""
    places = np.asarray(index, dtype=np.int64)
    values = covariate_values(cohort, terms, places)
    reasons: dict[int, str] = {}
    lacking = {name: missing_mask(array) for name, array in values.items()}
    for k, place in enumerate(places.tolist()):
        names = [name for name in values if lacking[name][k]]
        if names:
            reasons[place] = f"the covariate {' and '.join(names)} is missing"
    return reasons


def require_values(
    terms: Sequence[Term],
    cohort: Cohort,
    index: Sequence[int],
    advice: str = "complete the data, or say what a missing value means (missing covariates: reference or drop)",
) -> None:
    """Check that no covariate is missing; ``advice`` is what to do where one is.

    Raises:
        DataError: naming the covariates and the patients that lack one.
    """
    gone = without_values(terms, cohort, index)
    if not gone:
        return
    values = covariate_values(cohort, terms, np.asarray(index, dtype=np.int64))
    names = [name for name, array in values.items() if missing_mask(array).any()]
    who = listed_subjects([cohort.subject[i] for i in gone])
    raise DataError(f"covariate {' and '.join(names)} is missing for {who}; {advice}")


def check_missing(missing: str) -> None:
    """Refuse a rule for missing covariates that does not exist, with a SettingsError."""
    if missing not in get_args(Missing):
        raise SettingsError(f"missing covariates: {missing!r} is no rule; take {', '.join(get_args(Missing))}")


def complete(cohort: Cohort, terms: Sequence[Term], missing: str) -> tuple[Cohort, tuple[str, ...]]:
    """Return the cohort that a rule for missing covariates makes of one, and what was done, in words.

    Args:
        cohort: whose patients that cannot be used anyway stay as they are.
        terms: covariates that are needed. Their references are settled: hand on their formulas, ``str(term)``.
        missing: ``error``; ``reference``, where a patient without a value is taken to be at the reference of the
            covariate (of its first term); ``drop``, where such patients are left out.

    Raises:
        DataError: for missing values, with ``error``.
        SettingsError: for another rule.
    """
    check_missing(missing)
    usable = [i for i in range(len(cohort)) if cohort.unusable[i] is None]
    if missing == "error":
        require_values(terms, cohort, usable)
        return cohort, ()
    gone = without_values(terms, cohort, usable)
    if not gone:
        return cohort, ()
    if missing == "drop":
        notes = tuple(f"{cohort.subject[i]} is left out: {reason}" for i, reason in gone.items())
        return cohort.take([i for i in range(len(cohort)) if i not in gone]), notes
    group, dose, others = np.array(cohort.group, dtype=object), cohort.dose.copy(), dict(cohort.covariates)
    notes = ()
    for term in {term.covariate: term for term in reversed(terms)}.values():
        name, values = _find(cohort, term.covariate)
        lacking = missing_mask(values)
        if not lacking[usable].any():
            continue
        filled = np.where(lacking, np.asarray(term.reference, dtype=values.dtype), values)
        who = listed_subjects([cohort.subject[i] for i in usable if lacking[i]])
        notes += (f"{name} is missing for {who}, taken to be {term.reference}",)
        if name in others:
            others[name] = filled
        elif name == "group":
            group = filled
        else:
            dose = filled
    return replace(cohort, group=tuple(group.tolist()), dose=dose, covariates=others), notes


def remarks(terms: Sequence[Term], cohort: Cohort, index: Sequence[int]) -> tuple[str, ...]:
    """Return what a reader should know of the covariates: levels with hardly any patient."""
    found = []
    values = covariate_values(cohort, terms, np.asarray(index, dtype=np.int64))
    for term in terms:
        if term.form != "categorical":
            continue
        labels, missing = level_labels(values[term.covariate])
        for level in (str(term.reference), *term.levels):
            count = int((labels[~missing] == level).sum())
            if count < FEW_PATIENTS:
                who = "1 patient" if count == 1 else f"{count} patients"
                found.append(f"{term.covariate} is {level} for {who} only, in {term}")
    return tuple(dict.fromkeys(found))


def check_design(terms: Sequence[Term], model: Model, array: FloatArray) -> None:
    """Check that the patients can tell all coefficients apart, typical values among them.

    Raises:
        SettingsError: for a column that is constant, or that columns before it (and the typical value) determine.
    """
    names = coefficient_names(terms)
    for k, parameter in enumerate(model.names):
        basis = np.ones((len(array), 1))
        taken: list[str] = []
        for c, name in enumerate(names):
            column = array[:, k, c]
            if not any(parameter == term.parameter and name in term.names for term in terms):
                continue
            spread = column - column.mean()
            size = float(np.abs(spread).max(initial=0.0))
            if size <= _INDEPENDENT * max(1.0, float(np.abs(column).max(initial=0.0))):
                raise SettingsError(f"covariates: {name} cannot be estimated, because it is the same for all patients")
            scaled = (spread / size)[:, None]
            weight, *_ = np.linalg.lstsq(basis, scaled, rcond=None)
            if np.abs(scaled - basis @ weight).max() < _INDEPENDENT:
                others = [one for one, w in zip(taken, weight[1:, 0], strict=True) if abs(w) > _INDEPENDENT]
                raise SettingsError(
                    f"covariates: {name} cannot be told apart from {' and '.join(others)}, which determine it in "
                    "these patients; leave one out"
                )
            basis = np.hstack([basis, scaled])
            taken.append(name)


def covariate_values(cohort: Cohort, terms: Sequence[Term], index: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return the values of the terms' covariates of some profiles, by name."""
    return {term.covariate: _find(cohort, term.covariate)[1][index] for term in terms}


def covariate_names(cohort: Cohort) -> tuple[str, ...]:
    """Return what a formula may name: ``group`` and ``dose`` where the data have them, and all covariates."""
    there = ["group"] if any(cohort.group) else []
    there += ["dose"] if not np.isnan(cohort.dose).all() else []
    return tuple(dict.fromkeys([*there, *cohort.covariates]))


def _parts(formula: str) -> list[tuple[str, str | None, str, str | None]]:
    """Split a formula into (parameter, form, covariate, reference)."""
    left, sign, right = str(formula).partition("~")
    example = "write it as 'cmax ~ group' or 'tmax ~ power(weight, 70) + sex'"
    if not sign or "~" in right or not left.strip() or not right.strip():
        raise SettingsError(f"covariates: {formula!r} is no formula; {example}")
    found: list[tuple[str, str | None, str, str | None]] = []
    for part in re.findall(r"(?:[^+(]|\([^)]*\)?)+|(?<=\+)(?=\+|$)|^(?=\+)", right.strip()):
        text = part.strip()
        call = re.fullmatch(r"([A-Za-z]\w*)\s*\(\s*([^,()]+?)\s*(?:,\s*([^()]+?)\s*)?\)", text)
        if not text or (call is None and re.search(r"[(),]", text)):
            raise SettingsError(f"covariates: {formula!r} cannot be read at {text!r}; {example}")
        if call is None:
            found.append((left.strip(), None, _bare(text), None))
            continue
        form, name, reference = call.groups()
        if form not in get_args(Form):
            raise SettingsError(f"covariates: {formula!r}: {unknown('form', form, get_args(Form))}")
        found.append((left.strip(), form, _bare(name), None if reference is None else _bare(reference)))
    return found


def _bare(text: str) -> str:
    quoted = re.fullmatch(r"'(.*)'|\"(.*)\"", text)
    return next(part for part in quoted.groups() if part is not None) if quoted else text


def _find(cohort: Cohort, name: str) -> tuple[str, NDArray[Any]]:
    """Return a covariate's name as the data have it and its values, one a profile."""
    known = covariate_names(cohort)
    for match in (name, *(one for one in known if one.lower() == name.lower())):
        if match not in known:
            continue
        if match in cohort.covariates:
            return match, cast("NDArray[Any]", cohort.covariates[match])
        return match, np.array(cohort.group, dtype=object) if match == "group" else cohort.dose
    for fault in cohort.faults:
        if fault.code == "varying_column" and (fault.column or "").lower() == name.lower():
            raise SettingsError(
                f"covariates: {fault.column} varies within patient {fault.subject}, so it is no covariate; give each "
                "patient one value of it, such as that at infusion"
            )
    if not known:
        raise SettingsError(f"covariates: the data have no column {name!r} with one value a patient, nor any other")
    raise SettingsError(f"covariates: {unknown('covariate', name, known)}; a covariate has one value a patient")


def _term(
    parameter: str,
    covariate: str,
    form: str | None,
    reference: str | None,
    values: NDArray[Any],
    subjects: Sequence[str],
) -> Term:
    given = ~missing_mask(values)
    there, whose = values[given], [subject for subject, has in zip(subjects, given, strict=True) if has]
    labels, _ = level_labels(there)
    levels, counts = np.unique(labels.astype(str), return_counts=True)
    if len(levels) < 2:
        what = f"{levels[0]} for every patient" if len(levels) else "missing for every patient"
        raise SettingsError(f"covariates: {covariate} is {what}, so {parameter} cannot depend on it")
    if form is None:
        numeric = values.dtype.kind in "fiub"
        if not numeric or len(levels) == 2:
            form = "categorical"
        else:
            form = "power" if (there.astype(float) > 0).all() else "exponential"
    if form == "categorical":
        order = _in_order(levels.tolist())
        most = max(order, key=lambda level: int(counts[levels == level][0]))
        base = most if reference is None else _level(covariate, reference, order)
        return Term(parameter, covariate, "categorical", base, tuple(level for level in order if level != base))
    numbers = numbers_of(covariate, there, whose)
    if form == "power" and (numbers <= 0).any():
        low = [subject for subject, number in zip(whose, numbers, strict=True) if number <= 0]
        raise DataError(
            f"{covariate} is {numbers[numbers <= 0][0]:g} for {listed_subjects(low)}, and a power takes positive "
            f"values; correct the value, or use exponential({covariate})"
        )
    middle = _middle(numbers) if reference is None else as_number(reference)
    if reference is not None and np.isnan(middle):
        raise SettingsError(f"covariates: the reference {reference!r} of {covariate} is no number")
    return Term(parameter, covariate, cast("Form", form), middle)


def _in_order(levels: list[str]) -> list[str]:
    """Return levels in order, numbers as numbers."""
    numbers = [as_number(level) for level in levels]
    if np.isnan(numbers).any():
        return sorted(levels)
    return [level for _, level in sorted(zip(numbers, levels, strict=True))]


def _level(covariate: str, reference: str, levels: Sequence[str]) -> str:
    number = as_number(reference)
    for level in levels:
        if level == reference or (not np.isnan(number) and as_number(level) == number):
            return level
    known = ", ".join(levels)
    raise SettingsError(f"covariates: no patient has the reference {reference!r} of {covariate}; it is {known}")


def _middle(numbers: FloatArray) -> float:
    """Return the median with as few digits, two at least, as keep it within the quartiles."""
    low, median, high = np.quantile(numbers, [0.25, 0.5, 0.75])
    for digits in range(2, 10):
        rounded = float(f"{median:.{digits}g}")
        if low <= rounded <= high and (rounded > 0) == (median > 0):
            return rounded
    return float(median)
