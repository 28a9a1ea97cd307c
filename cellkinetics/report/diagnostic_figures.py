"""Figures of what the diagnostics of a population fit return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from cellkinetics.diagnostics.contributions import Contributions, population_contributions
from cellkinetics.diagnostics.effects import RandomEffects, random_effects
from cellkinetics.diagnostics.npde import PredictionErrors, npde
from cellkinetics.diagnostics.profile import PopulationProfile
from cellkinetics.diagnostics.residuals import PopulationResiduals, population_residuals
from cellkinetics.diagnostics.trace import SearchTrace, search_trace
from cellkinetics.diagnostics.vpc import VisualPredictiveCheck, vpc
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.report.figures.contributions import contribution_figure
from cellkinetics.report.figures.effects import effect_covariate_figure, effect_figure, effect_pairs_figure
from cellkinetics.report.figures.population_profiles import population_profile_figure
from cellkinetics.report.figures.population_residuals import population_residual_figure
from cellkinetics.report.figures.prediction_errors import prediction_error_figure
from cellkinetics.report.figures.trace import trace_figure
from cellkinetics.report.figures.vpc import vpc_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Diagnostic = (
    VisualPredictiveCheck
    | PredictionErrors
    | PopulationResiduals
    | RandomEffects
    | Contributions
    | SearchTrace
    | PopulationProfile
)
"""What a diagnostic of a population fit returns."""


def diagnostic_figure(result: Diagnostic, kind: str | None = None) -> Figure:
    """Return the figure of a diagnostic; by default its first kind.

    Raises:
        SettingsError: for a kind that it does not have.
    """
    kinds = _KINDS[type(result)]
    if kind is None:
        kind = kinds[0]
    if kind not in kinds:
        raise SettingsError(f"there is no figure {kind!r} of a {type(result).__name__}; there are {', '.join(kinds)}")
    if isinstance(result, VisualPredictiveCheck):
        return vpc_figure(
            result.table,
            result.points,
            check=kind,
            by=result.by,
            time_unit=result.time_unit,
            value_unit=result.value_unit,
        )
    if isinstance(result, PredictionErrors):
        return prediction_error_figure(result.table, time_unit=result.time_unit, value_unit=result.value_unit)
    if isinstance(result, PopulationResiduals):
        return population_residual_figure(result.table, time_unit=result.time_unit, value_unit=result.value_unit)
    if isinstance(result, RandomEffects):
        return _of_effects(result, kind)
    if isinstance(result, Contributions):
        return contribution_figure(result.table)
    if isinstance(result, PopulationProfile):
        return population_profile_figure(result.table)
    return trace_figure(result.table, result.estimates)


def _of_effects(result: RandomEffects, kind: str) -> Figure:
    names, table = list(result.omega), result.table
    if kind == "effect_pairs":
        return effect_pairs_figure(result.effects, names, table)
    if kind == "covariates":
        subjects = list(dict.fromkeys(result.effects["subject"]))
        return effect_covariate_figure(result.effects, names, result.covariates, subjects)
    rows = table[(table["kind"] == "shrinkage") & (table["statistic"] == "modes")]
    shrinkage = dict(zip(rows["parameter"], rows["value"].astype(float), strict=True))
    return effect_figure(result.effects, result.omega, {k: v for k, v in shrinkage.items() if np.isfinite(v)})


_KINDS: Mapping[type, tuple[str, ...]] = {
    VisualPredictiveCheck: ("vpc", "pcvpc"),
    PredictionErrors: ("npde",),
    PopulationResiduals: ("residuals",),
    RandomEffects: ("effects", "effect_pairs", "covariates"),
    Contributions: ("contributions",),
    SearchTrace: ("trace",),
    PopulationProfile: ("profiles",),
}
_MADE_BY: Mapping[type, Callable[[PopulationFit], Diagnostic]] = {
    VisualPredictiveCheck: vpc,
    PredictionErrors: npde,
    PopulationResiduals: population_residuals,
    RandomEffects: random_effects,
    Contributions: population_contributions,
    SearchTrace: search_trace,
}


def _of_fit(made: type, kind: str) -> Callable[[PopulationFit], Figure]:
    return lambda fit: diagnostic_figure(_MADE_BY[made](fit), kind)


FIT_KINDS: Mapping[str, Callable[[PopulationFit], Figure]] = {
    kind: _of_fit(made, kind) for made in _MADE_BY for kind in _KINDS[made]
}
"""Kinds of figures that a population fit has by its diagnostics, with default options."""
