"""`cellkinetics simulate`: virtual trials of a published model or a population fit, written as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellkinetics.cli import options as o
from cellkinetics.cli.pairs import parse_pairs
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.fitting.virtual.trial import Trials

DEFAULT_OUT = Path("results") / "simulation"
PARAMETERS = "simulated_parameters.csv"
PLANNED = (
    *("simulated.csv", "simulated_patients.csv", "simulated.parquet", "simulated_patients.parquet"),
    PARAMETERS,
)
TRIAL = "Trial"
PATIENTS = "Patients"

Source = Annotated[
    str,
    typer.Argument(
        help="Whose kinetics: a published model, see `cellkinetics models`, or the folder or population.json of a fit.",
        metavar="MODEL",
    ),
]
Subjects = Annotated[int, typer.Option(min=1, help="Patients of each trial.", rich_help_panel=TRIAL)]
Days = Annotated[
    list[str] | None,
    typer.Option(
        "--days",
        help="Sampling days: dense, standard or sparse, or days such as 7,14,28; early=1-5 gives them a name. "
        "Repeat it for several, which patients get in turn. [default: standard]",
        metavar="[NAME=]DAYS",
        rich_help_panel=TRIAL,
    ),
]
Limit = Annotated[float | None, typer.Option("--lloq", help="Lower limit of quantification.", rich_help_panel=TRIAL)]
Upper = Annotated[float | None, typer.Option("--uloq", help="Upper limit of quantification.", rich_help_panel=TRIAL)]
Jitter = Annotated[
    float,
    typer.Option(
        help="Largest deviation from a nominal day, as a fraction of the way to the nearest other one; below 0.5.",
        rich_help_panel=TRIAL,
    ),
]
Missed = Annotated[float, typer.Option(help="Share of samples that are not taken.", rich_help_panel=TRIAL)]
_RULE = "exponential:RATE, weibull:SCALE,SHAPE, below:LEVEL of the curve, or FILE.csv with day, remaining"
Dropout = Annotated[
    str | None,
    typer.Option(help=f"When patients drop out: {_RULE}.", metavar="RULE", rich_help_panel=TRIAL),
]
Relapse = Annotated[
    str | None,
    typer.Option(
        help="When they relapse, which ends their samples too; as for --dropout.", metavar="RULE", rich_help_panel=TRIAL
    ),
]
Doses = Annotated[
    str | None,
    typer.Option(help="Doses, such as 150,300, which patients get in turn.", metavar="DOSE,...", rich_help_panel=TRIAL),
]
Comedication = Annotated[
    list[str] | None,
    typer.Option(
        "--comedication",
        help="From and to which day everybody is given an input of the model, such as toci=3-60.",
        metavar="NAME=FROM-TO",
        rich_help_panel=TRIAL,
    ),
]
Occasions = Annotated[int, typer.Option(min=1, help="Infusions of each patient.", rich_help_panel=TRIAL)]
Patients = Annotated[
    Path | None,
    typer.Option(
        help="Table of covariates, one row a patient, of which each virtual patient gets one at random. "
        "[default: those of the fit]",
        metavar="FILE.csv",
        rich_help_panel=PATIENTS,
    ),
]
Replicates = Annotated[int, typer.Option(min=1, help="Number of trials.", rich_help_panel=PATIENTS)]
Uncertainty = Annotated[
    bool,
    typer.Option(
        "--uncertainty",
        help="Draw the population parameters of each trial from their estimation error.",
        rich_help_panel=PATIENTS,
    ),
]


def simulate(
    ctx: typer.Context,
    source: Source = "stein2019",
    subjects: Subjects = 100,
    days: Days = None,
    lloq: Limit = None,
    uloq: Upper = None,
    jitter: Jitter = 0.0,
    missed: Missed = 0.0,
    dropout: Dropout = None,
    relapse: Relapse = None,
    doses: Doses = None,
    comedication: Comedication = None,
    occasions: Occasions = 1,
    patients: Patients = None,
    replicates: Replicates = 1,
    uncertainty: Uncertainty = False,
    seed: o.Seed = 0,
    jobs: o.Jobs = 1,
    table_format: o.TableFormat = "csv",
    out: o.Out = DEFAULT_OUT,
    settings: o.Settings = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Simulate trials: patients of a published model or a fit, sampling days, limits, drop-out, and doses.

    Example: cellkinetics simulate stein2019 --subjects 200 --days standard --lloq 50 --dropout exponential:0.002
    """
    from cellkinetics.cli.session import Session

    given = Path(source)
    file = given / "population.json" if given.is_dir() else given
    data = [file] if file.suffix == ".json" else []
    with Session(
        "simulate", ctx.params, data=data, out=out, planned=PLANNED, force=force, quiet=quiet, seed=seed
    ) as session:
        trials = _trials(source, ctx.params)
        session.claim()
        session.folder.clear(PLANNED)
        if data:
            from cellkinetics.report.output import sha256_of

            session.manifest.input = {"name": file.name, "sha256": sha256_of(file), "dialect": "", "rows": 0}
        with session.stage("simulate"):
            _write(session, trials, table_format, jobs)


