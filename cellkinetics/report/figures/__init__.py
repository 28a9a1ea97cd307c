"""Figures of profiles, parameters and populations: matplotlib `Figure` objects, no pyplot state."""

from __future__ import annotations

from cellkinetics.report.figures.areas import Areas, area_figure, area_grid, area_pages
from cellkinetics.report.figures.beside_nca import beside_nca_figure
from cellkinetics.report.figures.contributions import contribution_figure
from cellkinetics.report.figures.effects import effect_covariate_figure, effect_figure, effect_pairs_figure
from cellkinetics.report.figures.fits import estimates_figure
from cellkinetics.report.figures.likelihood import (
    LikelihoodProfiles,
    likelihood_figure,
    likelihood_grid,
    likelihood_pages,
)
from cellkinetics.report.figures.overview import overview_figure
from cellkinetics.report.figures.parameters import parameter_figure
from cellkinetics.report.figures.persistence import persistence_figure, swimmer_figure
from cellkinetics.report.figures.population_profiles import population_profile_figure
from cellkinetics.report.figures.population_residuals import population_residual_figure
from cellkinetics.report.figures.prediction_errors import prediction_error_figure
from cellkinetics.report.figures.profiles import Profiles, profile_figure, profile_grid, profile_pages
from cellkinetics.report.figures.ranking import ranking_figure, ranking_pages
from cellkinetics.report.figures.schedule import schedule_figure
from cellkinetics.report.figures.style import save_png, svg_text
from cellkinetics.report.figures.terminal import TerminalLines, terminal_figure, terminal_grid, terminal_pages
from cellkinetics.report.figures.times import times_figure
from cellkinetics.report.figures.trace import trace_figure
from cellkinetics.report.figures.vpc import vpc_figure

__all__ = [
    "Areas",
    "LikelihoodProfiles",
    "Profiles",
    "TerminalLines",
    "area_figure",
    "area_grid",
    "area_pages",
    "beside_nca_figure",
    "contribution_figure",
    "effect_covariate_figure",
    "effect_figure",
    "effect_pairs_figure",
    "estimates_figure",
    "likelihood_figure",
    "likelihood_grid",
    "likelihood_pages",
    "overview_figure",
    "parameter_figure",
    "persistence_figure",
    "population_profile_figure",
    "population_residual_figure",
    "prediction_error_figure",
    "profile_figure",
    "profile_grid",
    "profile_pages",
    "ranking_figure",
    "ranking_pages",
    "save_png",
    "schedule_figure",
    "svg_text",
    "swimmer_figure",
    "terminal_figure",
    "terminal_grid",
    "terminal_pages",
    "times_figure",
    "trace_figure",
    "vpc_figure",
]
