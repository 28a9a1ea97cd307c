"""Likelihood profiles of population parameters."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from cellkinetics.report.figures.likelihood import few_ticks
from cellkinetics.report.figures.style import FIT, LIMIT, dress, new_figure, plain, style

COLUMNS = 3
RISE = 3.841458820694124
_HEIGHT = 2.2  # of the axis, in rises at the ends of the interval


def population_profile_figure(table: pd.DataFrame, *, width: float = 8.3) -> Figure:
    """Return a panel a parameter: the rise of -2LL with its Monte-Carlo error, and the ends of the 95 % interval.

    Args:
        table: rows as in ``population_profiles.csv``.
        width: in inches.
    """
    names = list(dict.fromkeys(table["parameter"]))
    columns = COLUMNS
    rows = max(1, -(-len(names) // columns))
    with style():
        figure = new_figure(width, 2.3 * rows + 0.2)
        grid = figure.subplots(rows, columns, squeeze=False)
        for ax, name in zip(grid.flat, names, strict=False):
            own = table[table["parameter"] == name].sort_values("value")
            value, delta, error = (own[column].to_numpy(float) for column in ("value", "delta", "mc_se"))
            if (value > 0).all() and value.max() / value.min() > 5:
                ax.set_xscale("log")
                ax.xaxis.set_major_locator(FixedLocator(few_ticks(float(value.min()), float(value.max()))))
                ax.xaxis.set_minor_locator(NullLocator())
            else:
                ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
            ax.xaxis.set_major_formatter(FuncFormatter(plain))
            place = np.interp(np.linspace(0, len(value) - 1, 120), np.arange(len(value)), value)
            side = np.sign(np.arange(len(value)) - int(delta.argmin())) * np.sqrt(np.maximum(delta, 0.0))
            ax.plot(place, np.interp(place, value, side) ** 2, color=FIT, linewidth=1.3)
            ax.errorbar(value, delta, yerr=error, fmt="o", color=FIT, markersize=3, linewidth=0.9)
            ax.axhline(RISE, color=LIMIT, linewidth=0.9, linestyle=(0, (4, 2)))
            for end in (own["low"].iloc[0], own["high"].iloc[0]):
                if np.isfinite(end):
                    ax.vlines(end, -0.3, RISE, color=LIMIT, linewidth=0.9)
            ax.set_ylim(-0.3, _HEIGHT * RISE)
            dress(ax)
            ax.set_title(name, loc="left")
            ax.set_ylabel("rise of −2LL")
        for ax in grid.flat[len(names) :]:
            ax.set_visible(False)
    return figure
