"""The registry of parameters: one frozen row each."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from cellkinetics.errors import SettingsError
from cellkinetics.nca.cellular import CELLULAR
from cellkinetics.nca.column import Key
from cellkinetics.nca.drug import DRUG
from cellkinetics.nca.options import NCAOptions, Route
from cellkinetics.nca.parameter import OWN, WINNONLIN, Parameter
from cellkinetics.nca.steady import COMPARED, STEADY


def _mean_times(prefix: str, label: str, routes: tuple[Route, ...], less: str) -> tuple[Parameter, ...]:
    """Mean residence times: CDISC has one code for each way of giving a drug."""
    steady = f"; at steady state (AUMCTAU + tau ({{}} - AUCTAU)) / AUCTAU{less}"
    return tuple(
        Parameter(
            f"{prefix}{end}",
            f"MRT {label} {words}",
            "time",
            f"{moment} / {area}{less}" + ("" if end == "LST" else steady.format(area)),
            (moment, area),
            group=group,
            routes=routes,
        )
        for end, words, moment, area, group in (
            ("LST", "to Last Quantifiable", "AUMCLST", "AUCLST", "core"),
            ("IFO", "Infinity Obs", "AUMCIFO", "AUCIFO", "core"),
            ("IFP", "Infinity Pred", "AUMCIFP", "AUCIFP", "drug"),
        )
    )


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("CMAX", "Max Conc", "value", "largest quantified value; in the dosing interval, where there is one"),
    Parameter("TMAX", "Time of CMAX", "time", "time of Cmax"),
    Parameter("CLST", "Last Quantifiable Conc", "value", "last quantified value"),
    Parameter("TLST", "Time of Last Quantifiable Conc", "time", "time of Clast"),
    Parameter(
        "TFQ", "Time of First Quantifiable Conc", "time", "time of the first quantified value", cdisc=False, source=OWN
    ),
    Parameter(
        "TLAG",
        "Time Until First Quantifiable Conc",
        "time",
        "time of the sample before the first quantified one",
        routes=("cells", "extravascular"),
    ),
    Parameter(
        "C0",
        "Initial Conc",
        "value",
        "exponential through the first two samples, at time zero",
        routes=("bolus",),
        source=WINNONLIN,
    ),
    Parameter("AUCLST", "AUC to Last Quantifiable Conc", "area", "integral of C from time zero to Tlast"),
    Parameter("AUCALL", "AUC All", "area", "AUCLST + the fall to the first sample below quantification"),
    Parameter(
        "AUCINT", "AUC from T1 to T2", "area", "integral of C over the window", ("AUCLST", "LAMZ"), windowed=True
    ),
    Parameter(
        "AUCINTPE",
        "AUC from T1 to T2 % Extrapolated",
        "percent",
        "100 * part of AUCINT beyond Tlast by lambda_z / AUCINT",
        ("AUCINT",),
        cdisc=False,
        source=OWN,
        windowed=True,
    ),
    Parameter("AUCIFO", "AUC Infinity Obs", "area", "AUCLST + Clast / lambda_z", ("AUCLST", "CLST", "LAMZ")),
    Parameter(
        "AUCIFP",
        "AUC Infinity Pred",
        "area",
        "AUCLST + exp(intercept - lambda_z Tlast) / lambda_z",
        ("AUCLST", "TLST", "LAMZ", "LAMZICPT"),
    ),
    Parameter(
        "AUCPEO",
        "AUC % Extrapolation Obs",
        "percent",
        "100 * (AUCIFO - AUCLST) / AUCIFO",
        ("AUCIFO",),
        source=WINNONLIN,
    ),
    Parameter(
        "AUCPEP",
        "AUC % Extrapolation Pred",
        "percent",
        "100 * (AUCIFP - AUCLST) / AUCIFP",
        ("AUCIFP",),
        source=WINNONLIN,
    ),
    Parameter("LAMZ", "Lambda z", "rate", "- slope of the terminal line of ln C", source=WINNONLIN),
    Parameter("LAMZHL", "Half-Life Lambda z", "time", "ln 2 / lambda_z", ("LAMZ",)),
    Parameter(
        "LAMZNPT", "Number of Points for Lambda z", "count", "points of the terminal line", ("LAMZ",), source=WINNONLIN
    ),
    Parameter("LAMZLL", "Lambda z Lower Limit", "time", "time of its first point", ("LAMZ",), source=WINNONLIN),
    Parameter("LAMZUL", "Lambda z Upper Limit", "time", "time of its last point", ("LAMZ",), source=WINNONLIN),
    Parameter(
        "LAMZSPN",
        "Lambda z Span",
        "none",
        "(LAMZUL - LAMZLL) / LAMZHL",
        ("LAMZUL", "LAMZLL", "LAMZHL"),
        source=WINNONLIN,
    ),
    Parameter(
        "LAMZICPT",
        "Lambda z Line Intercept of ln C",
        "none",
        "ln C of the line at time zero",
        ("LAMZ",),
        cdisc=False,
        source=WINNONLIN,
    ),
    Parameter("R2", "R Squared", "none", "squared correlation of ln C and time", ("LAMZ",)),
    Parameter(
        "R2ADJ", "R Squared Adjusted", "none", "1 - (1 - R2) (k - 1) / (k - 2)", ("R2", "LAMZNPT"), source=WINNONLIN
    ),
    Parameter(
        "CORRXY",
        "Correlation Between TimeX and Log ConcY",
        "none",
        "correlation of ln C and time",
        ("LAMZ",),
        source=WINNONLIN,
    ),
    Parameter(
        "LAMZNBLQ",
        "Number of BLQ Points for Lambda z",
        "count",
        "censored points of the line (lambda_z_method tobit)",
        ("LAMZ",),
        "terminal",
        cdisc=False,
        source=OWN,
    ),
    Parameter(
        "LAMZSE",
        "Standard Error of Lambda z",
        "rate",
        "of the slope of the line",
        ("LAMZ",),
        "terminal",
        cdisc=False,
        source=OWN,
    ),
    Parameter(
        "LAMZHLSE",
        "Standard Error of Half-Life Lambda z",
        "time",
        "LAMZHL * LAMZSE / LAMZ",
        ("LAMZHL", "LAMZSE", "LAMZ"),
        "terminal",
        cdisc=False,
        source=OWN,
    ),
    Parameter("AUMCLST", "AUMC to Last Quantifiable Conc", "moment", "integral of t C from time zero to Tlast"),
    Parameter(
        "AUMCIFO",
        "AUMC Infinity Obs",
        "moment",
        "AUMCLST + Clast (Tlast / lambda_z + 1 / lambda_z^2)",
        ("AUMCLST", "CLST", "TLST", "LAMZ"),
        group="drug",
    ),
    Parameter(
        "AUMCIFP",
        "AUMC Infinity Pred",
        "moment",
        "as AUMCIFO, with the line's value at Tlast",
        ("AUMCLST", "TLST", "LAMZ", "LAMZICPT"),
        group="drug",
    ),
    Parameter(
        "AUMCPEO", "AUMC % Extrapolation Obs", "percent", "100 * (AUMCIFO - AUMCLST) / AUMCIFO", ("AUMCIFO",), "drug"
    ),
    Parameter(
        "AUMCPEP", "AUMC % Extrapolation Pred", "percent", "100 * (AUMCIFP - AUMCLST) / AUMCIFP", ("AUMCIFP",), "drug"
    ),
    *_mean_times("MRTEV", "Extravasc", ("extravascular",), ""),
    *_mean_times("MRTIB", "IV Bolus", ("cells", "bolus"), ""),
    *_mean_times("MRTIC", "IV Cont Inf", ("infusion",), " - infusion_duration / 2"),
    Parameter(
        "NSAMPLE", "Number of Samples", "count", "samples with a result at or after time zero", cdisc=False, source=OWN
    ),
    Parameter(
        "NQUANT", "Number of Quantifiable Samples", "count", "those with a quantified value", cdisc=False, source=OWN
    ),
    *CELLULAR,
    *DRUG,
    *STEADY,
    *COMPARED,
)
"""Every parameter, in the order of the tables."""

BY_CODE = {parameter.code: parameter for parameter in PARAMETERS}
GROUPS = ("core", *dict.fromkeys(p.group for p in PARAMETERS if p.group != "core"), "all")


def select(parameters: str | Iterable[str] | None, options: NCAOptions) -> tuple[Key, ...]:
    """Resolve what the user asked for into keys, in the registry's order.

    Args:
        parameters: ``core`` (the default), another group, ``all``, codes, or several of them, also as one text with
            commas. Groups bring only what has a meaning for the route; a code that is named stays.
        options: for the route and the windows.

    Raises:
        SettingsError: for a name that is neither a group nor a code.

    Example:
        >>> select("CMAX,AUCINT", NCAOptions(windows="0-28"))
        (Key(code='CMAX', start=None, end=None), Key(code='AUCINT', start=0.0, end=28.0))
    """
    names = parameters if parameters is not None else "core"
    try:
        wanted = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
    except (TypeError, AttributeError):
        raise SettingsError(f"parameters are names, such as 'CMAX,TMAX' or ['CMAX'], not {parameters!r}") from None
    codes: set[str] = set()
    for name in wanted:
        if name.lower() in GROUPS:
            codes |= {
                parameter.code
                for parameter in PARAMETERS
                if options.route in parameter.routes and name.lower() in {"all", parameter.group}
            }
        elif name.upper() in BY_CODE:
            codes.add(name.upper())
        else:
            raise SettingsError(
                f"no parameter {name!r}; there are the groups {', '.join(GROUPS)} and {', '.join(BY_CODE)}"
            )
    keys: list[Key] = []
    for parameter in PARAMETERS:
        if parameter.code in codes:
            if parameter.windowed:
                keys.extend(Key(parameter.code, start, end) for start, end in options.windows)
            elif parameter.daily:
                keys.extend(Key(parameter.code, day, day) for day in options.days)
            else:
                keys.append(Key(parameter.code))
    return tuple(keys)


def required(keys: Iterable[Key]) -> frozenset[str]:
    """Return the codes of the keys and of everything that they depend on.

    Example:
        >>> sorted(required([Key("LAMZHL")]))
        ['LAMZ', 'LAMZHL']
    """
    return frozenset[str]().union(*(_chain(key.code) for key in keys))


@cache
def _chain(code: str) -> frozenset[str]:
    return frozenset({code}).union(*map(_chain, BY_CODE[code].depends))
