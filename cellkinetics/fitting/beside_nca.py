"""The fitted curve beside the noncompartmental analysis: Cmax, Tmax and areas, with their ratios.

    ratio = fitted / noncompartmental

The two differ for reasons: the highest sample has the assay's error, and need not be at the peak; trapezoids
cut off the rise between samples. A ratio beyond 2 either way is flagged: look at the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.fitting.derived import in_chunks
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import compiled
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.units import unit_label

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.result import IndividualFit, IndividualFits

APART = 2.0
"""Ratio, either way, beyond which a row is flagged."""
WINDOW = (0.0, 28.0)
QUANTITIES = {"CMAX": "value", "TMAX": "time", "AUCLST": "area", "AUCINT_0_28": "area"}
"""Quantity to its kind of unit; codes are those of the noncompartmental analysis."""
_FITTED = {"CMAX": "cmax", "TMAX": "tmax", "AUCINT_0_28": "auc_0_28"}
COLUMNS = (
    *("subject", "analyte", "occasion", "specimen", "model", "quantity", "unit", "nca", "fitted", "ratio"),
    *("status", "reason_code", "reason"),
)


def beside_nca_table(fits: IndividualFits) -> pd.DataFrame:
    """Return one row a profile and quantity: the file ``individual_nca.csv``.

    ``CMAX``, ``TMAX``, ``AUCLST`` (0 to the last quantifiable sample) and ``AUCINT_0_28``. A number that either
    analysis does not have is empty with its reason.
    """
    import pandas as pd

    analysis = noncompartmental(fits.cohort, windows=[WINDOW]).table
    found: dict[tuple[str, ...], tuple[float, str]] = {}
    keys = [analysis[name] for name in ("subject", "analyte", "occasion", "specimen", "parameter")]
    for *place, parameter, value, reason in zip(*keys, analysis["value"], analysis["reason"], strict=True):
        name = "AUCINT_0_28" if parameter == "AUCINT" else str(parameter)
        found[*map(str, place), name] = (float(value), str(reason))
    areas, days = _areas(fits, found), _peak_days(fits)
    records = [
        record for i, fit in enumerate(fits) for record in _records(fits, i, fit, found, areas.get(i), days.get(i))
    ]
    table = pd.DataFrame.from_records(records, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(["nca", "fitted", "ratio"], float))


def _records(
    fits: IndividualFits,
    i: int,
    fit: IndividualFit,
    found: dict[tuple[str, ...], tuple[float, str]],
    area: float | None,
    peak_day: float | None,
) -> Iterator[tuple[object, ...]]:
    place = (fit.subject, fit.analyte, fit.occasion, fit.specimen)
    units = {"time": fits.cohort.time_unit, "value": fits.cohort.value_unit[i]}
    for quantity, kind in QUANTITIES.items():
        nca, why_not = found.get((*place, quantity), (np.nan, "not part of the analysis"))
        fitted, reason = _fitted(fit, quantity, area, peak_day)
        head = (*place, fit.model, quantity, unit_label(kind, **units))
        if np.isnan(nca) or fitted is None or not nca > 0:
            reasons = [f"noncompartmental: {why_not}"] if np.isnan(nca) else []
            reasons += [f"fit: {reason}"] if fitted is None else []
            reasons += ["the noncompartmental value is 0"] if nca == 0 else []
            code = "no_nca_value" if np.isnan(nca) or nca == 0 else "no_fitted_value"
            yield (*head, nca, fitted, None, "not_calculated", code, "; ".join(reasons))
            continue
        ratio = fitted / nca
        if 1.0 / APART <= ratio <= APART:
            yield (*head, nca, fitted, ratio, "ok", "", reason)
        else:
            sentence = f"fitted and noncompartmental value are more than a factor of {APART:g} apart"
            yield (*head, nca, fitted, ratio, "flagged", "far_apart", "; ".join(filter(None, [sentence, reason])))


def _fitted(fit: IndividualFit, quantity: str, area: float | None, peak_day: float | None) -> tuple[float | None, str]:
    """Return what the fit has of a quantity, and why not, or what to know about it.

    With a smooth switch the peak is that of the curve, not the parameters.
    """
    if fit.status == "failed":
        return None, fit.reason
    if quantity == "AUCLST":
        if area is None:
            return None, f"model {fit.model} has no closed form of its area, or there is no last sample"
        unknown = [row.parameter for row in fit.rows if row.status == "not_identifiable"]
        return area, "the curve rests on parameters that are not identifiable" if unknown else ""
    name = _FITTED[quantity]
    if name not in fit.estimates:
        return None, f"model {fit.model} has no {name}"
    if quantity == "CMAX" and "cmax_realised" in fit.estimates:
        name = "cmax_realised"
    row = fit[name]
    if quantity == "TMAX" and peak_day is not None and row.estimate is not None:
        return peak_day, row.reason
    return row.estimate, row.reason


def _areas(fits: IndividualFits, found: dict[tuple[str, ...], tuple[float, str]]) -> dict[int, float]:
    """Return the area under each fitted curve from 0 to the last quantifiable sample, by number of the profile."""
    groups: dict[Model, list[int]] = {}
    ends = {}
    for i, fit in enumerate(fits):
        end = found.get((fit.subject, fit.analyte, fit.occasion, fit.specimen, "TLST"), (np.nan, ""))[0]
        if fit.view is not None and fit.view.model.area is not None and end > 0:
            groups.setdefault(fit.view.model, []).append(i)
            ends[i] = end
    out: dict[int, float] = {}
    with jax.enable_x64(True):
        for model, members in groups.items():
            theta = np.array([fits.fits[i].theta for i in members])
            (area,) = in_chunks(_area(model), theta, np.array([ends[i] for i in members]))
            out |= dict(zip(members, area.tolist(), strict=True))
    return out


def _peak_days(fits: IndividualFits) -> dict[int, float]:
    """Return the day of the realised peak where the switch is smooth, by number of the profile."""
    groups: dict[Model, list[int]] = {}
    for i, fit in enumerate(fits):
        model = None if fit.view is None else fit.view.model
        if model is not None and model.phases is not None and model.phases.smooth is not None:
            groups.setdefault(model, []).append(i)
    out: dict[int, float] = {}
    with jax.enable_x64(True):
        for model, members in groups.items():
            (days,) = in_chunks(_peak_day(model), np.array([fits.fits[i].theta for i in members]))
            out |= dict(zip(members, days.tolist(), strict=True))
    return out


@cache
def _peak_day(model: Model) -> Callable[..., tuple[jax.Array, ...]]:
    assert model.peak is not None
    peak = model.peak
    return compiled(jax.vmap(lambda theta: (peak(theta)[1],)))


@cache
def _area(model: Model) -> Callable[..., tuple[jax.Array, ...]]:
    assert model.area is not None
    area = model.area
    return compiled(jax.vmap(lambda theta, end: (area(theta, jnp.zeros_like(end), end),)))
