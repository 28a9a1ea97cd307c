"""One covariate on one parameter: its form, its reference, and the columns that it gives the design."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import FloatArray
from cellkinetics.errors import DataError, SettingsError

Form = Literal["power", "exponential", "categorical"]
_NAMED = 8  # subjects that a message lists


@dataclass(frozen=True)
class Term:
    """One covariate on one parameter.

    Attributes:
        parameter, covariate: their names.
        form: ``power``, ``exponential`` or ``categorical``.
        reference: the value, or the label of the level, at which the term is zero.
        levels: the other levels of a categorical covariate, each with a coefficient.

    Raises:
        SettingsError: for a reference or levels that do not belong to the form.

    Example:
        >>> term = Term("cmax", "weight", "power", 70.0)
        >>> print(term, *term.names)
        cmax ~ power(weight, 70) beta_cmax_weight
    """

    parameter: str
    covariate: str
    form: Form
    reference: float | str
    levels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise SettingsError(f"a covariate acts as {', '.join(get_args(Form))}, not {self.form!r}")
        if self.form == "categorical":
            if not self.levels or str(self.reference) in self.levels:
                raise SettingsError(f"{self.covariate}: a categorical term needs levels beside its reference")
            object.__setattr__(self, "reference", str(self.reference))
            return
        number = as_number(self.reference)
        if not np.isfinite(number) or (self.form == "power" and number <= 0):
            what = "a positive number" if self.form == "power" else "a number"
            raise SettingsError(f"{self.covariate}: the reference of {self.form} is {what}, not {self.reference!r}")
        object.__setattr__(self, "reference", number)

    def __str__(self) -> str:
        reference = self.reference if isinstance(self.reference, str) else f"{self.reference:.10g}"
        return f"{self.parameter} ~ {self.form}({self.covariate}, {reference})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients, ``beta_<parameter>_<covariate>`` and the level, as words."""
        stem = f"beta_{self.parameter}_{_word(self.covariate)}"
        if self.form != "categorical":
            return (stem,)
        names: list[str] = []
        for level in self.levels:
            name = f"{stem}_{_word(level)}"
            while name in names:
                name += "_"
            names.append(name)
        return tuple(names)

    @property
    def meanings(self) -> tuple[str, ...]:
        """What each coefficient is, in words.

        Example:
            >>> Term("cmax", "weight", "power", 70.0).meanings
            ('power of weight, 1 at 70',)
        """
        if self.form == "categorical":
            return tuple(f"{self.covariate} {level} against {self.reference}" for level in self.levels)
        if self.form == "power":
            return (f"power of {self.covariate}, 1 at {self.reference:.10g}",)
        return (f"exponential in {self.covariate}, 1 at {self.reference:.10g}",)

    def columns(self, values: Any) -> FloatArray:
        """Return z of patients with these values of the covariate, ``(n, k)``; NaN where the value is missing.

        Raises:
            DataError: for a level that the term does not know, or a value that a power cannot take.

        Example:
            >>> Term("cmax", "group", "categorical", "R", ("NR",)).columns(["R", "NR", ""]).tolist()
            [[0.0], [1.0], [nan]]
        """
        array = np.atleast_1d(np.asarray(values))
        if self.form == "categorical":
            labels, missing = level_labels(array)
            strange = sorted(set(labels[~missing]) - {str(self.reference), *self.levels})
            if strange:
                known = ", ".join([str(self.reference), *self.levels])
                raise DataError(f"{self.covariate} is {strange[0]!r}, and the model knows {known}")
            found = (labels[:, None] == np.array(self.levels, dtype=object)).astype(float)
            found[missing] = np.nan
            return found
        x, reference = numbers_of(self.covariate, array), float(self.reference)
        if self.form == "exponential":
            return (x - reference)[:, None]
        if (x <= 0).any():
            low = float(x[x <= 0][0])
            raise DataError(
                f"{self.covariate} is {low:g} for a patient, and a power takes positive values; "
                f"use exponential({self.covariate})"
            )
        return np.log(x / reference)[:, None]

    def to_dict(self) -> dict[str, Any]:
        """Return the term as ``population.json`` holds it."""
        return {
            "parameter": self.parameter,
            "covariate": self.covariate,
            "form": self.form,
            "reference": self.reference,
            "levels": list(self.levels),
            "coefficients": list(self.names),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Term:
        """Return the term that `to_dict` wrote."""
        keys = ("parameter", "covariate", "form", "reference")
        parameter, covariate, form, reference = (content[key] for key in keys)
        return cls(parameter, covariate, form, reference, tuple(content["levels"]))


def missing_mask(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a covariate has no value: NaN, None or empty text."""
    if values.dtype.kind in "fiub":
        return np.isnan(values.astype(float))
    return np.array([value is None or value != value or str(value).strip() == "" for value in values.tolist()], bool)


def level_labels(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return each patient's level as text (numbers without needless digits), and where it is missing."""
    missing = missing_mask(values)
    if values.dtype.kind in "fiub":
        labels = [f"{value:.10g}" for value in values.astype(float).tolist()]
    else:
        labels = [f"{value:.10g}" if isinstance(value, float) else str(value).strip() for value in values.tolist()]
    return np.array(labels, dtype=object), missing


def numbers_of(covariate: str, values: NDArray[Any], subjects: Sequence[str] = ()) -> FloatArray:
    """Return a covariate as numbers, NaN where it is missing; ``subjects`` are whose values these are.

    Raises:
        DataError: for a text that is no number.
    """
    if values.dtype.kind in "fiub":
        return values.astype(float)
    missing = missing_mask(values)
    numbers = np.array([np.nan if gone else as_number(value) for value, gone in zip(values, missing, strict=True)])
    strange = np.isnan(numbers) & ~missing
    if strange.any():
        who = listed_subjects([subjects[k] for k in np.flatnonzero(strange).tolist()]) if subjects else "a patient"
        raise DataError(
            f"{covariate} is no number for {who}: {str(values[strange][0])!r}; correct the value, or write "
            f"categorical({covariate}) if it is a label"
        )
    return numbers


def listed_subjects(subjects: Sequence[str]) -> str:
    """Return subjects for a sentence, the first eight by name.

    Example:
        >>> listed_subjects(["P1", "P2"])
        'P1, P2'
    """
    more = len(subjects) - _NAMED
    return ", ".join(subjects[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def as_number(value: object) -> float:
    """Return a value as a number; NaN for one that is none."""
    try:
        return float(str(value))
    except ValueError:
        return float("nan")


def _word(text: str) -> str:
    """Return a text as a word of letters, digits and underscores."""
    return re.sub(r"\W+", "_", text.strip()).strip("_") or "level"
