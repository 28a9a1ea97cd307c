"""`cellkinetics bootstrap`: a population fit once more on data like its own, many times, and what that says of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellkinetics.cli import options as o
from cellkinetics.cli import structure_options as s

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort
    from cellkinetics.fitting.pooled.bootstrap import Bootstrap

DEFAULT_OUT = Path("results") / "bootstrap"
FILES = ("bootstrap.csv", "bootstrap_replicates.csv")
RECORDS = "bootstrap_records"
BOOTSTRAP = "Bootstrap"

Replicates = Annotated[int, typer.Option(min=1, help="How often the fit is repeated.", rich_help_panel=BOOTSTRAP)]
Kind = Annotated[
    str,
    typer.Option(
        help="Data of a replicate: nonparametric (subjects drawn with replacement), or parametric (samples simulated "
        "from the fit).",
        rich_help_panel=BOOTSTRAP,
    ),
]
Strata = Annotated[
    str | None,
    typer.Option(
        help="Column whose groups keep their size when subjects are drawn.",
        metavar="COLUMN",
        rich_help_panel=BOOTSTRAP,
    ),
]


def bootstrap(
    ctx: typer.Context,
    data: o.Data,
    out: o.Out = DEFAULT_OUT,
    replicates: Replicates = 200,
    kind: Kind = "nonparametric",
    strata: Strata = None,
    model: o.ModelName = "ecp",
    method: o.Method = "saem",
    covariate: s.Covariate = None,
    missing_covariates: s.MissingCovariates = "error",
    comedication: s.ComedicationTable = None,
    residual: s.Residual = "log-constant",
    omega: s.Omega = "diagonal",
    iov: s.Iov = None,
    mixture: s.Mixture = None,
    start: s.Start = None,
    fix: o.Fix = None,
    analyte: o.Analyte = None,
    specimen: o.PooledSpecimen = None,
    seed: o.Seed = 0,
    jobs: o.Jobs = 1,
    resume: o.Resume = False,
    engine: o.Engine = "processes",
    scheduler: o.Scheduler = None,
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
    """Repeat a population fit on resampled subjects: bias, standard errors and intervals of its parameters.

    An interrupted run is gone on with by --resume, and gives the numbers of an uninterrupted one.

    Example: cellkinetics bootstrap trial.csv --replicates 200 --jobs 2 --resume --out results/bootstrap
    """
    from cellkinetics.cli.fit import check_model
    from cellkinetics.cli.pool import check_method, fixed_values
    from cellkinetics.cli.reading import tell_files
    from cellkinetics.cli.series import read_series
    from cellkinetics.cli.session import Session
    from cellkinetics.engines import Crew, check_crew

    planned = () if resume else FILES
    with Session(
        "bootstrap", ctx.params, data=data, out=out, planned=planned, force=force, quiet=quiet, seed=seed
    ) as session:
        fixed = fixed_values(fix)
        check_model(model, fixed)
        check_method(method)
        check_crew(Crew(engine, jobs, scheduler))
        options: dict[str, Any] = {
            **{"model": model, "method": method, "fix": fixed, "seed": seed},
            **{**s.structure_of(ctx.params), "start": s.starting_values(start)},
        }
        cohort = read_series(session, data, ctx.params, lambda cohort: s.check_covariates(cohort, model, covariate))
        wanted = {"replicates": replicates, "kind": kind, "strata": strata, "seed": seed, "jobs": jobs}
        wanted |= {"engine": engine, "scheduler": scheduler, "resume": resume, "force": force}
        _write(session, cohort, options, wanted)
        tell_files(session)


def _write(session: Session, cohort: Cohort, options: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Fit, repeat the fit, write what came of it, and show it."""
    from cellkinetics.cli.resuming import count_records, resumable
    from cellkinetics.fitting.pooled.bootstrap import bootstrap as repeat
    from cellkinetics.fitting.pooled.estimation import pool

    with session.stage("pool"), session.screen.progress("Population fit") as progress:
        fit = pool(cohort, **options, progress=progress)
    folder = session.folder / RECORDS
    if wanted["resume"] and (done := count_records(folder)):
        session.screen.say(f"{min(done, wanted['replicates'])} of {wanted['replicates']} replicates were done before")
    with session.stage("bootstrap"):
        what = f"of {wanted['replicates']} replicates"
        with resumable(session.screen, folder, what), session.screen.progress("Bootstrap") as progress:
            found = repeat(fit, folder=folder, progress=progress, **wanted)
        for name, table in zip(FILES, (found.table, found.estimates), strict=True):
            session.folder.write_table(name, table)
    _show(session, found)


def _show(session: Session, found: Bootstrap) -> None:
    from cellkinetics.printing import interval_text, number, unit_text

    rows = [
        [
            row["parameter"],
            number(row["estimate"]),
            number(row["bias"]),
            number(row["se"]),
            interval_text(row["ci_low"], row["ci_high"]),
            interval_text(row["bca_low"], row["bca_high"]),
            unit_text(str(row["unit"] or "")),
        ]
        for row in found.table.to_dict("records")
    ]
    heading = ["parameter", "estimate", "bias", "SE", "95 % (percentile)", "95 % (BCa)", "unit"]
    session.screen.table("Bootstrap", heading, rows)
    why = found.table[found.table["reason"] != ""]
    for reason, names in why.groupby("reason", sort=False)["parameter"]:
        session.screen.say(f"{', '.join(names)}: {reason}")
    session.screen.say(f"bootstrap: {found.status}")
