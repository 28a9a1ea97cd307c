"""`cellkinetics nca` on many files, or on a table that is too large to be read at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from cellkinetics.batch.folder import WorkFolder
    from cellkinetics.batch.inputs import Input
    from cellkinetics.batch.job import Job
    from cellkinetics.batch.runner import Finished
    from cellkinetics.cli.screen import Screen
    from cellkinetics.cli.session import Session
    from cellkinetics.engines import Crew

TABLES = ("samples", "nca", "nca_wide", "nca_points", "nca_intervals")


class _Plan(NamedTuple):
    name: str
    inputs: Sequence[Input]
    job: Job
    crew: Crew
    going_on: bool


def is_batch(given: Mapping[str, Any]) -> bool:
    """Tell whether the data are analysed piece by piece: more than one small file, or an option that asks for it.

    Args:
        given: the resolved options of `nca`, by name.
    """
    from cellkinetics.batch.blocks import is_large
    from cellkinetics.batch.folder import WorkFolder
    from cellkinetics.cli.reading import reading_options
    from cellkinetics.errors import CellKineticsError

    paths = given["data"]
    if len(paths) > 1 or paths[0].is_dir() or given["table_format"] != "csv" or given["resume"]:
        return True
    if given["engine"] != "processes" or given["scheduler"] or given["jobs"] != 1:
        return True
    if WorkFolder(given["out"]).path.is_dir():
        return True
    if given["cdisc"]:
        return False
    try:
        return is_large(paths[0], given["piece_rows"], reading_options(given))
    except (CellKineticsError, OSError):
        return False  # what is wrong is said, and recorded, where the table is read


def nca_batch(given: Mapping[str, Any], planned: Sequence[str]) -> None:
    """Analyse piece by piece, go on with an unfinished batch, and put the pieces together.

    Args:
        given: the resolved options of `nca`, by name.
        planned: names of the files that the command writes.
    """
    from cellkinetics.batch.folder import WorkFolder
    from cellkinetics.cli.screen import Screen
    from cellkinetics.cli.session import Session, guarded
    from cellkinetics.report.output import OutputFolder

    screen = Screen(quiet=given["quiet"])
    work = WorkFolder(given["out"])
    with guarded(screen):
        plan = _plan(given, screen)
        # Results of either format are in the way of a new batch; an unfinished one may have moved some of its own.
        names = [] if plan.going_on else [*planned, *(f"{name}.{end}" for name in TABLES for end in ("csv", "parquet"))]
        place: dict[str, Any] = {"planned": names, "force": given["force"]}
        sources = [each.path for each in plan.inputs]
        OutputFolder.create(given["out"], source=sources, **place)
        options = {**given, "data": [str(path) for path in given["data"]]}
        # Looked at once more behind the lock: another batch may have ended in between. The session ends before it does.
        with (
            work.locked(),
            Session("nca", options, data=sources, out=given["out"], quiet=given["quiet"], **place) as session,
        ):
            _run(session, plan, work)


def _run(session: Session, plan: _Plan, work: WorkFolder) -> None:
    """Do the work, and say and record what came of it."""
    from cellkinetics.batch.record import describe_batch
    from cellkinetics.batch.runner import run_batch
    from cellkinetics.cli.labels import show_labels
    from cellkinetics.cli.reading import tell_files

    try:
        with session.stage("nca"):
            bar = session.screen.progress
            done = run_batch(plan.inputs, plan.job, session.folder, resume=plan.going_on, crew=plan.crew, bar=bar)
    except BaseException:
        if work.planned is not None:
            pieces = len(work.planned["pieces"])
            session.screen.warn(f"{work.n_done} of {pieces} pieces are done; --resume goes on from there")
        raise
    session.claim()
    session.code = _code(done)
    describe_batch(session.manifest, done.batch, plan.name, done.inputs)
    session.write_manifest()
    _tell(session, done)
    work.clear()
    if done.summary is not None and len(done.summary):
        show_labels(session.screen, done.summary)
    session.screen.say(f"nca: {done.batch.status}")
    tell_files(session)


def _plan(given: Mapping[str, Any], screen: Screen) -> _Plan:
    """Check everything that can be checked before reading; end the command where all is done already."""
    from cellkinetics.batch.folder import WorkFolder
    from cellkinetics.batch.inputs import find_inputs
    from cellkinetics.batch.job import Job
    from cellkinetics.batch.runner import may_begin
    from cellkinetics.cli.nca import check_parameters, nca_options, parse_grouping, tell_idle
    from cellkinetics.cli.reading import reading_options
    from cellkinetics.cli.session import DONE, FAULTS
    from cellkinetics.data.dialects import Layout
    from cellkinetics.data.reading import check_rules
    from cellkinetics.engines import Crew, check_crew
    from cellkinetics.errors import OutputError, SettingsError
    from cellkinetics.report.formats import table_format
    from cellkinetics.report.recorded import read_manifest

    paths: list[Path] = given["data"]
    if given["cdisc"]:
        raise SettingsError("CDISC files are made of one table that is read at once; leave --cdisc out, or the batch")
    rules = nca_options(given)
    check_parameters(given["parameters"], rules)
    tell_idle(screen, rules, given["parameters"])
    crew = Crew(given["engine"], given["jobs"], given["scheduler"])
    check_crew(crew)
    table_format(given["table_format"])
    reading = reading_options(given)
    check_rules(given["duplicates"], given["negative"], given["lloq"])
    Layout(given["dialect"], dict(reading["mapping"] or {}))
    inputs, others = find_inputs(paths)
    if paths[0].resolve() == given["out"].resolve():
        raise OutputError(
            f"results in {given['out']} would stand among the tables of {paths[0]}; give another folder with --out"
        )
    several = len(paths) > 1 or paths[0].is_dir()
    job = Job(
        reading=reading,
        rules=rules,
        parameters=given["parameters"],
        grouping=tuple(parse_grouping(given["by"])),
        table_format=given["table_format"],
        intervals=given["intervals"],
        several=several,
        piece_rows=given["piece_rows"],
    )
    going_on = may_begin(given["out"], resume=given["resume"], force=given["force"])
    if given["resume"] and not going_on and _is_done(given["out"], job, inputs, force=given["force"]):
        work = WorkFolder(given["out"])
        with work.locked():
            work.tidy()
        screen.say(f"the results in {given['out']} are complete already")
        raise typer.Exit(FAULTS if read_manifest(given["out"])["status"] == "faults" else DONE)
    if others:
        screen.say(f"not read, for their names are not those of tables: {', '.join(others[:10])}")
    name = paths[0].name if len(paths) == 1 else f"{len(inputs)} files"
    return _Plan(name, inputs, job, crew, going_on)


def _is_done(out: Path, job: Job, inputs: Sequence[Input], *, force: bool) -> bool:
    """Tell whether a folder holds the finished results of the same options and files.

    Raises:
        OutputError: if it did once, and one of them is not what it was; ``force`` lets it go.
    """
    from cellkinetics.batch.inputs import hashed
    from cellkinetics.errors import OutputError
    from cellkinetics.report.output import sha256_of
    from cellkinetics.report.recorded import read_manifest

    manifest = read_manifest(out)
    recorded = manifest.get("input", {})
    if manifest.get("status") not in ("done", "faults") or recorded.get("fingerprint") != job.fingerprint:
        return False
    found = {piece["file"]: piece["sha256"] for piece in recorded["pieces"]}
    if found != {item["file"]: item["sha256"] for item in hashed(inputs)}:
        return False
    for name, entry in manifest["outputs"].items():
        there = (out / name).is_file()
        if not there or sha256_of(out / name) != entry["sha256"]:
            if force:
                return False
            what = "has been changed since it was written" if there else "is gone"
            raise OutputError(f"{out / name} {what}; make the results anew with --force")
    return True


def _code(done: Finished) -> int:
    """Return the exit code: faults in the data, or of the program, show in it."""
    from cellkinetics.batch.worker import FAILED
    from cellkinetics.cli.session import DONE, FAULTS, INTERNAL

    if any(part.status == FAILED for part in done.batch.parts):
        return INTERNAL
    return FAULTS if any(fault.effect != "note" for _, fault in done.batch.faults()) else DONE


def _tell(session: Session, done: Finished) -> None:
    """Say what was read, of how many files, and what went before."""
    from cellkinetics.cli.reading import tell_reading
    from cellkinetics.report.tables import plural

    batch, several = done.batch, done.batch.job.several
    if done.done_before:
        session.screen.say(f"{done.done_before} of {plural(len(batch.parts), 'piece')} were done before")
    if several:
        read = {part.file for part in batch.analysed}
        session.screen.say(f"{len(read)} of {plural(len(done.inputs), 'file')} read")
    tell_reading(
        session, ((f"{file}: {fault}" if several and file else str(fault), fault) for file, fault in batch.faults())
    )
