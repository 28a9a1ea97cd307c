"""`cellkinetics schedule`: what sampling schedules are expected to tell, and a search for better days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellkinetics.cli import options as o
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.fitting.design.comparison import ScheduleComparison
    from cellkinetics.fitting.design.population import AssumedPopulation

DEFAULT_OUT = Path("results") / "schedule"
COMPARISON = ("schedules.csv", "schedule_parameters.csv", "schedule_days.csv", "schedules.json", "schedules.png")
SEARCH = ("schedule_search.csv", "schedule_path.csv")
TRIAL = "Trial"
SEARCHING = "Search"

Population = Annotated[
    str,
    typer.Argument(
        help="Whose kinetics: a published model, see `cellkinetics models`, or the population.json of a fit.",
        metavar="POPULATION",
    ),
]
Days = Annotated[
    list[str] | None,
    typer.Option(
        "--days",
        help="A schedule, such as 7,14,28 or weekly=7,14,21,28; 1-5 stands for each day. Repeat it for several.",
        metavar="[NAME=]DAYS",
        rich_help_panel=TRIAL,
    ),
]
Limit = Annotated[float | None, typer.Option("--lloq", help="Lower limit of quantification.", rich_help_panel=TRIAL)]
Subjects = Annotated[int, typer.Option(min=1, help="Patients of the trial.", rich_help_panel=TRIAL)]
Known = Annotated[
    str | None,
    typer.Option(
        help="Quantities that the population fit takes as known, such as beta,omega_beta.",
        metavar="NAME,...",
        rich_help_panel=TRIAL,
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        help="Schedule that efficiencies are relative to. [default: the most efficient]", rich_help_panel=TRIAL
    ),
]
HowTold = Annotated[
    str,
    typer.Option(
        help="How information is expected: conditional, fo (coarse) or simulated (exact, a minute each).",
        rich_help_panel=TRIAL,
    ),
]
Search = Annotated[
    int | None,
    typer.Option("--search", min=1, help="Search the best schedule of this many samples.", rich_help_panel=SEARCHING),
]
Admissible = Annotated[
    str,
    typer.Option(help="Days that a sample may be taken on, such as 1-28,35-60.", rich_help_panel=SEARCHING),
]
Keep = Annotated[str | None, typer.Option(help="Days that stay, such as 14,28.", rich_help_panel=SEARCHING)]
MinGap = Annotated[float, typer.Option(min=0.0, help="Fewest days between two samples.", rich_help_panel=SEARCHING)]
Criterion = Annotated[
    str,
    typer.Option(
        help="What is searched for: d (all precision) or rse (mean relative error).", rich_help_panel=SEARCHING
    ),
]
Interest = Annotated[
    str | None,
    typer.Option(
        help="Quantities that matter, such as alpha,omega_alpha.", metavar="NAME,...", rich_help_panel=SEARCHING
    ),
]
Starts = Annotated[int, typer.Option(min=1, help="Starts of the search.", rich_help_panel=SEARCHING)]
Draws = Annotated[int, typer.Option(min=1, help="Virtual patients for expectations.", rich_help_panel=TRIAL)]


def schedule(
    ctx: typer.Context,
    population: Population = "stein2019",
    days: Days = None,
    lloq: Limit = None,
    subjects: Subjects = 30,
    known: Known = None,
    reference: Reference = None,
    method: HowTold = "conditional",
    draws: Draws = 500,
    search: Search = None,
    admissible: Admissible = "1-60",
    keep: Keep = None,
    min_gap: MinGap = 0.0,
    criterion: Criterion = "d",
    interest: Interest = None,
    starts: Starts = 8,
    seed: o.Seed = 0,
    out: o.Out = DEFAULT_OUT,
    settings: o.Settings = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Compare sampling schedules before a trial: expected precision, BLQ samples, what NCA would miss; or search days.

    Example: cellkinetics schedule stein2019 --days 7,14,28 --days 1,3,7,10,14,28 --search 8 --lloq 50
    """
    from cellkinetics.cli.session import Session

    planned = COMPARISON if search is None else (*COMPARISON, *SEARCH)
    given = Path(population)
    source = [given] if given.suffix == ".json" else []
    with Session(
        "schedule", ctx.params, data=source, out=out, planned=planned, force=force, quiet=quiet, seed=seed
    ) as s:
        named = named_schedules(days)
        if not named and search is None:
            raise SettingsError(
                "nothing to do: give schedules with --days 7,14,28, or a number of samples with --search 8"
            )
        assumed = _population(population)
        s.claim()
        s.folder.clear(planned)
        common = {"lloq": lloq, "n_subjects": subjects, "fixed": _names(known), "seed": seed}
        if search is not None:
            with s.stage("search"):
                best = _search(
                    s,
                    assumed,
                    search,
                    {
                        "admissible": parse_days("--admissible", admissible),
                        "fixed_days": parse_days("--keep", keep) if keep else (),
                        "min_gap": min_gap,
                        "criterion": criterion,
                        "interest": _names(interest),
                        "starts": starts,
                        "patients": min(draws, 200),
                        **common,
                    },
                )
                name = f"best of {search}"
                named[name if name not in named else f"{name} (search)"] = best
        with s.stage("compare"):
            _compare(s, assumed, named, {"reference": reference, "method": method, "patients": draws, **common})