def _trials(source: str, given: Mapping[str, Any]) -> Trials:
    from cellkinetics.fitting.pooled.known import know
    from cellkinetics.fitting.virtual.design import TrialDesign
    from cellkinetics.fitting.virtual.leaving import leaving
    from cellkinetics.fitting.virtual.trial import Trials, covariate_columns, known_covariates

    known = know(source)
    patients = known_covariates(known) if given["patients"] is None else covariate_columns(_table(given["patients"]))
    design = TrialDesign(
        _schedules(given["days"]),
        lloq=given["lloq"],
        uloq=given["uloq"],
        jitter=given["jitter"],
        missed=given["missed"],
        dropout=leaving(given["dropout"], "--dropout"),
        relapse=leaving(given["relapse"], "--relapse"),
        doses=_doses(given["doses"]),
        patients=patients,
        given=_intervals(given["comedication"]),
        occasions=given["occasions"],
    )
    return Trials(known, design, given["subjects"], given["replicates"], given["uncertainty"], given["seed"])


def _schedules(items: Sequence[str] | None) -> dict[str, tuple[float, ...]]:
    from cellkinetics.cli.schedule import named_schedules
    from cellkinetics.fitting.virtual.design import SCHEDULES

    found: dict[str, tuple[float, ...]] = {}
    for item in items or ["standard"]:
        new = {item: SCHEDULES[item]} if item in SCHEDULES else named_schedules([item])
        if found.keys() & new.keys():
            raise SettingsError(f"--days {item}: give each schedule a name of its own, as in weekly=7,14,21")
        found |= new
    return found


def _doses(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise SettingsError(f"--doses {text}: write numbers such as 150,300") from None


def _intervals(items: Sequence[str] | None) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for name, text in parse_pairs("--comedication", items, form="NAME=FROM-TO", example="toci=3-60").items():
        first, _, last = text.partition("-")
        try:
            found[name] = [(float(first), float(last))]
        except ValueError:
            raise SettingsError(f"--comedication {name}={text}: write NAME=FROM-TO, for example toci=3-60") from None
    return found


def _table(path: Path) -> Any:
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"--patients {path}: cannot be read ({error})") from None


def _write(session: Session, trials: Trials, table_format: str, jobs: int) -> None:
    from cellkinetics.engines import Crew
    from cellkinetics.models.compilation import use_compilation_cache
    from cellkinetics.report.tables import plural
    from cellkinetics.report.trial_files import write_trials

    use_compilation_cache()
    with session.screen.progress("Virtual patients") as progress:
        found = write_trials(trials, session.folder, format_name=table_format, crew=Crew(jobs=jobs), progress=progress)
    each = f"{plural(trials.replicates, 'trial')} of {plural(trials.n, 'patient')}"
    above = f", {found.above:,} above" if trials.design.uloq is not None else ""
    session.screen.say(
        f"simulate: {each} of {trials.known.name}, {plural(found.samples, 'sample')} "
        f"({found.below:,} below quantification{above})"
    )
    session.screen.say(f"files: {session.folder.path}")
