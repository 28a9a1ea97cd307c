"""Which parameters each patient's samples identify: a row a patient, a column a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_PLACE = ["subject", "analyte", "occasion", "specimen", "model"]


def identifiability_table(table: pd.DataFrame, parameters: Sequence[str]) -> pd.DataFrame:
    """Return the file ``individual_identifiability.csv`` from the rows of ``individual.csv``.

    A cell is ``ok``, ``prior`` (the samples moved the estimate little from its prior), or the code of the
    reason why there is no estimate; empty where the patient's model has no such parameter.

    Args:
        table: rows of all patients.
        parameters: the columns, in order.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"subject": ["P01"] * 2, "parameter": ["cmax", "beta"], "status": ["ok",
        ...     "not_identifiable"], "reason_code": ["", "one_phase"], "model": "ecp", "analyte": "",
        ...     "occasion": "", "specimen": ""})
        >>> identifiability_table(rows, ["cmax", "beta"])[["subject", "cmax", "beta"]].values.tolist()
        [['P01', 'ok', 'one_phase']]
    """
    import pandas as pd

    rows = table[table["parameter"].isin(list(parameters))].drop_duplicates([*_PLACE, "parameter"])
    known = rows["status"].isin(["ok", "prior"])
    code = rows["reason_code"] if "reason_code" in rows else rows["status"]
    cells = rows["status"].where(known, code.where(code.astype(str) != "", rows["status"]))
    order = table[_PLACE].drop_duplicates()
    rows = rows.assign(cell=cells)
    wide = rows.pivot_table(index=_PLACE, columns="parameter", values="cell", aggfunc="first", sort=False)
    wide = wide.reindex(index=pd.MultiIndex.from_frame(order), columns=list(parameters)).fillna("")
    wide.columns.name = None
    return wide.reset_index()
