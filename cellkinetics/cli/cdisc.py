"""`--cdisc`: the results of noncompartmental analysis as SDTM PP and ADaM ADPP too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.screen import Screen
    from cellkinetics.nca.result import NCAResult


class Submission(NamedTuple):
    """What is asked for with ``--cdisc``: STUDYID and PPSPEC, None where the data or the default say it."""

    study: str | None
    specimen: str | None


def cdisc_options(given: Mapping[str, Any], *, only: Sequence[str] = ("study", "specimen")) -> Submission | None:
    """Return what is asked for, or None without ``--cdisc``; nothing has been computed yet.

    Args:
        given: the resolved options of the command, by name.
        only: options that serve nothing else in the command.

    Raises:
        SettingsError: if the writer of XPT files is not installed, or one of ``only`` stands without
            ``--cdisc``.
    """
    from cellkinetics.report.cdisc.xpt import require_writer

    if not given["cdisc"]:
        for name in only:
            if given[name] is not None:
                raise SettingsError(f"--{name} goes into the CDISC files only; add --cdisc, or leave it out")
        return None
    require_writer()
    return Submission(given["study"], given["specimen"])


def cdisc_content(result: NCAResult, asked: Submission, screen: Screen) -> dict[str, bytes]:
    """Return every file's content, and tell what a submission needs that is not known.

    Raises:
        OutputError: for what CDISC or XPT cannot hold, naming row, subject and variable.
    """
    from cellkinetics.report.cdisc.writing import cdisc_files

    content = cdisc_files(result, study=asked.study, specimen=asked.specimen or "BLOOD")
    if not asked.study and "studyid" not in {name.strip().lower() for name in result.cohort.covariates}:
        screen.warn("STUDYID is empty in the CDISC files; give it with --study")
    if "" in result.cohort.analytes:
        screen.warn("PPCAT is empty in the CDISC files: the data have no column analyte")
    return content
