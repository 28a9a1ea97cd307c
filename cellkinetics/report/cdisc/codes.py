"""PARAMCD: a code for every parameter and window, and the list of those that are ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from cellkinetics.nca.acceptance import Flag, sentence
from cellkinetics.nca.column import Key
from cellkinetics.nca.parameters import BY_CODE
from cellkinetics.nca.result import NCAResult
from cellkinetics.report.cdisc.terms import CDISC_METHODS, CENSORED_LINE, METHODS, decimal, plain, pptest

_CONCEPTS = """
    CMAX:C70918 TMAX:C70919 CLST:C85655 TLST:C85822 TLAG:C85824 C0:C85644
    AUCLST:C85565 AUCALL:C85564 AUCINT:C85566 AUCIFO:C85761 AUCIFP:C85785 AUCPEO:C85764
    AUCPEP:C85788 LAMZ:C85652 LAMZHL:C85818 LAMZNPT:C85816 LAMZLL:C85653 LAMZUL:C85654
    LAMZSPN:C135492 R2:C85542 R2ADJ:C85553 CORRXY:C85821 AUMCLST:C85569 AUMCIFO:C85765
    AUMCIFP:C85789 AUMCPEO:C85766 AUMCPEP:C85790 MRTEVLST:C120726 MRTEVIFO:C120724 MRTEVIFP:C120725
    MRTIBLST:C121137 MRTIBIFO:C121134 MRTIBIFP:C121136 MRTICLST:C181519 MRTICIFO:C181517 MRTICIFP:C181518
    AUCPBEO:C85763 AUCPBEP:C85787 CLO:C85773 CLP:C85797 CLFO:C85772 CLFP:C85796
    VZO:C85774 VZP:C85798 VZFO:C85775 VZFP:C85799 VSSO:C85770 VSSP:C85794
    CMAXD:C85698 C0D:C92384 AUCLSTD:C92310 AUCALLD:C92306 AUCINTD:C92313 AUCIFOD:C96695
    AUCIFPD:C85786 TAU:C176355 AUCTAU:C85567 AUCTAUD:C92323 AUMCTAU:C85570 CAVG:C85575
    CMIN:C85579 TMIN:C85825 CTROUGH:C102394 FLUCP:C85581 SWING:C161416 PTROUGHR:C102381
    AILAMZ:C114234 CLTAU:C114122 CLFTAU:C114121 VZTAU:C111333 VZFTAU:C111364 ARAUC:C102356
    ARAUCD:C132435 ARCMAX:C102357 ARCMIN:C102358 ARCTROUG:C102426 SRAUC:C122338 EFFHL:C95007
