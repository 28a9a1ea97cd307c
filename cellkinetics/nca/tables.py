"""Columns become tables: long, wide, and one row a sample with what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort
from cellkinetics.nca.acceptance import Flag, sentence
from cellkinetics.nca.column import Column, FlagArray, Key, ReasonArray
from cellkinetics.nca.curve import Curve, Role, Samples, arrange
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.parameters import BY_CODE
from cellkinetics.nca.peak import landmarks
from cellkinetics.nca.picks import Picks
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.terminal import Choice, choose_line
from cellkinetics.units import DEFAULT_DOSE_UNIT, unit_label

TextArray = NDArray[np.object_]

SAMPLE_REASONS = {
    Role.SUBSTITUTED: (
        "below_quantification",
        "below quantification: counted as the value given here, by the rule for its place",
    ),
    Role.DROPPED: ("below_quantification", "below quantification: left out by the rule for its place"),
    Role.BEFORE_INFUSION: ("before_infusion", "taken before time zero: left out of every parameter"),
    Role.NO_TIME: ("no_time", "the time is missing or infinite"),
    Role.NO_VALUE: ("no_value", "the value is missing, and the sample is not marked as below quantification"),
}


def _texts(items: object) -> TextArray:
    return np.array(items, dtype=object)


def _strings(items: TextArray) -> pd.Series[str]:
    return pd.Series(items, dtype="str")


def long_table(cohort: Cohort, columns: Mapping[Key, Column], options: NCAOptions) -> pd.DataFrame:
    """Return one row a profile and parameter, profiles in the cohort's order."""
    n, keys = len(cohort), list(columns)
    k = len(keys)
    value = np.stack([columns[key].value for key in keys], axis=1) if k else np.zeros((n, 0))
    why = np.stack([columns[key].why for key in keys], axis=1) if k else np.zeros((n, 0), np.int8)
    flags = np.stack([columns[key].flags for key in keys], axis=1) if k else np.zeros((n, 0), np.int16)
    code, text = _reasons(why, flags, options)
    status = np.where(flags != 0, "flagged", np.where(why == Why.CALCULATED, "ok", "not_calculated")).astype(object)
    for i, fault in enumerate(cohort.unusable):
        if fault is not None:
            code[i], text[i] = fault.code, str(fault)
    kinds = [BY_CODE[key.code].unit_kind for key in keys]
    both = list(zip(cohort.value_unit, dose_units(cohort, options), strict=True))
    units = {
        (value_unit, dose): _texts(
            [unit_label(kind, time=cohort.time_unit, value=value_unit, dose=dose) for kind in kinds]
        )
        for value_unit, dose in dict.fromkeys(both)
    }
    unit = np.concatenate([units[name] for name in both]) if n else _texts([])
    each = {
        name: np.repeat(_texts(items), k)
        for name, items in (
            ("subject", cohort.subject),
            ("analyte", cohort.analyte),
            ("occasion", cohort.occasion),
            ("group", cohort.group),
            ("specimen", cohort.specimen),
        )
    }
    return pd.DataFrame(
        {
            "subject": _strings(each["subject"]),
            "analyte": _strings(each["analyte"]),
            "interval_start": np.tile(_times(key.start for key in keys), n),
            "interval_end": np.tile(_times(key.end for key in keys), n),
            "parameter": _strings(np.tile(_texts([key.code for key in keys]), n)),
            "value": value.ravel(),
            "unit": _strings(unit),
            "status": _strings(status.ravel()),
            "reason_code": _strings(code.ravel()),
            "reason": _strings(text.ravel()),
            "occasion": _strings(each["occasion"]),
            "group": _strings(each["group"]),
            "specimen": _strings(each["specimen"]),
        }
    )


def dose_units(cohort: Cohort, options: NCAOptions) -> list[str]:
    """Return the unit of each profile's dose: that of the options, else, for doses of the data, as these say it."""
    if options.dose_unit != DEFAULT_DOSE_UNIT or options.dose is not None:
        return [options.dose_unit] * len(cohort)
    return [unit or DEFAULT_DOSE_UNIT for unit in cohort.dose_unit]


