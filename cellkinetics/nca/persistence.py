"""How long a therapy stays quantifiable: time to an event that is seen only at visits."""

from __future__ import annotations

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.nca.column import Key, Part, Parts, because
from cellkinetics.nca.curve import Curve, Role
from cellkinetics.nca.parameter import SURVIVAL, Parameter
from cellkinetics.nca.peak import Landmarks
from cellkinetics.nca.reasons import Why


def _row(code: str, label: str, unit_kind: str, formula: str, depends: tuple[str, ...] = ()) -> Parameter:
    return Parameter(
        code, label, unit_kind, formula, depends, "cellular", cdisc=False, routes=("cells",), source=SURVIVAL
    )


PERSISTENCE: tuple[Parameter, ...] = (
    _row(
        "TFBLQ",
        "Time of First BLQ after CMAX",
        "time",
        "time of the first sample after Tmax that is below quantification",
        ("TMAX",),
    ),
    _row("PERSLO", "Persistence, Last Seen", "time", "Tlast: the therapy was lost after it, or not yet"),
    _row("PERSUP", "Persistence, First Seen Lost", "time", "time of the first sample below quantification after Tlast"),
    _row(
        "PERSEVT",
        "Persistence, Loss Observed (1) or Not",
        "none",
        "1 if a sample after Tlast is below quantification (event), 0 if none is (censored at Tlast)",
    ),
)
"""Rows of the registry. A loss lies between PERSLO and PERSUP: it is interval-censored with an event, and
right-censored at PERSLO without one (Lindsey JC, Ryan LM. Stat Med 1998;17:219-238,
doi:10.1002/(SICI)1097-0258(19980130)17:2<219::AID-SIM735>3.0.CO;2-O)."""


def put_persistence(parts: Parts, curve: Curve, marks: Landmarks) -> None:
    """Write when a profile fell below quantification, for a while (TFBLQ) or for good (PERSUP, PERSEVT).

    A sample below quantification counts whatever the rule for its place makes of its value.
    """
    below = (curve.role == Role.SUBSTITUTED) | (curve.role == Role.DROPPED)
    n = len(curve.fault)
    none = (~marks.has, Why.NO_QUANTIFIABLE)
    first = _first_after(curve.sample_time, below, marks.tmax)
    parts[Key("TFBLQ")] = Part(first, because(n, none, (np.isinf(first), Why.NO_BLQ_AFTER_PEAK)))
    lost = _first_after(curve.sample_time, below, marks.tlast)
    parts[Key("PERSLO")] = Part(marks.tlast, because(n, none))
    parts[Key("PERSUP")] = Part(lost, because(n, none, (np.isinf(lost), Why.STILL_POSITIVE)))
    parts[Key("PERSEVT")] = Part(np.isfinite(lost).astype(float), because(n, none))


def _first_after(time: FloatArray, which: BoolArray, after: FloatArray) -> FloatArray:
    """Return the earliest of the chosen times after a given one, shape ``(n,)``; +inf where there is none."""
    return np.asarray(np.where(which & (time > after), time, np.inf).min(axis=0))
