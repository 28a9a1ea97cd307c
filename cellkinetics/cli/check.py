"""`cellkinetics check`: read a table and list every fault with its row."""

from __future__ import annotations

import typer

from cellkinetics.cli import options as o


def check(
    ctx: typer.Context,
    data: o.Data,
    out: o.Out = o.DEFAULT_OUT,
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
    """Read a table and list every fault with its row and what to do about it.

    Example: cellkinetics check trial.csv --out results/trial
    """
    from cellkinetics.cli.reading import read_input, tell_files
    from cellkinetics.cli.session import Session
    from cellkinetics.report.tables import plural

    with Session("check", ctx.params, data=data, out=out, planned=(), force=force, quiet=quiet) as session:
        cohort = read_input(session, data, ctx.params)
        faults = [fault for fault in cohort.faults if fault.effect != "note"]
        unusable = sum(fault is not None for fault in cohort.unusable)
        if faults:
            profiles = plural(len(cohort), "profile")
            session.screen.say(f"{plural(len(faults), 'fault')}; {unusable} of {profiles} cannot be used")
        else:
            session.screen.say("no faults")
        tell_files(session)
