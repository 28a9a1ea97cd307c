"""`cellkinetics forecast`: what is to be expected of new patients, from a population and their samples so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellkinetics.cli import options as o
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.fitting.pooled.forecast import Forecast

DEFAULT_OUT = Path("results") / "forecast"
FILES = ("forecast.csv", "forecast_quantities.csv", "forecast_below.csv", "forecast.png")
FORECAST = "Forecast"
FIGURE_PANELS = 12
LEAST_DRAWS = 100
"""Fewest draws that 95 % intervals can be read from."""

Population = Annotated[
    str,
    typer.Argument(
        help="Folder or population.json of a population fit, or a published model, see `cellkinetics models`.",
        metavar="FIT",
        show_default=False,
    ),
]
Times = Annotated[
    str | None,
    typer.Option(
        help="Days of the forecast, such as 28,84,180; 28-35 stands for each day. [default: 120 days up to 365]",
        metavar="DAYS",
        rich_help_panel=FORECAST,
    ),
]
Levels = Annotated[
    str | None,
    typer.Option(
        "--below",
        help="Levels of which the probability to be below is asked, such as 50,1000. [default: the LLOQ]",
        metavar="LEVEL,...",
        rich_help_panel=FORECAST,
    ),
]
Until = Annotated[
    float | None,
    typer.Option(
        help="Last day whose samples are used, to see how later ones would have been forecast.",
        rich_help_panel=FORECAST,
    ),
]
Draws = Annotated[int, typer.Option(help="Draws of each patient, at least 100.", rich_help_panel=FORECAST)]
Comedication = Annotated[
    Path | None,
    typer.Option(
        help="Table subject, drug, start, end: when inputs of the model were given.",
        metavar="FILE",
        rich_help_panel=FORECAST,
    ),
]


def forecast(
    ctx: typer.Context,
    population: Population,
    data: o.Data,
    out: o.Out = DEFAULT_OUT,
    times: Times = None,
    below: Levels = None,
    until: Until = None,
    draws: Draws = 1000,
    comedication: Comedication = None,
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
    """Forecast new patients from a population and their samples so far: curves, samples, derived quantities, levels.

    Example: cellkinetics forecast results/trial new_patients.csv --until 28 --below 50
    """
    from cellkinetics.cli.reading import tell_files
    from cellkinetics.cli.series import read_series
    from cellkinetics.cli.session import Session

    with Session(
        "forecast", ctx.params, data=data, out=out, planned=FILES, force=force, quiet=quiet, seed=seed
    ) as session:
        from cellkinetics.fitting.pooled.forecast import forecast as forecast_all
        from cellkinetics.fitting.pooled.known import know

        if draws < LEAST_DRAWS:
            raise SettingsError(f"--draws {draws} is too few for 95 % intervals; give at least {LEAST_DRAWS}")
        known = know(population)
        options: dict[str, Any] = {"levels": _numbers("--below", below), "times": _days(times), "until": until}
        cohort = read_series(session, data, ctx.params)
        with session.stage("forecast"):
            found = forecast_all(known, cohort, n=draws, comedication=comedication, seed=seed, **options)
            _write(session, found)
        tell_files(session)


def _days(text: str | None) -> tuple[float, ...] | None:
    from cellkinetics.cli.schedule import parse_days

    return None if text is None else parse_days("--times", text)


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"{option} {text}: write numbers such as 50,1000") from None


def _write(session: Session, found: Forecast) -> None:
    from cellkinetics.report.figures import save_png
    from cellkinetics.report.figures.forecast import forecast_pages
    from cellkinetics.report.plotting import forecasts_of

    for name, table in zip(FILES, (found.table, found.quantities, found.below), strict=False):
        session.folder.write_table(name, table)
    session.folder.write_bytes(FILES[3], save_png(next(forecast_pages(forecasts_of(found), most=FIGURE_PANELS))))
    if len(found.places) > FIGURE_PANELS:
        session.screen.say(f"the figure shows the first {FIGURE_PANELS} of {len(found.places)} profiles")
    session.screen.say(f"forecast: {found.status}")
    for note in found.notes:
        session.screen.say(f"  {note}")
