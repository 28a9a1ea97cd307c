"""Read a table of samples into a `Cohort`, with every fault that it has."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import pandas as pd

from cellkinetics.data.assembly import assemble
from cellkinetics.data.cohort import Cohort
from cellkinetics.data.delimited import Cells
from cellkinetics.data.dialects import Layout
from cellkinetics.data.duplicates import DUPLICATE_RULES
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.data.tables import load_table, with_roles
from cellkinetics.data.whole import Whole
from cellkinetics.errors import SettingsError

_RULES: dict[str, Any] = {"duplicates": "error", "negative": "error", "lloq": None}


def read(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    dialect: str = "auto",
    mapping: Mapping[str, str] | None = None,
    duplicates: Literal["error", "first", "mean", "max"] = "error",
    negative: Literal["error", "blq"] = "error",
    lloq: float | None = None,
    time_unit: str | None = None,
    value_unit: str | None = None,
) -> Cohort:
    """Read a long table, one row a sample, from CSV, Excel, Parquet, XPT or a data frame.

    Columns are found by name, whatever the case: ``subject, time, value`` are required;
    ``nominal_time, censored, lloq, uloq, lod, analyte, unit, occasion, specimen, dose,
    infusion_duration, tau, group`` are known; the names of NONMEM, Monolix, SDTM PC and CP, ADNCA and
    ADPPK are as good (`docs/reading.md` has their rules); any other column that is constant within each
    subject is a covariate. One profile is one subject, analyte, occasion and specimen. The order of
    rows does not matter.

    A sample is below quantification if its value says so (``<50``, ``BLQ``, ``ND``), if its flag
    ``censored`` is 1, or, without a flag, if the value is zero or below the row's LLOQ. Its LLOQ is
    the number in the value's text, else the column's, else ``lloq``, else the value of the flagged row.

    Args:
        source: path, or data frame. What a file is shows in its bytes, not in its name. Rows of a
            frame are counted as if it stood in a file below its header.
        dialect: ``auto``, ``plain``, ``nonmem``, ``monolix``, ``sdtm-pc``, ``sdtm-cp``, ``adnca`` or ``adppk``.
        mapping: role to column, where the names do not tell, as ``{"subject": "PATIENT"}``.
        duplicates: what to do with several samples of a profile at one time: ``error`` makes the
            profile unusable; ``first``, ``mean``, ``max`` take one number, and say so.
        negative: ``error`` makes the profile of a negative value unusable; ``blq`` takes it as below
            quantification.
        lloq: LLOQ of rows that do not state one, in the unit of the values.
        time_unit: unit of time, a label; by default what stands in brackets behind the time column's
            name, if that is a unit of time, else ``day``. Times that are calculated from dates (SDTM) come
            in this unit, and those of a table with a column for it (ADNCA, ADPPK) are converted to it.
        value_unit: unit of the values, a label; by default the column ``unit``, or what stands in
            brackets behind the value column's name. A label given here holds for all, and a note
            says so where the column says something else; nothing is converted.

    Returns:
        The cohort. ``faults`` holds every fault and note with its line, ``unusable`` the fault of
        each profile for which nothing can be calculated, ``records`` each row that was left out.

    Raises:
        DataError: if nothing can be read; ``faults`` holds what was found.
        SettingsError: if an argument does not make sense, or an extra is not installed.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"ID": [1, 1, 1], "DAY": [0, 7, 14], "CONC": ["<50", "900", "BLQ"]})
        >>> cohort = read(table, lloq=20)
        >>> cohort
        Cohort: 1 subjects, 1 profiles, 3 samples, 2 below quantification, 0 profiles unusable
        >>> cohort.profile(0).lloq.tolist()
        [50.0, 20.0, 20.0]
    """
    rules = check_rules(duplicates, negative, lloq)
    log = FaultLog()
    table = load_table(source, Layout(dialect, dict(mapping or {})), log)
    return assemble(table, log, **rules, time_unit=time_unit, value_unit=value_unit)


def read_part(
    load: Callable[[Layout, FaultLog], Cells],
    *,
    name: str,
    sha256: str,
    whole: Whole,
    options: Mapping[str, Any],
) -> Cohort:
    """Read a part of a file that holds all rows of its subjects, as `read` would read them with the others.

    Args:
        load: gives the cells, with their lines in the whole file.
        name: of the file.
        sha256: of the whole file.
        whole: what holds for the whole file.
        options: the arguments of `read`.

    Raises:
        DataError, SettingsError: as `read` does.
    """
    rules = check_rules(*(options.get(key, usual) for key, usual in _RULES.items()))
    log, layout = FaultLog(), Layout(options.get("dialect", "auto"), dict(options.get("mapping") or {}))
    table = with_roles(load(layout, log), name, sha256, layout, log, whole)
    units: dict[str, Any] = {key: options.get(key) for key in ("time_unit", "value_unit")}
    return assemble(table, log, **rules, **units)


def check_rules(duplicates: str, negative: str, lloq: float | None) -> dict[str, Any]:
    """Return the rules for rows as `assemble` takes them.

    Raises:
        SettingsError: for a rule that does not exist, or an LLOQ that is no positive number.
    """
    if duplicates not in DUPLICATE_RULES:
        raise SettingsError(f"duplicates {duplicates!r} does not exist; take {', '.join(DUPLICATE_RULES)}")
    if negative not in ("error", "blq"):
        raise SettingsError(f"negative {negative!r} does not exist; take error or blq")
    if lloq is not None and not _is_positive(lloq):
        raise SettingsError(f"the LLOQ must be a positive number, not {lloq!r}")
    return {"duplicates": duplicates, "negative_is_blq": negative == "blq", "lloq": lloq}


def _is_positive(number: object) -> bool:
    return isinstance(number, numbers.Real) and 0 < float(number) < float("inf")
