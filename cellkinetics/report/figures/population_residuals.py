"""Goodness of a population fit: observed over predicted, and weighted residuals over time and prediction."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from cellkinetics.printing import unit_text
from cellkinetics.report.figures.scatter import (
    days_axis,
    draw_errors,
    draw_identity,
    error_handles,
    level_axis,
    sample_handles,
)
from cellkinetics.report.figures.style import new_figure, style


def population_residual_figure(
    table: pd.DataFrame, *, time_unit: str = "day", value_unit: str = "", width: float = 8.3
) -> Figure:
    """Return four panels: observed over typical and over individual prediction, iwres over time and prediction.

    The residuals are those at draws from the patients' conditional distributions, which are standard normal if the
    model is right; residuals at the modes are drawn to 0 by shrinkage.

    Args:
        table: rows as in ``population_residuals.csv``.
        time_unit: unit of time, for the axis.
        value_unit: unit of the level, for the axes.
        width: in inches.
    """
    drawn = table["drawn"].astype(str).eq("True").to_numpy()
    error, unit = table["iwres_conditional"].to_numpy(float), unit_text(value_unit)
    unit = f" ({unit})" if unit else ""
    with style():
        figure = new_figure(width, 6.6)
        above, below = figure.subfigures(2, 1, squeeze=False).ravel()
        first = above.subplots(1, 2)
        for ax, name, label in zip(first, ("typical", "predicted"), ("Typical", "Individual"), strict=True):
            predicted, value = table[name].to_numpy(float), table["value"].to_numpy(float)
            draw_identity(ax, predicted, value, table["censored"].to_numpy(int))
            ax.set_xlabel(f"{label} prediction{unit}")
            ax.set_ylabel(f"Observed{unit}")
        second = below.subplots(1, 2)
        draw_errors(second[0], table["time"].to_numpy(float), error, drawn)
        days_axis(second[0], table["time"], time_unit)
        draw_errors(second[1], table["predicted"].to_numpy(float), error, drawn)
        level_axis(second[1], table["predicted"])
        second[1].set_xlabel(f"Individual prediction{unit}")
        for ax in second:
            ax.set_ylabel("iwres")
        above.legend(handles=sample_handles(), loc="outside upper left", ncols=2)
        below.legend(handles=error_handles(), loc="outside upper left", ncols=4)
    return figure
