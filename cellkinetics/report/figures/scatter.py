"""Panels that several diagnostic figures share: points with their censored ones, and running percentiles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from cellkinetics.report.figures.style import (
    FIT,
    LIMIT,
    MUTED,
    POPULATION,
    days_label,
    dress,
    log_axis,
    log_limits,
    time_axis,
)

MOST_POINTS = 800
"""Samples that are drawn: of more, an even selection."""
RUNS = 12
"""Groups of equal size along the axis that running percentiles are of."""
FEWEST = 10
"""Samples in such a group."""
NORMAL_90 = 1.6448536269514722


def draw_errors(ax: Axes, x: np.ndarray, error: np.ndarray, drawn: np.ndarray, *, percentiles: bool = True) -> None:
    """Draw standard normal errors over something: points, lines at 0 and +-1.64, and running percentiles.

    Errors that were drawn for censored samples are open. The running lines are the 5th, 50th and 95th percentile,
    the dotted ones where they should be.
    """
    known = np.isfinite(x) & np.isfinite(error)
    x, error, drawn = x[known], error[known], drawn[known]
    step = -(-len(x) // MOST_POINTS) or 1
    for mask, face in ((~drawn, FIT), (drawn, "none")):
        here = np.flatnonzero(mask)[::step]
        ax.plot(
            x[here], error[here], "o", color=FIT if face != "none" else LIMIT, markerfacecolor=face, markersize=2.6,
            markeredgewidth=0.6, alpha=0.55, zorder=2,
        )  # fmt: skip
    for height, look in ((0.0, "-"), (-NORMAL_90, ":"), (NORMAL_90, ":")):
        ax.axhline(height, color=MUTED, linewidth=0.9, linestyle=look, zorder=1)
    if percentiles and len(x) >= 2 * FEWEST:
        order = np.argsort(x, kind="stable")
        groups = np.array_split(order, max(2, min(RUNS, len(x) // FEWEST)))
        middle = [float(np.median(x[group])) for group in groups]
        for share, width in ((5, 1.0), (50, 1.6), (95, 1.0)):
            height_of = [float(np.percentile(error[group], share)) for group in groups]
            ax.plot(middle, height_of, color=POPULATION, linewidth=width, zorder=3)
    reach = float(np.clip(np.abs(error).max() if len(error) else 0.0, 2.5, 8.0)) * 1.08
    ax.set_ylim(-reach, reach)
    dress(ax)


def draw_identity(ax: Axes, predicted: np.ndarray, value: np.ndarray, censored: np.ndarray) -> None:
    """Draw observed over predicted levels with the line on which both are equal; censored ones are triangles."""
    known = np.isfinite(predicted) & np.isfinite(value) & (predicted > 0) & (value > 0)
    predicted, value, censored = predicted[known], value[known], censored[known]
    step = -(-len(value) // MOST_POINTS) or 1
    for flag, shape, colour in ((0, "o", FIT), (1, "v", LIMIT), (-1, "^", LIMIT)):
        here = np.flatnonzero(censored == flag)[::step]
        face = colour if flag == 0 else "none"
        ax.plot(
            predicted[here], value[here], shape, color=colour, markerfacecolor=face, markersize=2.6,
            markeredgewidth=0.6, alpha=0.55,
        )  # fmt: skip
    low, high = log_limits(value)
    ax.set_xscale("log")
    ax.set_yscale("log")
    log_axis(ax.xaxis, low, high)
    log_axis(ax.yaxis, low, high)
    ax.plot([low, high], [low, high], color=MUTED, linewidth=0.9)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    dress(ax)


def level_axis(ax: Axes, values: pd.Series) -> None:
    """Give an axis of predicted levels a logarithmic scale."""
    low, high = log_limits(values.to_numpy(float))
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    log_axis(ax.xaxis, low, high)


def days_axis(ax: Axes, time: pd.Series, unit: str) -> None:
    """Give an axis of time its scale and label."""
    last = float(np.nanmax(time.to_numpy(float), initial=1.0))
    time_axis(ax, 0.0, last, most=5)
    ax.set_xlabel(days_label(last, unit))


def error_handles() -> list[Line2D]:
    """Return the handles of a legend of errors: quantified and drawn samples, and running percentiles."""
    return [
        _dot(FIT, "o", "quantified", full=True),
        _dot(LIMIT, "o", "censored: drawn within its limits", full=False),
        Line2D([], [], color=POPULATION, linewidth=1.4, label="5, 50, 95 % of the errors"),
        Line2D([], [], color=MUTED, linewidth=0.9, linestyle=":", label="where they should be"),
    ]


def sample_handles() -> list[Line2D]:
    """Return the handles of a legend of samples: quantified, and censored ones at their limit."""
    return [
        _dot(FIT, "o", "quantified", full=True),
        _dot(LIMIT, "v", "below the LLOQ, at it", full=False),
    ]


def _dot(colour: str, shape: str, label: str, *, full: bool) -> Line2D:
    face = colour if full else "none"
    return Line2D([], [], color=colour, marker=shape, markerfacecolor=face, linestyle="", markersize=3.6, label=label)
