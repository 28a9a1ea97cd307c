"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cellkinetics.cli.settings import load_settings

READING = "Reading"
ANALYSIS = "Analysis"
RULES = "Rules of NCA"
OUTPUT = "Output"
BATCH = "Many files, large files"

Data = Annotated[
    Path,
    typer.Argument(
        help="Table of samples, one row a sample: CSV, Excel or Parquet.",
        exists=True,
        dir_okay=False,
        readable=True,
        metavar="DATA",
        show_default=False,
    ),
]

DataFiles = Annotated[
    list[Path],
    typer.Argument(
        help="Table of samples, one row a sample: CSV, Excel or Parquet. Several tables, or a folder of them.",
        exists=True,
        readable=True,
        metavar="DATA...",
        show_default=False,
    ),
]

Dialect = Annotated[
    str,
    typer.Option(
        help="How columns are named: auto, plain, nonmem, monolix, sdtm-pc, sdtm-cp, adnca or adppk.",
        rich_help_panel=READING,
    ),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="Column of a role where its name does not tell, such as subject=PATIENT. Repeat it for several.",
        metavar="ROLE=COLUMN",
        rich_help_panel=READING,
    ),
]
LLOQ = Annotated[
    float | None,
    typer.Option(
        "--lloq", help="Lower limit of quantification of rows that do not state one.", rich_help_panel=READING
    ),
]
Duplicates = Annotated[
    str,
    typer.Option(help="Several samples of a patient at one time: error, first, mean or max.", rich_help_panel=READING),
]
Negative = Annotated[
    str,
    typer.Option(help="Negative values: error, or blq (below quantification).", rich_help_panel=READING),
]
TimeUnit = Annotated[
    str | None,
    typer.Option(
        help="Unit of time; by default as in the data, else day. It is a label, but where a table has dates (SDTM) or "
        "a column of units (ADNCA, ADPPK), times come in it.",
        rich_help_panel=READING,
    ),
]
ValueUnit = Annotated[
    str | None, typer.Option(help="Unit of the values, a label; by default as in the data.", rich_help_panel=READING)
]

