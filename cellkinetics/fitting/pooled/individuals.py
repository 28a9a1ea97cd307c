"""Tables of each patient's quantities and curves with intervals, from draws given the patient's samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled.conditional import FEW_EFFECTIVE, Conditional, derived_quantities
from cellkinetics.fitting.pooled.structure import FloatArray
from cellkinetics.units import unit_label

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

LEVELS = (2.5, 97.5)
"""Percentiles that are the ends of an interval."""
AT_ONCE = 256
"""Profiles whose curves of all draws are held at a time."""
QUANTITY_COLUMNS = (
    *("subject", "analyte", "occasion", "specimen", "quantity", "mode", "median", "sd", "ci_low", "ci_high"),
    *("unit", "status", "reason"),
)


class Place(NamedTuple):
    """Where a profile stands: in the cohort, patient of the problem, and occasion of the patient."""

    profile: int
    patient: int
    occasion: int


def quantity_table(fit: PopulationFit, conditional: Conditional) -> pd.DataFrame:
    """Return `quantity_rows` of the patients of a fit."""
    p = len(fit.problem.model.parameters)
    places = [i for i in range(len(fit.cohort)) if fit.effects[i * p].ebe is not None]
    theta = {i: np.array([fit.effects[i * p + j].ebe for j in range(p)], dtype=float) for i in places}
    return quantity_rows(fit.cohort, conditional, theta)


def quantity_rows(cohort: Cohort, conditional: Conditional, theta: Mapping[int, FloatArray]) -> pd.DataFrame:
    """Return one row a profile and quantity: the model's parameters, then what is derived from them.

    ``mode`` is the value at the conditional mode; ``median``, ``sd`` and the 95 % interval are of the draws, all on
    the natural scale. The uncertainty of the population parameters is not in it.

    Args:
        cohort: the profiles.
        conditional: draws of those that take part.
        theta: place of a profile in the cohort to its parameters at the mode, natural scale ``(p,)``.
    """
    import pandas as pd

    problem = conditional.problem
    model = problem.model
    place = {i: (unit, k) for unit, own in enumerate(problem.profiles) for k, i in enumerate(own)}
    names = [parameter.name for parameter in model.parameters] + [one.name for one in model.derived]
    kinds = [parameter.unit for parameter in model.parameters] + [one.unit for one in model.derived]
    draws = np.concatenate([conditional.theta, conditional.quantities()], axis=-1)
    low, median, high = np.percentile(draws, [LEVELS[0], 50.0, LEVELS[1]], axis=1)
    with np.errstate(invalid="ignore"):
        sd = draws.std(axis=1, ddof=1 if conditional.n_draws > 1 else 0)
    stacked = np.stack(list(theta.values()))
    every = np.concatenate([stacked, derived_quantities(model, stacked)], axis=1)
    modes = dict(zip(theta, every, strict=True))
    rows = []
    for i in range(len(cohort)):
        who = (cohort.subject[i], cohort.analyte[i], cohort.occasion[i], cohort.specimen[i])
        for j, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            unit = unit_label(kind, time=cohort.time_unit, value=cohort.value_unit[i])
            if i not in place:
                rows.append((*who, name, *[np.nan] * 5, unit, "not_calculated", problem.left_out[i]))
                continue
            u, k = place[i]
            numbers = np.array([modes[i][j], median[u, k, j], sd[u, k, j], low[u, k, j], high[u, k, j]])
            finite, few = np.isfinite(numbers), conditional.effective[u] < FEW_EFFECTIVE
            reason = "" if finite.all() else "not finite for some of the draws"
            if finite.all() and few:
                reason = f"the interval is rough: {conditional.effective[u]:.0f} effective draws"
            status = "ok" if not reason else "flagged" if finite[0] else "not_calculated"
            rows.append((*who, name, *np.where(finite, numbers, np.nan).tolist(), unit, status, reason))
    return pd.DataFrame(rows, columns=list(QUANTITY_COLUMNS))


def curve_bands(fit: PopulationFit, conditional: Conditional) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the 95 % interval of each curve of `PopulationFit.curves`, ``(r, m)`` each."""
    rows = np.array([(unit, k) for unit, own in enumerate(fit.problem.profiles) for k in range(len(own))])
    time = np.stack([part[4] for part in fit.curve_parts])
    # Some profiles at a time: the curves of all draws of thousands of patients would take gigabytes.
    pieces = [slice(first, first + AT_ONCE) for first in range(0, len(rows), AT_ONCE)]
    parts = [np.percentile(conditional.log_curves(rows[piece], time[piece]), LEVELS, axis=1) for piece in pieces]
    low, high = np.exp(np.concatenate(parts, axis=1))
    return low, high
