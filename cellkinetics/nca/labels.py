"""Summaries as texts: the field's names of parameters, and the three styles of label tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from cellkinetics.errors import SettingsError
from cellkinetics.nca.column import Key
from cellkinetics.nca.parameters import PARAMETERS
from cellkinetics.nca.summary import SUMMARY_COLUMNS
from cellkinetics.printing import MISSING, number, percent, unit_text, window_text

NAMES = {
    "CMAX": "Cmax",
    "TMAX": "Tmax",
    "TFQ": "Tfirst",
    "TLST": "Tlast",
    "CLST": "Clast",
    "TLAG": "Tlag",
    "AUCLST": "AUClast",
    "AUCALL": "AUCall",
    "AUCIFO": "AUC0-∞",
    "AUCIFP": "AUC0-∞ pred",
    "AUCPEO": "AUC extrapolated",
    "AUCPEP": "AUC extrapolated pred",
    "LAMZ": "λz",
    "LAMZHL": "t½ λz",
    "LAMZNPT": "λz points",
    "R2ADJ": "R² adjusted",
    "LAMZSPN": "λz span",
    "AUCINTPE": "extrapolated part of the windows",
    "EXPDT": "doubling time",
    "EXPFOLD": "fold expansion",
    "ALPHAHL": "t½ contraction",
    "BETAHL": "t½ persistence",
    "BREAKT": "break between the phases",
    "CLO": "CL",
    "CLFO": "CL/F",
    "VZO": "Vz",
    "VZFO": "Vz/F",
    "VSSO": "Vss",
    "AUCTAU": "AUC0-τ",
    "CAVG": "Cavg",
}
"""Code to the name that is printed; others are printed as their code."""

SAMPLE_TIMES = frozenset(
    (
        *("TMAX", "TMIN", "TFQ", "TLST", "TLAG", "T10CMAX", "T50CMAX", "LAMZLL", "LAMZUL"),
        *("BREAKT", "TFBLQ", "PERSLO", "PERSUP"),
    )
)
"""Times at which something was or happened, by the samples; other times are lengths, such as half-lives."""

_FLUCTUATIONS = frozenset({"FLUCP", "FLUCPTAU"})

MEDIAN_ONLY = frozenset(
    row.code
    for row in PARAMETERS
    if row.code in SAMPLE_TIMES
    or row.unit_kind == "count"
    or (row.unit_kind == "percent" and row.code not in _FLUCTUATIONS)
)
"""Times of samples, counts and parts in percent: a mean of them says nothing, so that they have a median only."""

STYLES = ("geometric mean (CV %)", "mean (SD)", "median [min; max]")


class LabelTable(pd.DataFrame):
    """A table of texts that prints whole: every row, and the columns that hold anything, without the codes.

    What is taken out of it is an ordinary table.
    """

    def __repr__(self) -> str:
        columns = [
            [str(name), *map(str, self.iloc[:, i])]
            for i, name in enumerate(self.columns)
            if name != "code" and self.iloc[:, i].astype(str).str.strip().ne("").any()
        ]
        widths = [max(map(len, column)) for column in columns]
        rows = zip(*columns, strict=True)
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def printed_name(column: str) -> str:
    """Return a parameter's name as it is printed, by its column of a wide table.

    Example:
        >>> printed_name("AUCINT_0_28"), printed_name("LAMZHL"), printed_name("CDAY_28"), printed_name("XYZ")
        ('AUC0-28', 't½ λz', 'C at 28', 'XYZ')
    """
    if column.startswith("AUCINT_"):
        return window_text(column)
    if column.startswith("CDAY_"):
        return f"C at {column.removeprefix('CDAY_')}"
    return NAMES.get(column, column)


def grouping_of(summary: pd.DataFrame) -> list[str]:
    """Return the columns of a summary that say of whom it is and hold anything: specimen and groups, say."""
    own = {*SUMMARY_COLUMNS, "interval_start", "interval_end", "parameter", "unit"}
    return [name for name in summary.columns if name not in own and summary[name].astype(str).str.len().gt(0).any()]


_NUMBERS = frozenset({*SUMMARY_COLUMNS, "interval_start", "interval_end"})


def label_table(summary: pd.DataFrame, parameters: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a summary as texts, in the three styles of label tables.

    | column | text |
    |---|---|
    | ``n`` | values, ``12 of 14`` where some are missing |
    | ``flagged`` | how many of these an acceptance rule flagged; empty for none |
    | ``geometric mean (CV %)`` | with ``n = 9`` where zeros are among the values and only 9 are above zero |
    | ``mean (SD)`` | |
    | ``median [min; max]`` | the only one of times, counts and extrapolated parts |

    in front of them the columns that the summary is grouped by, ``code`` (the parameter's column in a wide
    table), ``parameter`` (its printed name) and ``unit``.

    Args:
        summary: from `NCAResult.summary`, or read back from ``nca_summary.csv``.
        parameters: codes, or columns such as ``AUCINT_0_28``, in the wanted order; by default all.

    Raises:
        SettingsError: for a parameter that the summary does not have.

    Example:
        >>> from cellkinetics import Cohort, noncompartmental
        >>> cohort = Cohort.from_arrays([[0, 7, 14]] * 2, [[0, 900, 400], [0, 400, 100]])
        >>> label_table(noncompartmental(cohort).summary(), ["CMAX", "TMAX"])[["parameter", "n", *STYLES]]
          parameter  n geometric mean (CV %)  mean (SD) median [min; max]
        0      Cmax  2            600 (62 %)  650 (354)    650 [400; 900]
        1      Tmax  2                     –          –          7 [7; 7]
    """
    codes = [
        Key(str(row["parameter"]), _time(row.get("interval_start")), _time(row.get("interval_end"))).column
        for row in summary.to_dict("records")
    ]
    rows = [
        {
            **{name: row[name] for name in summary.columns if name not in _NUMBERS},
            "code": code,
            "parameter": printed_name(code),
            "unit": unit_text(str(row.get("unit") or "")),
            **_texts(row),
        }
        for row, code in zip(summary.to_dict("records"), codes, strict=True)
    ]
    head = [name for name in summary.columns if name not in _NUMBERS and name not in {"parameter", "unit"}]
    table = pd.DataFrame(rows, columns=[*head, "code", "parameter", "unit", "n", "flagged", *STYLES])
    return table if parameters is None else _picked(table, [str(row) for row in summary["parameter"]], parameters)


