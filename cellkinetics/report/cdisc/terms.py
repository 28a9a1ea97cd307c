"""The words of CDISC: names of parameters, units, durations and methods."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from cellkinetics.errors import OutputError
from cellkinetics.nca.options import AUCMethod
from cellkinetics.nca.parameters import BY_CODE
from cellkinetics.units import TIME_UNITS, UnitKind, unit_label

PPTEST: Mapping[str, str] = MappingProxyType(
    {
        "TMAX": "Time of CMAX Observation",
        "CLST": "Last Nonzero Conc",
        "TLST": "Time of Last Nonzero Conc",
        "TLAG": "Time Until First Nonzero Conc",
        "AUCLST": "AUC to Last Nonzero Conc",
        "AUCPEO": "AUC %Extrapolation Obs",
        "AUCPEP": "AUC %Extrapolation Pred",
        "AUCPBEO": "AUC %Back Extrapolation Obs",
        "AUCPBEP": "AUC %Back Extrapolation Pred",
        "AUMCLST": "AUMC to Last Nonzero Conc",
        "MRTEVLST": "MRT Extravasc to Last Nonzero Conc",
        "MRTIBLST": "MRT IV Bolus to Last Nonzero Conc",
        "MRTICLST": "MRT IV Cont Inf to Last Nonzero Conc",
    }
)
"""Names in CDISC controlled terminology (codelist PKPARM, C85493) that differ from the labels of our registry."""

METHODS: Mapping[AUCMethod, tuple[str, str]] = MappingProxyType(
    {
        "linear": ("LINEAR TRAPEZOIDAL METHOD", "linear in every interval"),
        "linear-up-log-down": (
            "LINEAR UP LOG DOWN METHOD",
            "logarithmic where the value falls, linear elsewhere",
        ),
        "linear-log": ("LIN-LOG TRAPEZOIDAL METHOD", "linear until Tmax, logarithmic after it"),
        "log": ("LOG TRAPEZOIDAL METHOD", "logarithmic, linear on a tie or a zero"),
    }
)
"""PPANMETH of areas and moments, and what it means."""

CENSORED_LINE = "CENSORED LOG-LINEAR REGRESSION"
"""PPANMETH of the terminal line where it takes samples below quantification as left-censored."""

CDISC_METHODS = frozenset(METHODS[method][0] for method in ("linear", "linear-up-log-down", "linear-log"))
"""Those of them that CDISC has (codelist PK Analytical Method, C172330)."""

_DURATIONS = {
    "second": "PT{}S",
    "minute": "PT{}M",
    "hour": "PT{}H",
    "day": "P{}D",
    "week": "P{}W",
    "month": "P{}M",
    "year": "P{}Y",
}
_TIME_LABELS = {"second": "s", "minute": "min", "hour": "h"}


def pptest(code: str) -> str:
    """Return the name of a parameter: that of CDISC where it has one, else our label.

    Example:
        >>> pptest("TLST"), pptest("TFQ")
        ('Time of Last Nonzero Conc', 'Time of First Quantifiable Conc')
    """
    return PPTEST.get(code, BY_CODE[code].label)


def iso_duration(time: float, unit: str) -> str:
    """Return a time as a duration of ISO 8601.

    Raises:
        OutputError: for a unit of time that ISO 8601 does not know.

    Example:
        >>> iso_duration(28.0, "day"), iso_duration(0.5, "h")
        ('P28D', 'PT0.5H')
    """
    pattern = _DURATIONS.get(TIME_UNITS.get(unit.strip().lower(), ""))
    if pattern is None:
        raise OutputError(
            f"ISO 8601 has no duration in {unit!r}, so that windows cannot be written as CDISC wants them; "
            f"give one of {', '.join(_DURATIONS)} with --time-unit"
        )
    return ("-" if time < 0 else "") + pattern.format(decimal(abs(time)))


def decimal(number: float) -> str:
    """Return a number in as few digits as it needs, without an exponent.

    Example:
        >>> decimal(28.0), decimal(0.1), decimal(2e20)
        ('28', '0.1', '200000000000000000000')
    """
    text = f"{Decimal(repr(float(number))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def result_text(number: float) -> str:
    """Return a result as text that reads back as the same number.

    Example:
        >>> result_text(3.0), result_text(0.1), result_text(1e22)
        ('3', '0.1', '1e+22')
    """
    return repr(float(number)).removesuffix(".0")


def cdisc_unit(kind: UnitKind, *, time: str, value: str, dose: str) -> str:
    """Return the unit of a kind of quantity as CDISC writes it: in ASCII, h for hours, /day for 1/day.

    Example:
        >>> cdisc_unit("area", time="hour", value="copies/µg", dose="")
        'h*copies/ug'
        >>> cdisc_unit("rate", time="day", value="", dose="")
        '/day'
        >>> cdisc_unit("value_by_dose", time="h", value="mg/L", dose="mg")
        'mg/L/mg'
    """
    known = TIME_UNITS.get(time.strip().lower(), time)
    label = unit_label(kind, time=_TIME_LABELS.get(known, known), value=value, dose=dose)
    if kind == "rate":
        label = label.removeprefix("1")
    elif kind.endswith("_by_dose"):
        label = label.removeprefix("(").replace(")/", "/", 1)
    return label.replace("µ", "u").replace("μ", "u")


def plain(text: str, longest: int = 200) -> str:
    """Return a sentence of ours in printable ASCII and at most so many bytes; what is cut shows as ``...``.

    Example:
        >>> plain("line 7, column Größe: time is empty", 30)
        'line 7, column Gr??e: time ...'
    """
    ascii_text = " ".join(
        "".join(mark if " " <= mark <= "~" else "?" if ord(mark) > 127 else " " for mark in text).split()
    )
    return ascii_text if len(ascii_text) <= longest else ascii_text[: longest - 3] + "..."
