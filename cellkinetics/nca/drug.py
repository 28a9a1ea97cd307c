"""Parameters of a drug: what needs the dose, and what of a bolus lies before its first sample.

Source: Gabrielsson J, Weiner D. Pharmacokinetic and Pharmacodynamic Data Analysis, 5th ed. (2016),
section 2.8; names are those of CDISC controlled terminology (PKPARMCD).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.nca.column import Key, Part, Parts, because, join
from cellkinetics.nca.curve import Curve
from cellkinetics.nca.options import NCAOptions, Route
from cellkinetics.nca.parameter import Parameter
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.window import Segments

_INTO_A_VEIN: tuple[Route, ...] = ("bolus", "infusion")
_MEAN_TIME = {"bolus": "MRTIB", "infusion": "MRTIC"}


def _by_last_value(suffix: str, word: str) -> tuple[Parameter, ...]:
    """The parameters that are had from the area to infinity, observed or predicted."""
    area, moment = f"AUCIF{suffix}", f"AUMCIF{suffix}"
    outside: tuple[Route, ...] = ("extravascular",)

    def row(
        code: str, label: str, kind: str, formula: str, depends: tuple[str, ...], routes: tuple[Route, ...]
    ) -> Parameter:
        return Parameter(code, label, kind, formula, depends, group="drug", routes=routes)

    return (
        row(
            f"AUCPBE{suffix}",
            f"AUC % Back Extrapolation {word}",
            "percent",
            f"100 * area before the first sample / {area}",
            (area,),
            ("bolus",),
        ),
        row(f"CL{suffix}", f"Total CL {word}", "clearance", f"dose / {area}", (area,), _INTO_A_VEIN),
        row(f"CLF{suffix}", f"Total CL {word} by F", "clearance", f"dose / {area}", (area,), outside),
        row(f"VZ{suffix}", f"Vz {word}", "volume", f"dose / (lambda_z {area})", (area, "LAMZ"), _INTO_A_VEIN),
        row(f"VZF{suffix}", f"Vz {word} by F", "volume", f"dose / (lambda_z {area})", (area, "LAMZ"), outside),
        row(
            f"VSS{suffix}",
            f"Vol Dist Steady State {word}",
            "volume",
            f"mean residence time * dose / {area}; at steady state / AUCTAU",
            (area, moment),
            _INTO_A_VEIN,
        ),
    )


def _normalised(code: str, of: str, label: str, kind: str, *, windowed: bool = False) -> Parameter:
    routes: tuple[Route, ...] = ("bolus",) if of == "C0" else ("cells", "bolus", "infusion", "extravascular")
    return Parameter(
        code,
        f"{label} Norm by Dose",
        f"{kind}_by_dose",
        f"{of} / dose",
        (of,),
        group="drug",
        routes=routes,
        windowed=windowed,
    )


NORMALISED = (
    _normalised("CMAXD", "CMAX", "Max Conc", "value"),
    _normalised("C0D", "C0", "Initial Conc", "value"),
    _normalised("AUCLSTD", "AUCLST", "AUC to Last Nonzero Conc", "area"),
    _normalised("AUCALLD", "AUCALL", "AUC All", "area"),
    _normalised("AUCINTD", "AUCINT", "AUC from T1 to T2", "area", windowed=True),
    _normalised("AUCIFOD", "AUCIFO", "AUC Infinity Obs", "area"),
    _normalised("AUCIFPD", "AUCIFP", "AUC Infinity Pred", "area"),
)

DRUG = (*_by_last_value("O", "Obs"), *_by_last_value("P", "Pred"), *NORMALISED)
"""The rows of the group ``drug`` that are calculated here."""

CODES = frozenset(parameter.code for parameter in DRUG)


def put_drug(
    parts: Parts, keys: Iterable[Key], curve: Curve, segments: Segments, dose: FloatArray, options: NCAOptions
) -> None:
    """Write the parameters of this group that were asked for.

        CL = dose/AUC,  Vz = dose/(lambda_z AUC),  Vss = MRT dose/AUC   (AUC to infinity)
        at steady state: Vss = MRT dose/AUCTAU, and CLTAU and VZTAU stand for the others
        back-extrapolated part = 100 * (area between time zero and the first sample)/AUC

    Args:
        parts: the areas to infinity, lambda_z and mean times are there already.
        keys: what was asked for; keys of other groups are passed over.
        curve: the samples.
        segments: their areas.
        dose: ``(n,)``, NaN where unknown.
        options: for the route.
    """
    unknown = ~np.isfinite(dose) | (dose < 0)
    steady = bool(curve.steady.any())
    sources = {parameter.code: parameter.depends[0] for parameter in NORMALISED}
    for key in keys:
        if key.code not in CODES:
            continue
        if key.code in sources:
            value, why = parts[Key(sources[key.code], key.start, key.end)]
            needs_more = np.where(unknown, Why.NO_DOSE, np.where(dose == 0, Why.ZERO_DOSE, Why.CALCULATED))
            parts[key] = Part(value / dose, np.where(why == Why.CALCULATED, needs_more, why).astype(np.int8))
            continue
        stem, suffix = key.code[:-1], key.code[-1]
        area, why = parts[Key(f"AUCIF{suffix}")]
        if stem == "AUCPBE":
            before = np.where(curve.imputed, segments.area[0], 0.0)
            parts[key] = Part(100.0 * (before / area), why)
            continue
        if stem in {"CL", "CLF"}:
            value = dose / area
        elif stem in {"VZ", "VZF"}:
            value = dose / (area * parts[Key("LAMZ")].value)
        else:
            mean, why = parts[Key(f"{_MEAN_TIME.get(options.route, 'MRTIB')}IF{suffix}")]
            over = np.where(curve.steady, parts[Key("AUCTAU")].value, area) if steady else area
            value = mean * (dose / over)
        why = join(why, because(len(dose), (area == 0, Why.ZERO_AREA), (unknown, Why.NO_DOSE)))
        if steady and stem != "VSS":
            why = np.where(curve.steady, Why.AT_STEADY_STATE, why).astype(np.int8)
        parts[key] = Part(value, why)
