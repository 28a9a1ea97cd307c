"""`cellkinetics report`: one page of what a results folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cellkinetics.cli import options as o

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.report.output import OutputFolder

REPORT = "report.html"


def report(
    folder: Annotated[Path, typer.Argument(help="Folder that a command wrote.", metavar="DIR", show_default=False)],
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Make report.html and figures/ from what is in a results folder.

    Example: cellkinetics report results/trial
    """
    from cellkinetics.cli.screen import Screen
    from cellkinetics.cli.session import guarded
    from cellkinetics.report.manifest import record_outputs
    from cellkinetics.report.output import OutputFolder
    from cellkinetics.report.results import read_results

    screen = Screen(quiet=quiet)
    with guarded(screen):
        read_results(folder)  # a wrong folder is told before one is made
        target = OutputFolder.create(folder, planned=[REPORT], force=force)
        from cellkinetics.report.page import write_report

        with screen.progress("Report") as progress:
            write_report(target, progress=progress)
        record_outputs(target)
        screen.say(f"report: {target / REPORT}")


def build_report(session: Session) -> None:
    """Write the report of a session's folder."""
    from cellkinetics.report.page import write_report

    with session.screen.progress("Report") as progress:
        write_report(session.folder, progress=progress)


def clear_figures(folder: OutputFolder) -> None:
    """Remove the figures of an earlier report, or the new one would tell of the command that made them."""
    from cellkinetics.report.output import previous_outputs

    folder.clear(name for name in previous_outputs(folder.path) if name.startswith("figures/"))


def tell_report(session: Session) -> None:
    """Say where files and report are; the report's path is the last line."""
    from cellkinetics.cli.reading import tell_files

    tell_files(session)
    if (session.folder / REPORT).exists():
        session.screen.say(f"report: {session.folder / REPORT}")
