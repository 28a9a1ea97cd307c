"""`cellkinetics fit`: one fit per patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from cellkinetics.cli import options as o

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort

FILES = ("individual.csv", "individual_curves.csv")
PROFILES = "individual_profiles.csv"
PLANNED = (*FILES, PROFILES)  # the last not always, so that no old one stays beside new results


def fit(
    ctx: typer.Context,
    data: o.Data,
    out: o.Out = o.DEFAULT_OUT,
    model: o.ModelName = "ecp",
    intervals: o.FitIntervals = "wald",
    seed: o.FitSeed = 0,
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
    """Fit the model to each patient alone, samples below quantification as left-censored.

    Example: cellkinetics fit trial.csv --model ecp --out results/trial
    """
    from cellkinetics.cli.reading import read_input, reading_options, tell_files
    from cellkinetics.cli.session import Session

    with Session(
        "fit", ctx.params, data=data, out=out, planned=PLANNED, force=force, quiet=quiet, seed=seed
    ) as session:
        check_model(model)
        given = reading_options(dialect, mapping, lloq, duplicates, negative, time_unit, value_unit)
        cohort = read_input(session, data, given)
        with session.stage("fit"):
            write_fits(session, cohort, model, seed, intervals)
        tell_files(session)


def check_model(model: str, fixed: Mapping[str, float] | None = None) -> None:
    """Refuse an unknown model, and fixed values that are none of its parameters', before anything is read.

    Raises:
        ModelError: for an unknown name of a model or parameter, or a value out of the parameter's range.
    """
    from cellkinetics.models.registry import get_model

    get_model(model).check_values(fixed or {})


def write_fits(session: Session, cohort: Cohort, model: str, seed: int, intervals: str = "wald") -> None:
    """Fit every profile, write the tables, and show how many fits can be used."""
    from cellkinetics.fitting.individual import fit as fit_each

    with session.screen.progress("Individual fits") as progress:
        fits = fit_each(cohort, model=model, intervals=intervals, seed=seed, progress=progress)
    session.folder.write_table("individual.csv", fits.table)
    session.folder.write_table("individual_curves.csv", fits.curves)
    if intervals == "profile":
        session.folder.write_table(PROFILES, fits.profiles)
    session.screen.say(f"fit: {fits.status}")
