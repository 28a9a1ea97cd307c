"""The analyte and specimen that a population fit takes, of data that may hold several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort


def read_series(
    session: Session, path: Path, given: Mapping[str, Any], check: Callable[[Cohort], object] | None = None
) -> Cohort:
    """Read the input and return the profiles of the analyte and specimen that are named.

    Args:
        session: the command at work.
        path: the input.
        given: the resolved options of the command, by name.
        check: refuses options that do not suit these profiles, before any earlier result goes.

    Raises:
        SettingsError: as `one_series`.
        DataError: if nothing can be read.
    """
    from cellkinetics.cli.reading import read_input

    named = given["analyte"], given["specimen"]

    def checked(cohort: Cohort) -> None:
        chosen = one_series(cohort, *named)
        if check is not None:
            check(chosen)

    return one_series(read_input(session, path, given, checked), *named)


def one_series(cohort: Cohort, analyte: str | None, specimen: str | None) -> Cohort:
    """Return the profiles of the analyte and specimen that a population fit takes.

    Raises:
        SettingsError: if the data do not have them, or have several and none is named.
    """
    if is_named(cohort.analytes, "analyte", analyte):
        cohort = cohort.select(analyte=analyte)
    if is_named(cohort.specimens, "specimen", specimen):
        cohort = cohort.select(specimen=specimen)
    return cohort


def is_named(known: Sequence[str], what: str, wanted: str | None) -> bool:
    """Tell whether one is named; refuse an unknown one, and the choice among several without a name."""
    if wanted is None and len(known) > 1:
        shown = ", ".join(name or "one without a name" for name in known)
        message = f"the data hold {len(known)} {what}s ({shown}), and a population fit takes one"
        raise SettingsError(f"{message}; name it with --{what}")
    if wanted is not None and wanted not in known:
        shown = ", ".join(filter(None, known)) or f"no column that names {what}s"
        raise SettingsError(f"--{what} {wanted}: the data have {shown}")
    return wanted is not None
