"""SDTM's findings of kinetics: PC (concentrations) and CP (cell phenotype), as they are submitted.

Source: CDISC SDTM Implementation Guide 3.4: domains PC and CP, and section 4.4 on timing variables.
"""

from __future__ import annotations

import numpy as np

from cellkinetics.data.column import Column
from cellkinetics.data.derivation import (
    Derived,
    Request,
    leave_out_not_done,
    occasions,
    put_beside_others,
    seconds_of,
    wanted_unit,
    with_limits,
)
from cellkinetics.data.sdtmtimes import elapsed_times, planned_times


def columns_of(domain: str) -> dict[str, tuple[str, ...]]:
    """Return the roles of a findings domain (``pc``, ``cp``) and the variables that have them."""
    variables = {
        "time": ("dtc", "dy"),
        "value": ("stresn", "stresc", "orres"),
        "value_text": ("stresc",),
        "unit": ("stresu", "orresu"),
        "lloq": ("lloq",),
        "uloq": ("uloq",),
        "lod": ("lod",),
        "analyte": ("testcd", "test"),
        "markers": ("sbmrks",),
        "specimen": ("spec",),
        "occasion": ("tptref",),
        "reference_date": ("rftdtc",),
        "study_day": ("dy",),
        "status": ("stat",),
        "status_reason": ("reasnd",),
        "nominal_time": ("eltm",),
        "point_number": ("tptnum",),
    }
    roles = {role: tuple(domain + name for name in names) for role, names in variables.items()}
    return {
        "subject": ("usubjid", "subjid"),
        **roles,
        "planned_day": ("visitdy",),
        "dose": ("dose",),
        "group": ("actarm", "arm", "group"),
    }


def ignored_of(domain: str) -> frozenset[str]:
    """Return the variables of a findings domain that are no covariates: identifiers, methods, visits, dates."""
    own = (
        *("seq", "grpid", "refid", "spid", "lnkid", "lnkgrp", "test", "cat", "scat", "orres", "orresu", "nam"),
        *("loinc", "spccnd", "method", "anmeth", "runid", "lobxfl", "blfl", "fast", "drvfl", "celsta", "csmrks"),
        *("tstcnd", "bdagnt", "abclid", "mrkstr", "gate", "gatedef", "tpt", "tptnum", "enttpt", "eltm", "evlint"),
        *("stint", "enint", "stresc", "stresn", "dy", "endtc", "endy", "usable", "smplid"),
    )
    return frozenset({"domain", "visit", "visitnum", "epoch", "taetord", *(domain + name for name in own)})


def derive(request: Request) -> Derived:
    """Return roles with elapsed times, results with their limits, occasions and analytes.

    time = --DTC - --RFTDTC, else --DY less that of the reference dose; see `cellkinetics.data.sdtmtimes`
    """
    roles = dict(request.roles)
    unit = wanted_unit(request)
    not_done = leave_out_not_done(roles, request)
    if "value" not in request.mapped and "value_text" in roles:
        roles["value"] = with_limits(roles["value"], roles["value_text"], request, numbers=True)
    if "analyte" in roles and "markers" in roles and "analyte" not in request.mapped:
        roles["analyte"] = _with_markers(roles["analyte"], roles["markers"])
    own_time = "time" not in request.mapped
    origin = np.full(request.check.rows, np.nan)
    if own_time:
        roles["time"], origin = elapsed_times(request, unit)
    if "nominal_time" not in request.mapped:
        planned = planned_times(roles, origin, request, unit)
        roles.pop("nominal_time", None)
        if planned is not None:
            roles["nominal_time"] = planned
    reference = roles.get("reference_date")
    occasion = occasions(roles.get("occasion"), reference, request)
    if occasion is not None:
        roles["occasion"] = occasion
    put_beside_others(roles, request, not_done)
    if reference is None:
        return Derived(roles, unit if own_time else None)
    return Derived(roles, unit if own_time else None, (reference,), (seconds_of(reference),))


def _with_markers(analyte: Column, markers: Column) -> Column:
    """Name cell populations by their code and their markers, which tell those of one code apart."""
    codes, names = analyte.labels
    marks, strings = markers.labels
    pairs, code = np.unique(codes * len(strings) + marks, return_inverse=True)
    entries = []
    for pair in pairs.tolist():
        name, string = names[pair // len(strings)], strings[pair % len(strings)]
        entries.append(f"{name} ({string})" if string else name)
    return Column(analyte.name, np.asarray(code, np.int64), tuple(entries))