def _times(items: Any) -> NDArray[np.float64]:
    return np.array([np.nan if item is None else item for item in items], dtype=float)


def _reasons(why: ReasonArray, flags: FlagArray, options: NCAOptions) -> tuple[TextArray, TextArray]:
    """Return reason codes and sentences; several marks of one value are joined with ``;``."""
    code = _texts([reason.code for reason in Why])[why]
    text = _texts([reason.sentence for reason in Why])[why]
    for combination in np.unique(flags):
        marks = [mark for mark in Flag if combination & mark]
        if marks:
            here = flags == combination
            code[here] = ";".join(mark.name.lower() for mark in marks if mark.name)
            text[here] = "; ".join(sentence(mark, options) for mark in marks)
    return code, text


def wide_table(cohort: Cohort, columns: Mapping[Key, Column]) -> pd.DataFrame:
    """Return one row a profile and one column a parameter."""
    table: dict[str, Any] = {
        "subject": _strings(_texts(cohort.subject)),
        "analyte": _strings(_texts(cohort.analyte)),
        "occasion": _strings(_texts(cohort.occasion)),
        "specimen": _strings(_texts(cohort.specimen)),
        "group": _strings(_texts(cohort.group)),
    }
    table.update({key.column: column.value for key, column in columns.items()})
    return pd.DataFrame(table)


def point_table(cohort: Cohort, options: NCAOptions) -> pd.DataFrame:
    """Return the samples that were a candidate for the terminal line, or were changed or left out.

    ``role`` is ``lambda_z`` (a candidate; ``used`` says whether the line has it), ``lambda_z_censored``
    (below quantification, in the line as below the LLOQ that is its ``value``), ``substituted``,
    ``dropped``, ``excluded`` or ``imputed`` (a sample at time zero that is not in the data; its
    ``row`` is empty). ``value`` is what the sample counted as.
    """
    usable = np.flatnonzero([fault is None for fault in cohort.unusable])
    samples = Samples.of(cohort, options.time).take(usable)
    picks = Picks.of(cohort, options)
    picks = None if picks is None else picks.take(usable)
    with np.errstate(all="ignore"):
        curve = arrange(samples, options)
        choice = choose_line(curve, landmarks(curve, options.tmax_tie).peak, options, picks)
    healthy = curve.fault == Why.CALCULATED
    frames = [
        _candidate_rows(cohort, usable, curve, choice, picks, healthy),
        _censored_rows(cohort, usable, curve, choice, healthy),
        _changed_rows(cohort, usable, curve, samples),
        _imputed_rows(cohort, usable, curve, healthy),
    ]
    table = pd.concat(frames, ignore_index=True)
    table = table.sort_values(["profile", "time"], kind="stable", na_position="last", ignore_index=True)
    return table.drop(columns="profile")


def _point_frame(
    cohort: Cohort,
    profile: NDArray[np.intp],
    row: NDArray[Any],
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    role: TextArray,
    used: NDArray[np.bool_],
    code: TextArray,
    reason: TextArray,
) -> pd.DataFrame:
    def pick(items: tuple[str, ...]) -> pd.Series[str]:
        return _strings(_texts(items)[profile])

    return pd.DataFrame(
        {
            "profile": profile,
            "subject": pick(cohort.subject),
            "analyte": pick(cohort.analyte),
            "occasion": pick(cohort.occasion),
            "specimen": pick(cohort.specimen),
            "group": pick(cohort.group),
            "row": pd.Series(row, dtype="float64").astype("Int64"),
            "time": time,
            "value": value,
            "role": _strings(role),
            "used": used,
            "reason_code": _strings(code),
            "reason": _strings(reason),
        }
    )


