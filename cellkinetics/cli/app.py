"""All commands in one application."""

from __future__ import annotations

import typer

from cellkinetics.cli.bootstrap import bootstrap
from cellkinetics.cli.check import check
from cellkinetics.cli.compare import compare
from cellkinetics.cli.covariates import covariates
from cellkinetics.cli.demo import demo
from cellkinetics.cli.export import export
from cellkinetics.cli.fit import fit
from cellkinetics.cli.forecast import forecast
from cellkinetics.cli.models import models
from cellkinetics.cli.nca import nca
from cellkinetics.cli.pool import pool
from cellkinetics.cli.report import report
from cellkinetics.cli.run import run
from cellkinetics.cli.schedule import schedule
from cellkinetics.cli.simulate import simulate

app = typer.Typer(
    name="cellkinetics",
    help=(
        "Cellular kinetics of CAR-T therapies: from a table of samples to noncompartmental analysis, "
        "individual and population fits, and a report."
    ),
    epilog="Try: cellkinetics demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _version(
    ctx: typer.Context,
    show: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if show:
        import cellkinetics

        typer.echo(f"cellkinetics {cellkinetics.__version__}")
        raise typer.Exit


for command in (
    demo,
    check,
    nca,
    fit,
    pool,
    compare,
    covariates,
    bootstrap,
    run,
    report,
    schedule,
    simulate,
    forecast,
    export,
    models,
):
    app.command()(command)
