"""What PP and ADPP have in common: one row a profile and parameter, in the words of CDISC."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cellkinetics.data.cohort import Cohort
from cellkinetics.nca.parameters import BY_CODE
from cellkinetics.nca.result import NCAResult
from cellkinetics.nca.tables import dose_units
from cellkinetics.report.cdisc.terms import CENSORED_LINE, METHODS, cdisc_unit, iso_duration, plain, pptest, result_text

_AREAS = ("area", "moment", "area_by_dose")
_REFERENCE = {"cells": "INFUSION", "infusion": "INFUSION", "bolus": "DOSE", "extravascular": "DOSE"}


def parameter_rows(result: NCAResult, *, study: str | None, specimen: str) -> pd.DataFrame:
    """Return one row a profile and parameter, in the order of the result.

    Columns: those of PP that both data sets share, ``AVAL``, ``AVALU``, ``occasion``, ``group``,
    ``parameter`` (number of the parameter, from 0) and ``profile``. Texts are empty where there is none.

    Args:
        result: the analysis.
        study: STUDYID; by default that of the data (a column STUDYID), else empty.
        specimen: PPSPEC of profiles whose specimen the data do not say.

    Raises:
        OutputError: if the unit of time has no durations in ISO 8601 and there are windows.
    """
    cohort, keys = result.cohort, list(result.columns)
    n, k = len(cohort), len(keys)
    table = result.table
    done = table["value"].notna().to_numpy()

    def by_profile(values: tuple[str, ...] | list[str]) -> np.ndarray:
        return np.repeat(np.array(values, dtype=object), k)

    def by_parameter(values: list[str]) -> np.ndarray:
        return np.tile(np.array(values, dtype=object), n)

    kinds = [BY_CODE[key.code].unit_kind for key in keys]
    time = cohort.time_unit
    both = list(zip(cohort.value_unit, dose_units(cohort, result.options), strict=True))
    units = {
        (value, dose): [cdisc_unit(kind, time=time, value=value, dose=dose) for kind in kinds]
        for value, dose in dict.fromkeys(both)
    }
    method = METHODS[result.options.auc_method][0]
    line = CENSORED_LINE if result.options.lambda_z_method == "tobit" else ""
    reference = _REFERENCE[result.options.route]
    rows = pd.DataFrame(
        {
            "STUDYID": by_profile([study] * n if study is not None else _covariate(cohort, "studyid")),
            "USUBJID": by_profile(cohort.subject),
            "PPTESTCD": by_parameter([key.code for key in keys]),
            "PPTEST": by_parameter([pptest(key.code) for key in keys]),
            "PPCAT": by_profile(cohort.analyte),
            "AVAL": table["value"].to_numpy(np.float64),
            "AVALC": [result_text(value) if value == value else "" for value in table["value"]],
            "AVALU": np.array([unit for pair in both for unit in units[pair]], dtype=object),
            "PPSTAT": np.where(done, "", "NOT DONE").astype(object),
            "PPREASND": np.where(done, "", _plain_reasons(table["reason"])).astype(object),
            "PPSPEC": by_profile([found or specimen for found in cohort.specimen]),
            "PPANMETH": by_parameter(
                [
                    method if kind in _AREAS else line if key.code.startswith("LAMZ") else ""
                    for key, kind in zip(keys, kinds, strict=True)
                ]
            ),
            "PPTPTREF": by_profile([_reference_point(reference, occasion) for occasion in cohort.occasion]),
            "PPRFTDTC": by_profile(_covariate(cohort, "pprftdtc", "pcrftdtc", "cprftdtc")),
            "PPSTINT": by_parameter(["" if key.start is None else iso_duration(key.start, time) for key in keys]),
            "PPENINT": by_parameter(["" if key.end is None else iso_duration(key.end, time) for key in keys]),
            "occasion": by_profile(cohort.occasion),
            "group": by_profile(cohort.group),
            "parameter": np.tile(np.arange(k), n),
            "profile": np.repeat(np.arange(n), k),
        }
    )
    # Within a subject: several analytes, occasions and specimens are numbered through.
    rows["PPSEQ"] = rows.groupby("USUBJID", sort=False).cumcount() + 1
    rows["PPGRPID"] = [f"PROFILE {number}" for number in _number_within(rows["USUBJID"], rows["profile"])]
    return rows


def _reference_point(reference: str, occasion: str) -> str:
    """Return PPTPTREF: the name of the dose as the data have it, or its number among the subject's doses."""
    return occasion if occasion and not occasion.isdigit() else f"{reference} {occasion}".strip()


def _covariate(cohort: Cohort, *names: str) -> list[str]:
    """Return a column of the input by its name, however that is capitalised; empty texts where there is none."""
    for wanted in names:
        for name, values in cohort.covariates.items():
            if name.strip().lower() == wanted and values.dtype.kind not in "iuf":
                return [str(value).strip() for value in values]
    return [""] * len(cohort)


def _plain_reasons(reasons: pd.Series[str]) -> np.ndarray:
    known = {reason: plain(reason) for reason in reasons.unique()}
    return np.array([known[reason] for reason in reasons], dtype=object)


def _number_within(subject: pd.Series[str], profile: pd.Series[int]) -> list[int]:
    """Number each subject's profiles from 1, in their order."""
    first = ~profile.duplicated()
    return [int(number) for number in first.groupby(subject, sort=False).cumsum()]
