"""The way of a search: a panel a parameter over its iterations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cellkinetics.report.figures.panels import panel_axes
from cellkinetics.report.figures.style import FIT, MUTED, POPULATION, dress, style

COLUMNS = 4


def trace_figure(table: pd.DataFrame, estimates: Mapping[str, float] | None = None, *, width: float = 8.3) -> Figure:
    """Return a panel a parameter: its value at each iteration, a line where a phase begins, and the estimate.

    Args:
        table: rows as in ``population_trace.csv``.
        estimates: parameter to the estimate that was reported, drawn dashed.
        width: in inches.
    """
    counts = table["parameter"].value_counts()
    names = [name for name in dict.fromkeys(table["parameter"]) if counts[name] > 1]  # a single value is no way
    first = table.drop_duplicates("iteration").sort_values("iteration")
    changes = first.loc[first["phase"].ne(first["phase"].shift()), "iteration"].to_numpy(float)[1:]
    with style():
        figure, axes = panel_axes(len(names), width, 1.5, 0.3, columns=COLUMNS, sharex=True)
        for ax, name in zip(axes, names, strict=True):
            own = table[table["parameter"] == name].sort_values("iteration")
            value = own["value"].to_numpy(float)
            ax.plot(own["iteration"], value, color=FIT, linewidth=1.0)
            if np.nanmin(value, initial=np.inf) > 0 and np.nanmax(value) / np.nanmin(value) > 20:
                ax.set_yscale("log")
            else:
                ax.yaxis.set_major_locator(MaxNLocator(nbins=4))
            for change in changes:
                ax.axvline(change, color=MUTED, linewidth=0.8, linestyle=":")
            if name in (estimates or {}):
                ax.axhline((estimates or {})[name], color=POPULATION, linewidth=0.9, linestyle=(0, (4, 2)))
            dress(ax)
            ax.tick_params(labelsize=6.5)
            ax.set_title(name, loc="left", fontsize=8)
        figure.supxlabel("Iteration", fontsize=8)
    return figure
