"""What patients can be grouped by."""

from __future__ import annotations

from typing import Any

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError


def labels_of(cohort: Cohort, name: str) -> Any:
    """Return what a column to group by says of each profile: ``group``, ``occasion`` or a covariate.

    Raises:
        SettingsError: for a column that the cohort does not have.

    Example:
        >>> labels_of(Cohort.from_arrays([[0]], [[1]], group=["low"]), "group")
        ('low',)
    """
    if name == "group":
        return cohort.group
    if name == "occasion":
        return cohort.occasion
    if name in cohort.covariates:
        return cohort.covariates[name]
    known = ["group", "occasion", *cohort.covariates]
    raise SettingsError(f"no column {name!r} to group by; there are {', '.join(known)}")
