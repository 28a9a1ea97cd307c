"""The checks of whole profiles: what makes one unusable, and what is worth knowing of a usable one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED, BoolArray, IntArray
from cellkinetics.data.column import Column
from cellkinetics.data.covariates import labels_of_units
from cellkinetics.data.duplicates import Resolved, Samples
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.data.rowcheck import RowCheck
from cellkinetics.errors import Effect, Fault

LATE_TMAX = 60.0
"""A median Tmax beyond this many days makes it likely that the times are hours: cells peak in the second week."""


@dataclass(frozen=True, eq=False)
class ProfileNames:
    """Who each profile is ``(n,)``, and where it begins in the file."""

    subject: Sequence[str]
    analyte: Sequence[str]
    occasion: Sequence[str]
    specimen: Sequence[str]
    line: IntArray

    def which(self, profile: int) -> str:
        """Return what tells a profile from others of its subject, for the end of a sentence."""
        parts = [f"analyte {self.analyte[profile]}"] if self.analyte[profile] else []
        parts += [f"occasion {self.occasion[profile]}"] if self.occasion[profile] else []
        parts += [f"specimen {self.specimen[profile]}"] if self.specimen[profile] else []
        return f" ({', '.join(parts)})" if parts else ""


def spoiled_profiles(check: RowCheck, profile: IntArray, unusable: list[Fault | None]) -> None:
    """Give each profile the fault of its first row that spoils it."""
    rows = np.flatnonzero((check.spoils >= 0) & (profile >= 0))
    _, places = np.unique(profile[rows], return_index=True)
    for row in rows[places]:
        unusable[profile[row]] = check.fault(int(row))


def duplicate_faults(
    resolved: Resolved,
    rule: str,
    names: ProfileNames,
    line: IntArray,
    column: Column,
    log: FaultLog,
    unusable: list[Fault | None],
) -> None:
    """Log every set of samples at one time; without a rule for them their profile is unusable."""
    ordered = resolved.ordered
    for group in np.flatnonzero(resolved.group_size > 1):
        start, size = int(resolved.group_start[group]), int(resolved.group_size[group])
        profile = int(ordered.profile[start])
        fatal = rule == "error" and unusable[profile] is None
        effect: Effect = "profile" if rule == "error" else "note"
        if not fatal and not log.room("duplicate_time", effect):
            log.count("duplicate_time", effect, 1, "")
            continue
        lines = sorted(line[ordered.row[start : start + size]].tolist())
        same = np.unique(ordered.value[start : start + size]).size == 1
        places = ", ".join(map(str, lines[:10])) + (", ..." if size > 10 else "")
        values = "the same value" if same else "different values"
        what = f"{size} samples at time {ordered.time[start]:g}{names.which(profile)}, on lines {places}, with {values}"
        if rule == "error":
            message = f"{what}; nothing is calculated for this profile"
            action = 'remove all but one, or take duplicates="first", "mean" or "max" (--duplicates first, mean or max)'
        else:
            message, action = f"{what}; the {rule} is taken", "leave the option duplicates away if this is not meant"
        fault = Fault("duplicate_time", message, action, effect, lines[1], names.subject[profile] or None, column.name)
        log.add(fault)
        if fatal:
            unusable[profile] = fault


def mixed_units(
    column: Column, profile: IntArray, names: ProfileNames, line: IntArray, log: FaultLog, unusable: list[Fault | None]
) -> tuple[str, ...]:
    """Return the unit of each profile; several units in one profile make it unusable, in one analyte are noted."""
    units, differs = labels_of_units(column, profile, len(unusable))
    action = "bring the values to one unit, or give each unit its own analyte"
    for k in np.flatnonzero(differs >= 0).tolist():
        row = int(differs[k])
        what = f"the unit {column.text(row)!r} differs from that of other rows{names.which(k)}"
        message = f"{what}; nothing is calculated for this profile"
        fault = Fault("several_units", message, action, "profile", int(line[row]), names.subject[k], column.name)
        log.add(fault)
        unusable[k] = unusable[k] or fault
    together: dict[tuple[str, str], dict[str, int]] = {}
    for k, unit in enumerate(units):
        if unit:
            together.setdefault((names.analyte[k], names.specimen[k]), {}).setdefault(unit, k)
    for kind, found in together.items():
        if len(found) > 1:
            second = list(found.values())[1]
            who = ", ".join(f"{what} {name}" for what, name in zip(("analyte", "specimen"), kind, strict=True) if name)
            message = (
                f"{who or 'the table'} has several units: {', '.join(found)}; summaries keep them apart, "
                "pooled fits would mix them"
            )
            place = int(names.line[second])
            log.add(Fault("several_units", message, action, "note", place, names.subject[second], column.name))
    return units


def profile_notes(
    samples: Samples,
    names: ProfileNames,
    line: IntArray,
    value: Column,
    log: FaultLog,
    unusable: list[Fault | None],
) -> None:
    """Find profiles without a usable sample, and note what limits the others.

    Noted: no sample at time zero, a single sample, no quantified sample, samples below
    quantification without an LLOQ.
    """
    n = len(unusable)

    def number(mask: BoolArray) -> IntArray:
        return np.bincount(samples.profile[mask], minlength=n)

    below = samples.censored == LEFT_CENSORED
    total = np.bincount(samples.profile, minlength=n)
    for k in np.flatnonzero(total == 0).tolist():
        if unusable[k] is None:
            message = f"no usable sample{names.which(k)}; nothing is calculated for this profile"
            action = "look at the faults of its rows"
            place = int(names.line[k])
            fault = Fault("no_usable_sample", message, action, "profile", place, names.subject[k], value.name)
            unusable[k] = fault
            log.add(fault)
    usable = np.array([fault is None for fault in unusable], bool)
    blq, without_limit = number(below), below & np.isnan(samples.lloq)
    early = without_limit & (samples.time <= 0)
    if usable.sum() > 1 and (number(early)[usable] > 0).all():
        _note_before_infusion(early, samples, line, log)
        without_limit &= ~early
    unlimited = number(without_limit)

    def note(mask: BoolArray, code: str, message: str, action: str, counts: IntArray = total) -> None:
        places = np.flatnonzero(mask & usable)
        listed = places[: log.room(code, "note")]
        for k in listed.tolist():
            text = message.format(count=counts[k], which=names.which(k))
            log.add(Fault(code, text, action, "note", int(names.line[k]), names.subject[k], None))
        log.count(code, "note", len(places) - len(listed), action)

    note(
        number(samples.time == 0) == 0,
        "no_time_zero",
        "no sample at time zero{which}",
        "no need to act: where a value is needed there it is imputed, and recorded",
    )
    note(
        total == 1,
        "one_sample",
        "only one sample{which}",
        "no need to act: what needs more samples is left empty, with its reason",
    )
    note(
        blq == total,
        "all_blq",
        "no quantified sample{which}: all {count} are below quantification",
        "no need to act if the cells were never detected",
        blq,
    )
    note(
        unlimited > 0,
        "blq_without_lloq",
        "samples below quantification without an LLOQ: {count}{which}; fits cannot use them",
        "give a column lloq, or the LLOQ of all with lloq= (--lloq)",
        unlimited,
    )


def _note_before_infusion(early: BoolArray, samples: Samples, line: IntArray, log: FaultLog) -> None:
    """Say once what holds for every profile: its sample from before infusion is below an unknown limit."""
    place = int(line[samples.row[early]].min())
    message = (
        f"every profile has a sample at or before infusion that is below quantification without an LLOQ: "
        f"{int(early.sum())} in all, the first on line {place}; fits leave samples from before infusion out"
    )
    log.add(Fault("blq_without_lloq", message, "no need to act", "note", place))


def hours_note(samples: Samples, time: Column, log: FaultLog, unusable: list[Fault | None]) -> None:
    """Note times that are taken as days and look like hours, by the median Tmax.

    Only profiles that were sampled before `LATE_TMAX` count: of late follow-up alone no peak is known.
    """
    usable = np.array([fault is None for fault in unusable], bool)
    seen = (samples.censored != LEFT_CENSORED) & usable[samples.profile]
    started = np.unique(samples.profile[(samples.time >= 0) & (samples.time <= LATE_TMAX)])
    seen &= np.isin(samples.profile, started)
    if not seen.any():
        return
    profile, day, value = samples.profile[seen], samples.time[seen], samples.value[seen]
    order = np.lexsort((day, -value, profile))
    _, first = np.unique(profile[order], return_index=True)
    tmax = float(np.median(day[order][first]))
    if tmax > LATE_TMAX:
        message = f"the times are taken as days, and look like hours: the median Tmax is {tmax:g}"
        action = 'take time_unit="hour" (--time-unit hour) if they are; fits need them converted to days'
        log.add(Fault("times_look_like_hours", message, action, "note", column=time.name))