def _candidate_rows(
    cohort: Cohort,
    usable: NDArray[np.intp],
    curve: Curve,
    choice: Choice,
    picks: Picks | None,
    healthy: NDArray[np.bool_],
) -> pd.DataFrame:
    # the curve's position p >= 1 is the p-th sorted sample that counts
    counts = (curve.role == Role.QUANTIFIED) | (curve.role == Role.SUBSTITUTED)
    rank = np.argsort(~counts, axis=0, kind="stable")
    line = choice.line
    at, i = np.nonzero(choice.candidate[1:] & healthy)
    position = curve.order[rank[at, i], i]
    left_out = choice.left_out[1:][at, i]
    used = ~left_out & (curve.time[1:] >= line.lower)[at, i]
    no_line = line.why[i] != Why.CALCULATED
    code = np.where(used, "", np.where(no_line, _texts([r.code for r in Why])[line.why[i]], "not_best_fit"))
    words = np.where(no_line, _texts([r.sentence for r in Why])[line.why[i]], "a line through fewer points fits better")
    code = np.where(left_out, "excluded_by_hand", code)
    words = words.astype(object)
    if picks is not None:
        for row in np.flatnonzero(left_out):
            words[row] = f"left out by hand: {picks.reason(int(i[row]), float(curve.time[1:][at[row], i[row]]))}"
    profile = usable[i]
    return _point_frame(
        cohort,
        profile,
        cohort.row[profile, position].astype(float),
        curve.time[1:][at, i],
        curve.value[1:][at, i],
        np.full(len(i), "lambda_z", dtype=object),
        used,
        code.astype(object),
        np.where(used, "", words).astype(object),
    )


def _censored_rows(
    cohort: Cohort, usable: NDArray[np.intp], curve: Curve, choice: Choice, healthy: NDArray[np.bool_]
) -> pd.DataFrame:
    at, i = np.nonzero(choice.censored & healthy)
    profile = usable[i]
    return _point_frame(
        cohort,
        profile,
        cohort.row[profile, curve.order[at, i]].astype(float),
        curve.sample_time[at, i],
        curve.lloq[at, i],
        np.full(len(i), "lambda_z_censored", dtype=object),
        np.full(len(i), True),
        np.full(len(i), "below_quantification", dtype=object),
        np.full(len(i), "below quantification: in the terminal line as below this value", dtype=object),
    )


def _changed_rows(cohort: Cohort, usable: NDArray[np.intp], curve: Curve, samples: Samples) -> pd.DataFrame:
    at, i = np.nonzero(np.isin(curve.role, list(SAMPLE_REASONS)))
    role, position = curve.role[at, i], curve.order[at, i]
    profile = usable[i]
    substituted = role == Role.SUBSTITUTED
    value = np.where(substituted, curve.level[at, i], samples.value[i, position])
    value = np.where(np.isfinite(value), value, np.nan)
    time = samples.time[i, position]
    names, codes, texts = (np.full(len(Role), "", dtype=object) for _ in range(3))
    for known, (code, text) in SAMPLE_REASONS.items():
        names[known] = known.name.lower() if known in (Role.SUBSTITUTED, Role.DROPPED) else "excluded"
        codes[known], texts[known] = code, text
    return _point_frame(
        cohort,
        profile,
        cohort.row[profile, position].astype(float),
        np.where(np.isfinite(time), time, np.nan),
        value,
        names[role],
        substituted,
        codes[role],
        texts[role],
    )


def _imputed_rows(cohort: Cohort, usable: NDArray[np.intp], curve: Curve, healthy: NDArray[np.bool_]) -> pd.DataFrame:
    i = np.flatnonzero(curve.imputed & healthy)
    words = "no sample at time zero: this one was put there by the rule for time zero"
    return _point_frame(
        cohort,
        usable[i],
        np.full(len(i), np.nan),
        np.zeros(len(i)),
        curve.value[0, i],
        np.full(len(i), "imputed", dtype=object),
        np.full(len(i), True),
        np.full(len(i), "no_time_zero", dtype=object),
        np.full(len(i), words, dtype=object),
    )
