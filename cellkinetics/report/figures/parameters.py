"""Parameters of noncompartmental analysis by group: boxes with every patient's value as a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cellkinetics.report.figures.style import (
    INK,
    dress,
    group_colours,
    log_axis,
    log_limits,
    new_figure,
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
    columns = min(3, max(1, len(parameters)))
    rows = max(1, -(-len(parameters) // columns))
    random = np.random.default_rng(0)  # only moves points sideways
    with style():
        figure = new_figure(width, 2.5 * rows + 0.2)
        grid = figure.subplots(rows, columns, squeeze=False)
        for ax, parameter in zip(grid.flat, parameters, strict=False):
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
        for ax in grid.flat[len(parameters) :]:
            ax.set_visible(False)
    return figure


def _draw_boxes(
    ax: Axes,
    values: Sequence[np.ndarray],
    colours: Sequence[str],
    logarithmic: bool,
    random: np.random.Generator,
) -> None:
    kept = [one[np.isfinite(one) & ((one > 0) | (not logarithmic))] for one in values]
    if logarithmic:
        low, high = log_limits(np.concatenate(kept)) if kept else (0.1, 10.0)
        ax.set_yscale("log")
        ax.set_ylim(low, high)
        log_axis(ax.yaxis, low, high)
    else:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(FuncFormatter(plain))
    dress(ax)
    ax.grid(visible=False, axis="x")
    for place, (one, colour) in enumerate(zip(kept, colours, strict=True)):
        if len(one) > 2:
            ax.boxplot(
                [one],
                positions=[place],
                widths=0.55,
                showfliers=False,
                manage_ticks=False,
                boxprops={"color": colour, "linewidth": 1.0},
                whiskerprops={"color": colour, "linewidth": 1.0},
                capprops={"color": colour, "linewidth": 1.0},
                medianprops={"color": INK, "linewidth": 1.4},
            )
        shown = one[:: -(-len(one) // MOST_POINTS) or 1]
        aside = random.uniform(-0.16, 0.16, len(shown)) if len(shown) > 1 else np.zeros(len(shown))
        ax.plot(place + aside, shown, "o", color=colour, markersize=3, alpha=0.7, zorder=3)
    ax.set_xlim(-0.6, len(kept) - 0.4)
