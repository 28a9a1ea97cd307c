"""Individual profiles with their fits, and all profiles by group."""

from __future__ import annotations

import pandas as pd

from cellkinetics.data.cohort import series_name
from cellkinetics.printing import unit_text
from cellkinetics.report.blocks import Block, Heading, Panels, Picture, Section, Text
from cellkinetics.report.figures.overview import overview_figure
from cellkinetics.report.figures.profiles import KEY, Key, Profiles, legend_handles, panel_title, profile_figure
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.results import Results
from cellkinetics.report.sections.marks import legend_marks

MOST_PANELS = 240
"""Profiles of one analyte and specimen that the page draws; a page with more cannot be read."""


def profiles_by_series(results: Results) -> dict[str, Profiles]:
    """Return what is drawn of each analyte and specimen: samples, curves of the fits, fitted peaks and remarks."""
    samples = results["samples"]
    if samples is None:
        return {}
    breaks, notes = _breaks_and_notes(results["individual"])
    found = {}
    for (analyte, specimen), part in samples.groupby(["analyte", "specimen"], sort=False):
        series = series_name(str(analyte), str(specimen))
        found[series] = Profiles(
            samples=part,
            curves=_of(results["individual_curves"], str(analyte), str(specimen)),
            population=_of(results["population_curves"], str(analyte), str(specimen)),
            breaks=breaks,
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
    if profiles.breaks:
        parts.append("Dotted line: the fitted peak (tmax of the model), where expansion ends and contraction begins.")
    return " ".join(parts)


def _has_typical(profiles: Profiles) -> bool:
    return profiles.population is not None and "typical" in profiles.population


def _of(table: pd.DataFrame | None, analyte: str, specimen: str) -> pd.DataFrame | None:
    if table is None:
        return None
    part = table[(table["analyte"] == analyte) & (table["specimen"] == specimen)]
    return part if len(part) else None


def _breaks_and_notes(individual: pd.DataFrame | None) -> tuple[dict[Key, float], dict[Key, str]]:
    breaks: dict[Key, float] = {}
    notes: dict[Key, str] = {}
    if individual is None:
        return breaks, notes
    for (subject, analyte, occasion, specimen), rows in individual.groupby([*KEY], sort=False):
        key = (str(subject), str(analyte), str(occasion), str(specimen))
        peak = rows.loc[(rows["parameter"] == "tmax") & rows["estimate"].notna(), "estimate"]
        if len(peak):
            breaks[key] = float(peak.iloc[0])
        if (rows["status"] == "failed").any():
            notes[key] = "no individual fit"
    return breaks, notes
