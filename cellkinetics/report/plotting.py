"""`plot`: the figure that belongs to a cohort, an analysis or a fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.samples import sample_table
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.design.comparison import ScheduleComparison
from cellkinetics.fitting.design.search import ScheduleSearch
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.nca.result import NCAResult
from cellkinetics.report.figures.overview import overview_figure
from cellkinetics.report.figures.parameters import parameter_figure
from cellkinetics.report.figures.profiles import Key, Profiles, profile_figure, profile_grid
from cellkinetics.report.figures.schedule import schedule_figure
from cellkinetics.report.sections.nca import box_parameters, box_titles
from cellkinetics.report.tables import unit_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Plottable = Cohort | NCAResult | IndividualFits | PopulationFit | ScheduleComparison | ScheduleSearch


def plot(result: Plottable, *, subject: str | None = None, analyte: str | None = None) -> Figure:
    """Return the figure that belongs to a result, as a matplotlib `Figure` without pyplot.

    ==================  =================================================================
    cohort              all profiles on a logarithmic axis, a panel a group
    NCA result          boxes of the main parameters by group
    fits, population    a panel a patient: samples, curves, LLOQ, the break at Tmax
    schedules           what each day tells, the schedules, and the precision they promise
    ==================  =================================================================

    Args:
        result: a cohort, or what `noncompartmental`, `fit`, `pool`, `compare_schedules` or `search_schedule`
            returned.
        subject: draw this subject's first profile alone.
        analyte: of several, the one to draw; by default the first.

    Raises:
        SettingsError: for a result that has no figure, or an unknown subject.
        DataError: for an unknown analyte.

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
    samples = result if isinstance(result, Cohort) else result.cohort
    if not len(samples):
        raise SettingsError("there is nothing to draw: the cohort has no profile")
    samples = samples.select(analyte=samples.analytes[0] if analyte is None else analyte)
    if isinstance(result, NCAResult) and subject is None:
        wide = result.wide
        wide = wide[wide["analyte"] == samples.analytes[0]]
        names = box_parameters(wide)
        return parameter_figure(wide, names, labels=box_titles(result.table, samples.analytes[0], names))
    profiles = _profiles(samples)
    if isinstance(result, IndividualFits):
        profiles = replace(profiles, curves=result.curves, breaks=_breaks(result.table))
    elif isinstance(result, PopulationFit):
        profiles = replace(profiles, population=result.curves)
    if subject is not None:
        found = [key for key in profiles.keys if key[0] == subject]
        if not found:
            raise SettingsError(f"there is no subject {subject}; there are {', '.join(k[0] for k in profiles.keys)}")
        return profile_figure(profiles, found[0], width=6.5, height=4.2)
    return overview_figure(profiles) if isinstance(result, Cohort) else profile_grid(profiles, profiles.keys)


def _profiles(cohort: Cohort) -> Profiles:
    return Profiles(
        samples=sample_table(cohort), time_unit=cohort.time_unit, value_unit=unit_text(cohort.value_unit[0])
    )


def _breaks(table: pd.DataFrame) -> dict[Key, float]:
    rows = table[(table["parameter"] == "tmax") & table["estimate"].notna()]
    return {
        (str(s), str(a), str(o)): float(t)
        for s, a, o, t in rows[["subject", "analyte", "occasion", "estimate"]].itertuples(index=False)
    }
