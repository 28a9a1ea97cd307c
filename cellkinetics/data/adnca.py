"""ADaM's input of noncompartmental analysis: ADNCA, also called ADPC.

Source: CDISC ADaM Implementation Guide for Non-compartmental Analysis Input Data 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.data.column import Column
from cellkinetics.data.derivation import (
    Derived,
    Request,
    column_of_numbers,
    leave_out_not_done,
    occasions,
    put_beside_others,
    rows_of,
    seconds_of,
    with_limits,
)
from cellkinetics.data.events import DOSE, RowKinds, every_row_a_sample
from cellkinetics.data.timeunits import in_unit, unit_of_times

REASONS = ("excluded_reason", *(f"excluded_reason_{w}" for w in range(1, 10)))
COLUMNS: dict[str, tuple[str, ...]] = {
    "subject": ("usubjid", "subjid"),
    "time": ("arrlt", "afrlt"),
    "nominal_time": ("nrrlt",),
    "time_since_first": ("afrlt",),
    "nominal_since_first": ("nfrlt",),
    "time_units": ("rrltu", "frltu"),
    "value": ("aval",),
    "value_text": ("avalc",),
    "value_category": ("avalcat1",),
    "collected_text": ("pcstresc",),
    "unit": ("avalu", "pcstresu"),
    "lloq": ("alloq", "pclloq"),
    "uloq": ("auloq", "pculoq"),
    "lod": ("alod", "pclod"),
    "analyte": ("paramcd", "param", "pctestcd"),
    "specimen": ("pcspec",),
    "occasion": ("atptref", "dosnoa", "dosnop", "pctptref"),
    "reference_date": ("pcrftdtc", "pcrftdtm"),
    "dose": ("dosea",),
    "dose_unit": ("doseu",),
    "infusion_duration": ("adosedur", "dosedur"),
    "duration_units": ("doseduru",),
    "tau": ("trtrint",),
    "tau_units": ("trtrintu",),
    "group": ("trt01a", "trta", "trt01p", "trtp", "actarm", "arm"),
    "status": ("pcstat",),
    "status_reason": ("pcreasnd",),
    "derivation": ("dtype",),
    "sample": ("pcseq", "adtm", "pcdtc", "afrlt"),
    "excluded": ("ncaxfl",),
    **dict(zip(REASONS, (("ncaxrs",), *((f"nca{w}xrs",) for w in range(1, 10))), strict=True)),
    "summary_excluded": ("pksumxf",),
}

_NAMES = (
    "aseq srcdom srcvar srcseq domain pcseq pctest pcorres pcorresu pcstresn pcstresc pcstresu pctpt pctptnum "
    "pcdtc pcdy pcrftdt pcrftdtm pcrfttm visit visitnum avisit avisitn atpt atptn adt adtm atm ady adtf atmf "
    "ablfl base basec chg basetype paramn parcat1 parcat1n avalc avalcat1 aval avalca1n mrrlt afrlt nfrlt "
    "nefrlt nerrlt aefrlt aerrlt ncaxfn pksumxfn dtype anl01fl anl02fl epoch exseq param dosnop dosnoa"
)
IGNORED = frozenset(_NAMES.split())


def classify(columns: Mapping[str, Column], rows: int) -> RowKinds:
    """Tell dose records (PARAMCD is DOSE) from samples."""
    kinds = every_row_a_sample(columns, rows)
    if "analyte" in columns:
        kinds.kind[rows_of(columns["analyte"], frozenset({"DOSE"}))] = DOSE
    return kinds


def derive(request: Request) -> Derived:
    """Return roles with the time from the reference dose, and what is left out with its reason.

    The time is ARRLT, apart for each reference dose (ATPTREF); without any name or date of the
    reference doses, and where ARRLT and AFRLT differ, it is AFRLT, from the first dose. Rows are left
    out that NCAXFL excludes, that were not done, and copies (DTYPE) of a sample that is there.
    """
    roles, check = dict(request.roles), request.check
    not_done = leave_out_not_done(roles, request)
    _leave_out_excluded(roles, request)
    imputed = _leave_out_copies(roles, request)
    if "value" not in request.mapped:
        # Where one of these texts says so, the sample is below the LLOQ; their numbers are rounded for print.
        for text in ("value_text", "value_category", "collected_text"):
            roles["value"] = with_limits(roles["value"], roles.get(text), request, numbers=False)
    if imputed.any():
        check.change(
            imputed,
            "imputed_value",
            "DTYPE {cell}: the value is imputed; the sample counts as below quantification",
            roles["derivation"],
        )
        roles["value"] = _as_below(roles["value"], imputed)
    starts = _starts(roles)
    _pair_nominal(roles, request)
    _doses_apart(roles, request)
    put_beside_others(roles, request, not_done)
    unit = None
    if "time" not in request.mapped:
        unit = unit_of_times(request, roles.get("time_units"))
        for role, units in (
            ("time", "time_units"),
            ("nominal_time", "time_units"),
            ("infusion_duration", "duration_units"),
            ("tau", "tau_units"),
        ):
            if role in roles and role not in request.mapped:
                stated = roles.get(units, roles.get("time_units"))
                roles[role] = _converted(roles[role], stated, unit)
    if "infusion_duration" in roles:
        roles["infusion_duration"] = _without_zeros(roles["infusion_duration"])
    _note_summaries(roles, request)
    reference = roles.get("reference_date")
    return Derived(roles, unit, () if reference is None else (reference,), starts)


def _converted(column: Column, units: Column | None, unit: str | None) -> Column:
    """Return a column of times in a unit; cells that are no numbers stay, so that they are told as they are."""
    numbers = in_unit(column.numbers, units, unit)
    if column.not_numbers.any() or np.array_equal(numbers, column.numbers, equal_nan=True):
        return column
    return column_of_numbers(column.name, numbers)


def _without_zeros(column: Column) -> Column:
    """Return the column with empty cells for zeros: what was not infused has no duration."""
    codes = np.where(column.numbers == 0, len(column.entries), column.codes)
    return Column(column.name, codes, (*column.entries, ""), column.comma, column.points)


def _leave_out_excluded(roles: Mapping[str, Column], request: Request) -> None:
    """Leave out rows that the table excludes from analysis: NCAXFL Y, or without a flag a reason in NCAwXRS."""
    flag, check = roles.get("excluded"), request.check
    reasons = [roles[role] for role in REASONS if role in roles]
    given = np.zeros(check.rows, bool)
    for column in reasons:
        given |= ~column.missing
    if flag is None:
        out = given
    else:
        yes = rows_of(flag, frozenset({"Y"}))
        check.note(
            given & ~yes & ~flag.missing,
            "exclusion_contradicts",
            "the flag is {cell}, but a reason to exclude the row is given; the row stays",
            "let the flag and the reasons say the same",
            flag,
        )
        out = yes | (given & flag.missing)
    if not out.any():
        return
    texts = [""] * check.rows
    for row in np.flatnonzero(out).tolist():
        texts[row] = "; ".join(dict.fromkeys(c.whole(row) for c in reasons if not c.entry_missing[c.codes[row]]))
    words = Column.from_cells((flag or reasons[0]).name, pd.Series(texts, dtype=object))
    message, action = "excluded from analysis in the table", "clear the flag and the reasons to take the sample"
    check.exclude(out & given, "excluded_in_table", message + ": {words}", action, words, effect="note")
    check.exclude(out, "excluded_in_table", message + ", no reason given", action, words, effect="note")


def _leave_out_copies(roles: Mapping[str, Column], request: Request) -> BoolArray:
    """Leave out derived rows whose sample is there as well; return those with an imputed value, whose is not.

    A sample is known by its subject, analyte, specimen and number (PCSEQ), else by its date or time.
    """
    derivation, check = roles.get("derivation"), request.check
    if derivation is None or derivation.missing.all():
        return np.zeros(check.rows, bool)
    frame = pd.DataFrame({"subject": request.subject})
    for role in ("analyte", "specimen", "sample"):
        frame[role] = roles[role].labels[0] if role in roles else 0
    sample = roles.get("sample", roles["time"])
    if "sample" not in roles:
        frame["sample"] = sample.labels[0]
    whole = derivation.missing & ~sample.missing
    originals = frame[whole].drop_duplicates()
    there = frame.merge(originals.assign(there=True), how="left", on=list(frame))["there"].notna().to_numpy()
    copy = ~derivation.missing & there
    check.exclude(
        copy,
        "derived_copy",
        "derived from another row (DTYPE {cell}), which is taken",
        "no need to act",
        derivation,
        effect="note",
    )
    imputed = np.array(["LLOQ" in entry.upper() or "LOQ" in entry.upper() for entry in derivation.entries], bool)
    return imputed[derivation.codes] & ~there


def _as_below(value: Column, rows: BoolArray) -> Column:
    """Return the column with ``BLQ`` in some rows."""
    codes = np.where(rows, len(value.entries), value.codes)
    return Column(value.name, codes, (*value.entries, "BLQ"), value.comma, value.points)


def _starts(roles: Mapping[str, Column]) -> tuple[FloatArray, ...]:
    """Return when the reference dose of each row was: its date, and AFRLT - ARRLT."""
    reference, time, first = roles.get("reference_date"), roles["time"], roles.get("time_since_first")
    starts = () if reference is None else (seconds_of(reference),)
    if first is None or first.name == time.name:
        return starts
    with np.errstate(invalid="ignore"):
        return (*starts, first.numbers - time.numbers)


def _pair_nominal(roles: dict[str, Column], request: Request) -> None:
    """Let planned times count from where the times do: NRRLT goes with ARRLT, NFRLT with AFRLT; a note tells of others.

    Whatever column was mapped to the time, but AFRLT itself, counts from the reference dose.
    """
    if "nominal_time" in request.mapped:
        return
    time, first = roles["time"], roles.get("time_since_first")
    since_first = first is not None and time.name == first.name
    from_reference, from_first = roles.pop("nominal_time", None), roles.get("nominal_since_first")
    own, other = (from_first, from_reference) if since_first else (from_reference, from_first)
    if own is not None:
        roles["nominal_time"] = own
    elif other is not None:
        dose = ("first", "reference") if since_first else ("reference", "first")
        request.note(
            "nominal_time",
            f"{time.name} counts from the {dose[0]} dose, {other.name} from the {dose[1]} one: it is not taken as a "
            "planned time",
            f"give the planned time from the {dose[0]} dose, or map it: nominal_time={other.name}",
            other,
        )


def _doses_apart(roles: dict[str, Column], request: Request) -> None:
    """Give each reference dose its occasion, or take the time from the first dose where none can be told."""
    if request.mapped & {"time", "occasion"}:
        return
    time, first = roles["time"], roles.get("time_since_first")
    if first is not None and time.name == first.name:
        label = roles.pop("occasion", None)
        if label is not None and len(set(label.labels[1])) > 1:
            request.note(
                "from_first_dose",
                f"times count from the first dose ({time.name}), so all doses of a subject are one profile",
                "give the time from the reference dose (ARRLT) if each dose has its own profile",
                label,
            )
        return
    found = occasions(roles.get("occasion"), roles.get("reference_date"), request)
    if found is not None:
        roles["occasion"] = found
    elif first is not None:
        with np.errstate(invalid="ignore"):
            apart = np.abs(first.numbers - time.numbers) > 0.1
        subjects = np.unique(request.subject[apart])
        apart = np.isin(request.subject, subjects[subjects >= 0])
        if apart.any():
            request.note(
                "from_first_dose",
                f"{time.name} and {first.name} differ, and nothing names the reference dose: times of such subjects "
                "count from the first dose, and all their doses are one profile",
                "give the reference dose of each row (ATPTREF) if each dose has its own profile",
                first,
            )
            roles["time"] = _chosen(apart, first, time)
            planned = roles.get("nominal_since_first")
            if "nominal_time" in roles:
                roles["nominal_time"] = _chosen(apart, planned, roles["nominal_time"])
            elif planned is not None:
                roles["nominal_time"] = _chosen(~apart, None, planned)


def _chosen(rows: BoolArray, one: Column | None, other: Column) -> Column:
    """Return the cells of one column (or empty ones) in some rows, and of another one in the rest."""
    codes, entries = (0, ("",)) if one is None else (one.codes, one.entries)
    merged = np.where(rows, codes + np.int64(len(other.entries)), other.codes)
    return Column(other.name, merged, (*other.entries, *entries), other.comma, other.points)


def _note_summaries(roles: Mapping[str, Column], request: Request) -> None:
    column = roles.get("summary_excluded")
    if column is not None and rows_of(column, frozenset({"Y"})).any():
        request.note(
            "summary_exclusion",
            "samples are excluded from summaries of concentrations, which are not made here; they enter the analysis",
            "no need to act; NCAXFL excludes a sample from the analysis",
            column,
        )