"""
CONCEPTS: Mapping[str, str] = MappingProxyType(dict(pair.split(":") for pair in _CONCEPTS.split()))
"""NCI concept of every code of ours that is CDISC's: codelist PKPARMCD (C85839, PK Parameters Code) of CDISC
SDTM controlled terminology, published by NCI EVS (https://evs.nci.nih.gov/ftp1/CDISC/), as of 2025-09-26,
against which each of them was checked. The codelist may be extended: the other codes stand in ``codelist.csv``."""

CODELIST_COLUMNS = ("codelist", "code", "label", "definition")
NOT_CALCULATED = "NC"

# What a code of eight characters has room for before the days of its window.
_STEMS = {
    "AUCINT": "AUC",
    "AUCINTD": "AUCD",
    "AUCINTPE": "AUCPE",
    "CDAYCMAX": "CDCM",
    "WCOVER": "WCOV",
}
_PLACES = ("from T1 to T2", "of a Window")


class Code(NamedTuple):
    """PARAMCD and PARAM of one parameter, for a windowed one of one window."""

    paramcd: str
    param: str


def paramcds(result: NCAResult) -> dict[Key, Code]:
    """Return a code for every column of a result; no code stands for two.

    ADaM wants a code of its own for every window: ``AUC28`` is AUCINT from 0 to 28, ``AUC28_84`` from 28
    to 84; where that is longer than 8 characters, or no whole number, ``AUCW1`` is the first window, and
    so on. Without a window it is the code of the registry.

    Example:
        >>> import cellkinetics as ck
        >>> cohort = ck.Cohort.from_arrays([[0, 7, 14, 28]], [[0, 900, 400, 90]])
        >>> result = ck.noncompartmental(cohort, parameters="CMAX,AUCINT", windows=[(0, 14), (0, 0.5)])
        >>> [code.paramcd for code in paramcds(result).values()]
        ['CMAX', 'AUC14', 'AUCW2']
    """
    taken = set(BY_CODE)
    unit = result.cohort.time_unit
    windows: dict[str, int] = {}
    codes: dict[Key, Code] = {}
    for key in result.columns:
        name = pptest(key.code)
        if key.start is None and key.end is None:
            codes[key] = Code(key.code, name)
            continue
        number = windows[key.code] = windows.get(key.code, 0) + 1
        code = next(code for code in _candidates(key, number) if code not in taken)
        taken.add(code)
        codes[key] = Code(code, _window_name(name, key, unit))
    return codes


def _candidates(key: Key, number: int) -> Iterator[str]:
    stem = _STEMS.get(key.code, key.code)
    times = [decimal(time) for time in (key.start, key.end) if time is not None]
    place = "_".join(times[1:] if len(times) == 2 and times[0] in ("0", times[1]) else times)
    if all(time.isdecimal() for time in times) and len(stem + place) <= 8:
        yield stem + place
    for letters in range(len(stem), 0, -1):
        code = f"{stem[:letters]}W{number}"
        if len(code) <= 8:
            yield code


def _window_name(name: str, key: Key, unit: str) -> str:
    start, end = (None if time is None else decimal(time) for time in (key.start, key.end))
    if start is None or end is None or start == end:
        day = f"{unit} {end if end is not None else start}"
        return name.replace("at a Day", f"at {day}") if "at a Day" in name else f"{name}, {day}"
    window = f"from {start} to {end} {unit}"
    for place in _PLACES:
        if place in name:
            return name.replace(place, window)
    return f"{name}, {window}"


def own_codes(result: NCAResult) -> pd.DataFrame:
    """Return the codes in PP and ADPP that are not CDISC's: the content of ``codelist.csv``.

    Columns: ``codelist`` (the variable that holds the code), ``code``, ``label`` (at most 40
    characters) and ``definition``.
    """
    rows: list[tuple[str, str, str, str]] = []
    codes = paramcds(result)
    unit = result.cohort.time_unit
    for code in dict.fromkeys(key.code for key in codes):
        parameter = BY_CODE[code]
        if not parameter.cdisc:
            rows.append(("PPTESTCD", code, parameter.label, parameter.formula))
    for key, (paramcd, param) in codes.items():
        parameter = BY_CODE[key.code]
        if paramcd == key.code and parameter.cdisc:
            continue
        times = [decimal(time) for time in (key.start, key.end) if time is not None]
        place = f"; {key.code}, {' to '.join(dict.fromkeys(times))} {unit}" if times else ""
        rows.append(("PARAMCD", paramcd, plain(param, 40), parameter.formula + place))
    for method, (name, meaning) in METHODS.items():
        if method == result.options.auc_method and name not in CDISC_METHODS:
            rows.append(("PPANMETH", name, f"Trapezoidal rule {method}", meaning))
    if result.options.lambda_z_method == "tobit":
        meaning = "maximum likelihood of ln C, samples below quantification as left-censored at their LLOQ"
        rows.append(("PPANMETH", CENSORED_LINE, "Terminal line of lambda_z_method tobit", meaning))
    rows.append(("AVALC", NOT_CALCULATED, "Not calculated", "PPREASND says why"))
    for name, mark in criteria().items():
        rows.append(("CRITy", name, f"reason_code {str(mark.name).lower()}", sentence(mark, result.options)))
    return pd.DataFrame(rows, columns=list(CODELIST_COLUMNS), dtype="str")


def criteria() -> Mapping[str, Flag]:
    """Return the marks of acceptance by the variable of ADPP that tells of them: ``CRIT1``, ``CRIT2``, ..."""
    return {f"CRIT{number}": mark for number, mark in enumerate(Flag, start=1)}
