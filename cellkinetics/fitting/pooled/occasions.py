"""What a patient must have in common on all occasions: one row of covariates and one set of windows enters a fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellkinetics.data.cohort import Cohort, FloatArray
from cellkinetics.errors import FitError
from cellkinetics.fitting.terms import Term, level_labels


def require_same_covariates(cohort: Cohort, members: Sequence[Sequence[int]], terms: Sequence[Term]) -> None:
    """Check that the covariates of the terms are the same on all occasions of each patient.

    Args:
        cohort: where the values are.
        members: places of each patient's profiles in the cohort.
        terms: of the fit; other covariates may differ.

    Raises:
        FitError: naming the first patient and covariate that differ.

    Example:
        >>> cohort = Cohort.from_arrays([[7.0]] * 2, [[900.0]] * 2, subject=["A", "A"], dose=[50.0, 80.0])
        >>> require_same_covariates(cohort, [[0, 1]], [Term("cmax", "dose", "power", 50.0)])
        Traceback (most recent call last):
            ...
        cellkinetics.errors.FitError: dose of subject A differs between occasions (50, 80), and ...
    """
    several = [own for own in members if len(own) > 1]
    if not several or not terms:
        return
    from cellkinetics.fitting.covariates import covariate_values

    for name, values in covariate_values(cohort, terms, np.arange(len(cohort))).items():
        labels, lacking = level_labels(values)
        for own in several:
            shown = list(dict.fromkeys("missing" if lacking[i] else labels[i] for i in own))
            if len(shown) > 1:
                raise FitError(
                    f"{name} of subject {cohort.subject[own[0]]} differs between occasions ({', '.join(shown)}), and a "
                    "covariate has one value a patient: give the value of the first occasion in all rows, "
                    "keep one occasion, or leave the covariate out"
                )


def require_same_windows(
    cohort: Cohort, members: Sequence[Sequence[int]], given: FloatArray, inputs: Sequence[str]
) -> None:
    """Check that each patient was given the inputs of the model on the same days of all occasions.

    Args:
        cohort: whose profiles they are.
        members: places of each patient's profiles in the cohort.
        given: first and last day of each interval, one entry a profile ``(n, k, w, 2)``.
        inputs: names of the k inputs.

    Raises:
        FitError: naming the first patient and drug that differ.

    Example:
        >>> cohort = Cohort.from_arrays([[7.0]] * 2, [[900.0]] * 2, subject=["A", "A"])
        >>> require_same_windows(cohort, [[0, 1]], np.array([[[[4.0, 9.0]]], [[[0.0, 0.0]]]]), ["toci"])
        Traceback (most recent call last):
            ...
        cellkinetics.errors.FitError: subject A was given toci on other days of one occasion than of another, and ...
    """
    for own in members:
        for i in own[1:]:
            differs = (given[i] != given[own[0]]).any(axis=(1, 2))
            if differs.any():
                raise FitError(
                    f"subject {cohort.subject[i]} was given {inputs[int(np.argmax(differs))]} on other days of one "
                    "occasion than of another, and a fit takes the same windows of comedication on all occasions of a "
                    "patient: keep one occasion of such patients, or take a model without comedication"
                )
