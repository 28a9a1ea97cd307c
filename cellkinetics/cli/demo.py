"""`cellkinetics demo`: the whole analysis on the bundled, simulated trial."""

from __future__ import annotations

from pathlib import Path

import typer

from cellkinetics.cli import options as o

DEMO_OUT = Path("results") / "demo"
BUNDLED = "data/bundled/dose_exploration.csv"


def demo(
    ctx: typer.Context,
    out: o.Out = DEMO_OUT,
    method: o.Method = "saem",
    seed: o.Seed = 0,
    diagnostics: o.Diagnostics = True,
    simulations: o.Simulations = 500,
    settings: o.Settings = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Run the whole analysis on the bundled trial: simulated, 24 patients on 4 dose levels.

    Example: cellkinetics demo
    """
    import importlib.resources

    from cellkinetics.cli.run import run_all
    from cellkinetics.report.recorded import read_manifest

    # The demo's own folder holds nothing that is worth keeping.
    own = read_manifest(out).get("command") == "demo"
    with importlib.resources.as_file(importlib.resources.files("cellkinetics") / BUNDLED) as data:
        run_all("demo", {**_defaults_of_run(), **ctx.params, "data": data, "force": force or own})


def _defaults_of_run() -> dict[str, object]:
    import inspect

    from cellkinetics.cli.run import run

    parameters = inspect.signature(run).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
