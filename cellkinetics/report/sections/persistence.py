"""Persistence: how long the therapy stays quantifiable, where the cellular parameters were asked for."""

from __future__ import annotations

import pandas as pd

from cellkinetics.data.cohort import series_name
from cellkinetics.report.blocks import Block, Picture, Section
from cellkinetics.report.figures.persistence import MOST_LANES, persistence_figure, swimmer_figure
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.results import Results
from cellkinetics.report.tables import plural


def persistence_section(results: Results) -> Section | None:
    """Return the section, a curve and lanes for each analyte and specimen; None without PERSLO and PERSUP."""
    wide = results["nca_wide"]
    if wide is None or not {"PERSLO", "PERSUP"} <= set(wide.columns) or not wide["PERSLO"].notna().any():
        return None
    blocks: list[Block] = []
    for i, ((analyte, specimen), part) in enumerate(wide.groupby(["analyte", "specimen"], sort=False)):
        if part["PERSLO"].notna().any():
            blocks.extend(_pictures(part, series_name(str(analyte), str(specimen)), results.time_unit, i))
    return Section("persistence", "Persistence", blocks)


def _pictures(part: pd.DataFrame, series: str, time_unit: str, i: int) -> list[Block]:
    head = f"{series}. " if series else ""
    never = int(part["PERSLO"].isna().sum())
    left_out = f" {plural(never, 'profile')} without a quantifiable sample not shown." if never else ""
    drawn = int(part["PERSLO"].notna().sum())
    thinned = f" An even selection of {drawn} profiles." if drawn > MOST_LANES else ""
    band = "; band: 95 % confidence interval" if len(part["group"].unique()) == 1 else ""
    return [
        Picture(
            svg_text(persistence_figure(part, time_unit=time_unit), f"persistence{i}"),
            f"{head}Share still quantifiable (Kaplan-Meier). A loss counts from the first sample below quantification "
            f"after the last quantifiable one; ticks: still quantifiable at the last visit{band}.{left_out}",
            "Kaplan-Meier curves of persistence by group.",
        ),
        Picture(
            svg_text(swimmer_figure(part, time_unit=time_unit), f"lanes{i}"),
            f"{head}Bar: to the last quantifiable sample; dotted: interval of loss.{left_out}{thinned}",
            "A lane for each patient, as long as the therapy was quantifiable.",
        ),
    ]
