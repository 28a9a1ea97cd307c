"""Parameters of a dosing interval, from time zero to tau, and of a drug that is given again and again.

At steady state every dosing interval is the same, and the area over one of them is that of a single dose to
infinity. Sources: Phoenix WinNonlin, "Discrete (plasma) parameters that are estimated when at steady-state";
Gabrielsson J, Weiner D. Pharmacokinetic and Pharmacodynamic Data Analysis, 5th ed. (2016), section 2.8;
codes are those of CDISC controlled terminology (PKPARMCD), apart from AUCTAUPE, FLUCPTAU and SWINGTAU.
"""

from __future__ import annotations

import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.nca.column import Key, Part, Parts, because, join
from cellkinetics.nca.curve import Curve
from cellkinetics.nca.occasions import RATIOS
from cellkinetics.nca.options import Route
from cellkinetics.nca.parameter import CDISC, WINNONLIN, Parameter
from cellkinetics.nca.peak import Landmarks
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.window import Beyond, Segments, extrapolated_moment, level_at, observed_moment, partial_area

_DRUG: tuple[Route, ...] = ("bolus", "infusion", "extravascular")
_INTO_A_VEIN: tuple[Route, ...] = ("bolus", "infusion")
_OUTSIDE: tuple[Route, ...] = ("extravascular",)


def _row(
    code: str,
    label: str,
    kind: str,
    formula: str,
    depends: tuple[str, ...] = ("TAU",),
    *,
    cdisc: bool = True,
    routes: tuple[Route, ...] = _DRUG,
    source: str = WINNONLIN,
) -> Parameter:
    return Parameter(code, label, kind, formula, depends, "drug", cdisc=cdisc, routes=routes, source=source)


STEADY: tuple[Parameter, ...] = (
    _row("TAU", "Dosing Interval", "time", "the dosing interval, as given", ()),
    _row("AUCTAU", "AUC Over Dosing Interval", "area", "integral of C from time zero to tau", ("AUCLST", "TAU")),
    _row(
        "AUCTAUPE",
        "AUC Over Dosing Interval % Extrapolated",
        "percent",
        "100 * part of AUCTAU beyond Tlast by lambda_z / AUCTAU",
        ("AUCTAU",),
        cdisc=False,
    ),
    _row("AUCTAUD", "AUC Over Dosing Interval Norm by Dose", "area_by_dose", "AUCTAU / dose", ("AUCTAU",)),
    _row("AUMCTAU", "AUMC Over Dosing Interval", "moment", "integral of t C from time zero to tau", ("AUCTAU",)),
    _row("CAVG", "Average Concentration", "value", "AUCTAU / tau", ("AUCTAU",)),
    _row("CMIN", "Min Conc", "value", "smallest value of the samples from time zero to tau"),
    _row("TMIN", "Time of CMIN Observation", "time", "time of Cmin, the first of equal ones"),
    _row("CTROUGH", "Conc Trough", "value", "the integrated curve at tau, beyond Tlast by lambda_z"),
    _row("FLUCP", "Fluctuation%", "percent", "100 * (Cmax - Cmin) / Cavg", ("CMAX", "CMIN", "CAVG")),
    _row(
        "FLUCPTAU",
        "Fluctuation% from Conc Trough",
        "percent",
        "100 * (Cmax - Ctrough) / Cavg",
        ("CMAX", "CTROUGH", "CAVG"),
        cdisc=False,
    ),
    _row("SWING", "Swing", "none", "(Cmax - Cmin) / Cmin", ("CMAX", "CMIN")),
    _row("SWINGTAU", "Swing from Conc Trough", "none", "(Cmax - Ctrough) / Ctrough", ("CMAX", "CTROUGH"), cdisc=False),
    _row("PTROUGHR", "Peak Trough Ratio", "none", "Cmax / Ctrough", ("CMAX", "CTROUGH")),
    _row("AILAMZ", "Accumulation Index using Lambda z", "none", "1 / (1 - exp(-lambda_z tau))", ("LAMZ", "TAU")),
    _row("CLTAU", "Total CL for Dose Int", "clearance", "dose / AUCTAU", ("AUCTAU",), routes=_INTO_A_VEIN),
    _row("CLFTAU", "Total CL by F for Dose Int", "clearance", "dose / AUCTAU", ("AUCTAU",), routes=_OUTSIDE),
    _row("VZTAU", "Vz for Dose Int", "volume", "dose / (lambda_z AUCTAU)", ("AUCTAU", "LAMZ"), routes=_INTO_A_VEIN),
    _row("VZFTAU", "Vz for Dose Int by F", "volume", "dose / (lambda_z AUCTAU)", ("AUCTAU", "LAMZ"), routes=_OUTSIDE),
)
"""Rows of one dosing interval, in the order of the tables."""


def _ratio(code: str, label: str) -> Parameter:
    of, by = RATIOS[code]
    formula = f"{of} / {by} of the first occasion"
    return _row(code, label, "none", formula, tuple(dict.fromkeys((of, by))), source=CDISC)


