"""Individual profiles with their fits, and all profiles by group."""

from __future__ import annotations

import pandas as pd

from cellkinetics.data.cohort import series_name
from cellkinetics.printing import unit_text
from cellkinetics.report.blocks import Block, Heading, Panels, Picture, Section, Text
from cellkinetics.report.figures.overview import overview_figure
from cellkinetics.report.figures.profiles import (
    KEY,
    PHASES,
    Key,
    Profiles,
    change_points,
    legend_handles,
    panel_title,
    profile_figure,
)
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.results import Results
from cellkinetics.report.sections.marks import legend_marks
from cellkinetics.report.tables import listed

MOST_PANELS = 240
"""Profiles of one analyte and specimen that the page draws; a page with more cannot be read."""
_CORNERS = {
    "t0": "the nadir, where the distribution phase ends",
    "tlag": "where expansion begins",
    "tmax": "the fitted peak, where expansion ends and the decline begins",
}


def profiles_by_series(results: Results) -> dict[str, Profiles]:
    """Return what is drawn of each analyte and specimen: samples, curves of the fits, fitted peaks and remarks."""
    samples = results["samples"]
    if samples is None:
        return {}
    breaks, notes = change_points(results["individual"]), _notes(results["individual"])
    residuals = results["individual_residuals"]
    outliers = None if residuals is None else residuals[residuals["outlier"].astype(str) == "True"]
    found = {}
    for (analyte, specimen), part in samples.groupby(["analyte", "specimen"], sort=False):
        series = series_name(str(analyte), str(specimen))
        found[series] = Profiles(
            samples=part,
            curves=_of(results["individual_curves"], str(analyte), str(specimen)),
            population=_of(results["population_curves"], str(analyte), str(specimen)),
            breaks=breaks,
            outliers=_of(outliers, str(analyte), str(specimen)),
            notes=notes,
            time_unit=results.time_unit,
            value_unit=unit_text(results.value_unit(series)),
        )
    return found


def profiles_section(results: Results) -> Section | None:
    """Return the section with an overview and a panel for every profile."""
    series = profiles_by_series(results)
    if not series:
        return None
    blocks: list[Block] = []
    for i, (name, profiles) in enumerate(series.items()):
        if len(series) > 1:
            blocks.append(Heading(name or "Without a name"))
        blocks.append(
            Picture(
                svg_text(overview_figure(profiles), f"overview{i}"),
                "All profiles by group, on a logarithmic axis. Open triangles: below quantification, drawn at the "
                "LLOQ (at the foot of the axis where no LLOQ is known)."
                + (" Thick line: the typical patient of the population fit." if _has_typical(profiles) else ""),
                "Profiles of all patients over time, a panel for each group.",
            )
        )
        keys = profiles.keys
        shown = keys[:MOST_PANELS]
        panels = [
            (svg_text(profile_figure(profiles, key), f"profile{i}-{k}"), f"Profile of {panel_title(profiles, key)}")
            for k, key in enumerate(shown)
        ]
        rest = "" if len(shown) == len(keys) else f" The first {len(shown)} of {len(keys):,} profiles are drawn."
        blocks.append(
            Panels(
                legend_marks(legend_handles(profiles)),
                panels,
                _caption(profiles) + rest,
            ),
        )
    if results["individual_curves"] is None and results["population_curves"] is None:
        blocks.append(Text("No model was fitted in this folder, so that only the samples are drawn."))
    return Section("profiles", "Profiles", blocks)


def _caption(profiles: Profiles) -> str:
    parts = ["A panel for each patient, all with the same axes. Open triangles: below quantification, at the LLOQ."]
    names = {name for breaks in profiles.breaks.values() for name in breaks}
    if names:
        told = listed([f"{name} ({what})" for name, what in _CORNERS.items() if name in names])
        parts.append(f"Dotted lines, named, are change points of the fit: {told}.")
    phases = [] if profiles.curves is None else [name for name in PHASES if name in profiles.curves]
    if phases:
        parts.append(
            f"Thin lines: {listed(phases)}, whose sum is the fitted decline; a phase that the samples do not "
            "identify has none."
        )
    return " ".join(parts)


def _has_typical(profiles: Profiles) -> bool:
    return profiles.population is not None and "typical" in profiles.population


def _of(table: pd.DataFrame | None, analyte: str, specimen: str) -> pd.DataFrame | None:
    if table is None:
        return None
    part = table[(table["analyte"] == analyte) & (table["specimen"] == specimen)]
    return part if len(part) else None


def _notes(individual: pd.DataFrame | None) -> dict[Key, str]:
    if individual is None:
        return {}
    failed = individual.loc[individual["status"] == "failed", [*KEY]].drop_duplicates()
    return {(str(s), str(a), str(o), str(m)): "no individual fit" for s, a, o, m in failed.itertuples(index=False)}
