"""`cellkinetics export`: a population model, its data and starting values for NONMEM or nlmixr2."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellkinetics.cli import options as o
from cellkinetics.cli import structure_options as s
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.data.cohort import Cohort

DEFAULT_OUT = Path("results") / "export"
EFFECTS = "individual_effects.csv"
PROGRAMS = ("nonmem", "nlmixr2")
PLANNED = ("run1.ctl", "run1.R", "data.csv", "subjects.csv", "layout.json", "README.txt")

To = Annotated[str, typer.Option(help="Program: nonmem or nlmixr2.", metavar="nonmem|nlmixr2")]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="Folder, or population.json, of a fit of these data: its model, structure and estimates are exported.",
        metavar="FIT_DIR",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Kinetic model, a member of the expansion family; see `cellkinetics models`. [default: ecp]",
        rich_help_panel=o.ANALYSIS,
    ),
]


def export(
    ctx: typer.Context,
    data: o.Data,
    to: To,
    fitted: From = None,
    out: o.Out = DEFAULT_OUT,
    model: ModelName = None,
    residual: s.Residual = "log-constant",
    start: s.Start = None,
    covariate: s.Covariate = None,
    comedication: s.ComedicationTable = None,
    omega: s.Omega = "diagonal",
    iov: s.Iov = None,
    mixture: s.Mixture = None,
    fix: o.Fix = None,
    analyte: o.Analyte = None,
    specimen: o.PooledSpecimen = None,
    seed: o.Seed = 0,
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
    """Write a population model with its data and starting values as files that NONMEM or nlmixr2 run.

    Example: cellkinetics export trial.csv --to nonmem --from results/trial --out results/nonmem
    """
    from cellkinetics.cli.fit import check_model
    from cellkinetics.cli.pool import fixed_values
    from cellkinetics.cli.reading import tell_files
    from cellkinetics.cli.series import read_series
    from cellkinetics.cli.session import Session

    with Session(
        "export", ctx.params, data=data, out=out, planned=PLANNED, force=force, quiet=quiet, seed=seed
    ) as session:
        if to not in PROGRAMS:
            raise SettingsError(f"--to {to}: there is no such program to export to; there is {', '.join(PROGRAMS)}")
        fixed = fixed_values(fix)
        given: dict[str, Any] = {"comedication": s.comedication_table(comedication)}
        if fitted is None:
            check_model(model or "ecp", fixed)
            given |= {
                "model": model or "ecp",
                "residual": residual,
                "start": s.starting_values(start),
                "fix": fixed,
                "omega": omega,
                "covariates": tuple(covariate or ()),
                "iov": s.names_of(iov),
                "mixture": s.names_of(mixture),
            }
        else:
            if model or start or covariate or iov or mixture or fix or omega != "diagonal":
                raise SettingsError("--from: a fit is exported as it is; leave --model and what says its structure out")
            given["population"] = fitted
        cohort = read_series(session, data, ctx.params)
        with session.stage("export"):
            from cellkinetics.fitting.interchange.export import export as write

            program: Any = to
            exported = write(cohort, program, seed=seed, **given)
            if fitted is not None and not is_of(fitted, cohort):
                session.screen.warn(f"these are not the patients of {fitted}: its estimates go out with other data")
            for name, text in exported.files.items():
                session.folder.write_text(name, text)
        tell_files(session)
        session.screen.say(f"export: README.txt in {session.folder.path} says how to run it and to read estimates back")


def is_of(fitted: Path, cohort: Cohort) -> bool:
    """Tell whether a fit is one of these patients: by its table of patients, else by their number and samples."""
    folder = fitted if fitted.is_dir() else fitted.parent
    usable = [i for i, fault in enumerate(cohort.unusable) if fault is None]
    try:
        with (folder / EFFECTS).open(encoding="utf-8", newline="") as stream:
            return {row["subject"] for row in csv.DictReader(stream)} <= {cohort.subject[i] for i in usable}
    except (OSError, KeyError):
        record = json.loads((fitted / "population.json" if fitted.is_dir() else fitted).read_text(encoding="utf-8"))
        return bool(record.get("n_subjects", 0) <= len({cohort.subject[i] for i in usable}))
