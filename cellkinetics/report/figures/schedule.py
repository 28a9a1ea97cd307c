"""Sampling schedules: what a day tells about each parameter, and the precision that a schedule promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from cellkinetics.report.figures.style import (
    GRID,
    GROUPS,
    INK,
    MUTED,
    dress,
    new_figure,
    plain,
    style,
    time_axis,
)

WEAK_RSE = 50.0
# Parameters have the colours of groups; schedules are told apart by shape and lightness.
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "p")
_SHADES = ("#0b2545", "#8a5a12", "#5b6b7f", "#c99a2e", "#2f4a6d", "#9aa5b1")
_LOWEST, _HIGHEST = 2.0, 1000.0  # RSE in percent between which the axis lies


def schedule_figure(
    days: pd.DataFrame, parameters: pd.DataFrame, schedules: Mapping[str, Sequence[float]], *, width: float = 8.3
) -> Figure:
    """Return the information of days, the schedules below it, and the expected RSE by schedule.

    Above, the share of each parameter's variability between patients that a single sample on a day explains,
    stacked, with the probability that it is quantified. Then a lane for each schedule. Below, the expected
    relative standard errors of a population fit; an arrow stands for one beyond the axis or not estimable.

    Args:
        days: ``day, parameter, explained_percent, quantified_percent``, as in ``schedule_days.csv``.
        parameters: ``schedule, parameter, kind, rse_percent, reason_code``, as in ``schedule_parameters.csv``.
        schedules: name to sampling days, in the order of drawing.
        width: in inches.
    """
    names = list(schedules)
    looks = {name: (_SHAPES[k % len(_SHAPES)], _SHADES[k % len(_SHADES)]) for k, name in enumerate(names)}
    rows = [label for label in dict.fromkeys(parameters["parameter"]) if label]
    lanes = 0.25 * len(names) + 0.25
    heights = [2.6, lanes, 0.23 * len(rows) + 0.5]
    with style():
        figure = new_figure(width, sum(heights) + 0.9)
        top, lane, below = figure.subplots(3, 1, height_ratios=heights)
        last = max(float(days["day"].max()), *(max(chosen) for chosen in schedules.values()))
        _draw_days(top, days, last)
        _draw_lanes(lane, schedules, looks, last)
        _draw_precision(below, parameters, rows, looks)
    return figure


def _draw_days(ax: Axes, days: pd.DataFrame, last: float) -> None:
    wide = days.pivot_table(index="day", columns="parameter", values="explained_percent", sort=False)
    names = list(dict.fromkeys(days["parameter"]))
    shares = wide[names].sort_index()
    bands = ax.stackplot(
        shares.index.to_numpy(float),
        shares.to_numpy(float).T,
        labels=names,
        colors=[GROUPS[k % len(GROUPS)] for k in range(len(names))],
        alpha=0.85,
        linewidth=0.0,
    )
    for band in bands:
        band.set_zorder(2)
    seen = days.groupby("day")["quantified_percent"].first()
    ax.plot(seen.index, seen, color=INK, linewidth=1.0, linestyle="--", label="quantified", zorder=3)
    time_axis(ax, 0.0, last)
    dress(ax)
    ax.set_ylim(0, 100)
    ax.set_ylabel("% explained by one sample")
    ax.set_title("What a sample on a day tells: share of each parameter's variability between patients", loc="left")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.tick_params(labelbottom=False)


def _draw_lanes(
    ax: Axes, schedules: Mapping[str, Sequence[float]], looks: Mapping[str, tuple[str, str]], last: float
) -> None:
    for place, (name, chosen) in enumerate(schedules.items()):
        ax.axhline(place, color=GRID, linewidth=0.6, zorder=1)
        shape, colour = looks[name]
        ax.plot(list(chosen), [place] * len(chosen), shape, color=colour, markersize=4.5, zorder=2)
    time_axis(ax, 0.0, last)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_yticks(range(len(schedules)), list(schedules))
    ax.set_ylim(len(schedules) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("day")


def _draw_precision(
    ax: Axes, parameters: pd.DataFrame, rows: Sequence[str], looks: Mapping[str, tuple[str, str]]
) -> None:
    ax.set_xscale("log")
    ax.set_xlim(_LOWEST, _HIGHEST)
    dress(ax)
    ax.grid(visible=False, axis="y")
    for place in range(len(rows)):
        ax.axhline(place, color=GRID, linewidth=0.6, zorder=1)
    ax.axvline(WEAK_RSE, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
    many = len(looks)
    for k, (name, (shape, colour)) in enumerate(looks.items()):
        own = parameters[(parameters["schedule"] == name) & (parameters["reason_code"] != "fixed")]
        rse = own.set_index("parameter")["rse_percent"]
        aside = 0.0 if many == 1 else 0.5 * (k / (many - 1) - 0.5)
        found = [(place + aside, float(rse[label])) for place, label in enumerate(rows) if label in rse]
        inside = [(y, x) for y, x in found if x <= _HIGHEST]
        beyond = [y for y, x in found if not x <= _HIGHEST]  # NaN as well
        x, y = [max(x, _LOWEST) for _, x in inside], [y for y, _ in inside]
        ax.plot(x, y, shape, color=colour, markersize=4.5, zorder=3)
        ax.plot([_HIGHEST] * len(beyond), beyond, ">", color=colour, markersize=5.5, zorder=3, clip_on=False)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(LogLocator(base=10.0, subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(plain))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("expected relative standard error (%)")
    ax.set_title("What a population fit can expect", loc="left")
