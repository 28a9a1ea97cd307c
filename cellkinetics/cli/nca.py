"""`cellkinetics nca`: noncompartmental analysis of every profile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from cellkinetics.batch import PIECE_ROWS
from cellkinetics.cli import options as o
from cellkinetics.report.cdisc.files import CDISC_FILES

if TYPE_CHECKING:
    from cellkinetics.cli.cdisc import Submission
    from cellkinetics.cli.screen import Screen
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort
    from cellkinetics.nca.options import NCAOptions

RULES = (
    "windows",
    "days",
    "threshold",
    "auc_method",
    "blq",
    "route",
    "infusion_duration",
    "tau",
    "steady_state",
    "dose",
    "dose_unit",
    "time",
    "time_zero",
    "tmax_tie",
    "window_end",
    "lambda_z_method",
    "lambda_z_min_points",
    "lambda_z_max_points",
    "lambda_z_not_before",
    "lambda_z_not_after",
    "lambda_z_min_span",
    "lambda_z_tolerance",
    "lambda_z_weights",
    "lambda_z_order",
)
"""Options of the command that are fields of `NCAOptions`."""

FILES = ("nca.csv", "nca_wide.csv", "nca_summary.csv", "nca_points.csv")
INTERVALS = "nca_intervals.csv"
PLANNED = (*FILES, INTERVALS, *CDISC_FILES)  # those not asked for too, so that no old ones stay beside new results


def nca(
    ctx: typer.Context,
    data: o.DataFiles,
    out: o.Out = o.DEFAULT_OUT,
    windows: o.Windows = None,
    days: o.Days = None,
    threshold: o.Threshold = None,
    auc_method: o.AUCMethod = "linear-up-log-down",
    blq: o.BLQ = "default",
    route: o.Route = "cells",
    infusion_duration: o.InfusionDuration = None,
    tau: o.Tau = None,
    steady_state: o.SteadyState = None,
    dose: o.Dose = None,
    dose_unit: o.DoseUnit = None,
    time: o.Time = None,
    time_zero: o.TimeZero = None,
    tmax_tie: o.TmaxTie = None,
    window_end: o.WindowEnd = None,
    lambda_z_method: o.LambdaZMethod = None,
    lambda_z_min_points: o.LambdaZMinPoints = None,
    lambda_z_max_points: o.LambdaZMaxPoints = None,
    lambda_z_not_before: o.LambdaZNotBefore = None,
    lambda_z_not_after: o.LambdaZNotAfter = None,
    lambda_z_min_span: o.LambdaZMinSpan = None,
    lambda_z_tolerance: o.LambdaZTolerance = None,
    lambda_z_weights: o.LambdaZWeights = None,
    lambda_z_order: o.LambdaZOrder = None,
    accept: o.Accept = None,
    slopes: o.Slopes = None,
    parameters: o.Parameters = "core",
    by: o.By = "group",
    dialect: o.Dialect = "auto",
    mapping: o.Map = None,
    lloq: o.LLOQ = None,
    duplicates: o.Duplicates = "error",
    negative: o.Negative = "error",
    time_unit: o.TimeUnit = None,
    value_unit: o.ValueUnit = None,
    intervals: o.Intervals = False,
    cdisc: o.CDISC = False,
    study: o.Study = None,
    specimen: o.Specimen = None,
    table_format: o.TableFormat = "csv",
    jobs: o.Jobs = 1,
    resume: o.Resume = False,
    engine: o.Engine = "processes",
    scheduler: o.Scheduler = None,
    piece_rows: o.PieceRows = PIECE_ROWS,
    settings: o.Settings = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Noncompartmental analysis of every profile: Cmax, Tmax, AUC, half-life and more, with reasons.

    Many files, or one with millions of rows, are analysed piece by piece, and can be resumed.

    Example: cellkinetics nca trial.csv --windows 0-28,0-84 --out results/trial

    Example: cellkinetics nca studies/ --jobs 4 --resume --out results/studies
    """
    from cellkinetics.cli.batch import is_batch, nca_batch
    from cellkinetics.cli.cdisc import cdisc_options
    from cellkinetics.cli.reading import read_input, tell_files
    from cellkinetics.cli.session import Session

    if is_batch(ctx.params):
        nca_batch(ctx.params, PLANNED)
        return
    options = {**ctx.params, "data": data[0]}
    with Session("nca", options, data=data, out=out, planned=PLANNED, force=force, quiet=quiet) as session:
        rules = nca_options(ctx.params)
        check_parameters(parameters, rules)
        grouping = parse_grouping(by)
        asked = cdisc_options(ctx.params)
        cohort = read_input(session, data[0], ctx.params, lambda cohort: check_grouping(cohort, grouping))
        with session.stage("nca"):
            write_nca(session, cohort, rules, parameters, grouping, asked, intervals=intervals)
        tell_files(session)


