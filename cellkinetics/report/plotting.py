"""`plot`: the figures that belong to a cohort, an analysis or a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.grouping import labels_of
from cellkinetics.data.samples import sample_table
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.covariate_search import CovariateSearch
from cellkinetics.fitting.design.comparison import ScheduleComparison
from cellkinetics.fitting.design.search import ScheduleSearch
from cellkinetics.fitting.model_comparison import ModelComparison
from cellkinetics.fitting.pooled.forecast import Forecast
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.nca.result import NCAResult
from cellkinetics.printing import unit_text
from cellkinetics.report.diagnostic_figures import FIT_KINDS, Diagnostic, diagnostic_figure
from cellkinetics.report.figures.areas import Areas, area_figure, area_grid
from cellkinetics.report.figures.beside_nca import beside_nca_figure
from cellkinetics.report.figures.fits import estimates_figure
from cellkinetics.report.figures.forecast import Forecasts, forecast_figure, forecast_grid
from cellkinetics.report.figures.likelihood import LikelihoodProfiles, likelihood_figure, likelihood_grid
from cellkinetics.report.figures.model_choice import covariate_search_figure, model_comparison_figure
from cellkinetics.report.figures.overview import overview_figure
from cellkinetics.report.figures.parameters import parameter_figure
from cellkinetics.report.figures.persistence import persistence_figure, swimmer_figure
from cellkinetics.report.figures.profiles import (
    KEY,
    Key,
    Profiles,
    change_points,
    profile_figure,
    profile_grid,
)
from cellkinetics.report.figures.ranking import ranking_figure
from cellkinetics.report.figures.schedule import schedule_figure
from cellkinetics.report.figures.terminal import TerminalLines, terminal_figure, terminal_grid
from cellkinetics.report.figures.times import times_figure
from cellkinetics.report.sections.individual import linear_parameters, model_parameters
from cellkinetics.report.sections.nca import box_parameters, box_titles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Plottable = (
    Cohort
    | NCAResult
    | IndividualFits
    | PopulationFit
    | Forecast
    | ScheduleComparison
    | ScheduleSearch
    | CovariateSearch
    | ModelComparison
    | Diagnostic
)


def plot(
    result: Plottable,
    *,
    kind: str | None = None,
    subject: str | None = None,
    analyte: str | None = None,
    specimen: str | None = None,
    parameters: Sequence[str] | None = None,
    by: str | Sequence[str] | None = "group",
    beside: IndividualFits | None = None,
) -> Figure:
    """Return a figure of a result, as a matplotlib `Figure` without pyplot.

    ======================  ===========================================================================
    kind                    shows
    ======================  ===========================================================================
    ``overview``            all profiles on a logarithmic axis, a panel a group
    ``profiles``            a panel a patient: samples, LLOQ, and of a fit its curve, change points and phases
    ``times``               actual less nominal time of each sample
    ``boxes``               NCA: parameters by group, a point a patient
    ``lambda_z``            NCA: terminal lines with their candidates, a panel a patient
    ``areas``               NCA: windows shaded, what is extrapolated hatched, a panel a patient
    ``persistence_km``      NCA: Kaplan-Meier curves of persistence by group
    ``persistence_swimmer`` NCA: a lane for each patient while quantifiable
    ``estimates``           fits: parameters by group, a point a patient, and for how many they are identified
    ``likelihood``          fits: profiles of -2LL with their intervals, a row a patient
    ``ranking``             fits: weights of several models by AICc, a row a patient
    ``beside_nca``          fits: ratio of fitted to noncompartmental Cmax, Tmax and areas
    ``vpc``, ``pcvpc``      population: visual predictive check, prediction-corrected
    ``npde``                population: prediction distribution errors
    ``residuals``           population: observed over predicted, weighted residuals
    ``effects``             population: random effects beside their distribution, with shrinkage
    ``effect_pairs``        population: random effects in pairs
    ``covariates``          population: random effects beside covariates
    ``contributions``       population: parts of -2LL, and influence of patients
    ``trace``               population: the way of the search
    ``forecast``            forecast: a panel a patient: samples, the curve to come and its bands
    ======================  ===========================================================================

    A cohort has the first three, and ``overview`` by default; fits have them too, and ``profiles`` by
    default; an NCA result has those of the NCA besides, and ``boxes`` by default (``areas`` for one subject);
    fits of single patients those of fits, a population fit those of the population. What `vpc`, `npde`,
    `population_residuals`, `random_effects`, `population_contributions` or `search_trace` returned has the figures of
    its name. A forecast has one kind, and schedules have one figure: what each day tells, the schedules, and
    the precision that they promise.

    Args:
        result: a cohort, or what `noncompartmental`, `fit`, `pool`, `compare_models`, `covariate_search`,
            `compare_schedules`, `search_schedule` or a diagnostic such as `vpc` returned.
        kind: which figure.
        subject: draw this subject's first profile alone; not for figures of all patients together.
        analyte: of several, the one to draw; by default the first.
        specimen: likewise.
        parameters: for ``boxes``: columns of the wide table, or codes; by default the main ones. For
            ``estimates`` rows of the table, such as ``half_life_beta``; by default the model's parameters.
        by: for ``boxes``, persistence, ``estimates`` and ``beside_nca``: what to group by, as in
            `NCAResult.summary`.
        beside: for ``estimates``: fits of the same patients by another way, such as with a prior.

    Raises:
        SettingsError: for a result or kind that has no figure, an unknown subject, parameter or grouping, times
            that the data do not have, or persistence, profiles of the likelihood or models that were not asked for.
        DataError: for an unknown analyte or specimen.

    Example:
        >>> cohort = Cohort.from_arrays([[0, 7, 14]], [[0, 900, 400]], lloq=50, subject=["P01"])
        >>> len(plot(cohort).axes), plot(cohort, subject="P01").axes[0].get_title(loc="left")
        (1, 'P01')
    """
    if not isinstance(result, Plottable):
        raise SettingsError(f"there is no figure of a {type(result).__name__}")
    if isinstance(result, ScheduleSearch):
        result = result.comparison
    if isinstance(result, ScheduleComparison):
        schedules = {name: entry.schedule for name, entry in result.entries.items()}
        return schedule_figure(result.days, result.parameters, schedules)
    if isinstance(result, ModelComparison):
        return model_comparison_figure(result.table, criterion=result.criterion)
    if isinstance(result, CovariateSearch):
        return covariate_search_figure(result.table)
    if isinstance(result, Diagnostic):
        return diagnostic_figure(result, kind)
    if isinstance(result, PopulationFit) and kind is not None and kind in FIT_KINDS:
        return FIT_KINDS[kind](result)
    kinds = _kinds(result)
    subject = None if subject is None else str(subject)  # a cohort's subjects are texts, also 3
    kind = _default(result, subject) if kind is None else kind
    if kind not in kinds:
        known = [*kinds, *(FIT_KINDS if isinstance(result, PopulationFit) else ())]
        raise SettingsError(f"there is no figure {kind!r} of a {type(result).__name__}; there are {', '.join(known)}")
    samples = result if isinstance(result, Cohort) else result.cohort
    if not len(samples):
        raise SettingsError("there is nothing to draw: the cohort has no profile")
    samples = samples.select(analyte=samples.analytes[0] if analyte is None else analyte)
    samples = samples.select(specimen=samples.specimens[0] if specimen is None else specimen)
    drawn = _Drawn(result, samples, _profiles(result, samples), parameters, by, beside)
    if subject is None:
        return kinds[kind](drawn, None)
    if kind not in _SINGLE:
        raise SettingsError(f"the figure {kind!r} shows all patients together; of one there are {', '.join(_SINGLE)}")
    found = [key for key in drawn.profiles.keys if key[0] == subject]
    if not found:
        raise SettingsError(f"there is no subject {subject}; there are {', '.join(k[0] for k in drawn.profiles.keys)}")
    return kinds[kind](drawn, found[0])


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What a figure is made of: a result, its samples of one analyte and specimen, and what was asked for."""

    result: Plottable
    cohort: Cohort
    profiles: Profiles
    parameters: Sequence[str] | None
    by: str | Sequence[str] | None
    beside: IndividualFits | None

    @property
    def fits(self) -> IndividualFits:
        """The result as fits of single patients; only such kinds ask for it."""
        assert isinstance(self.result, IndividualFits)
        return self.result

    @property
    def analysis(self) -> NCAResult:
        """The result as that of a noncompartmental analysis; only such kinds ask for it."""
        assert isinstance(self.result, NCAResult)
        return self.result

    def own(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the analyte and specimen that are drawn."""
        return table[(table["analyte"] == self.cohort.analytes[0]) & (table["specimen"] == self.cohort.specimens[0])]

    @property
    def wide(self) -> pd.DataFrame:
        """The analysis as a wide table, with the labels asked for as its groups."""
        return self.own(self.analysis.wide.assign(group=self.labels(self.analysis.cohort)))

    @property
    def groups(self) -> dict[Key, str]:
        """The labels asked for of each profile that is drawn."""
        return dict(zip(profile_keys(self.cohort), self.labels(self.cohort), strict=True))

    def labels(self, cohort: Cohort) -> list[str]:
        """Return the labels asked for of each profile of a cohort."""
        names = [] if self.by is None else [self.by] if isinstance(self.by, str) else list(self.by)
        columns = [pd.Series(list(labels_of(cohort, name))).astype(str) for name in names]
        if not columns:
            return [""] * len(cohort)
        return [" · ".join(filter(None, parts)) for parts in zip(*columns, strict=True)]


def _kinds(result: Plottable) -> Mapping[str, Callable[[_Drawn, Key | None], Figure]]:
    if isinstance(result, NCAResult):
        return _NCA
    if isinstance(result, Forecast):
        return _FORECAST
    return _FITS if isinstance(result, IndividualFits) else _COHORT


def _default(result: Plottable, subject: str | None) -> str:
    if isinstance(result, Forecast):
        return "forecast"
    if isinstance(result, NCAResult):
        return "boxes" if subject is None else "areas"
    return "overview" if isinstance(result, Cohort) and subject is None else "profiles"


def _overview(drawn: _Drawn, key: Key | None) -> Figure:
    return overview_figure(drawn.profiles)


def _panels(drawn: _Drawn, key: Key | None) -> Figure:
    profiles = drawn.profiles
    if isinstance(drawn.result, IndividualFits):
        residuals = drawn.result.residuals
        profiles = replace(profiles, outliers=residuals[residuals["outlier"].eq(True)])
    return profile_grid(profiles, profiles.keys) if key is None else profile_figure(profiles, key, **_LARGE)


def _times(drawn: _Drawn, key: Key | None) -> Figure:
    samples = drawn.profiles.samples if key is None else drawn.profiles.samples_of(key)
    return times_figure(samples, time_unit=drawn.profiles.time_unit)


def _boxes(drawn: _Drawn, key: Key | None) -> Figure:
    wide, table = drawn.wide, drawn.own(drawn.analysis.table)
    names = box_parameters(wide) if drawn.parameters is None else _columns(wide, drawn.parameters)
    return parameter_figure(wide, names, labels=box_titles(table, drawn.cohort.series[0], names))


def _lambda_z(drawn: _Drawn, key: Key | None) -> Figure:
    options = drawn.analysis.options
    tables = drawn.own(drawn.analysis.points), drawn.own(drawn.analysis.table)
    lines = TerminalLines(drawn.profiles.at(options.time), *tables, tmax_tie=options.tmax_tie)
    return terminal_grid(lines, lines.keys) if key is None else terminal_figure(lines, key, **_LARGE)


def _areas(drawn: _Drawn, key: Key | None) -> Figure:
    areas = Areas(drawn.profiles.at(drawn.analysis.options.time), drawn.own(drawn.analysis.intervals))
    return area_grid(areas, areas.keys) if key is None else area_figure(areas, key, **_LARGE)


def _persistence(drawn: _Drawn, make: Callable[..., Figure]) -> Figure:
    wide = drawn.wide
    if not {"PERSLO", "PERSUP"} <= set(wide.columns):
        raise SettingsError(
            "persistence was not asked for; analyse with parameters='core,cellular', or 'PERSLO,PERSUP' at least"
        )
    return make(wide, time_unit=drawn.profiles.time_unit)


def _estimates(drawn: _Drawn, key: Key | None) -> Figure:
    table = drawn.own(drawn.fits.table)
    known = list(dict.fromkeys(table["parameter"]))
    for name in drawn.parameters or ():
        if name not in known:
            raise SettingsError(f"the fits have no parameter {name!r}; they have {', '.join(known)}")
    tables = {_way(table): table}
    if drawn.beside is not None:
        other = drawn.own(drawn.beside.table)
        tables = {**tables, _way(other): other} if _way(other) not in tables else {"first": table, "beside": other}
    names = drawn.parameters or model_parameters(table, drawn.fits.parameters)
    return estimates_figure(tables, names, drawn.groups, linear=linear_parameters(table))


def _way(table: pd.DataFrame) -> str:
    return "with a prior" if table["sd_ratio"].notna().any() else "maximum likelihood"


def _likelihood(drawn: _Drawn, key: Key | None) -> Figure:
    points = drawn.own(drawn.fits.profiles)
    if points.empty:
        raise SettingsError("the fits have no profiles of the likelihood; fit with intervals='profile'")
    table = drawn.own(drawn.fits.table)
    profiles = LikelihoodProfiles(points, table, linear_parameters(table))
    if key is None:
        return likelihood_grid(profiles, profiles.keys)
    if key not in profiles.keys:
        raise SettingsError(f"{key[0]} has no profile of the likelihood: {drawn.fits[key].reason or 'no fit'}")
    return likelihood_figure(profiles, key)


def _ranking(drawn: _Drawn, key: Key | None) -> Figure:
    ranking = drawn.own(drawn.fits.ranking)
    if ranking.empty:
        raise SettingsError("the fits have no ranking of models; fit several, as model=['ecp', 'ecp-persistence']")
    return ranking_figure(ranking)


def _beside_nca(drawn: _Drawn, key: Key | None) -> Figure:
    return beside_nca_figure(drawn.own(drawn.fits.beside_nca), drawn.groups)


def forecasts_of(found: Forecast) -> Forecasts:
    """Return what the figures of a forecast are drawn from."""
    marks = found.table if found.drawn is not found else None
    return Forecasts(_profiles(found, found.cohort), found.drawn.table, found.until, marks)


def _forecast(drawn: _Drawn, key: Key | None) -> Figure:
    assert isinstance(drawn.result, Forecast)
    forecasts = forecasts_of(drawn.result)
    return forecast_grid(forecasts, forecasts.keys) if key is None else forecast_figure(forecasts, key)


_LARGE = {"width": 6.5, "height": 4.2}
_SINGLE = ("profiles", "times", "lambda_z", "areas", "likelihood", "forecast")
_COHORT: Mapping[str, Callable[[_Drawn, Key | None], Figure]] = {
    "overview": _overview,
    "profiles": _panels,
    "times": _times,
}
_FITS: Mapping[str, Callable[[_Drawn, Key | None], Figure]] = {
    **_COHORT,
    "estimates": _estimates,
    "likelihood": _likelihood,
    "ranking": _ranking,
    "beside_nca": _beside_nca,
}
_FORECAST: Mapping[str, Callable[[_Drawn, Key | None], Figure]] = {"forecast": _forecast}
_NCA: Mapping[str, Callable[[_Drawn, Key | None], Figure]] = {
    **_COHORT,
    "boxes": _boxes,
    "lambda_z": _lambda_z,
    "areas": _areas,
    "persistence_km": lambda drawn, _: _persistence(drawn, persistence_figure),
    "persistence_swimmer": lambda drawn, _: _persistence(drawn, swimmer_figure),
}


def _columns(wide: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the columns that the given names mean; a code with windows or days stands for all of them."""
    known = [name for name in wide.columns if name not in {*KEY, "group"}]
    found: list[str] = []
    for name in [names] if isinstance(names, str) else names:
        columns = [c for c in known if c == name or c.startswith(f"{name}_")]
        if not columns:
            raise SettingsError(f"the result has no parameter {name!r}; it has {', '.join(known)}")
        found += columns
    return list(dict.fromkeys(found))


def _profiles(result: Plottable, cohort: Cohort) -> Profiles:
    profiles = Profiles(
        samples=sample_table(cohort), time_unit=cohort.time_unit, value_unit=unit_text(cohort.value_unit[0])
    )
    if isinstance(result, IndividualFits):
        return replace(profiles, curves=result.curves, breaks=change_points(result.table))
    if isinstance(result, PopulationFit):
        return replace(profiles, population=result.curves)
    return profiles


def profile_keys(cohort: Cohort) -> list[Key]:
    """Return what each profile of a cohort is called."""
    return list(zip(cohort.subject, cohort.analyte, cohort.occasion, cohort.specimen, strict=True))
