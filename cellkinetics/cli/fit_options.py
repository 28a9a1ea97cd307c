"""Options of `cellkinetics fit` alone."""

from __future__ import annotations

from typing import Annotated

import typer

from cellkinetics.cli.options import ANALYSIS

FitIntervals = Annotated[
    str,
    typer.Option(
        "--intervals",
        help="Intervals of each patient's parameters: wald (from the curvature), or profile (those of the profile "
        "likelihood too, and individual_profiles.csv).",
        rich_help_panel=ANALYSIS,
    ),
]
FitModels = Annotated[
    str,
    typer.Option(
        "--model",
        help="Kinetic model, see `cellkinetics models`; several with commas are ranked by AICc for each patient, whose "
        "best one stands (individual_models.csv).",
        rich_help_panel=ANALYSIS,
    ),
]
Residual = Annotated[
    str,
    typer.Option(
        "--residual",
        help="log-constant, log-student (heavy tails; log-student:6 for 6 degrees of freedom instead of 4), "
        "natural-proportional, natural-combined (a + b f) or natural-combined-root (root of a^2 + b^2 f^2).",
        rich_help_panel=ANALYSIS,
    ),
]
Prior = Annotated[
    str | None,
    typer.Option(
        "--prior",
        help="Population as prior: an entry of the library (stein2019), or a population.json. Every patient with a "
        "sample then has an estimate.",
        rich_help_panel=ANALYSIS,
    ),
]
Flat = Annotated[
    str | None,
    typer.Option(
        "--flat",
        help="Parameters, with commas, that the prior shall say nothing about, as cmax where the assay differs.",
        rich_help_panel=ANALYSIS,
    ),
]
EstimateSigma = Annotated[
    bool,
    typer.Option(
        "--estimate-sigma",
        help="Estimate the residual SD under a prior too, instead of holding the population's.",
        rich_help_panel=ANALYSIS,
    ),
]
FitSeed = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        help="Recorded with the results; the search for one patient draws no random numbers.",
        rich_help_panel=ANALYSIS,
    ),
]
