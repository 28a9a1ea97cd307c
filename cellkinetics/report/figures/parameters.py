"""Parameters of noncompartmental analysis by group: boxes with every patient's value as a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cellkinetics.report.figures.panels import panel_axes
from cellkinetics.report.figures.style import (
    INK,
    dress,
    group_colours,
    log_axis,
    log_limits,
    plain,
    style,
)

MOST_POINTS = 300
LINEAR = frozenset(
    (
        *("TMAX", "TLST", "TFQ", "TLAG", "T10CMAX", "T50CMAX", "BREAKT", "TABOVE", "TFBLQ", "PERSLO", "PERSUP"),
        *("PERSEVT", "LAMZLL", "LAMZUL", "LAMZNPT", "LAMZSPN", "ALPHANPT", "BETANPT", "EXPNPT", "BICDELTA", "LAMZICPT"),
        *("R2", "R2ADJ", "CORRXY", "NSAMPLE", "NQUANT", "AUCPEO", "AUCPEP", "AUCINTPE", "WCOVER", "EXPRATE"),
    )
)
"""Parameters drawn on a linear axis: times, counts, parts and others of which zero is a sensible value."""


def parameter_figure(
    wide: pd.DataFrame,
    parameters: Sequence[str],
    *,
    labels: Mapping[str, str] | None = None,
    width: float = 8.3,
) -> Figure:
    """Return a panel for each parameter with a box for each group and a point for each patient.

    Beyond 300 patients in a group an even selection is drawn as points; the box is that of all.
    The box spans the quartiles, the line is the median, the whiskers reach 1.5 times the box. Axes
    are logarithmic except for times.

    Args:
        wide: a row a profile, as in ``nca_wide.csv``; a column ``group`` gives the groups.
        parameters: columns to draw.
        labels: parameter to the title of its panel (by default its name).
        width: in inches.
    """
    groups = wide["group"].astype(str) if "group" in wide else pd.Series("", index=wide.index)
    names = list(dict.fromkeys(groups))
    colours = group_colours(names)
    random = np.random.default_rng(0)  # only moves points sideways
    with style():
        figure, axes = panel_axes(len(parameters), width, 2.5, 0.2)
        for ax, parameter in zip(axes, parameters, strict=True):
            values = [wide.loc[groups == name, parameter].to_numpy(float) for name in names]
            _draw_boxes(ax, values, [colours[name] for name in names], parameter.split("_")[0] not in LINEAR, random)
            ax.set_title((labels or {}).get(parameter, parameter), loc="left")
            turned = sum(len(name or "no group") for name in names) > 26
            ax.set_xticks(
                range(len(names)),
                [name or ("no group" if len(names) > 1 else "all") for name in names],
                rotation=30 if turned else 0,
                ha="right" if turned else "center",
            )
    return figure


def _draw_boxes(
    ax: Axes,
    values: Sequence[np.ndarray],
    colours: Sequence[str],
    logarithmic: bool,
    random: np.random.Generator,
) -> None:
    kept = drawable(values, logarithmic)
    value_axis(ax, kept, logarithmic)
    for place, (one, colour) in enumerate(zip(kept, colours, strict=True)):
        draw_box(ax, place, one, colour)
        draw_points(ax, place, one[:: -(-len(one) // MOST_POINTS) or 1], colour, random)
    ax.set_xlim(-0.6, len(kept) - 0.4)


def drawable(values: Sequence[np.ndarray], logarithmic: bool) -> list[np.ndarray]:
    """Return the values of each group that an axis can show."""
    return [one[np.isfinite(one) & ((one > 0) | (not logarithmic))] for one in values]


def value_axis(ax: Axes, values: Sequence[np.ndarray], logarithmic: bool) -> None:
    """Give axes of boxes their look, and a value axis that holds all values."""
    if logarithmic:
        low, high = log_limits(np.concatenate(values)) if values else (0.1, 10.0)
        ax.set_yscale("log")
        ax.set_ylim(low, high)
        log_axis(ax.yaxis, low, high)
    else:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(FuncFormatter(plain))
    dress(ax)
    ax.grid(visible=False, axis="x")


def draw_box(ax: Axes, place: float, values: np.ndarray, colour: str, *, width: float = 0.55) -> None:
    """Draw the box of one group; fewer than three values have none."""
    if len(values) < 3:
        return
    look: dict[str, Any] = {"color": colour, "linewidth": 1.0}
    ax.boxplot(
        [values],
        positions=[place],
        widths=width,
        showfliers=False,
        manage_ticks=False,
        boxprops=look,
        whiskerprops=look,
        capprops=look,
        medianprops={"color": INK, "linewidth": 1.4},
    )


def draw_points(
    ax: Axes,
    place: float,
    values: np.ndarray,
    colour: str,
    random: np.random.Generator,
    *,
    reach: float = 0.16,
    hollow: bool = False,
    faint: bool = False,
) -> None:
    """Draw a point for each value, moved sideways by chance so that few hide each other."""
    aside = random.uniform(-reach, reach, len(values)) if len(values) > 1 else np.zeros(len(values))
    face = "none" if hollow else colour
    ax.plot(
        place + aside,
        values,
        "o",
        color=colour,
        markerfacecolor=face,
        markersize=3,
        alpha=0.35 if faint else 0.7,
        zorder=3,
    )