def parse_days(option: str, text: str) -> tuple[float, ...]:
    """Return the days of a list in which ``2-5`` stands for each whole step from the first.

    Raises:
        SettingsError: for what is no day or range, naming the option.

    Example:
        >>> parse_days("--days", "7,14-16,28")
        (7.0, 14.0, 15.0, 16.0, 28.0)
    """
    days: list[float] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            low = float(first)
            high = float(last) if dash else low
        except ValueError:
            raise SettingsError(f"{option} {text}: write days such as 7,14,28 or 2-5,14") from None
        if not 0 <= low <= high < 1e5:
            raise SettingsError(f"{option} {text}: {part.strip()} is no range of days")
        days += [low + k for k in range(int(high - low) + 1)]
    return tuple(dict.fromkeys(days))


def named_schedules(items: Sequence[str] | None) -> dict[str, tuple[float, ...]]:
    """Return the schedules of ``--days`` by name; one without a name is called by its days.

    Raises:
        SettingsError: for a name given twice, or what is no list of days.

    Example:
        >>> named_schedules(["7,14,28", "early=1-3"])
        {'7,14,28': (7.0, 14.0, 28.0), 'early': (1.0, 2.0, 3.0)}
    """
    found: dict[str, tuple[float, ...]] = {}
    for item in items or ():
        name, sign, text = item.partition("=")
        name = name.strip()
        if name in found or not name:
            raise SettingsError(f"--days {item}: give each schedule a name of its own, as in weekly=7,14,21")
        found[name] = parse_days("--days", text if sign else item)
    return found


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def _population(given: str) -> AssumedPopulation:
    """Return the population of a library entry's name, or of the file that ``pool`` wrote.

    Raises:
        SettingsError: for a file that is none of a population fit.
        ModelError: for an unknown name.
    """
    from cellkinetics.fitting.design.population import AssumedPopulation, assume

    if not given.endswith(".json"):
        return assume(given)
    import json

    try:
        return AssumedPopulation.from_dict(json.loads(Path(given).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise SettingsError(f"there is no file {given}") from None
    except (ValueError, KeyError, TypeError):
        raise SettingsError(f"{given} is not the population.json of a population fit") from None


def _search(s: Session, population: AssumedPopulation, n_samples: int, given: dict[str, Any]) -> tuple[float, ...]:
    from cellkinetics.fitting.design.search import search_schedule

    with s.screen.progress("Search") as progress:
        found = search_schedule(n_samples, population=population, best=1, progress=progress, **given)
    for name, table in zip(SEARCH, (found.table, found.steps), strict=True):
        s.folder.write_table(name, table)
    s.screen.say(f"search: {found.status}")
    return found.schedule


def _compare(
    s: Session, population: AssumedPopulation, named: dict[str, tuple[float, ...]], given: dict[str, Any]
) -> None:
    from cellkinetics.fitting.design.comparison import compare_schedules
    from cellkinetics.report.figures import save_png

    found = compare_schedules(named, population, **given)
    for name, table in zip(COMPARISON, (found.table, found.parameters, found.days), strict=False):
        s.folder.write_table(name, table)
    s.folder.write_json(COMPARISON[3], found.to_dict())
    s.folder.write_bytes(COMPARISON[4], save_png(found.plot()))
    _show(s, found)


def _show(s: Session, found: ScheduleComparison) -> None:
    from cellkinetics.printing import number, percent

    names = list(found.entries)
    entries = list(found.entries.values())
    seen = [found.observed[name] for name in names]

    def row(title: str, cells: Iterable[object]) -> list[str]:
        return [title, *map(str, cells)]

    rows = [
        row("samples", [len(entry.schedule) for entry in entries]),
        row("expected BLQ", [number(entry.n_blq, 2) for entry in entries]),
        row("D-efficiency", [percent(found.efficiency(name)) for name in names]),
        row("NCA/true Cmax", [number(one.cmax_ratio, 2) for one in seen]),
        row("NCA/true AUC0-28", [number(one.auc_ratio, 2) for one in seen]),
    ]
    first = entries[0]
    rows += [
        row(f"RSE {label}", [percent(entry[label].rse_percent) for entry in entries])
        for label in found.population.labels
    ]
    rows += [
        row(f"shrinkage {label}", [percent(entry[label].shrinkage_percent) for entry in entries])
        for label in found.population.random
    ]
    s.screen.table(
        f"{first.n_subjects} patients of {first.population.name or first.population.model.name}", ["", *names], rows
    )
    for name, entry in found.entries.items():
        s.screen.say(f"{name}: {entry.status}")
    s.screen.say(f"schedule: {found.status}")
    s.screen.say(f"files: {s.folder.path}")
