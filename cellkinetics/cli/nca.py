"""`cellkinetics nca`: noncompartmental analysis of every profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from cellkinetics.cli import options as o

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort
    from cellkinetics.nca.options import NCAOptions

FILES = ("nca.csv", "nca_wide.csv", "nca_summary.csv", "nca_points.csv")


def nca(
    ctx: typer.Context,
    data: o.Data,
    out: o.Out = o.DEFAULT_OUT,
    windows: o.Windows = None,
    auc_method: o.AUCMethod = "linear-up-log-down",
    blq: o.BLQ = "default",
    route: o.Route = "cells",
    infusion_duration: o.InfusionDuration = 0.0,
    parameters: o.Parameters = "core",
    by: o.By = "group",
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
    """Noncompartmental analysis of every profile: Cmax, Tmax, AUC, half-life and more, with reasons.

    Example: cellkinetics nca trial.csv --windows 0-28,0-84 --out results/trial
    """
    from cellkinetics.cli.reading import read_input, reading_options, tell_files
    from cellkinetics.cli.session import Session

    with Session("nca", ctx.params, out=out, planned=FILES, force=force, quiet=quiet) as session:
        rules = nca_options(windows, auc_method, blq, route, infusion_duration)
        given = reading_options(dialect, mapping, lloq, duplicates, negative, time_unit, value_unit)
        cohort = read_input(session, data, given)
        with session.stage("nca"):
            write_nca(session, cohort, rules, parameters, by)
        tell_files(session)


def nca_options(windows: str | None, auc_method: str, blq: str, route: str, infusion_duration: float) -> NCAOptions:
    """Return the rules of the analysis.

    Raises:
        SettingsError: for a rule that does not exist.
    """
    from cellkinetics.nca.options import NCAOptions

    given: dict[str, Any] = {
        "auc_method": auc_method,
        "blq": blq,
        "route": route,
        "infusion_duration": infusion_duration,
    }
    if windows is not None:
        given["windows"] = windows
    return NCAOptions(**given)


def write_nca(session: Session, cohort: Cohort, rules: NCAOptions, parameters: str, by: str) -> None:
    """Analyse a cohort, write the tables, and show the summary of the main parameters."""
    from cellkinetics.nca.engine import noncompartmental

    session.manifest.options = {**session.manifest.options, "nca_options": rules.model_dump(mode="json")}
    with session.screen.progress("Noncompartmental analysis") as progress:
        result = noncompartmental(cohort, options=rules, parameters=parameters, progress=progress)
    folder = session.folder
    folder.write_table("nca.csv", result.table)
    folder.write_table("nca_wide.csv", result.wide)
    folder.write_table("nca_points.csv", result.points)
    names = [] if by.strip().lower() in {"", "none"} else [name.strip() for name in by.split(",")]
    summary = result.summary(by=names or None)
    folder.write_table("nca_summary.csv", summary)
    _show(session, summary, names)
    session.screen.say(f"nca: {result.status}")


def _show(session: Session, summary: Any, names: list[str]) -> None:
    from cellkinetics.report.tables import MISSING, number, percent, unit_text

    several = len(summary["analyte"].unique()) > 1
    groups = [name for name in names if (summary[name].astype(str) != "").any()]
    first_window = summary.loc[summary["parameter"] == "AUCINT", "interval_end"].min()
    rows = []
    for row in summary.to_dict("records"):
        if row["parameter"] not in {"CMAX", "TMAX", "LAMZHL"} and not (
            row["parameter"] == "AUCINT" and row["interval_end"] == first_window
        ):
            continue
        name = row["parameter"]
        if name == "AUCINT":
            name = f"AUC{row['interval_start']:g}-{row['interval_end']:g}"
        mean, spread = row["geometric_mean"], row["geometric_cv_percent"]
        rows.append(
            [
                name,
                *([row["analyte"]] if several else []),
                *(str(row[group]) for group in groups),
                number(row["n"]),
                "" if name == "TMAX" or mean != mean else f"{number(mean)} ({percent(spread)})",
                f"{number(row['median'])} [{number(row['min'])}; {number(row['max'])}]" if row["n"] else MISSING,
                unit_text(row["unit"]),
            ]
        )
    columns = [
        "parameter",
        *(["analyte"] if several else []),
        *groups,
        "n",
        "geometric mean (CV)",
        "median [min; max]",
        "unit",
    ]
    session.screen.table("Noncompartmental analysis", columns, rows[:40], left=1 + several + len(groups))
