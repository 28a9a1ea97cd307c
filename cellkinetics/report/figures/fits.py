"""Estimates of single patients by group: a panel for each parameter, a point for each patient."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellkinetics.printing import unit_text
from cellkinetics.report.figures.panels import panel_axes
from cellkinetics.report.figures.parameters import MOST_POINTS, draw_box, draw_points, drawable, value_axis
from cellkinetics.report.figures.profiles import KEY, Key
from cellkinetics.report.figures.style import INK, MUTED, group_colours, style

NOT_IDENTIFIABLE = "not_identifiable"
FROM_THE_PRIOR = "prior"
"""Statuses of estimates that the samples say nothing of."""


def estimates_figure(
    tables: Mapping[str, pd.DataFrame],
    parameters: Sequence[str],
    groups: Mapping[Key, str],
    *,
    linear: Collection[str] = (),
    width: float = 8.3,
) -> Figure:
    """Return a panel for each parameter with a box for each group and a point for each patient's estimate.

    Below a group stands how many of its patients have a parameter that their samples identify, such as 9/14.
    Several tables (maximum likelihood and MAP) stand beside each other, the later ones with open points and
    counts of their own;
    an estimate that says what its prior says is faint, and not counted. The box is that of the counted ones.

    Args:
        tables: name of a way to estimate to rows as in ``individual.csv``, of one model.
        parameters: to draw.
        groups: profile to its group; others are not drawn.
        linear: parameters on a linear axis; others have a logarithmic one.
        width: in inches.
    """
    names = list(dict.fromkeys(groups.values()))
    colours = group_colours(names)
    with style():
        figure, axes = panel_axes(len(parameters), width, 2.6, 0.5 if len(tables) > 1 else 0.2)
        for ax, parameter in zip(axes, parameters, strict=True):
            cells = {name: _by_group(table, parameter, groups, names) for name, table in tables.items()}
            _draw_panel(ax, cells, colours, parameter not in linear)
            ax.set_title(_title(tables, parameter), loc="left")
        if len(tables) > 1:
            figure.legend(handles=_legend(list(tables)), loc="outside upper left", ncols=4)
    return figure


def _by_group(
    table: pd.DataFrame, parameter: str, groups: Mapping[Key, str], names: Sequence[str]
) -> list[pd.DataFrame]:
    """Return the rows of a parameter that each group has."""
    rows = table[table["parameter"] == parameter]
    keys = rows[[*KEY]].astype(str).itertuples(index=False, name=None)
    label = np.array([groups.get(key, "\0") for key in keys], dtype=object)
    return [rows[label == name] for name in names]


def _draw_panel(
    ax: Axes, cells: Mapping[str, Sequence[pd.DataFrame]], colours: Mapping[str, str], logarithmic: bool
) -> None:
    random = np.random.default_rng(0)  # only moves points sideways
    values = [rows["estimate"].to_numpy(float) for parts in cells.values() for rows in parts]
    value_axis(ax, drawable(values, logarithmic), logarithmic)
    share = 0.8 / max(len(cells), 1)
    counts: list[list[str]] = [[] for _ in colours]
    for k, parts in enumerate(cells.values()):
        for g, (rows, colour) in enumerate(zip(parts, colours.values(), strict=True)):
            place = g + (k - (len(cells) - 1) / 2) * share
            known = ~rows["status"].isin([NOT_IDENTIFIABLE, FROM_THE_PRIOR]) & rows["estimate"].notna()
            borrowed = rows["status"].eq(FROM_THE_PRIOR)
            for part, faint in ((rows[known], False), (rows[borrowed], True)):
                (seen,) = drawable([part["estimate"].to_numpy(float)], logarithmic)
                if not faint:
                    draw_box(ax, place, seen, colour, width=0.7 * share)
                shown = seen[:: -(-len(seen) // MOST_POINTS) or 1]
                draw_points(ax, place, shown, colour, random, reach=0.2 * share, hollow=k > 0, faint=faint)
            counts[g].append(f"{int(known.sum())}/{len(rows)}")
    if not np.isfinite(np.concatenate(values or [np.empty(0)])).any():
        ax.text(0.5, 0.5, "identified in nobody", transform=ax.transAxes, ha="center", color=MUTED, fontsize=8)
        ax.set_yticks([])
    labels = [f"{name or ('no group' if len(colours) > 1 else 'all')}" for name in colours]
    turned = sum(map(len, labels)) > 26
    ax.set_xticks(
        range(len(labels)),
        ["\n".join([label, *count]) for label, count in zip(labels, counts, strict=True)],
        rotation=30 if turned else 0,
        ha="right" if turned else "center",
    )
    ax.set_xlim(-0.6, len(labels) - 0.4)


def _title(tables: Mapping[str, pd.DataFrame], parameter: str) -> str:
    units = {str(unit) for table in tables.values() for unit in table.loc[table["parameter"] == parameter, "unit"]}
    unit = unit_text(units.pop()) if len(units) == 1 else ""
    return f"{parameter} ({unit})" if unit else parameter


def _legend(names: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=INK, marker="o", linestyle="", markersize=4, label=name, fillstyle="none" if k else "full")
        for k, name in enumerate(names)
    ]
