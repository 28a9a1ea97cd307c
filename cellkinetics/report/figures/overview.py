"""All profiles of an analyte at once, a panel for each group."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellkinetics.report.figures.profiles import Profiles, time_label, value_label
from cellkinetics.report.figures.style import (
    FAINT,
    INK,
    LIMIT,
    SURFACE,
    dress,
    group_colours,
    log_axis,
    new_figure,
    style,
    time_axis,
)

MOST_PANELS = 8
MOST_LINES = 400
CROWDED = 40
"""Lines beyond which they are thin and transparent."""


def overview_figure(profiles: Profiles, *, width: float = 8.3) -> Figure:
    """Return every profile as a line, a panel for each group, the other groups pale behind it.

    Samples below quantification end in open triangles at their LLOQ. Where a population fit is given,
    the thick line is its typical patient. Beyond eight groups, or without groups, all share one panel;
    beyond 400 profiles an even selection is drawn.

    Args:
        profiles: samples of one analyte, with the population's curves if there are any.
        width: in inches.
    """
    lines = _lines(profiles)
    groups = list(dict.fromkeys(group for group, _ in lines))
    together = len(groups) < 2 or len(groups) > MOST_PANELS
    panels = [""] if together else groups
    columns = min(len(panels), 3 if len(panels) != 4 else 2)
    rows = -(-len(panels) // columns)
    colours = group_colours(groups)
    low, high = profiles.value_limits
    first, last = profiles.time_limits
    with style():
        figure = new_figure(width, 0.6 + (3.6 if rows == 1 else 2.7 * rows))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for ax, panel in zip(grid.flat, panels, strict=False):
            ax.set_yscale("log")
            ax.set_ylim(low, high)
            log_axis(ax.yaxis, low, high)
            dress(ax)
            time_axis(ax, first, last, most=8 if columns == 1 else 6)
            _draw_typical(ax, profiles.population)
            for group, rows_of_one in lines:
                if together or group == panel:
                    _draw_line(ax, rows_of_one, low, colours[group], crowded=len(lines) > CROWDED)
                else:
                    ax.plot(*_line(rows_of_one, low), color=FAINT, linewidth=0.6, zorder=1)
            if not together:
                count = len({key for group, key in _subjects(profiles) if group == panel})
                ax.set_title(f"{panel or 'no group'} (n = {count})", loc="left")
        for ax in grid.flat[len(panels) :]:
            ax.set_visible(False)
        _draw_limit(grid, profiles)
        figure.supxlabel(time_label(profiles), fontsize=9)
        figure.supylabel(value_label(profiles), fontsize=9)
    return figure


def _subjects(profiles: Profiles) -> list[tuple[str, str]]:
    table = profiles.samples[["group", "subject"]].drop_duplicates()
    return [(str(group), str(subject)) for group, subject in table.itertuples(index=False)]


def _lines(profiles: Profiles) -> list[tuple[str, pd.DataFrame]]:
    step = max(1, -(-len(profiles.keys) // MOST_LINES))
    parts = [profiles.samples_of(key) for key in profiles.keys[::step]]
    kept = [part[(part["status"] != "excluded") & part["time"].notna()] for part in parts]
    return [(str(part["group"].iloc[0]), part.sort_values("time")) for part in kept if len(part)]


def _heights(rows: pd.DataFrame, floor: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times, heights (BLQ at the LLOQ, or at the foot where none is known), and the mask of BLQ."""
    blq = rows["censored"].to_numpy() == 1
    limit = rows["lloq"].where(rows["lloq"] > 0, floor * 1.25).to_numpy(float)
    heights = np.where(blq, limit, rows["value"].to_numpy(float))
    return rows["time"].to_numpy(float), np.where(heights > 0, heights, np.nan), blq


def _line(rows: pd.DataFrame, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what is joined by a line: not the samples below quantification whose height is unknown."""
    times, heights, blq = _heights(rows, floor)
    joined = ~blq | (rows["lloq"].to_numpy(float) > 0)
    return times[joined], heights[joined]


def _draw_line(ax: Axes, rows: pd.DataFrame, floor: float, colour: str, *, crowded: bool) -> None:
    times, heights, blq = _heights(rows, floor)
    width, alpha, size, dots = (0.5, 0.35, 1.6, 0.5) if crowded else (0.9, 0.75, 2.4, 1.0)
    ax.plot(*_line(rows, floor), color=colour, linewidth=width, alpha=alpha, zorder=2)
    ax.plot(times[~blq], heights[~blq], "o", color=colour, markersize=size, alpha=dots, markeredgewidth=0, zorder=3)
    ax.plot(
        times[blq],
        heights[blq],
        "v",
        markerfacecolor=SURFACE,
        markeredgecolor=colour,
        markeredgewidth=0.4 if crowded else 0.7,
        markersize=2.6 if crowded else 3.6,
        alpha=dots,
        zorder=3,
    )


def _draw_typical(ax: Axes, curves: pd.DataFrame | None) -> None:
    """Draw the typical patient; the curve that reaches furthest serves, since it is the same for all."""
    if curves is None or "typical" not in curves or curves.empty:
        return
    last = curves.iloc[int(curves["time"].to_numpy(float).argmax())]
    longest = curves[(curves["subject"] == last["subject"]) & (curves["occasion"] == last["occasion"])]
    longest = longest.sort_values("time")
    ax.plot(longest["time"], longest["typical"], color=INK, linewidth=2.0, zorder=4)


def _draw_limit(grid: np.ndarray, profiles: Profiles) -> None:
    limits = profiles.samples["lloq"].dropna().unique()
    if len(limits) == 1:
        for ax in grid.flat:
            ax.axhline(float(limits[0]), color=LIMIT, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
