"""`cellkinetics compare`: population fits by several models, ranked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cellkinetics.cli import options as o
from cellkinetics.cli import structure_options as s
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.fitting.model_comparison import ModelComparison

DEFAULT_OUT = Path("results") / "compare"
TABLE = "population_models.csv"

Models = Annotated[
    str,
    typer.Option(
        "--model",
        help="Models to compare, with commas between them; see `cellkinetics models`.",
        metavar="MODEL,MODEL,...",
        rich_help_panel=o.ANALYSIS,
    ),
]
Criterion = Annotated[
    str,
    typer.Option(help="What ranks the models: bicc, bic or aic, of the exact likelihood.", rich_help_panel=o.ANALYSIS),
]


def compare(
    ctx: typer.Context,
    data: o.Data,
    out: o.Out = DEFAULT_OUT,
    model: Models = "ecp,ecp+lag,ecp-persistence",
    criterion: Criterion = "bicc",
    method: s.ExactMethod = "saem",
    covariate: s.Covariate = None,
    missing_covariates: s.MissingCovariates = "error",
    comedication: s.ComedicationTable = None,
    residual: s.Residual = "log-constant",
    omega: s.Omega = "diagonal",
    iov: s.Iov = None,
    mixture: s.Mixture = None,
    fix: o.Fix = None,
    analyte: o.Analyte = None,
    specimen: o.PooledSpecimen = None,
    seed: o.Seed = 0,
    target_se: s.MinimumSE = 0.2,
    dialect: o.Dialect = "auto",
    mapping: o.Map = None,
    lloq: o.LLOQ = None,
    duplicates: o.Duplicates = "error",
    negative: o.Negative = "error",
    time_unit: o.TimeUnit = None,
    value_unit: o.ValueUnit = None,
    settings: o.Settings = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Fit the population by several models and rank them by BICc of the exact likelihood, with its Monte-Carlo error.

    Example: cellkinetics compare trial.csv --model ecp,ecp+lag,ecp-persistence --out results/models
    """
    from cellkinetics.cli.fit import check_model, split
    from cellkinetics.cli.pool import FILES as OF_FIT
    from cellkinetics.cli.pool import fixed_values, write_fit
    from cellkinetics.cli.reading import tell_files
    from cellkinetics.cli.series import read_series
    from cellkinetics.cli.session import Session

    planned = (TABLE, *OF_FIT)
    with Session(
        "compare", ctx.params, data=data, out=out, planned=planned, force=force, quiet=quiet, seed=seed
    ) as session:
        from cellkinetics.fitting.model_comparison import check_criterion, compare_models
        from cellkinetics.fitting.pooled.refit import check_exact

        models = list(dict.fromkeys(split(model)))
        if len(models) < 2:
            raise SettingsError("--model: give at least two models, such as ecp,ecp+lag")
        for name in models:
            check_model(name)
        check_criterion(criterion)
        check_exact(method)
        structure = s.structure_of(ctx.params)
        fixed = fixed_values(fix)
        cohort = read_series(session, data, ctx.params)
        with session.stage("compare"):
            with session.screen.progress("Population fits") as progress:
                found = compare_models(
                    cohort,
                    models,
                    criterion=criterion,
                    method=method,
                    fix=fixed,
                    seed=seed,
                    target_se=target_se,
                    progress=progress,
                    **structure,
                )
            session.folder.write_table(TABLE, found.table)
            write_fit(session, found.best)
            _show(session, found)
        tell_files(session)


def _show(session: Session, found: ModelComparison) -> None:
    from cellkinetics.fitting.model_comparison import WORDS
    from cellkinetics.printing import number

    rows = []
    for one in found.models:
        gone = bool(one.reason)
        rows.append(
            [
                one.model,
                "–" if gone else str(one.n_parameters),
                "–" if gone else f"{one.minus2ll:.2f} ({one.mc_se:.2f})",
                "–" if gone else f"{one.bicc:.2f}",
                "–" if gone else f"{one.delta:.2f} ({one.delta_se:.2f})",
                number(one.weight, 2),
                one.reason or ("" if one.converged else "did not converge"),
            ]
        )
    heading = [
        "model",
        "parameters",
        "-2LL (SE)",
        "BICc",
        f"{WORDS[found.criterion]} above the best (SE)",
        "weight",
        "",
    ]
    session.screen.table("Models, the best first", heading, rows)
    for warning in found.warnings:
        session.screen.warn(warning)
    session.screen.say(f"compare: {found.status}; the fit of {found.best.model} is written")
