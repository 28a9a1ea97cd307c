"""Visual predictive checks: percentiles of the samples over bands of what the model simulates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cellkinetics.printing import unit_text
from cellkinetics.report.figures.style import (
    FAINT,
    FIT,
    LIMIT,
    MUTED,
    POPULATION,
    days_label,
    dress,
    log_axis,
    log_limits,
    new_figure,
    style,
    time_axis,
)

COLUMNS = 2
"""Strata beside each other."""
MOST_POINTS = 800
"""Samples that are drawn: of more, an even selection."""


def vpc_figure(
    table: pd.DataFrame,
    points: pd.DataFrame | None = None,
    *,
    check: str = "vpc",
    by: str = "",
    time_unit: str = "day",
    value_unit: str = "",
    width: float = 8.3,
) -> Figure:
    """Return a visual predictive check, a panel a stratum, and below it the share of samples below the LLOQ.

    A band is the interval of a percentile over the simulated data sets, bin by bin; where its lower end is below the
    LLOQ it reaches to the foot of the axis. Lines with points are the observed percentiles; a red point lies outside
    its band. Where an observed percentile is below the LLOQ there is no point.

    Args:
        table: rows as in ``vpc.csv``.
        points: samples to draw faintly behind: ``time, value, censored, lloq`` and perhaps ``stratum``; with
            ``corrected`` for the prediction-corrected check, which draws none without.
        check: ``vpc`` or ``pcvpc``.
        by: what the strata are of, for their titles.
        time_unit: unit of time, for the axis.
        value_unit: unit of the level, for the axis.
        width: in inches.
    """
    levels, below = table[table["check"] == check], table[table["check"] == "blq"]
    strata = list(dict.fromkeys(levels["stratum"].fillna("").astype(str)))
    columns = min(COLUMNS, max(1, len(strata)))
    rows = max(1, -(-len(strata) // columns))
    last = float(np.nanmax(table["time_end"], initial=1.0))
    limits = log_limits(_drawn(levels, points, check))
    edges = _edges(levels)
    with style():
        figure = new_figure(width, rows * (4.4 if columns == 1 else 3.9) + 0.4)
        grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3.2, 1.0] * rows, sharex="col")
        for k, stratum in enumerate(strata):
            top, foot = grid[2 * (k // columns)][k % columns], grid[2 * (k // columns) + 1][k % columns]
            own = levels[levels["stratum"].fillna("").astype(str) == stratum]
            top.set_yscale("log")
            top.set_ylim(*limits)
            log_axis(top.yaxis, *limits)
            _draw_points(top, _of_stratum(points, stratum), check)
            for percentile, colour in zip(*_colours(own), strict=True):
                _draw_percentile(top, own[own["percentile"] == percentile], edges, colour, limits[0])
            dress(top)
            _draw_percentile(foot, _in_per_cent(below, stratum), edges, MUTED, 0.0)
            dress(foot)
            foot.set_ylim(0, 100)
            foot.set_yticks([0, 50, 100])
            time_axis(foot, 0.0, last)
            top.tick_params(labelbottom=False)
            foot.set_xlabel(days_label(last, time_unit))
            if k % columns == 0:
                unit = unit_text(value_unit)
                name = "Prediction-corrected level" if check == "pcvpc" else "Level"
                top.set_ylabel(f"{name} ({unit})" if unit else name)
                foot.set_ylabel("% below LLOQ")
            if by:
                top.set_title(f"{by} {stratum or 'not known'}", loc="left")
        for ax in grid.reshape(rows, 2, columns).transpose(0, 2, 1).reshape(-1, 2)[len(strata) :].ravel():
            ax.set_visible(False)
        figure.legend(
            handles=_legend(levels),
            loc="outside upper left",
            ncols=5,
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0.0)},
        )
    return figure


def _drawn(levels: pd.DataFrame, points: pd.DataFrame | None, check: str) -> np.ndarray:
    """Return the values that the axis must hold."""
    parts = [levels[name].to_numpy(float) for name in ("observed", "low", "high")]
    if points is not None and len(points):
        column = "corrected" if check == "pcvpc" else "value"
        if column in points:
            parts.append(points.loc[points["censored"] == 0, column].to_numpy(float))
    return np.concatenate(parts)


def _edges(levels: pd.DataFrame) -> dict[int, tuple[float, float]]:
    """Return from where to where the band of each bin is drawn: half way to the neighbouring bins."""
    bins = levels.drop_duplicates("bin").sort_values("bin")
    start, end = bins["time_start"].to_numpy(float), bins["time_end"].to_numpy(float)
    between = ((np.sqrt(np.maximum(end[:-1], 0)) + np.sqrt(np.maximum(start[1:], 0))) / 2) ** 2
    left, right = np.concatenate([start[:1], between]), np.concatenate([between, end[-1:]])
    if len(between):
        # The first bin is often one day, and a band needs a width.
        left[0] = min(left[0], max(0.0, 2 * np.sqrt(max(left[0], 0.0)) - np.sqrt(max(right[0], 0.0))) ** 2)
    return {int(number): (a, b) for number, a, b in zip(bins["bin"], left, right, strict=True)}


def _colours(rows: pd.DataFrame) -> tuple[list[float], list[str]]:
    """Return the percentiles, and a colour for each: the middle one in that of the population."""
    found = sorted(rows["percentile"].dropna().unique())
    middle = min(found, key=lambda one: abs(one - 50.0), default=None)
    return found, [POPULATION if one == middle else FIT for one in found]


def _of_stratum(points: pd.DataFrame | None, stratum: str) -> pd.DataFrame | None:
    if points is None or "stratum" not in points:
        return points
    return points[points["stratum"].fillna("").astype(str) == stratum]


def _in_per_cent(below: pd.DataFrame, stratum: str) -> pd.DataFrame:
    own = below[below["stratum"].fillna("").astype(str) == stratum]
    return own.assign(**{name: 100 * own[name].astype(float) for name in ("observed", "low", "median", "high")})


def _draw_points(ax: Axes, points: pd.DataFrame | None, check: str) -> None:
    if points is None or not len(points):
        return
    column = "corrected" if check == "pcvpc" else "value"
    if column in points:
        seen = points[points["censored"] == 0]
        seen = seen.iloc[:: -(-len(seen) // MOST_POINTS) or 1]
        ax.plot(seen["time"], seen[column], "o", color=FAINT, markersize=2.2, zorder=1)
    if check == "vpc" and "lloq" in points:
        for limit in np.unique(points["lloq"].dropna())[:3]:
            ax.axhline(limit, color=LIMIT, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)


def _draw_percentile(
    ax: Axes, rows: pd.DataFrame, edges: dict[int, tuple[float, float]], colour: str, foot: float
) -> None:
    for row in rows.to_dict("records"):
        left, right = edges.get(int(row["bin"]), (row["time_start"], row["time_end"]))
        if np.isfinite(row["high"]):
            low = row["low"] if np.isfinite(row["low"]) else foot
            ax.fill_between([left, right], low, row["high"], color=colour, alpha=0.18, linewidth=0, zorder=2)
        if np.isfinite(row["median"]):
            ax.plot([left, right], [row["median"]] * 2, color=colour, linewidth=0.8, alpha=0.7, zorder=3)
    place, height = rows["time"].to_numpy(float), rows["observed"].to_numpy(float)
    outside = rows["outside"].astype(str).eq("True").to_numpy()
    ax.plot(place, height, color=colour, linewidth=1.2, linestyle=_look(colour), zorder=4)
    ax.plot(place[~outside], height[~outside], "o", color=colour, markersize=3.2, zorder=5)
    ax.plot(place[outside], height[outside], "o", color=LIMIT, markersize=4.6, zorder=6)


class _Swatches(tuple[Patch, ...]):
    """Patches that stand beside each other before one text of a legend."""

    __slots__ = ()

    def get_label(self) -> str:
        return "simulated, interval"


def _look(colour: str) -> Any:
    """Return the style of a line: those of the outer percentiles are dashed."""
    return (0, (3, 1.5)) if colour == FIT else "-"


def _legend(levels: pd.DataFrame) -> list[Any]:
    handles: list[Any] = []
    percentiles, colours = _colours(levels)
    for percentile, colour in zip(percentiles, colours, strict=True):
        look = _look(colour)
        label = f"observed, {percentile:g} %"
        handles.append(
            Line2D([], [], color=colour, linewidth=1.2, linestyle=look, marker="o", markersize=3, label=label)
        )
    # One swatch in the colours of all bands: those of the percentiles, and that of the share below the LLOQ.
    bands = [*dict.fromkeys(colours), MUTED]
    handles.append(_Swatches(Patch(color=colour, alpha=0.18, linewidth=0) for colour in bands))
    handles.append(Line2D([], [], color=LIMIT, marker="o", linestyle="", markersize=4.6, label="outside"))
    return handles
