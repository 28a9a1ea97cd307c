"""ADaM ADPP: the same parameters, ready for analysis, with the marks of acceptance as criteria."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cellkinetics.nca.acceptance import sentence
from cellkinetics.nca.result import NCAResult
from cellkinetics.report.cdisc.codes import NOT_CALCULATED, criteria, paramcds
from cellkinetics.report.cdisc.dataset import Dataset, Variable
from cellkinetics.report.cdisc.terms import plain

_HEAD = (
    Variable("STUDYID", "Study Identifier", "Char", "Predecessor"),
    Variable("USUBJID", "Unique Subject Identifier", "Char", "Predecessor"),
    Variable("PPSEQ", "Sequence Number", "Num", "Predecessor"),
    Variable("TRT01A", "Actual Treatment for Period 01", "Char", "Predecessor"),
    Variable("AVISIT", "Analysis Visit", "Char", "Predecessor"),
    Variable("PARAMCD", "Parameter Code", "Char", "Assigned"),
    Variable("PARAM", "Parameter", "Char", "Assigned"),
    Variable("PARAMN", "Parameter (N)", "Num", "Assigned"),
    Variable("PARCAT1", "Parameter Category 1", "Char", "Predecessor"),
    Variable("AVAL", "Analysis Value", "Num", "Predecessor"),
    Variable("AVALC", "Analysis Value (C)", "Char", "Derived"),
    Variable("AVALU", "Analysis Value Unit", "Char", "Predecessor"),
    Variable("PPTESTCD", "Parameter Short Name", "Char", "Predecessor"),
    Variable("PPSPEC", "Specimen Material Type", "Char", "Predecessor"),
    Variable("PPSTAT", "Completion Status", "Char", "Predecessor"),
    Variable("PPREASND", "Reason Parameter Not Calculated", "Char", "Predecessor"),
    Variable("PPSTINT", "Planned Start of Assessment Interval", "Char", "Predecessor"),
    Variable("PPENINT", "Planned End of Assessment Interval", "Char", "Predecessor"),
    Variable("PPSUMFL", "Included in Summary Flag", "Char", "Derived"),
    Variable("PPSUMRSN", "Reason Not Included in Summary", "Char", "Derived"),
)


def adpp_variables() -> tuple[Variable, ...]:
    """Return the variables of ADPP; there is a pair CRITy, CRITyFL for every mark of acceptance."""
    pairs = (
        (
            Variable(name, f"Analysis Criterion {name.removeprefix('CRIT')}", "Char", "Assigned"),
            Variable(f"{name}FL", f"Criterion {name.removeprefix('CRIT')} Evaluation Result Flag", "Char", "Derived"),
        )
        for name in criteria()
    )
    return (*_HEAD, *(variable for pair in pairs for variable in pair))


def adpp_dataset(result: NCAResult, rows: pd.DataFrame) -> Dataset:
    """Return ADPP of a result and its rows (`cellkinetics.report.cdisc.rows.parameter_rows`).

    CRITy and CRITyFL ``Y`` stand where a value misses a threshold of acceptance, and are empty
    elsewhere. A value that could not be had has AVALC ``NC`` and PPSUMFL ``N``; flagged values stay in
    the summaries. PARCAT1 is the analyte: where there are several, a parameter is
    PARAMCD and PARCAT1; of several specimens PPSPEC tells which.
    Source: CDISC ADaM Implementation Guide 1.3, section 3.3 (BDS).
    """
    codes = list(paramcds(result).values())
    number = rows["parameter"].to_numpy()
    done = rows["AVAL"].notna().to_numpy()
    table = rows.assign(
        TRT01A=rows["group"],
        AVISIT=rows["occasion"],
        PARAMCD=np.array([code.paramcd for code in codes], dtype=object)[number],
        PARAM=np.array([code.param for code in codes], dtype=object)[number],
        PARAMN=number + 1,
        PARCAT1=rows["PPCAT"],
        AVALC=np.where(done, rows["AVALC"], NOT_CALCULATED),
        PPSUMFL=np.where(done, "Y", "N"),
        PPSUMRSN=rows["PPREASND"],
    )
    flags = _flags(result)
    for name, mark in criteria().items():
        here = (flags & mark) != 0
        table[name] = np.where(here, plain(sentence(mark, result.options)), "")
        table[f"{name}FL"] = np.where(here, "Y", "")
    variables = adpp_variables()
    return Dataset("ADPP", "Kinetic Parameters Analysis Dataset", variables, table[[v.name for v in variables]])


def _flags(result: NCAResult) -> np.ndarray:
    columns = [column.flags for column in result.columns.values()]
    return np.stack(columns, axis=1).ravel() if columns else np.zeros(0, np.int16)
