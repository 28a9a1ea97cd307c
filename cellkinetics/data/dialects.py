"""Which column is what: the dialects of sample tables, recognised by their columns.

A new dialect is one more entry in `DIALECTS`: the columns that betray it, the names that each role may
have, a function that says which rows are samples, and one that calculates what no column holds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cellkinetics.data import adnca, adppk, sdtm
from cellkinetics.data.column import Column
from cellkinetics.data.derivation import Derived, Request, as_they_stand
from cellkinetics.data.events import RowKinds, classify_by_events, every_row_a_sample
from cellkinetics.errors import Fault, SettingsError

REQUIRED = ("subject", "time", "value")

SUBJECT = ("subject", "id", "usubjid", "subjid", "subject_id", "subj", "patient", "patient_id", "participant")
"""Names of a column that says whose row it is."""
_PLAIN: dict[str, tuple[str, ...]] = {
    "subject": SUBJECT,
    "time": ("time", "actual_time", "day", "days", "time_day", "time_days", "t"),
    "value": ("value", "dv", "conc", "concentration", "result", "y", "copies", "observation"),
    "nominal_time": ("nominal_time", "ntime", "nominal_day", "nom_time", "planned_time"),
    "censored": ("censored", "cens", "blq", "bloq", "bql", "blqfl"),
    "lloq": ("lloq", "loq"),
    "uloq": ("uloq",),
    "lod": ("lod", "limit_of_detection"),
    "analyte": ("analyte", "dvname", "dvid", "ytype"),
    "unit": ("unit", "units", "value_unit", "dvu"),
    "occasion": ("occasion", "occ", "period"),
    "specimen": ("specimen", "matrix", "pcspec", "ppspec"),
    "dose": ("dose",),
    "infusion_duration": ("infusion_duration", "tinf"),
    "tau": ("tau", "dosing_interval"),
    "group": ("group", "grp", "cohort", "arm", "treatment", "trt"),
}

_EVENTS: dict[str, tuple[str, ...]] = {
    **_PLAIN,
    "subject": ("id", *_PLAIN["subject"]),
    "value": ("dv", "y", *_PLAIN["value"]),
    "censored": ("cens", "blq", *_PLAIN["censored"]),
    "limit": ("limit",),
    "evid": ("evid",),
    "mdv": ("mdv",),
    "amt": ("amt", "amount"),
    "cmt": ("cmt",),
    "rate": ("rate",),
    "infusion_duration": (*_PLAIN["infusion_duration"], "dur"),
    "tau": (*_PLAIN["tau"], "ii"),
    "steady_state": ("ss",),
}

_DOSING = frozenset({"addl", "adm", "admid", "adm_id"})


@dataclass(frozen=True)
class Dialect:
    """A way to write a sample table.

    Attributes:
        name: as given to ``dialect=``.
        title: one line for people.
        signs: columns of which one is enough to recognise the dialect; empty for the last resort.
        with_signs: columns of which one must be there as well, if there are any.
        columns: role to the names that its column may have, best first, in lower case.
        ignored: columns that describe dosing or control a program; never covariates.
        comment_marks: first characters of lines that are comments.
        classify: says of each row whether it is a sample, a dose or another event.
        derive: calculates what is not in a column as it stands, such as times from dates.
    """

    name: str
    title: str
    signs: frozenset[str]
    columns: Mapping[str, tuple[str, ...]]
    ignored: frozenset[str] = frozenset()
    comment_marks: str = "#"
    classify: Callable[[Mapping[str, Column], int], RowKinds] = field(default=every_row_a_sample)
    derive: Callable[[Request], Derived] = field(default=as_they_stand)
    with_signs: frozenset[str] = frozenset()

    def recognises(self, names: Collection[str]) -> bool:
        """Tell whether columns of these names (as `normal_name` writes them) are of this dialect."""
        both = (self.signs, self.with_signs)
        return all(not signs or any(name in signs for name in names) for signs in both)


DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        name="adppk",
        title="ADaM ADPPK (USUBJID AFRLT DV EVID MDV AMT, BLQFL, ALLOQ)",
        signs=frozenset({"afrlt", "aprlt", "nfrlt", "nprlt"}),
        with_signs=frozenset({"evid", "mdv"}),
        columns=adppk.COLUMNS,
        ignored=adppk.IGNORED,
        classify=adppk.classify,
        derive=adppk.derive,
    ),
    Dialect(
        name="adnca",
        title="ADaM ADNCA or ADPC (USUBJID PARAMCD AVAL ARRLT AFRLT RRLTU ATPTREF, ALLOQ, NCAXFL, DTYPE)",
        signs=frozenset({"arrlt", "nrrlt", "afrlt", "nfrlt", "ncaxfl"}),
        with_signs=frozenset({"aval"}),
        columns=adnca.COLUMNS,
        ignored=adnca.IGNORED,
        classify=adnca.classify,
        derive=adnca.derive,
    ),
    *(
        Dialect(
            name=f"sdtm-{domain}",
            title=f"SDTM {name} ({name}TESTCD {name}STRESN {name}STRESC {name}DTC {name}RFTDTC {name}SPEC, {name}LLOQ)",
            signs=frozenset({f"{domain}testcd", f"{domain}stresn", f"{domain}stresc"}),
            columns=sdtm.columns_of(domain),
            ignored=sdtm.ignored_of(domain),
            derive=sdtm.derive,
        )
        for domain, name in (("pc", "PC"), ("cp", "CP"))
    ),
    Dialect(
        name="nonmem",
        title="NONMEM data set (ID TIME DV EVID MDV AMT CMT, CENS or BLQ, LLOQ)",
        signs=frozenset({"evid", "mdv", "amt", "cmt"}),
        columns=_EVENTS,
        ignored=_DOSING | {"c", "l2"},
        comment_marks="#@C",
        classify=classify_by_events,
    ),
    Dialect(
        name="monolix",
        title="Monolix data set (ID TIME DV or Y, CENS, LIMIT)",
        signs=frozenset({"cens", "limit", "ytype", "adm", "admid"}),
        columns=_EVENTS,
        ignored=_DOSING,
        classify=classify_by_events,
    ),
    Dialect(
        name="plain",
        title="one row a sample: subject, time, value and what is known of them",
        signs=frozenset(),
        columns=_PLAIN,
    ),
)


def normal_name(name: str) -> str:
    """Return a column name as dialects know it: lower case, one underscore, without a unit in brackets.

    Example:
        >>> normal_name(" Nominal Time [day]")
        'nominal_time'
    """
    bare = re.sub(r"\s*[\(\[].*[\)\]]\s*$", "", name.strip()) or name
    return re.sub(r"[\s\-.]+", "_", bare.strip()).lower()


def unit_in_name(name: str) -> str:
    """Return the unit that stands in brackets behind a column name, or "".

    Example:
        >>> unit_in_name("DV (copies/ug)")
        'copies/ug'
    """
    found = re.search(r"[\(\[]\s*([^()\[\]]+?)\s*[\)\]]\s*$", name)
    return found.group(1) if found else ""


@dataclass(frozen=True)
class Layout:
    """What the caller said about the columns: a dialect or ``auto``, and a map of roles to columns."""

    dialect: str = "auto"
    mapping: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [dialect.name for dialect in DIALECTS]
        if self.dialect not in ("auto", *names):
            raise SettingsError(f"dialect {self.dialect!r} does not exist; take auto, {', '.join(names)}")
        roles = dict.fromkeys(role for dialect in DIALECTS for role in dialect.columns)
        for role in self.mapping:
            if role not in roles:
                raise SettingsError(f"a map names a role and its column; {role!r} is none of {', '.join(roles)}")

    def choose(self, names: Sequence[str]) -> Dialect:
        """Return the dialect of a table with these columns."""
        if self.dialect != "auto":
            return next(dialect for dialect in DIALECTS if dialect.name == self.dialect)
        there = {normal_name(name) for name in names} | {role for role in self.mapping if role not in _PLAIN}
        return next(dialect for dialect in DIALECTS if dialect.recognises(there))

    def fits(self, names: Sequence[str]) -> bool:
        """Tell whether these names could be a header: every required role has its column."""
        return all(role in self.roles(names) for role in REQUIRED)

    def roles(self, names: Sequence[str]) -> dict[str, int]:
        """Return role -> position of its column, as far as columns are there."""
        positions: dict[str, int] = {}
        normal = [normal_name(name) for name in names]
        for position, name in enumerate(normal):
            positions.setdefault(name, position)
        found = {}
        given = {}
        for role, wanted in self.mapping.items():
            exact = [k for k, name in enumerate(names) if name.strip() == wanted.strip()]
            position = exact[0] if exact else positions.get(normal_name(wanted), -1)
            if position >= 0:
                given[role] = position
        for role, aliases in self.choose(names).columns.items():
            if role in self.mapping:
                if role in given:
                    found[role] = given[role]
                continue
            hits = [positions[alias] for alias in aliases if alias in positions]
            hits = [position for position in hits if position not in given.values()]
            if hits:
                found[role] = hits[0]
        return found

    def header_faults(self, names: Sequence[str]) -> list[Fault]:
        """Return what is wrong with a header, as faults that stop reading; none if all is well."""
        shown = ", ".join(name for name in names if name.strip()) or "none"
        roles, dialect, faults = self.roles(names), self.choose(names), []
        for role, wanted in self.mapping.items():
            if role in roles or role not in dialect.columns:
                continue
            near = difflib.get_close_matches(wanted.lower(), [name.lower() for name in names], n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            faults.append(
                Fault(
                    "mapped_column_missing",
                    f"{role} is mapped to column {wanted!r}, which is not there; the columns are {shown}{hint}",
                    f"map {role} to one of the columns",
                    "file",
                    column=wanted,
                )
            )
        for role in REQUIRED:
            if role in roles or role in self.mapping:
                continue
            near = _look_alikes(role, names, roles, dialect)
            hint = f"; {' and '.join(near)} may be meant" if near else ""
            faults.append(
                Fault(
                    "missing_column",
                    f"no column for the {role} ({', '.join(dialect.columns[role])}); the columns are {shown}{hint}",
                    f"rename a column to {role}, or map it: {role}={near[0] if near else 'COLUMN'}",
                    "file",
                )
            )
        normal = [normal_name(name) for name in names]
        for role, position in roles.items():
            same = [name for name, key in zip(names, normal, strict=True) if key == normal[position]]
            exact = [name for name in names if name.strip() == names[position].strip()]
            if len(same) > 1 and not (role in self.mapping and len(exact) == 1):
                faults.append(
                    Fault(
                        "duplicate_column",
                        f"{len(same)} columns could be the {role}: {', '.join(same)}",
                        "give every column its own name",
                        "file",
                        column=names[position],
                    )
                )
        return faults


def _look_alikes(role: str, names: Sequence[str], roles: Mapping[str, int], dialect: Dialect) -> list[str]:
    taken = set(roles.values())
    alike = []
    for position, name in enumerate(names):
        key = normal_name(name)
        close = difflib.get_close_matches(key, dialect.columns[role], n=1, cutoff=0.7)
        inside = any(min(len(a), len(key)) > 2 and (a in key or key in a) for a in dialect.columns[role])
        if position not in taken and (close or inside) and name.strip():
            alike.append(name)
    return alike[:3]