def nca_options(given: Mapping[str, Any]) -> NCAOptions:
    """Return the rules of the analysis from the options of a command; those not given keep their default.

    Raises:
        SettingsError: for a rule that does not exist.
    """
    from cellkinetics.cli.pairs import parse_pairs
    from cellkinetics.errors import SettingsError
    from cellkinetics.nca.options import NCAOptions

    rules = {name: given[name] for name in RULES if given.get(name) is not None}
    thresholds = parse_pairs("--accept", given.get("accept"), form="NAME=VALUE", example="r2adj_min=0.8")
    if thresholds:
        rules["acceptance"] = {name: None if text.lower() == "none" else text for name, text in thresholds.items()}
    if given.get("slopes") is not None:
        from cellkinetics.nca.picks import read_slopes

        rules["slopes"] = read_slopes(given["slopes"])
    try:
        return NCAOptions(**rules)
    except SettingsError as error:
        raise SettingsError(as_typed(str(error))) from None


def as_typed(message: str) -> str:
    """Return a message about options with their names as they are typed.

    Example:
        >>> as_typed("lambda_z_max_points: 4 is less than lambda_z_min_points, 5")
        '--lambda-z-max-points: 4 is less than --lambda-z-min-points, 5'
        >>> as_typed("blq.before: takes zero or drop; tau: must be above 0")
        '--blq before: takes zero or drop; --tau: must be above 0'
    """
    names = {**{name: name.replace("_", "-") for name in RULES}, "acceptance": "accept"}
    for name, typed in names.items():
        message = re.sub(rf"(^|; ){name}(?=[:.])", rf"\g<1>--{typed}", message)
        if "_" in name:
            message = re.sub(rf"(?<!-)\b{name}\b", f"--{typed}", message)
    return re.sub(r"(^|; )(--[\w-]+)\.(?=\w)", r"\1\2 ", message)


def check_parameters(parameters: str, rules: NCAOptions) -> None:
    """Refuse an unknown parameter before anything is read.

    Raises:
        SettingsError: for a name that is neither a group nor a code.
    """
    from cellkinetics.nca.parameters import select

    select(parameters, rules)


def tell_idle(screen: Screen, rules: NCAOptions, parameters: str, *, tau: bool = True) -> None:
    """Say which of the options that were given do nothing.

    Args:
        screen: where to say it.
        rules: the options.
        parameters: what is calculated.
        tau: whether the data hold dosing intervals.
    """
    from cellkinetics.nca.idle import idle_options

    for sentence in idle_options(rules, parameters, tau=tau):
        screen.warn(as_typed(sentence))


def parse_grouping(by: str) -> list[str]:
    """Return the columns of ``--by``, each once.

    Example:
        >>> parse_grouping("group, occasion,group"), parse_grouping("none")
        (['group', 'occasion'], [])
    """
    names = dict.fromkeys(filter(None, (name.strip() for name in by.split(","))))
    return [] if [name.lower() for name in names] == ["none"] else list(names)


def check_grouping(cohort: Cohort, names: Sequence[str]) -> None:
    """Refuse a column of ``--by`` that the data do not have before anything is calculated.

    Raises:
        SettingsError: for such a column.
    """
    from cellkinetics.nca.options import NCAOptions
    from cellkinetics.nca.result import NCAResult

    # The summary of an analysis without parameters is empty, and knows its columns all the same.
    NCAResult(cohort=cohort, options=NCAOptions(), columns={}).summary(by=names)


def write_nca(
    session: Session,
    cohort: Cohort,
    rules: NCAOptions,
    parameters: str,
    grouping: Sequence[str],
    asked: Submission | None = None,
    *,
    intervals: bool = False,
) -> None:
    """Analyse a cohort, write the tables (and the intervals and CDISC files asked for), and show a summary.

    Raises:
        OutputError: for what the CDISC files cannot hold; the tables stand all the same.
    """
    import numpy as np

    from cellkinetics.cli.cdisc import cdisc_content
    from cellkinetics.cli.labels import show_labels
    from cellkinetics.nca.engine import noncompartmental

    tell_idle(session.screen, rules, parameters, tau=bool(np.isfinite(cohort.tau).any()))
    session.manifest.options = {**session.manifest.options, "nca_options": rules.model_dump(mode="json")}
    with session.screen.progress("Noncompartmental analysis") as progress:
        result = noncompartmental(cohort, options=rules, parameters=parameters, progress=progress)
    # The rules as they were followed: a threshold in days does not hold where time has another unit.
    session.manifest.options = {**session.manifest.options, "nca_options": result.options.model_dump(mode="json")}
    summary = result.summary(by=grouping)
    # Every table is made before the first is written: a folder holds all of them or none.
    tables = dict(zip(FILES, (result.table, result.wide, summary, result.points), strict=True))
    if intervals:
        tables[INTERVALS] = result.intervals
    for name, table in tables.items():
        session.folder.write_table(name, table)
    if asked is not None:
        for name, data in cdisc_content(result, asked, session.screen).items():
            session.folder.write_bytes(name, data)
    show_labels(session.screen, summary)
    session.screen.say(f"nca: {result.status}")
