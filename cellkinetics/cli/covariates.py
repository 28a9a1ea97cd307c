"""`cellkinetics covariates`: a stepwise search for what explains differences between patients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellkinetics.cli import options as o
from cellkinetics.cli import structure_options as s
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort
    from cellkinetics.fitting.covariate_search import CovariateSearch

DEFAULT_OUT = Path("results") / "covariates"
FILES = ("covariate_search.csv", "covariate_models.csv")
RECORDS = "covariate_records"
SEARCH = "Search"

Candidate = Annotated[
    list[str] | None,
    typer.Option(
        "--candidate",
        help="Covariates that a parameter may depend on, such as 'cmax ~ group + weight'. Repeat it for several "
        "parameters.",
        metavar="FORMULA",
        rich_help_panel=SEARCH,
    ),
]
Forward = Annotated[float, typer.Option(help="Level at which a term enters.", rich_help_panel=SEARCH)]
Backward = Annotated[float, typer.Option(help="Level at which a term stays.", rich_help_panel=SEARCH)]


def covariates(
    ctx: typer.Context,
    data: o.Data,
    out: o.Out = DEFAULT_OUT,
    candidate: Candidate = None,
    covariate: s.Covariate = None,
    missing_covariates: s.MissingCovariates = "error",
    forward: Forward = 0.05,
    backward: Backward = 0.01,
    model: o.ModelName = "ecp",
    method: s.ExactMethod = "saem",
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
    """Search for covariates by likelihood ratios: add while p < 0.05, then take away what is not needed at 0.01.

    Example: cellkinetics covariates trial.csv --candidate "cmax ~ group + weight" --candidate "tmax ~ age" --jobs 2
    """
    from cellkinetics.cli.fit import check_model
    from cellkinetics.cli.pool import fixed_values
    from cellkinetics.cli.reading import tell_files
    from cellkinetics.cli.series import read_series
    from cellkinetics.cli.session import Session
    from cellkinetics.engines import Crew, check_crew

    planned = () if resume else FILES
    with Session(
        "covariates", ctx.params, data=data, out=out, planned=planned, force=force, quiet=quiet, seed=seed
    ) as session:
        from cellkinetics.fitting.pooled.refit import check_exact
        from cellkinetics.fitting.pooled.stepwise import check_levels

        if not candidate:
            raise SettingsError("give at least one --candidate, such as --candidate 'cmax ~ group'")
        structure = s.structure_of(ctx.params)
        fixed = fixed_values(fix)
        check_model(model, fixed)
        check_exact(method)
        check_levels(forward, backward)
        crew = Crew(engine, jobs, scheduler)
        check_crew(crew)

        def check(cohort: Cohort) -> None:
            for formula in (*candidate, *(covariate or ())):
                s.check_covariates(cohort, model, [formula])

        cohort = read_series(session, data, ctx.params, check)
        options: dict[str, Any] = {
            **structure,
            "candidates": tuple(candidate),
            "forward": forward,
            "backward": backward,
            "model": model,
            "method": method,
            "fix": fixed,
            "seed": seed,
            "target_se": target_se,
            "crew": crew,
            "resume": resume,
            "force": force,
        }
        with session.stage("covariates"):
            _write(session, cohort, options)
        tell_files(session)


def _write(session: Session, cohort: Cohort, options: dict[str, Any]) -> None:
    """Search, write what came of it, and show it."""
    from cellkinetics.cli.resuming import resumable
    from cellkinetics.fitting.covariate_search import covariate_search

    folder, missing = session.folder / RECORDS, options.pop("missing_covariates")
    with resumable(session.screen, folder, "fits"), session.screen.progress("Covariate search") as progress:
        found = covariate_search(cohort, missing=missing, folder=folder, progress=progress, **options)
    for name, table in zip(FILES, (found.table, found.models), strict=True):
        session.folder.write_table(name, table)
    _show(session, found)


def _show(session: Session, found: CovariateSearch) -> None:
    from cellkinetics.printing import number

    rows = [
        [
            str(test.step),
            test.direction,
            test.term,
            "–" if test.outcome == "failed" else f"{test.delta:.2f} ({test.delta_se:.2f})",
            number(test.p, 2),
            test.outcome + (", undecided" if test.undecided else ""),
        ]
        for test in found.tests
        if test.term
    ]
    session.screen.table(
        "Likelihood ratios", ["step", "direction", "term", "change of -2LL (SE)", "p", "outcome"], rows
    )
    for warning in found.warnings:
        session.screen.warn(warning)
    session.screen.say(f"covariates: {found.status}")
    if found.terms:
        words = " ".join(f'--covariate "{term}"' for term in found.terms)
        session.screen.say(f"fit the model with: cellkinetics pool ... {words}")
