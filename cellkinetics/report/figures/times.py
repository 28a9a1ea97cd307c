"""How far actual times are from nominal ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellkinetics.errors import SettingsError
from cellkinetics.report.figures.style import INK, MUTED, dress, group_colours, new_figure, style, time_axis

MOST_NAMES = 6


def times_figure(samples: pd.DataFrame, *, time_unit: str = "day", width: float = 6.5) -> Figure:
    """Return the deviation of each sample, actual less nominal time, over the nominal time.

    The largest deviations are named by their subject. Samples that were left out are not drawn.

    Args:
        samples: rows as in ``samples.csv``.
        time_unit: unit of time, for the labels.
        width: in inches.

    Raises:
        SettingsError: if no sample has both times.
    """
    rows = with_both_times(samples)
    if rows.empty:
        raise SettingsError(
            "the data have no nominal time, so that there is nothing to compare the actual times with; "
            "name its column, such as mapping={'nominal_time': 'NTIME'} in `read` or --map nominal_time=NTIME"
        )
    nominal = rows["nominal_time"].to_numpy(float)
    deviation = rows["time"].to_numpy(float) - nominal
    groups = rows["group"].astype(str)
    colours = group_colours(list(groups))
    with style():
        figure = new_figure(width, 3.4)
        ax = figure.subplots()
        dress(ax)
        ax.axhline(0.0, color=MUTED, linewidth=0.9)
        for name, colour in colours.items():
            here = (groups == name).to_numpy()
            ax.plot(nominal[here], deviation[here], "o", color=colour, markersize=3.6, alpha=0.75, label=name or None)
        largest = np.argsort(-np.abs(deviation), kind="stable")[:MOST_NAMES]
        for i in _apart(nominal, deviation, largest[np.abs(deviation[largest]) > 0]):
            ax.annotate(
                str(rows["subject"].iloc[i]),
                (nominal[i], deviation[i]),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=7,
                color=INK,
            )
        time_axis(ax, float(nominal.min()), float(nominal.max()))
        room = max(1.15 * float(np.abs(deviation).max()), 1e-3)
        ax.set_ylim(-room, room)
        ax.set_xlabel(f"nominal time ({time_unit})")
        ax.set_ylabel(f"actual − nominal ({time_unit})")
        if set(colours) - {""}:
            figure.legend(loc="outside upper left", ncols=6)
    return figure


def _apart(x: np.ndarray, y: np.ndarray, order: np.ndarray) -> list[int]:
    """Return those of the given points whose names would not stand on another one's."""
    wide, high = np.ptp(x) or 1.0, np.ptp(y) or 1.0
    kept: list[int] = []
    for i in order:
        if all(abs(x[i] - x[k]) > 0.08 * wide or abs(y[i] - y[k]) > 0.05 * high for k in kept):
            kept.append(int(i))
    return kept


def with_both_times(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the samples in use that have an actual and a nominal time."""
    known = samples["nominal_time"].notna() if "nominal_time" in samples else pd.Series(False, index=samples.index)
    return samples[known & samples["time"].notna() & (samples["status"] != "excluded")]
