"""Models of a population held against each other, and the likelihood ratios of a search for covariates."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellkinetics.report.figures.style import FAINT, FIT, GRID, INK, LIMIT, MUTED, dress, new_figure, style

_LANE = 0.27
_NAMES = {"bicc": "BICc", "bic": "BIC", "aic": "AIC"}
_LINEAR = 10.0  # up to which distance the axis is linear, logarithmic beyond
_CHANGED = ("added", "removed")


def model_comparison_figure(models: pd.DataFrame, *, criterion: str = "bicc", width: float = 8.3) -> Figure:
    """Return the distance of each model from the best one, with two Monte-Carlo errors to each side.

    Models that cannot be told from the best, or did not converge, are hollow; those without a fit say so.

    Args:
        models: rows as in ``population_models.csv``, the best first.
        criterion: that ``delta`` is of.
        width: in inches.
    """
    with style():
        figure = new_figure(width, _LANE * len(models) + 0.9)
        ax = figure.subplots()
        _lanes(ax, models["model"].astype(str).tolist())
        fitted = models["delta"].notna().to_numpy()
        _axis(ax, (models["delta"] + 2 * models["delta_se"]).to_numpy(float))
        for place, row in enumerate(models.to_dict("records")):
            if not fitted[place]:
                ax.text(0, place, " no fit", va="center", color=MUTED, fontsize=8)
                continue
            sure = bool(row["converged"]) and not bool(row["undecided"])
            _point(ax, row["delta"], row["delta_se"], place, INK if row["best"] else FIT, filled=sure)
        ax.set_xlabel(f"{_NAMES.get(criterion, criterion)} above the best model's, ± 2 Monte-Carlo errors")
    return figure


def covariate_search_figure(tests: pd.DataFrame, *, width: float = 8.3) -> Figure:
    """Return every likelihood ratio of a search, step by step, beside the value that decides it.

    A point is by how much -2LL is higher without the term, with two Monte-Carlo errors to each side; the upright stroke
    is the threshold. What changed the model is dark; what is undecided is hollow.

    Args:
        tests: rows as in ``covariate_search.csv``.
        width: in inches.
    """
    rows = tests[tests["term"].astype(str).ne("") & tests["term"].notna()]
    with style():
        figure = new_figure(width, _LANE * max(1, len(rows)) + 0.9)
        ax = figure.subplots()
        _lanes(ax, [f"{row['step']}  {row['term']}" for row in rows.to_dict("records")])
        reach = (rows["delta"] + 2 * rows["delta_se"]).to_numpy(float)
        _axis(ax, np.append(reach, rows["threshold"].to_numpy(float)))
        before = None
        for place, row in enumerate(rows.to_dict("records")):
            if before is not None and row["step"] != before:
                ax.axhline(place - 0.5, color=FAINT, linewidth=0.8, zorder=1)
            before = row["step"]
            if not np.isfinite(row["delta"]):
                ax.text(0, place, " no fit", va="center", color=MUTED, fontsize=8)
                continue
            ax.plot([row["threshold"]] * 2, [place - 0.32, place + 0.32], color=LIMIT, linewidth=1.4, zorder=2)
            changed = row["outcome"] in _CHANGED
            _point(ax, row["delta"], row["delta_se"], place, INK if changed else FIT, filled=not row["undecided"])
            ax.text(1.0, place, f" {row['outcome']}", transform=ax.get_yaxis_transform(), va="center", fontsize=8)
        ax.set_xlabel("-2LL without the term, less that with it, ± 2 Monte-Carlo errors")
    return figure


def _lanes(ax: Axes, labels: list[str]) -> None:
    dress(ax)
    ax.grid(visible=False, axis="y")
    for place in range(len(labels)):
        ax.axhline(place, color=GRID, linewidth=0.6, zorder=1)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(max(1, len(labels)) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)


def _axis(ax: Axes, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    ax.set_xscale("symlog", linthresh=_LINEAR, linscale=2.0)
    finite = values[np.isfinite(values)]
    ax.set_xlim(min(-1.0, float(finite.min(initial=0.0))), 1.3 * max(_LINEAR, float(finite.max(initial=0.0))))
    ticks = [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 10_000.0]
    shown = [tick for tick in ticks if tick <= ax.get_xlim()[1]]
    ax.set_xticks(shown, [f"{tick:,.0f}" for tick in shown])
    ax.minorticks_off()
    ax.axvline(0.0, color=MUTED, linewidth=0.8, zorder=1)


def _point(ax: Axes, value: float, se: float, place: int, colour: str, *, filled: bool) -> None:
    ax.plot([value - 2 * se, value + 2 * se], [place, place], color=colour, linewidth=1.4, zorder=3)
    ax.plot([value], [place], "o", color=colour, markerfacecolor=colour if filled else "white", markersize=5, zorder=4)
