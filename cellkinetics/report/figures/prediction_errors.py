"""Prediction distribution errors: whether they are standard normal, and everywhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtri

from cellkinetics.printing import unit_text
from cellkinetics.report.figures.scatter import days_axis, draw_errors, error_handles, level_axis
from cellkinetics.report.figures.style import FAINT, FIT, MUTED, dress, new_figure, style

MOST_POINTS = 300
"""Of the quantiles in the middle."""
_TAIL = 2.0


def prediction_error_figure(
    table: pd.DataFrame, *, time_unit: str = "day", value_unit: str = "", width: float = 8.3
) -> Figure:
    """Return npde in four panels: quantiles beside those of N(0, 1), density, over time and over the prediction.

    Args:
        table: rows as in ``npde.csv``.
        time_unit: unit of time, for the axis.
        value_unit: unit of the level, for the axis.
        width: in inches.
    """
    error, drawn = table["npde"].to_numpy(float), table["drawn"].astype(str).eq("True").to_numpy()
    with style():
        figure = new_figure(width, 6.2)
        grid = figure.subplots(2, 2)
        draw_quantiles(grid[0][0], error, "npde")
        draw_density(grid[0][1], error, "npde")
        draw_errors(grid[1][0], table["time"].to_numpy(float), error, drawn)
        days_axis(grid[1][0], table["time"], time_unit)
        draw_errors(grid[1][1], table["typical"].to_numpy(float), error, drawn)
        level_axis(grid[1][1], table["typical"])
        unit = unit_text(value_unit)
        grid[1][1].set_xlabel("Typical prediction" + (f" ({unit})" if unit else ""))
        for ax in grid[1]:
            ax.set_ylabel("npde")
        figure.legend(handles=error_handles(), loc="outside upper left", ncols=4)
    return figure


def draw_quantiles(ax: Axes, error: np.ndarray, name: str) -> None:
    """Draw the quantiles of errors over those of the standard normal, with a 95 % band of each order statistic."""
    from scipy.special import betaincinv

    known = np.sort(error[np.isfinite(error)])
    n = len(known)
    if n:
        rank = np.arange(1, n + 1)
        place = ndtri((rank - 0.5) / n)
        low, high = (ndtri(betaincinv(rank, n + 1.0 - rank, share)) for share in (0.025, 0.975))
        # In the middle neighbours cannot be told apart: every one of the tails is drawn.
        drawn = (np.abs(place) > _TAIL) | (np.arange(n) % (-(-n // MOST_POINTS) or 1) == 0)
        ax.fill_between(place[drawn], low[drawn], high[drawn], color=FAINT, alpha=0.5, linewidth=0)
        ax.plot(place[[0, -1]], place[[0, -1]], color=MUTED, linewidth=0.9)
        ax.plot(place[drawn], known[drawn], "o", color=FIT, markersize=2.4)
    dress(ax)
    ax.set_xlabel("Quantile of N(0, 1)")
    ax.set_ylabel(f"Quantile of {name}")


def draw_density(ax: Axes, error: np.ndarray, name: str) -> None:
    """Draw the histogram of errors with the density of the standard normal."""
    known = error[np.isfinite(error)]
    reach = float(np.clip(np.abs(known).max() if len(known) else 0.0, 3.0, 8.0))
    grid = np.linspace(-reach, reach, 201)
    if len(known):
        edges = np.linspace(-reach, reach, 33)
        ax.hist(np.clip(known, -reach, reach), bins=edges.tolist(), density=True, color=FIT, alpha=0.45)
    ax.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color=MUTED, linewidth=1.1)
    dress(ax)
    ax.set_xlabel(name)
    ax.set_ylabel("Density")
