"""SDTM PP: parameters of kinetics, one row a subject, profile and parameter."""

from __future__ import annotations

import pandas as pd

from cellkinetics.report.cdisc.dataset import Dataset, Variable

VARIABLES = (
    Variable("STUDYID", "Study Identifier", "Char", "Assigned"),
    Variable("DOMAIN", "Domain Abbreviation", "Char", "Assigned"),
    Variable("USUBJID", "Unique Subject Identifier", "Char", "Predecessor"),
    Variable("PPSEQ", "Sequence Number", "Num", "Derived"),
    Variable("PPGRPID", "Group ID", "Char", "Derived"),
    Variable("PPTESTCD", "Parameter Short Name", "Char", "Assigned"),
    Variable("PPTEST", "Parameter Name", "Char", "Assigned"),
    Variable("PPCAT", "Parameter Category", "Char", "Predecessor"),
    Variable("PPORRES", "Result or Finding in Original Units", "Char", "Derived"),
    Variable("PPORRESU", "Original Units", "Char", "Assigned"),
    Variable("PPSTRESC", "Character Result/Finding in Std Format", "Char", "Derived"),
    Variable("PPSTRESN", "Numeric Result/Finding in Standard Units", "Num", "Derived"),
    Variable("PPSTRESU", "Standard Units", "Char", "Assigned"),
    Variable("PPSTAT", "Completion Status", "Char", "Derived"),
    Variable("PPREASND", "Reason Parameter Not Calculated", "Char", "Derived"),
    Variable("PPSPEC", "Specimen Material Type", "Char", "Assigned"),
    Variable("PPANMETH", "Analysis Method", "Char", "Assigned"),
    Variable("PPTPTREF", "Time Point Reference", "Char", "Assigned"),
    Variable("PPRFTDTC", "Date/Time of Reference Point", "Char", "Predecessor"),
    Variable("PPSTINT", "Planned Start of Assessment Interval", "Char", "Assigned"),
    Variable("PPENINT", "Planned End of Assessment Interval", "Char", "Assigned"),
)


def pp_dataset(rows: pd.DataFrame) -> Dataset:
    """Return PP from the rows of `cellkinetics.report.cdisc.rows.parameter_rows`.

    A parameter that could not be had is a row with PPSTAT ``NOT DONE``, PPREASND and no result. Windows
    stand in PPSTINT and PPENINT. Source: CDISC SDTM Implementation Guide 3.4, section 6.3.5.9 (PP).
    """
    table = rows.assign(
        DOMAIN="PP",
        PPORRES=rows["AVALC"],
        PPSTRESC=rows["AVALC"],
        PPSTRESN=rows["AVAL"],
        PPORRESU=rows["AVALU"],
        PPSTRESU=rows["AVALU"],
    )
    return Dataset("PP", "Pharmacokinetics Parameters", VARIABLES, table[[v.name for v in VARIABLES]])
