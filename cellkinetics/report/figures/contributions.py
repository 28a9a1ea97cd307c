"""What each patient adds to -2LL, and how far the estimates would move without the patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cellkinetics.report.figures.style import FIT, INK, LIMIT, MUTED, dress, new_figure, style

MOST_LANES = 15
"""Patients in the ranking of influence."""
MOST_NAMES = 6
"""Patients named in the scatter."""
SMALL_SAMPLE = 100.0


def contribution_figure(table: pd.DataFrame, *, width: float = 8.3) -> Figure:
    """Return -2LL per sample over the distance from the typical patient, and the patients of most influence.

    In the ranking a bar is the influence of leaving the patient out (the generalised Cook's distance), with the
    parameter that would move most, in standard errors. A red point has few effective draws.

    Args:
        table: rows as in ``population_contributions.csv``.
        width: in inches.
    """
    with style():
        figure = new_figure(width, 3.8)
        left, right = figure.subplots(1, 2)
        _draw_scatter(left, table)
        _draw_ranking(right, table)
    return figure


def _draw_scatter(ax: Axes, table: pd.DataFrame) -> None:
    dress(ax)
    distance = table["distance"].to_numpy(float)
    each = table["minus2ll"].to_numpy(float) / np.maximum(table["n"].to_numpy(float), 1.0)
    thin = table["effective_draws"].to_numpy(float) < SMALL_SAMPLE
    ax.plot(distance[~thin], each[~thin], "o", color=FIT, markersize=3.2, alpha=0.7)
    ax.plot(distance[thin], each[thin], "o", color=LIMIT, markersize=4.2)
    for k in np.argsort(-distance)[:MOST_NAMES]:
        ax.annotate(
            str(table["subject"].iloc[k]), (distance[k], each[k]), xytext=(4, 3), textcoords="offset points",
            fontsize=7, color=INK,
        )  # fmt: skip
    ax.set_xlabel("Distance of the patient from the typical one (in units of Ω)")
    ax.set_ylabel("−2LL per sample")


def _draw_ranking(ax: Axes, table: pd.DataFrame) -> None:
    dress(ax)
    ax.grid(visible=False, axis="y")
    rows = table.dropna(subset="influence").sort_values("influence", ascending=False, kind="stable").head(MOST_LANES)
    if rows.empty:
        ax.text(0.5, 0.5, "no standard errors to measure by", ha="center", color=MUTED, transform=ax.transAxes)
        ax.set_xticks([])
        ax.set_yticks([])
        return
    widest = float(rows["influence"].max())
    for place, row in enumerate(rows.to_dict("records")):
        ax.barh(place, row["influence"], height=0.62, color=FIT, alpha=0.75)
        moved = f"{row['moved_by']:+.2f}".replace("-", "−")
        ax.text(
            row["influence"] + 0.02 * widest, place, f"{row['most_moved']} {moved} SE", va="center", fontsize=6.8,
            color=MUTED,
        )  # fmt: skip
    ax.set_yticks(range(len(rows)), [str(name) for name in rows["subject"]], fontsize=7)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(0.0, 1.45 * widest)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.set_xlabel("Influence of leaving the patient out")
