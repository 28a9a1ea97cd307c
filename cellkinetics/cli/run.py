"""`cellkinetics run`: the whole analysis, from a table to a report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cellkinetics.cli import options as o

if TYPE_CHECKING:
    from cellkinetics.data.cohort import Cohort


def run(
    ctx: typer.Context,
    data: o.Data,
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
    model: o.ModelName = "ecp",
    method: o.Method = "saem",
    fix: o.Fix = None,
    analyte: o.Analyte = None,
    seed: o.Seed = 0,
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
    diagnostics: o.Diagnostics = True,
    simulations: o.Simulations = 500,
    settings: o.Settings = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Do the whole analysis: check, noncompartmental analysis, individual fits, population fit, report.

    Example: cellkinetics run trial.csv --out results/trial
    """
    run_all("run", ctx.params)


def run_all(command: str, given: Mapping[str, Any]) -> None:
    """Run every step; one that cannot be done is told in the report, and the others go on.

    Args:
        command: the name that the manifest records.
        given: the resolved options of `run`, by name.
    """
    from cellkinetics.cli import diagnostics, fit, nca, pool
    from cellkinetics.cli.cdisc import cdisc_options
    from cellkinetics.cli.reading import read_input
    from cellkinetics.cli.report import REPORT, build_report, clear_figures, tell_report
    from cellkinetics.cli.series import is_named, one_series
    from cellkinetics.cli.session import Session

    planned = (*nca.PLANNED, *fit.PLANNED, *pool.FILES, *diagnostics.FILES, REPORT)
    with Session(
        command,
        given,
        data=Path(given["data"]),
        out=Path(given["out"]),
        planned=planned,
        force=given["force"],
        quiet=given["quiet"],
        seed=given["seed"],
    ) as session:
        rules = nca.nca_options(given)
        nca.check_parameters(given["parameters"], rules)
        grouping = nca.parse_grouping(given["by"])
        asked = cdisc_options(given, only=["study"])
        fixed = pool.fixed_values(given["fix"])
        fit.check_model(given["model"], fixed)
        pool.check_method(given["method"])
        diagnostics.check_simulations(given["simulations"])

        def check(cohort: Cohort) -> None:
            nca.check_grouping(cohort, grouping)
            if len(cohort.specimens) == 1:
                cdisc_options(given)  # --specimen chooses nothing here: it is a name for the CDISC files
            for what, known, wanted in (
                ("analyte", cohort.analytes, given["analyte"]),
                ("specimen", cohort.specimens, _specimen(cohort, given["specimen"])),
            ):
                if wanted is not None:
                    is_named(known, what, wanted)

        cohort = read_input(session, Path(given["data"]), given, check)
        clear_figures(session.folder)
        with session.stage("nca", alone=False):
            nca.write_nca(session, cohort, rules, given["parameters"], grouping, asked, intervals=given["intervals"])
        with session.stage("fit", alone=False):
            fit.write_fits(session, cohort, given["seed"], {"model": [given["model"]]})
        fitted = None
        with session.stage("pool", alone=False):
            chosen = one_series(cohort, given["analyte"], _specimen(cohort, given["specimen"]))
            fitted = pool.write_population(session, chosen, given["model"], given["method"], given["seed"], fixed)
        if fitted is not None and given["diagnostics"]:
            with session.stage("diagnostics", alone=False):
                diagnostics.write_diagnostics(session, fitted, given["simulations"])
        session.write_manifest()
        with session.stage("report", alone=False):
            build_report(session)
        tell_report(session)


def _specimen(cohort: Cohort, given: str | None) -> str | None:
    """Return the specimen to fit: ``--specimen`` chooses where the data name several, else it is a name for PPSPEC."""
    return given if len(cohort.specimens) > 1 else None
