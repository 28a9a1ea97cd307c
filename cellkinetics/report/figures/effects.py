"""Random effects of a population fit: their distributions, their pairs, and beside covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cellkinetics.report.figures.panels import panel_axes
from cellkinetics.report.figures.parameters import draw_box, draw_points
from cellkinetics.report.figures.style import FIT, INK, MUTED, POPULATION, dress, new_figure, style

MOST_COVARIATES = 6
"""Covariates that a figure shows."""
MOST_LEVELS = 4
"""Different numbers of a covariate that are drawn as groups."""
MOST_PAIRED = 8
"""Parameters whose pairs a figure shows."""
_SHRUNK = 30.0


def effect_figure(
    effects: pd.DataFrame, omega: Mapping[str, float], shrinkage: Mapping[str, float], *, width: float = 8.3
) -> Figure:
    """Return a panel a parameter: the random effects at the modes, and the distribution that the fit says they have.

    Args:
        effects: one row a patient and parameter: ``parameter, eta, eta_mean``.
        omega: parameter to the SD of its random effect.
        shrinkage: parameter to the shrinkage of the modes, per cent.
        width: in inches.
    """
    names = [name for name in omega if (effects["parameter"] == name).any()]
    with style():
        figure, axes = panel_axes(len(names), width, 2.2, 0.3)
        for ax, name in zip(axes, names, strict=True):
            eta = effects.loc[effects["parameter"] == name, "eta"].dropna().to_numpy(float)
            _draw_distribution(ax, eta, omega[name])
            mark = " !" if shrinkage.get(name, 0.0) > _SHRUNK else ""
            shrunk = f", shrinkage {shrinkage[name]:.0f} %{mark}" if name in shrinkage else ""
            ax.set_title(f"η {name}{shrunk}", loc="left")
    return figure


def _draw_distribution(ax: Axes, eta: NDArray[Any], omega: float) -> None:
    reach = float(max(3.2 * omega, np.abs(eta).max() * 1.05 if len(eta) else 0.0)) or 1.0
    grid = np.linspace(-reach, reach, 201)
    if len(eta):
        bins = int(np.clip(np.sqrt(len(eta)) * 1.8, 9, 40))
        ax.hist(eta, bins=np.linspace(-reach, reach, bins).tolist(), density=True, color=FIT, alpha=0.45)
        ax.plot(eta, np.zeros(len(eta)), "|", color=FIT, markersize=6, alpha=0.6)
    if omega > 0:
        ax.plot(
            grid, np.exp(-0.5 * (grid / omega) ** 2) / (omega * np.sqrt(2 * np.pi)), color=POPULATION, linewidth=1.2
        )
    dress(ax)
    ax.set_yticks([])
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6))


def effect_pairs_figure(
    effects: pd.DataFrame, names: Sequence[str], correlations: pd.DataFrame | None = None, *, width: float = 8.3
) -> Figure:
    """Return the pairs of random effects, conditional means, a panel a pair; of at most 8 parameters.

    Args:
        effects: as for `effect_figure`.
        names: parameters with random effects.
        correlations: rows of kind ``pair`` as in ``population_effects.csv``, written into the panels.
        width: in inches.
    """
    chosen = list(names)[:MOST_PAIRED]
    size = max(1, len(chosen) - 1)
    wide = effects.pivot_table(index="subject", columns="parameter", values="eta_mean", sort=False)
    with style():
        figure = new_figure(width, min(0.85 * width, 1.35 * size + 0.5))
        grid = figure.subplots(size, size, squeeze=False)
        for i in range(size):
            for j in range(size):
                ax = grid[i][j]
                if j > i or len(chosen) < 2:
                    ax.set_visible(False)
                    continue
                across, up = chosen[j], chosen[i + 1]
                ax.plot(wide[across], wide[up], "o", color=FIT, markersize=2.2, alpha=0.6)
                ax.axhline(0.0, color=MUTED, linewidth=0.6)
                ax.axvline(0.0, color=MUTED, linewidth=0.6)
                dress(ax)
                ax.tick_params(labelsize=6.5)
                ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
                ax.yaxis.set_major_locator(MaxNLocator(nbins=4))
                ax.tick_params(labelbottom=i == size - 1, labelleft=j == 0)
                if i == size - 1:
                    ax.set_xlabel(f"η {across}", fontsize=8)
                if j == 0:
                    ax.set_ylabel(f"η {up}", fontsize=8)
                value = _correlation(correlations, across, up)
                if np.isfinite(value):
                    text = f"{value:.2f}".replace("-", "−")
                    ax.text(0.98, 0.96, text, transform=ax.transAxes, ha="right", va="top", fontsize=7.5, color=INK)
    return figure


def _correlation(correlations: pd.DataFrame | None, first: str, second: str) -> float:
    if correlations is None:
        return float("nan")
    rows = correlations[(correlations["kind"] == "pair") & (correlations["statistic"] == "modes")]
    pair = rows[(rows["parameter"] == first) & (rows["beside"] == second)]
    return float(pair["value"].iloc[0]) if len(pair) else float("nan")


def effect_covariate_figure(
    effects: pd.DataFrame,
    names: Sequence[str],
    covariates: Mapping[str, NDArray[Any]],
    subjects: list[str],
    *,
    width: float = 8.3,
) -> Figure:
    """Return random effects (conditional means) beside covariates: a row a covariate, a column a parameter.

    Args:
        effects: as for `effect_figure`.
        names: parameters with random effects.
        covariates: name to one value a patient, numbers or text; the first six are drawn.
        subjects: the patients of these values.
        width: in inches.
    """
    shown = dict(list(covariates.items())[:MOST_COVARIATES])
    wide = effects.pivot_table(index="subject", columns="parameter", values="eta_mean", sort=False).reindex(subjects)
    rows, columns = max(1, len(shown)), max(1, len(names))
    random = np.random.default_rng(0)  # only moves points sideways
    with style():
        figure = new_figure(width, 1.7 * rows + 0.4)
        grid = figure.subplots(rows, columns, squeeze=False, sharey="col")
        for row, (covariate, values) in zip(grid, shown.items(), strict=False):
            for k, (ax, name) in enumerate(zip(row, names, strict=True)):
                _draw_covariate(ax, values, wide[name].to_numpy(float), random)
                ax.axhline(0.0, color=MUTED, linewidth=0.6)
                ax.tick_params(labelsize=6.5)
                ax.set_xlabel(covariate, fontsize=8)
                ax.yaxis.set_major_locator(MaxNLocator(nbins=4))
                if ax is grid[0][k]:
                    ax.set_title(f"η {name}", loc="left", fontsize=8.5)
        if not shown:
            grid[0][0].text(0.5, 0.5, "no covariate varies", ha="center", color=MUTED)
    return figure


def _is_few(values: NDArray[Any]) -> bool:
    """Tell whether numbers are codes of groups (0 and 1), of which a slope says nothing that a box does not."""
    known = values[np.isfinite(values)]
    distinct = len(np.unique(known))
    return distinct <= MOST_LEVELS and len(known) > 2 * distinct


def _draw_covariate(ax: Axes, values: NDArray[Any], eta: NDArray[Any], random: np.random.Generator) -> None:
    dress(ax)
    if values.dtype.kind == "f" and not _is_few(values):
        known = np.isfinite(values) & np.isfinite(eta)
        ax.plot(values[known], eta[known], "o", color=FIT, markersize=2.2, alpha=0.6)
        if known.sum() > 2 and np.ptp(values[known]) > 0:
            slope, level = np.polyfit(values[known], eta[known], 1)
            ends = np.array([values[known].min(), values[known].max()])
            ax.plot(ends, level + slope * ends, color=POPULATION, linewidth=1.0)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=3))
        return
    if values.dtype.kind == "f":
        levels: list[Any] = np.unique(values[np.isfinite(values)]).tolist()
        names = [f"{level:g}" for level in levels]
    else:
        levels = [level for level in dict.fromkeys(values.tolist()) if str(level) != ""]
        names = [str(level) for level in levels]
    for place, level in enumerate(levels):
        own = eta[(values == level) & np.isfinite(eta)]
        draw_box(ax, place, own, FIT)
        draw_points(ax, place, own, FIT, random)
    turned = sum(map(len, names)) > 12
    ax.set_xticks(range(len(levels)), names, rotation=90 if turned else 0, fontsize=6.5)
    ax.set_xlim(-0.6, len(levels) - 0.4)
    ax.grid(visible=False, axis="x")
