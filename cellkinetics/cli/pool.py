"""`cellkinetics pool`: one population fit of all patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from cellkinetics.cli import options as o
from cellkinetics.cli.pairs import parse_pairs
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort

FILES = ("population.json", "population.csv", "individual_effects.csv", "population_curves.csv")


def pool(
    ctx: typer.Context,
    data: o.Data,
    out: o.Out = o.DEFAULT_OUT,
    model: o.ModelName = "ecp",
    method: o.Method = "importance",
    fix: o.Fix = None,
    analyte: o.Analyte = None,
    seed: o.Seed = 0,
    dialect: o.Dialect = "auto",
    mapping: o.Map = None,
    lloq: o.LLOQ = None,
    duplicates: o.Duplicates = "error",
    negative: o.Negative = "error",
    time_unit: o.TimeUnit = "day",
    value_unit: o.ValueUnit = None,
    settings: o.Settings = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Fit one population to all patients: typical values, variability, residual, and -2LL with its error.

    Example: cellkinetics pool trial.csv --method focei --seed 1 --out results/trial
    """
    from cellkinetics.cli.fit import check_model
    from cellkinetics.cli.reading import read_input, reading_options, tell_files
    from cellkinetics.cli.session import Session

    with Session("pool", ctx.params, out=out, planned=FILES, force=force, quiet=quiet, seed=seed) as session:
        check_model(model)
        given = reading_options(dialect, mapping, lloq, duplicates, negative, time_unit, value_unit)
        cohort = read_input(session, data, given)
        with session.stage("pool"):
            write_population(session, cohort, model, method, analyte, seed, fixed_values(fix))
        tell_files(session)


def fixed_values(items: Sequence[str] | None) -> dict[str, float]:
    """Return the typical values of ``--fix`` by parameter.

    Raises:
        SettingsError: for an item that is not NAME=NUMBER.
    """
    pairs = parse_pairs("--fix", items, form="NAME=VALUE", example="foldx=3900")
    try:
        return {name: float(value) for name, value in pairs.items()}
    except ValueError:
        raise SettingsError(f"--fix {' '.join(items or [])}: the value must be a number, as in foldx=3900") from None


def write_population(
    session: Session,
    cohort: Cohort,
    model: str,
    method: str,
    analyte: str | None,
    seed: int,
    fix: Mapping[str, float],
) -> None:
    """Fit the population of one analyte, write its files, and show its parameters."""
    from cellkinetics.errors import FitError
    from cellkinetics.fitting.pooled.estimation import pool as pool_all

    if analyte is not None:
        cohort = cohort.select(analyte=analyte)
    elif len(cohort.analytes) > 1:
        raise FitError(
            f"the data hold {len(cohort.analytes)} analytes ({', '.join(cohort.analytes)}), and a population fit "
            "takes one; name it with --analyte"
        )
    given: Any = method
    with session.screen.progress("Population fit") as progress:
        result = pool_all(cohort, model=model, method=given, fix=fix, seed=seed, progress=progress)
    session.folder.write_json("population.json", result.to_dict())
    session.folder.write_table("population.csv", result.table)
    session.folder.write_table("individual_effects.csv", result.individual)
    session.folder.write_table("population_curves.csv", result.curves)
    _show(session, result)


def _show(session: Session, result: Any) -> None:
    from cellkinetics.report.tables import number, percent, unit_text

    rows = [
        [
            row["parameter"],
            number(row["estimate"]),
            percent(row["rse_percent"]),
            f"{number(row['ci_low'])} to {number(row['ci_high'])}" if row["ci_low"] == row["ci_low"] else "–",
            percent(row["iiv_cv_percent"]),
            unit_text(str(row["unit"] or "")),
        ]
        for row in result.table.to_dict("records")
    ]
    session.screen.table("Population fit", ["parameter", "estimate", "RSE", "95 % CI", "IIV (CV)", "unit"], rows)
    objective = result.to_dict()["objective"]
    session.screen.say(
        f"pool: {result.status}; -2LL {objective['minus2ll']:.1f} (Monte-Carlo SE {number(objective['mc_se'], 2)})"
    )
