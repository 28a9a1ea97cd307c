"""ADaM's input of population kinetics: ADPPK, a NONMEM data set with ADaM's variables.

Source: CDISC Basic Data Structure for ADaM popPK Implementation Guide 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cellkinetics.data.column import Column
from cellkinetics.data.derivation import Derived, Request, column_of_numbers, rows_of
from cellkinetics.data.events import NOT_OBSERVED, SAMPLE, RowKinds, classify_by_events
from cellkinetics.data.timeunits import in_unit, unit_of_times

COLUMNS: dict[str, tuple[str, ...]] = {
    "subject": ("usubjid", "id", "subjid", "usubjidn"),
    "time": ("time", "afrlt", "aprlt"),
    "nominal_time": ("nfrlt",),
    "nominal_since_last": ("nprlt",),
    "time_units": ("rltu", "frltu", "rrltu", "timeu"),
    "value": ("dv", "aval"),
    "unit": ("dvu", "avalu"),
    "censored": ("blqfn", "blqfl"),
    "lloq": ("alloq", "lloq"),
    "uloq": ("auloq", "uloq"),
    "lod": ("alod", "lod"),
    "analyte": ("paramcd", "dvid", "param"),
    "specimen": ("pcspec",),
    "occasion": ("occ", "occasion"),
    "group": ("trt01a", "trta", "cohort", "actarm", "arm"),
    "evid": ("evid",),
    "mdv": ("mdv",),
    "amt": ("amt",),
    "rate": ("rate",),
    "infusion_duration": ("dosedur", "tinf", "dur"),
    "tau": ("ii", "tau"),
    "steady_state": ("ss",),
    "cmt": ("cmt",),
}
_NAMES = (
    "addl aseq dvl dvln aval avalu avalc param paramn udtc dtype visit visitnum avisit avisitn nprlt aprlt nfrlt "
    "dosea dosep exclf exclfcom pcseq exseq drugn blqfl blqfn recseq projid projidn studyidn domain"
)
IGNORED = frozenset(_NAMES.split())
_FLAGGED = frozenset({"Y", "1", "1.0"})


def classify(columns: Mapping[str, Column], rows: int) -> RowKinds:
    """Classify rows as NONMEM does; one with MDV 1 that is flagged as below quantification is a sample."""
    kinds = classify_by_events(columns, rows)
    flag = columns.get("censored")
    if flag is not None:
        kinds.kind[(kinds.kind == NOT_OBSERVED) & rows_of(flag, _FLAGGED)] = SAMPLE
    return kinds


def derive(request: Request) -> Derived:
    """Return roles with times in the unit of their column."""
    roles = dict(request.roles)
    last = roles.pop("nominal_since_last", None)
    if "nominal_time" not in request.mapped and roles["time"].name.lower() == "aprlt":
        # what counts from the last dose is planned from the last dose
        roles.pop("nominal_time", None)
        if last is not None:
            roles["nominal_time"] = last
    if "time" in request.mapped:
        return Derived(roles)
    unit = unit_of_times(request, roles.get("time_units"))
    for role in ("time", "nominal_time", "infusion_duration", "tau"):
        column = roles.get(role)
        if column is None or role in request.mapped or column.not_numbers.any():
            continue
        numbers = in_unit(column.numbers, roles.get("time_units"), unit)
        if not np.array_equal(numbers, column.numbers, equal_nan=True):
            roles[role] = column_of_numbers(column.name, numbers)
    return Derived(roles, unit)