Windows = Annotated[
    str | None,
    typer.Option(
        help="Windows of partial areas. [default: 0-28,0-84,0-168]", metavar="0-28,0-84", rich_help_panel=ANALYSIS
    ),
]
Days = Annotated[
    str | None,
    typer.Option(
        help="Days of CDAY, the level at a day (cellular group). [default: 28]",
        metavar="28,84",
        rich_help_panel=ANALYSIS,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Level of TABOVE, the time above it (cellular group). [default: the LLOQ]", rich_help_panel=ANALYSIS
    ),
]
AUCMethod = Annotated[
    str,
    typer.Option(
        "--auc-method",
        help="Rule of the area: linear-up-log-down, linear, linear-log or log.",
        rich_help_panel=ANALYSIS,
    ),
]
BLQ = Annotated[
    str,
    typer.Option(
        "--blq",
        help="Samples below quantification in NCA: default, pknca, winnonlin, zero, drop, lloq, half-lloq, "
        "or qpnca-1 to qpnca-4; or rules by place, such as before=zero,between=drop,first_after=lloq/2,later=drop. "
        "A rule is zero, drop, lloq, lloq/2, or a factor of the LLOQ (0.25).",
        rich_help_panel=ANALYSIS,
    ),
]
Route = Annotated[str, typer.Option(help="Route: cells, bolus, infusion or extravascular.", rich_help_panel=ANALYSIS)]
InfusionDuration = Annotated[
    float | None,
    typer.Option(
        help="Duration of every infusion, instead of the data's; for the route infusion.", rich_help_panel=ANALYSIS
    ),
]
Tau = Annotated[
    float | None,
    typer.Option(
        help="Dosing interval of every patient, instead of the data's; for the group drug.", rich_help_panel=ANALYSIS
    ),
]
SteadyState = Annotated[
    str | None,
    typer.Option(
        help="Profiles with a dosing interval that are at steady state: auto (not the first of several occasions, "
        "nor those that start below quantification), "
        "all or none. [default: auto]",
        rich_help_panel=RULES,
    ),
]
Dose = Annotated[
    float | None,
    typer.Option(help="Dose of every patient, instead of the data's; for the group drug.", rich_help_panel=ANALYSIS),
]
DoseUnit = Annotated[str | None, typer.Option(help="Unit of the dose, a label.", rich_help_panel=ANALYSIS)]
Time = Annotated[
    str | None,
    typer.Option(
        help="Times of the samples: actual or nominal. [default: actual]",
        rich_help_panel=RULES,
    ),
]
TimeZero = Annotated[
    str | None,
    typer.Option(
        help="What stands at a missing time zero: auto, zero, none, first, c0 or minimum. [default: auto]",
        rich_help_panel=RULES,
    ),
]
TmaxTie = Annotated[
    str | None,
    typer.Option(
        help="Which of equal maxima is Tmax: first or last. [default: first]",
        rich_help_panel=RULES,
    ),
]
WindowEnd = Annotated[
    str | None,
    typer.Option(
        help="A window that ends after the last sample: observed, predicted, zero or missing. [default: observed]",
        rich_help_panel=RULES,
    ),
]
LambdaZMethod = Annotated[
    str | None,
    typer.Option(
        "--lambda-z-method",
        help="Terminal line: best-fit (quantified samples), or tobit (with those below quantification as censored). "
        "[default: best-fit]",
        rich_help_panel=RULES,
    ),
]
LambdaZMinPoints = Annotated[
    int | None,
    typer.Option(
        "--lambda-z-min-points", help="Fewest points of the terminal line. [default: 3]", rich_help_panel=RULES
    ),
]
LambdaZMaxPoints = Annotated[
    int | None,
    typer.Option(
        "--lambda-z-max-points",
        help="Most points of the terminal line.",
        rich_help_panel=RULES,
    ),
]
LambdaZNotBefore = Annotated[
    float | None,
    typer.Option(
        "--lambda-z-not-before",
        help="Earliest time of a terminal point.",
        rich_help_panel=RULES,
    ),
]
LambdaZNotAfter = Annotated[
    float | None,
    typer.Option(
        "--lambda-z-not-after",
        help="Latest time of a terminal point.",
        rich_help_panel=RULES,
    ),
]
LambdaZMinSpan = Annotated[
    float | None,
    typer.Option(
        "--lambda-z-min-span",
        help="Fewest half-lives that the terminal points must span to be chosen.",
        rich_help_panel=RULES,
    ),
]
LambdaZTolerance = Annotated[
    float | None,
    typer.Option(
        "--lambda-z-tolerance",
        help="How far below the best adjusted R2 more points still win. [default: 0.0001]",
        rich_help_panel=RULES,
    ),
]
LambdaZWeights = Annotated[
    str | None,
    typer.Option(
        "--lambda-z-weights",
        help="Weights of the terminal regression: 1, 1/y or 1/y2. [default: 1]",
        rich_help_panel=RULES,
    ),
]
LambdaZOrder = Annotated[
    str | None,
    typer.Option(
        "--lambda-z-order", help="Order of the choice: winnonlin or pknca. [default: winnonlin]", rich_help_panel=RULES
    ),
]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        help="Threshold for flags: r2adj_min, span_min, extrapolated_max, tmax_min or straddle, such as r2adj_min=0.8 "
        "or tmax_min=none. Repeat it for several.",
        metavar="NAME=VALUE",
        rich_help_panel=RULES,
    ),
]
Slopes = Annotated[
    Path | None,
    typer.Option(
        help="Table of terminal lines by hand: subject, analyte, occasion, specimen, first, last, exclude, reason.",
        metavar="FILE.csv",
        rich_help_panel=RULES,
    ),
]
Parameters = Annotated[
    str,
    typer.Option(
        help="Parameters of NCA: core, terminal, cellular, drug, all, or codes.",
        metavar="core|terminal|cellular|drug|all|NAME,...",
        rich_help_panel=ANALYSIS,
    ),
]
By = Annotated[
    str,
    typer.Option(
        help="Columns that the NCA summary is made by; none for all patients together.",
        metavar="COLUMN,...",
        rich_help_panel=ANALYSIS,
    ),
]
Intervals = Annotated[
    bool,
    typer.Option(
        "--intervals",
        help="Write nca_intervals.csv too: every interval that was integrated, its rule and its area.",
        rich_help_panel=OUTPUT,
    ),
]
CDISC = Annotated[
    bool,
    typer.Option(
        "--cdisc", help="Write SDTM PP and ADaM ADPP too, as CSV and XPT (needs pyreadstat).", rich_help_panel=OUTPUT
    ),
]
Study = Annotated[
    str | None,
    typer.Option(
        help="STUDYID of the CDISC files; by default the column STUDYID of the data.",
        metavar="STUDYID",
        rich_help_panel=OUTPUT,
    ),
]
Specimen = Annotated[
    str | None,
    typer.Option(
        help="PPSPEC of the CDISC files where the data do not say the specimen; else BLOOD. "
        "Of `run`, also the specimen of the population fit where the data have several.",
        rich_help_panel=OUTPUT,
    ),
]
PooledSpecimen = Annotated[
    str | None,
    typer.Option("--specimen", help="Specimen to fit, if the data have several.", rich_help_panel=ANALYSIS),
]
ModelName = Annotated[
    str, typer.Option("--model", help="Kinetic model; see `cellkinetics models`.", rich_help_panel=ANALYSIS)
]
Method = Annotated[
    str,
    typer.Option(
        help="Population method: saem or importance (maximum of the exact likelihood), focei or laplace (fast "
        "approximations), agq (quadrature, for few random effects; agq:5 for 5 nodes), two-stage, naive, or bayes "
        "(draws from the posterior, needs numpyro).",
        rich_help_panel=ANALYSIS,
    ),
]
Fix = Annotated[
    list[str] | None,
    typer.Option(
        "--fix",
        help="Value that the population fit keeps, such as foldx=3900, sigma=0.5, or omega_beta=0 for no random "
        "effect. Repeat it for several.",
        metavar="NAME=VALUE",
        rich_help_panel=ANALYSIS,
    ),
]
Analyte = Annotated[
    str | None,
    typer.Option(help="Analyte of the population fit, where the data hold several.", rich_help_panel=ANALYSIS),
]
Diagnostics = Annotated[
    bool,
    typer.Option(
        "--diagnostics/--no-diagnostics",
        help="Check the population fit against the data: predictive checks, prediction errors, residuals, influence.",
        rich_help_panel=OUTPUT,
    ),
]
Profiled = Annotated[
    list[str] | None,
    typer.Option(
        "--profile",
        help="Population parameter whose likelihood is profiled, such as omega_beta; all refits of one take about as "
        "long as the fit. Repeat it for several.",
        metavar="NAME",
        rich_help_panel=OUTPUT,
    ),
]
Simulations = Annotated[
    int,
    typer.Option(help="Simulated data sets behind the diagnostics of the population fit.", rich_help_panel=OUTPUT),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.", rich_help_panel=ANALYSIS)]
TableFormat = Annotated[
    str,
    typer.Option(
        "--format",
        help="Format of the tables that have rows for each profile: csv, or parquet (needs pyarrow).",
        rich_help_panel=OUTPUT,
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that work at the same time.", rich_help_panel=BATCH)]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on where an interrupted run stopped; begin where none did.", rich_help_panel=BATCH
    ),
]
Engine = Annotated[
    str, typer.Option(help="Where the work is done: processes, or dask (a cluster).", rich_help_panel=BATCH)
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Address of the Dask scheduler, for --engine dask.", metavar="tcp://HOST:PORT", rich_help_panel=BATCH
    ),
]
PieceRows = Annotated[
    int,
    typer.Option(
        "--piece-rows",
        min=1,
        help="Rows above which a table is cut, and a process takes so many at a time.",
        rich_help_panel=BATCH,
    ),
]
Out = Annotated[
    Path, typer.Option("--out", "-o", help="Folder for the results.", rich_help_panel=OUTPUT, file_okay=True)
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite earlier results.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no summary, only errors.", rich_help_panel=OUTPUT)
]
Settings = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help='TOML file with options of this command, such as windows = "0-28"; the command line wins.',
        metavar="FILE.toml",
        is_eager=True,
        callback=load_settings,
        rich_help_panel=OUTPUT,
    ),
]

DEFAULT_OUT = Path("results")