COMPARED: tuple[Parameter, ...] = (
    _ratio("ARAUC", "Accumulation Ratio AUCTAU"),
    _ratio("ARAUCD", "Accum Ratio AUCTAU norm by dose"),
    _ratio("ARCMAX", "Accumulation Ratio Cmax"),
    _ratio("ARCMIN", "Accumulation Ratio Cmin"),
    _ratio("ARCTROUG", "Accumulation Ratio Ctrough"),
    _ratio("SRAUC", "Stationarity Ratio AUC"),
    _row(
        "EFFHL",
        "Effective Half-Life",
        "time",
        "ln 2 tau / ln(ARAUC / (ARAUC - 1))",
        ("ARAUC",),
        source="Boxenbaum & Battle 1995",
    ),
)
"""Rows that compare a later occasion with the first; see `cellkinetics.nca.occasions`."""

CODES = frozenset(parameter.code for parameter in STEADY)


def put_interval(parts: Parts, curve: Curve, segments: Segments, marks: Landmarks, after: Beyond) -> FloatArray:
    """Write what is had from the dosing interval alone, and return the percentage of its area that is extrapolated.

    Cmax, Cmin and their times are those of the samples from time zero to tau. The area and the level at tau
    follow the rules for a window that ends at tau, but for one: ``after`` holds every terminal line here, accepted or
    not, as the last sample mostly lies close to tau. What rests on a line that is not accepted is flagged.
    """
    n = len(curve.fault)
    profiles = np.arange(n)
    known = np.isfinite(curve.tau)
    tau = np.where(known, curve.tau, 0.0)
    parts[Key("TAU")] = Part(curve.tau, because(n, (~known, Why.NO_TAU)))
    area, share, why = partial_area(segments, after, marks.has, 0.0, tau)
    why = np.where(known, why, Why.NO_TAU).astype(np.int8)
    parts[Key("AUCTAU")], parts[Key("AUCTAUPE")] = Part(area, why), Part(share, why)
    follows, until = after.takes_over(tau)
    moment = observed_moment(segments, until)
    tail = extrapolated_moment(after.height, after.rate, after.start, tau)
    moment = np.where(marks.has, moment + np.where(follows, tail, 0.0), 0.0)
    parts[Key("AUMCTAU")] = Part(moment, why)
    parts[Key("CAVG")] = Part(area / tau, why)

    inside = curve.used & (curve.time <= tau)
    inside[0] = False  # an imputed value is not a sample
    lowest = np.argmin(np.where(inside, curve.value, np.inf), axis=0)
    none = because(
        n,
        (~known, Why.NO_TAU),
        (~marks.has, Why.NO_QUANTIFIABLE),
        (~np.asarray(inside.any(axis=0)), Why.NOTHING_IN_INTERVAL),
    )
    parts[Key("CMIN")] = Part(curve.value[lowest, profiles], none)
    parts[Key("TMIN")] = Part(curve.time[lowest, profiles], none)
    level = level_at(curve, segments, marks.has, tau)
    trough = np.where(follows, after.height * np.exp(-after.rate * (tau - after.start)), level)
    unknown = np.where(marks.has, after.why(tau, tau), Why.NO_QUANTIFIABLE)
    parts[Key("CTROUGH")] = Part(trough, np.where(known, unknown, Why.NO_TAU).astype(np.int8))
    return share


def put_steady(parts: Parts, dose: FloatArray) -> None:
    """Write what follows from the interval, the peak, the terminal line and the dose.

        fluctuation = 100 (Cmax - Cmin)/Cavg,  swing = (Cmax - Cmin)/Cmin,  peak-trough ratio = Cmax/Ctrough
        accumulation index = 1/(1 - exp(-lambda_z tau)),  CL = dose/AUCTAU,  Vz = dose/(lambda_z AUCTAU)

    Args:
        parts: what `put_interval` wrote, Cmax and lambda_z are there already.
        dose: ``(n,)``, NaN where unknown.
    """
    n = len(dose)
    cmax, cmin, trough = (parts[Key(code)] for code in ("CMAX", "CMIN", "CTROUGH"))
    area, mean, tau, rate = (parts[Key(code)] for code in ("AUCTAU", "CAVG", "TAU", "LAMZ"))
    empty = because(n, (area.value == 0, Why.ZERO_AREA))
    for code, low in (("FLUCP", cmin), ("FLUCPTAU", trough)):
        value = 100.0 * ((cmax.value - low.value) / mean.value)
        parts[Key(code)] = Part(value, join(cmax.why, low.why, mean.why, empty))
    for code, low in (("SWING", cmin), ("SWINGTAU", trough)):
        why = join(cmax.why, low.why, because(n, (low.value == 0, Why.ZERO_TROUGH)))
        parts[Key(code)] = Part((cmax.value - low.value) / low.value, why)
    parts[Key("PTROUGHR")] = Part(cmax.value / trough.value, parts[Key("SWINGTAU")].why)
    parts[Key("AILAMZ")] = Part(-1.0 / np.expm1(-rate.value * tau.value), join(tau.why, rate.why))
    unknown = because(n, (~np.isfinite(dose) | (dose < 0), Why.NO_DOSE))
    parts[Key("AUCTAUD")] = Part(area.value / dose, join(area.why, unknown, because(n, (dose == 0, Why.ZERO_DOSE))))
    for code in ("CLTAU", "CLFTAU"):
        parts[Key(code)] = Part(dose / area.value, join(area.why, empty, unknown))
    for code in ("VZTAU", "VZFTAU"):
        parts[Key(code)] = Part(dose / (area.value * rate.value), join(area.why, rate.why, empty, unknown))
