"""Tables of each patient's quantities and curves with intervals, from draws given the patient's samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellkinetics.fitting.pooled.conditional import FEW_EFFECTIVE, Conditional, derived_quantities
from cellkinetics.fitting.pooled.structure import FloatArray
from cellkinetics.units import unit_label

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

LEVELS = (2.5, 97.5)
"""Percentiles that are the ends of an interval."""
QUANTITY_COLUMNS = (
    *("subject", "analyte", "occasion", "specimen", "quantity", "mode", "median", "sd", "ci_low", "ci_high"),
    *("unit", "status", "reason"),
)


def quantity_table(fit: PopulationFit, conditional: Conditional) -> pd.DataFrame:
    """Return one row a profile and quantity: the model's parameters, then what is derived from them.

    ``mode`` is the value at the conditional mode; ``median``, ``sd`` and the 95 % interval are of the draws, all on
    the natural scale. The uncertainty of the population parameters is not in it.
    """
    import pandas as pd

    model, cohort, problem = fit.problem.model, fit.cohort, fit.problem
    place = {i: (unit, k) for unit, own in enumerate(problem.profiles) for k, i in enumerate(own)}
    names = [parameter.name for parameter in model.parameters] + [one.name for one in model.derived]
    kinds = [parameter.unit for parameter in model.parameters] + [one.unit for one in model.derived]
    draws = np.concatenate([conditional.theta, conditional.quantities()], axis=-1)
    low, median, high = np.percentile(draws, [LEVELS[0], 50.0, LEVELS[1]], axis=1)
    with np.errstate(invalid="ignore"):
        sd = draws.std(axis=1, ddof=1 if conditional.n_draws > 1 else 0)
    modes = _modes(fit)
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
    low, high = np.exp(np.percentile(conditional.log_curves(rows, time), LEVELS, axis=1))
    return low, high


def _modes(fit: PopulationFit) -> dict[int, FloatArray]:
    """Return parameters and derived quantities at the conditional mode by place of the profile in the cohort."""
    model = fit.problem.model
    p = len(model.parameters)
    places = [i for i in range(len(fit.cohort)) if fit.effects[i * p].ebe is not None]
    theta = np.array([[fit.effects[i * p + j].ebe for j in range(p)] for i in places], dtype=float)
    every = np.concatenate([theta, derived_quantities(model, theta)], axis=1)
    return dict(zip(places, every, strict=True))
