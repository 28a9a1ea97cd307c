"""The samples of a cohort, and the faults of its table, as tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cellkinetics.data.cohort import Cohort

SAMPLE_COLUMNS = (
    "subject",
    "analyte",
    "occasion",
    "specimen",
    "group",
    "row",
    "time",
    "nominal_time",
    "value",
    "censored",
    "lloq",
    "uloq",
    "status",
    "reason",
)
FAULT_COLUMNS = ("row", "subject", "column", "code", "effect", "message", "action")


def sample_table(cohort: Cohort) -> pd.DataFrame:
    """Return every row of the file that is a sample, one a row, and what became of it.

    Columns: ``subject, analyte, occasion, specimen, group, row, time, nominal_time, value, censored, lloq,
    uloq, status, reason``. ``status`` is ``used``, ``changed`` (used, but not as the file has it) or
    ``excluded``; the latter two have a reason. Samples of an unusable profile are excluded with the
    profile's fault. A row without a subject is excluded with an empty one. A missing number is empty.

    Example:
        >>> table = sample_table(Cohort.from_arrays([[0.0, 7.0]], [[0.0, 900.0]], lloq=50.0))
        >>> table[["subject", "row", "time", "value", "censored", "status"]]
          subject  row  time  value  censored status
        0       1    2   0.0    0.0         1   used
        1       1    3   7.0  900.0         0   used
    """
    records = cohort.records
    profile, place = np.nonzero(cohort.mask)
    unusable = np.array([fault is not None for fault in cohort.unusable], bool)
    messages = [fault.message if fault is not None else "" for fault in cohort.unusable]
    line = cohort.row[profile, place]
    changes = {(int(records.profile[k]), int(records.row[k])): records.reason[k] for k in np.flatnonzero(records.kept)}
    keys = zip(profile.tolist(), line.tolist(), strict=True)
    change = [changes.get(key, "") for key in keys] if changes else [""] * len(profile)
    lost = unusable[profile]
    kept = pd.DataFrame(
        {
            "profile": profile,
            "row": line,
            "time": cohort.time[profile, place],
            "nominal_time": cohort.nominal_time[profile, place],
            "value": cohort.value[profile, place],
            "censored": cohort.censored[profile, place],
            "lloq": cohort.lloq[profile, place],
            "uloq": cohort.uloq[profile, place],
            "status": np.where(lost, "excluded", np.where([text != "" for text in change], "changed", "used")),
            "reason": [messages[k] if gone else text for k, gone, text in zip(profile, lost, change, strict=True)],
        }
    )
    left_out = np.flatnonzero(~records.kept)
    table = kept
    if len(left_out):
        out = pd.DataFrame(
            {
                name: getattr(records, name)[left_out]
                for name in ("profile", "row", "time", "nominal_time", "value", "censored", "lloq", "uloq")
            }
        ).assign(status="excluded", reason=[records.reason[k] for k in left_out])
        table = pd.concat([kept, out], ignore_index=True) if len(kept) else out
    order = np.lexsort((table["row"], table["time"], np.where(table["profile"] < 0, len(cohort), table["profile"])))
    table = table.iloc[order].reset_index(drop=True)
    for name in ("subject", "analyte", "occasion", "specimen", "group"):
        labels = np.array([*getattr(cohort, name), ""], dtype=object)  # profile -1 is the last one, ""
        table[name] = labels[table["profile"].to_numpy()]
    return table[list(SAMPLE_COLUMNS)]


def fault_table(cohort: Cohort) -> pd.DataFrame:
    """Return the faults and notes of a cohort's table, one a row: the contents of ``check.csv``.

    Columns: ``row, subject, column, code, effect, message, action``; what is not known is empty.

    Example:
        >>> fault_table(Cohort.from_arrays([[0.0]], [[1.0]])).empty
        True
    """
    table = pd.DataFrame([fault.to_dict() for fault in cohort.faults], columns=list(FAULT_COLUMNS))
    return table.assign(row=table["row"].astype("Int64"))
