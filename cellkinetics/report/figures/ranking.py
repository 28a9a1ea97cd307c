"""Which model each patient's samples prefer: Akaike weights, a row a patient and a column a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cellkinetics.report.figures.profiles import KEY, Key
from cellkinetics.report.figures.style import FIT, GRID, INK, MUTED, new_figure, style

ROWS = 40
"""Patients on a page."""
_COLUMNS = 6  # fewer models leave room, so that their columns do not grow with the page
_SHADES = LinearSegmentedColormap.from_list("weights", [(*to_rgb(FIT), 0.0), (*to_rgb(FIT), 0.75)])


def ranking_pages(ranking: pd.DataFrame, *, most: int | None = None) -> Iterator[Figure]:
    """Yield pages of forty patients each; see `ranking_figure`."""
    keys = ranked_keys(ranking)[:most]
    for start in range(0, len(keys), ROWS):
        yield ranking_figure(ranking, keys[start : start + ROWS])


def ranking_figure(ranking: pd.DataFrame, keys: Sequence[Key] | None = None, *, width: float = 8.3) -> Figure:
    """Return the weights of the models by AICc: a row a patient, a column a model, darker for a higher weight.

        weight_m = exp(-delta_m/2) / sum exp(-delta/2)

    The chosen model has a frame. A dash is a model that the patient's samples do not support, or that could
    not be fitted.

    Args:
        ranking: rows as in ``individual_models.csv`` (`KEY`, ``model, weight, chosen``).
        keys: the profiles to draw; by default all.
        width: in inches.
    """
    keys = ranked_keys(ranking) if keys is None else list(keys)
    models = ranked_models(ranking)
    places = ranking.groupby([*KEY], sort=False).indices
    with style():
        longest = max((len(model) for model in models), default=0)
        figure = new_figure(width, 0.8 + 0.05 * longest + 0.22 * max(1, len(keys)))
        ax = figure.subplots()
        ax.set_xlim(-0.5, max(len(models), _COLUMNS) - 0.5)
        ax.set_ylim(len(keys) - 0.5, -0.5)
        for r, key in enumerate(keys):
            rows = ranking.iloc[places.get(key, [])].drop_duplicates("model").set_index("model")
            for c, model in enumerate(models):
                weight = float(rows["weight"].get(model, np.nan))
                if np.isfinite(weight):
                    ax.add_patch(Rectangle((c - 0.48, r - 0.46), 0.96, 0.92, facecolor=_SHADES(weight)))
                text = f"{weight:.2f}" if np.isfinite(weight) else "–"
                ax.text(c, r, text, ha="center", va="center", fontsize=7, color=INK if np.isfinite(weight) else MUTED)
                if bool(rows["chosen"].get(model, False)):
                    frame: dict[str, Any] = {"fill": False, "edgecolor": INK, "linewidth": 1.0}
                    ax.add_patch(Rectangle((c - 0.48, r - 0.46), 0.96, 0.92, **frame))
        turned = longest > 14
        ax.xaxis.tick_top()
        ax.set_xticks(range(len(models)), models, rotation=30 if turned else 0, ha="left" if turned else "center")
        ax.set_yticks(range(len(keys)), [" · ".join(part for part in (key[0], key[2]) if part) for key in keys])
        ax.tick_params(length=0)
        ax.tick_params(axis="y", labelsize=7.5)
        ax.spines[:].set_visible(False)
        ax.set_xticks(np.arange(0.5, len(models) - 1), minor=True)
        ax.grid(visible=True, which="minor", axis="x", color=GRID, linewidth=0.6)
        ax.tick_params(which="minor", length=0)
    return figure


def ranked_models(ranking: pd.DataFrame) -> list[str]:
    """Return the models of a ranking, the one chosen for most patients first."""
    return [
        str(model)
        for model in ranking.groupby("model", sort=False)["chosen"]
        .sum()
        .sort_values(ascending=False, kind="stable")
        .index
    ]


def ranked_keys(ranking: pd.DataFrame) -> list[Key]:
    """Return the profiles of a ranking, in order of first appearance."""
    columns = ranking[[*KEY]].drop_duplicates()
    return [(str(s), str(a), str(o), str(m)) for s, a, o, m in columns.itertuples(index=False)]