def _picked(table: pd.DataFrame, codes: Sequence[str], wanted: Sequence[str]) -> pd.DataFrame:
    """Return the rows of some parameters, in their order; a code with windows or days stands for all of them."""
    found = []
    for name in wanted:
        here = (table["code"] == name) | (pd.Series(codes, index=table.index) == name)
        if not here.any():
            raise SettingsError(
                f"the summary has no parameter {name!r}; it has {', '.join(dict.fromkeys(table['code']))}"
            )
        found.append(table[here].sort_values("code", key=lambda c: c.map(list(dict.fromkeys(c)).index), kind="stable"))
    return pd.concat(found, ignore_index=True) if found else table.iloc[:0]


def turned(labels: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Return a label table with statistics in rows and a column a group.

    Args:
        labels: from `label_table`.
        groups: the columns that name a group, such as ``["group"]``; none for one column ``all``.

    Returns:
        ``parameter, unit, statistic`` and the groups, in front of them what else the table is kept apart by
        (``analyte``, say). A style that a parameter does not have has no row.
    """
    apart = [name for name in labels.columns if name not in {*groups, "n", "flagged", *STYLES}]
    names = [" · ".join(str(part) for part in row) or "all" for row in labels[list(groups)].itertuples(index=False)]
    columns = list(dict.fromkeys(names))
    rows = []
    for key, part in labels.assign(_group=names).groupby(apart, sort=False, dropna=False):
        cells = part.drop_duplicates("_group").set_index("_group")
        for statistic in ("n", *STYLES):
            texts = {name: str(cells[statistic].get(name, MISSING)) for name in columns}
            if any(text != MISSING for text in texts.values()):
                rows.append({**dict(zip(apart, key, strict=True)), "statistic": statistic, **texts})
    return pd.DataFrame(rows, columns=[*apart, "statistic", *columns])


def _time(value: Any) -> float:
    return float("nan") if value is None or value == "" else float(value)


def _texts(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return the statistics of one row as texts."""
    n, missing, flagged = (_count(row.get(name)) for name in ("n", "n_missing", "n_flagged"))
    only_median = row["parameter"] in MEDIAN_ONLY
    positive = n if row.get("n_geometric") is None else _count(row["n_geometric"])
    unlike = f"n = {positive}" if positive != n else ""
    median = number(row.get("median"))
    spread = f"{median} [{number(row.get('min'))}; {number(row.get('max'))}]"
    return {
        "n": f"{n:,} of {n + missing:,}" if missing else f"{n:,}",
        "flagged": f"{flagged:,}" if flagged else "",
        STYLES[0]: MISSING
        if only_median
        else _pair(row.get("geometric_mean"), row.get("geometric_cv_percent"), percent, unlike),
        STYLES[1]: MISSING if only_median else _pair(row.get("mean"), row.get("sd"), number),
        STYLES[2]: median if median == MISSING else spread,
    }


def _count(value: Any) -> int:
    return 0 if value is None or pd.isna(value) else int(value)


def _pair(first: Any, second: Any, written: Callable[[object], str], more: str = "") -> str:
    if number(first) == MISSING:
        return MISSING
    inside = "; ".join(part for part in (written(second), more) if part not in {"", MISSING})
    return f"{number(first)} ({inside})" if inside else number(first)
