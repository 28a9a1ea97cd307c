"""Figures of profiles, parameters and populations: matplotlib `Figure` objects, no pyplot state."""

from __future__ import annotations

from cellkinetics.report.figures.overview import overview_figure
from cellkinetics.report.figures.parameters import parameter_figure
from cellkinetics.report.figures.persistence import persistence_figure, swimmer_figure
from cellkinetics.report.figures.profiles import Profiles, profile_figure, profile_grid, profile_pages
from cellkinetics.report.figures.schedule import schedule_figure
from cellkinetics.report.figures.style import save_png, svg_text

__all__ = [
    "Profiles",
    "overview_figure",
    "parameter_figure",
    "persistence_figure",
    "profile_figure",
    "profile_grid",
    "profile_pages",
    "save_png",
    "schedule_figure",
    "svg_text",
    "swimmer_figure",
]
