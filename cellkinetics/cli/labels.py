"""The summary of a noncompartmental analysis as the terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.cli.screen import Screen

_FIRST = ("CMAX", "TMAX", "AUCINT", "AUCLST", "AUCIFO", "LAMZHL")
_OF_GROUPS = (
    *("EXPDT", "ALPHAHL", "BETAHL", "CDAY", "PERSLO"),
    *("AUCTAU", "CAVG", "CMIN", "CLTAU", "CLFTAU", "CLO", "CLFO", "VZTAU", "VZFTAU", "VZO", "VZFO"),
)
_KINDS = ("analyte", "specimen", "value_unit", "dose_unit")
_MOST = 16
_MOST_ROWS = 60


def show_labels(screen: Screen, summary: pd.DataFrame) -> None:
    """Print the most important parameters by group, in as many styles as the terminal has room for.

    A parameter stands above its groups. On a narrow terminal the mean and then the number of flagged values
    are left out; output to a file has all.

    Args:
        screen: where to print.
        summary: as in ``nca_summary.csv``.
    """
    from cellkinetics.nca.labels import STYLES, grouping_of, label_table

    if screen.quiet or summary.empty:
        return
    labels = label_table(summary, shown_parameters(summary))
    grouping = [name for name in grouping_of(summary) if name not in _KINDS]
    apart = [name for name in _KINDS if name in labels and len(set(labels[name])) > 1]
    rows: list[list[str]] = []
    last = ""
    for row in labels.to_dict("records"):
        of = ", ".join(str(row[name]) for name in apart if row[name])
        title = " ".join(filter(None, (str(row["parameter"]), of, f"({row['unit']})" if row["unit"] else "")))
        name = title
        if grouping:
            if title != last:
                rows.append([title])
            name = "  " + (" · ".join(str(row[column]) for column in grouping) or "no group")
        last = title
        texts = [str(row[style]) for style in STYLES]
        rows.append([name, str(row["n"]), f"{row['flagged']} †" if row["flagged"] else "", *texts])
    first = "\n  ".join(["parameter", *([" · ".join(grouping)] if grouping else [])])
    heads = [first, "n", "flagged", *(style.replace(" (", "\n(").replace(" [", "\n[") for style in STYLES)]
    kept = _fitting(heads, rows, screen.width)
    cut = rows[:_MOST_ROWS]
    screen.table(
        "Noncompartmental analysis",
        [heads[i] for i in kept],
        [[row[i] if i < len(row) else "" for i in kept] for row in cut],
    )
    left_out = [heads[i].replace("\n", " ") for i in _filled(rows) if i not in kept]
    if left_out or len(rows) > len(cut):
        more = [f"{len(rows) - len(cut)} more lines"] if len(rows) > len(cut) else []
        screen.say(f"not shown here: {', '.join([*left_out, *more])}; see nca_summary.csv")


def shown_parameters(summary: pd.DataFrame) -> list[str]:
    """Return the parameters that the terminal shows: the most important ones, with every window.

    Those of the groups ``cellular`` and ``drug`` take part where anyone has a value.
    """
    from cellkinetics.nca.column import Key

    names = summary[["parameter", "interval_start", "interval_end"]].drop_duplicates()
    columns = {Key(*row).column: str(row[0]) for row in names.itertuples(index=False)}
    had = set(summary.loc[summary["n"] > 0, "parameter"])
    shown = [*_FIRST, *(code for code in _OF_GROUPS if code in had)]
    found = [column for code in shown for column, of in columns.items() if of == code]
    if "AUCINT" in columns.values() and "AUCLST" in found:
        found.remove("AUCLST")
    core = any(code in columns.values() for code in _FIRST)
    return (found if core else list(columns))[:_MOST]


def _fitting(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the columns that fit into a width, by number."""
    every = _filled(rows)
    wide = [
        max(len(line) for text in (head, *(row[i] for row in rows if i < len(row))) for line in text.split("\n"))
        for i, head in enumerate(heads)
    ]
    for left_out in (set(), {4}, {2, 4}):
        kept = [i for i in every if i not in left_out]
        if sum(wide[i] for i in kept) + 3 * len(kept) <= width:
            return kept
    return [i for i in every if i not in {2, 4}]


def _filled(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the columns that hold anything, by number: only that of the flagged values may be empty."""
    return [0, 1, *([2] if any(len(row) > 2 and row[2] for row in rows) else []), 3, 4, 5]
