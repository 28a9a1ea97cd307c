"""The reading step that every command on data begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellkinetics.cli.pairs import parse_pairs

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort
    from cellkinetics.errors import Fault

MOST_FAULTS = 10
LOUD = frozenset({"times_look_like_hours"})
"""Notes that leave every sample in, and may make every number of a fit meaningless."""
_AS_GIVEN = ("dialect", "lloq", "duplicates", "negative", "time_unit", "value_unit")


def reading_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `cellkinetics.data.reading.read` from the options of a command.

    Raises:
        SettingsError: for a ``--map`` that is not ROLE=COLUMN, or names a role twice.
    """
    roles = parse_pairs("--map", given["mapping"], form="ROLE=COLUMN", example="subject=PATIENT")
    return {**{name: given[name] for name in _AS_GIVEN}, "mapping": roles or None}


def read_input(
    session: Session, path: Path, given: Mapping[str, Any], check: Callable[[Cohort], object] | None = None
) -> Cohort:
    """Read the input and tell what was read, what was left out, and the first faults; see `Session.read`.

    Args:
        session: the command at work.
        path: the input.
        given: the resolved options of the command, by name.
        check: refuses options that do not suit the data, before any earlier result goes.

    Raises:
        SettingsError: as `reading_options`.
        DataError: if nothing can be read.
    """
    cohort = session.read(path, check, **reading_options(given))
    tell_reading(session, [(str(fault), fault) for fault in cohort.faults])
    return cohort


def tell_reading(session: Session, faults: Iterable[tuple[str, Fault]]) -> None:
    """Tell what was read, what was left out, and the first faults, each in words."""
    from cellkinetics.report.tables import plural

    rows, found = session.manifest.rows, session.manifest.cohort
    screen = session.screen
    excluded = f"{plural(rows['excluded'], 'row')} left out" if rows["excluded"] else "no row left out"
    if found:
        screen.say(
            f"{session.manifest.input['name']}: {plural(found['subjects'], 'patient')}, "
            f"{plural(found['profiles'], 'profile')}, {plural(found['samples'], 'sample')} "
            f"({found['below_quantification']} below quantification), {excluded}"
        )
    for reason in rows["reasons"][:MOST_FAULTS]:
        count = plural(reason["rows"], "row")
        if reason["profiles"]:
            count = f"{plural(reason['profiles'], 'profile')} ({count})"
        screen.say(f"  {count}: {reason['reason']}")
    if len(rows["reasons"]) > MOST_FAULTS:
        more = plural(len(rows["reasons"]) - MOST_FAULTS, "more reason", "more reasons")
        screen.say(f"  and {more}; all stand in samples.csv")
    errors = notes = 0
    for text, fault in faults:
        if fault.code in LOUD:
            screen.alarm(text)
            continue
        notes += fault.effect == "note"
        errors += fault.effect != "note"
        if fault.effect != "note" and errors <= MOST_FAULTS:
            screen.fault(text)
    if errors > MOST_FAULTS:
        more = plural(errors - MOST_FAULTS, "more fault", "more faults")
        screen.fault(f"and {more}; all stand in check.csv")
    if notes:
        verb = "costs" if notes == 1 else "cost"
        screen.say(f"  {plural(notes, 'remark')} that {verb} nothing, in check.csv")


def tell_files(session: Session) -> None:
    """Say where the results are."""
    names = [name for name in session.folder.written if "/" not in name and name != "manifest.json"]
    session.screen.say(f"written to {session.folder.path}: {', '.join([*names, 'manifest.json'])}")
