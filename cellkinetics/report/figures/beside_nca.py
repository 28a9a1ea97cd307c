"""The fitted curve beside the noncompartmental analysis: ratios of Cmax, Tmax and areas."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from cellkinetics.nca.labels import printed_name
from cellkinetics.report.figures.profiles import KEY, Key
from cellkinetics.report.figures.style import LIMIT, MUTED, dress, group_colours, new_figure, style

APART = 2.0
"""Ratio, either way, at which the dashed lines stand; beyond it a row of the table is flagged."""
MOST_NAMES = 6
"""Names of flagged patients at one quantity: of more, the furthest."""
_NOBODY = "\0"
_FURTHEST = 6.0  # powers of two; what is further stands at the edge, as a triangle


def beside_nca_figure(table: pd.DataFrame, groups: Mapping[Key, str], *, width: float = 8.3) -> Figure:
    """Return the ratio of fitted to noncompartmental value, a point a patient, on an axis of powers of two.

    At 1 both agree; the dashed lines are half and double. Patients beyond them are named. A ratio beyond 64
    stands at the edge as a triangle.

    Args:
        table: rows as in ``individual_nca.csv`` (`KEY`, ``quantity, ratio``).
        groups: profile to its group; others are not drawn.
        width: in inches.
    """
    names, colours = list(dict.fromkeys(table["quantity"])), group_colours(list(groups.values()))
    keys = list(table[[*KEY]].astype(str).itertuples(index=False, name=None))
    rows = table.assign(
        label=[groups.get(key, _NOBODY) for key in keys],
        power=np.log2(table["ratio"].where(table["ratio"] > 0).to_numpy(float)),
    )
    rows = rows[rows["label"].ne(_NOBODY) & rows["power"].notna()]
    random = np.random.default_rng(0)  # only moves points sideways
    with style():
        figure = new_figure(width, 3.6)
        ax = figure.subplots()
        dress(ax)
        ax.grid(visible=False, axis="x")
        reach = float(np.clip(rows["power"].abs().max() if len(rows) else 0.0, 1.5, _FURTHEST))
        ax.set_ylim(-reach - 0.4, reach + 0.4)
        for height in (-np.log2(APART), np.log2(APART)):
            ax.axhline(height, color=LIMIT, linewidth=0.9, linestyle=(0, (4, 2)))
        ax.axhline(0.0, color=MUTED, linewidth=0.9)
        for place, name in enumerate(names):
            part = rows[rows["quantity"] == name]
            x = place + random.uniform(-0.22, 0.22, len(part))
            height, beyond = part["power"].clip(-reach, reach).to_numpy(), (part["power"].abs() > reach).to_numpy()
            for group, colour in colours.items():
                mine = (part["label"] == group).to_numpy()
                ax.plot(x[mine & ~beyond], height[mine & ~beyond], "o", color=colour, markersize=3.4, alpha=0.75)
                ax.plot(x[mine & beyond], height[mine & beyond], "^", color=colour, markersize=4.5)
            far = part["power"].abs().to_numpy()
            for k in np.argsort(-far, kind="stable")[:MOST_NAMES]:
                if far[k] > np.log2(APART):
                    ax.annotate(
                        str(part["subject"].iloc[k]), (x[k], height[k]), xytext=(4, 0), textcoords="offset points",
                        va="center", fontsize=6.5, color=MUTED,
                    )  # fmt: skip
        ax.yaxis.set_major_locator(FixedLocator(list(range(-int(reach), int(reach) + 1))))
        ax.yaxis.set_major_formatter(
            FuncFormatter(lambda power, _: f"{2**power:g}" if power >= 0 else f"1/{2**-power:g}")
        )
        counts = rows.groupby("quantity").size()
        labels = [f"{printed_name(name)}\nn = {int(counts.get(name, 0))}" for name in names]
        ax.set_xticks(range(len(names)), labels)
        ax.set_xlim(-0.5, len(names) - 0.5)
        ax.set_ylabel("fitted / noncompartmental")
        if len(colours) > 1:
            handles = [
                Line2D([], [], color=c, marker="o", linestyle="", markersize=4, label=g or "no group")
                for g, c in colours.items()
            ]
            figure.legend(handles=handles, loc="outside upper left", ncols=6)
    return figure
