"""Areas: the curve that was integrated, its windows shaded, what is extrapolated hatched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cellkinetics.nca.integrate import interpolate
from cellkinetics.printing import number, window_text
from cellkinetics.report.figures.panels import pages, panel_figure, panel_grid
from cellkinetics.report.figures.profiles import (
    KEY,
    Key,
    Profiles,
    draw_limit,
    draw_samples,
    legend_handles,
    panel_title,
    time_label,
    value_label,
)
from cellkinetics.report.figures.style import (
    FIT,
    INK,
    MUTED,
    SURFACE,
    dress,
    log_axis,
    style,
    time_axis,
)

_SHADE = 0.16
_STEPS = 12


@dataclass(frozen=True, eq=False)
class Areas:
    """What panels of areas are drawn from, of one analyte and specimen.

    Attributes:
        profiles: the samples.
        intervals: rows as in ``nca_intervals.csv``.
    """

    profiles: Profiles
    intervals: pd.DataFrame

    @property
    def keys(self) -> list[Key]:
        """The profiles, in order of first appearance."""
        return self.profiles.keys

    @cached_property
    def windows(self) -> list[str]:
        """The windows, such as ``AUCINT_0_28``, in order of their end."""
        names = {name for text in set(self.intervals["areas"]) for name in str(text).split(";")}
        return sorted((name for name in names if name.startswith("AUCINT_")), key=lambda name: window_ends(name)[::-1])

    def intervals_of(self, key: Key) -> pd.DataFrame:
        """Return the intervals of one profile."""
        return self.intervals.iloc[self._places.get(key, [])]

    @cached_property
    def _places(self) -> Any:
        return self.intervals.groupby([*KEY], sort=False).indices


def window_ends(name: str) -> tuple[float, float]:
    """Return start and end of a window from its column.

    Example:
        >>> window_ends("AUCINT_0_28")
        (0.0, 28.0)
    """
    start, end = name.split("_")[1:3]
    return float(start), float(end)


def area_figure(areas: Areas, key: Key, *, width: float = 3.1, height: float = 2.35) -> Figure:
    """Return one profile with the area of each window shaded, darker where windows overlap.

    The line is the curve that is integrated, by the rule of each interval. Hatched is what lambda_z
    extrapolates: to the end of a window, and pale to infinity. An open diamond at time zero is an imputed
    sample (at the foot of the axis where it is zero), an open triangle a sample below quantification.

    Args:
        areas: samples and intervals of the analyte.
        key: subject, analyte, occasion, specimen.
        width: in inches.
        height: in inches.
    """
    labels = time_label(areas.profiles), value_label(areas.profiles)
    figure = panel_figure(lambda ax: draw_areas(ax, areas, key), width, height, labels)
    if width > 5:
        with style():
            figure.legend(handles=area_handles(areas, key), loc="outside lower left", ncols=3, fontsize=7.5)
    return figure


def area_pages(areas: Areas, *, most: int | None = None) -> Iterator[Figure]:
    """Return pages of twelve panels each; see `area_grid`."""
    return pages(areas.keys[:most], partial(area_grid, areas))


def area_grid(areas: Areas, keys: Sequence[Key]) -> Figure:
    """Return the areas of several profiles, with shared axis labels and a legend."""
    labels = time_label(areas.profiles), value_label(areas.profiles)
    return panel_grid(keys, lambda ax, key: draw_areas(ax, areas, key), labels=labels, handles=area_handles(areas))


def area_handles(areas: Areas, key: Key | None = None) -> list[Artist]:
    """Return the handles of a legend; for one profile with the area of each window."""
    known = {"quantified", "below quantification", "excluded", "LLOQ"}
    handles: list[Artist] = [handle for handle in legend_handles(areas.profiles) if str(handle.get_label()) in known]
    rows = areas.intervals if key is None else areas.intervals_of(key)
    if (rows["start_point"] == "imputed").any():
        handles.append(Line2D([], [], linestyle="", label="imputed time zero", **_diamond()))
    handles.append(Line2D([], [], color=INK, linewidth=1.0, label="integrated curve"))
    if key is None:
        handles.append(Patch(facecolor=FIT, alpha=2 * _SHADE, label=_windows_label(areas.windows)))
    else:
        handles += [_window_patch(rows, name, place) for place, name in enumerate(areas.windows)]
    tails = rows[rows["interval"] == "tail"]
    if tails["end"].notna().any():
        handles.append(Patch(facecolor="none", edgecolor=FIT, hatch="////", label="extrapolated in a window"))
    if tails["end"].isna().any():
        handles.append(Patch(facecolor="none", edgecolor=MUTED, hatch="\\\\\\", label="extrapolated to infinity"))
    return handles


def _windows_label(windows: Sequence[str]) -> str:
    return ", ".join(window_text(name) for name in windows) or "no window"


def _window_patch(rows: pd.DataFrame, name: str, place: int) -> Patch:
    mine = rows[[name in str(text).split(";") for text in rows["areas"]]]
    text = f"{window_text(name)}: {number(mine['area'].sum()) if len(mine) else 'not calculated'}"
    return Patch(facecolor=FIT, alpha=max(_SHADE, _SHADE * (3 - place)), label=text)


def draw_areas(ax: Axes, areas: Areas, key: Key) -> None:
    """Draw one profile and its areas on given axes, with a title; see `area_figure` for the marks."""
    profiles = areas.profiles
    ax.set_title(panel_title(profiles, key), loc="left")
    low, high = profiles.value_limits
    first, last = profiles.time_limits
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    log_axis(ax.yaxis, low, high)
    dress(ax)
    time_axis(ax, first, max([last, *(window_ends(name)[1] for name in areas.windows)]))
    rows = areas.intervals_of(key)
    edge = ax.get_xlim()[1]
    names = [set(str(text).split(";")) for text in rows["areas"]]
    for name in areas.windows:
        here = rows[[name in found for found in names]].sort_values("start")
        tail = here["interval"] == "tail"
        x, y = _curve(here[~tail])
        ax.fill_between(x, low, np.maximum(y, low), color=FIT, alpha=_SHADE, linewidth=0.0)
        _hatch(ax, *_curve(here[tail]), low, FIT, "////")
        if len(here):
            ax.axvline(window_ends(name)[1], color=FIT, linewidth=0.6, alpha=0.6)
    _draw_infinite(ax, rows, low, edge)
    x, y = _curve(rows[rows["interval"] == "whole"])
    ax.plot(x, np.maximum(y, low * 1e-3), color=INK, linewidth=1.0, zorder=3)
    draw_limit(ax, profiles.samples_of(key))
    draw_samples(ax, profiles.samples_of(key), low)
    imputed = rows[rows["start_point"] == "imputed"].head(1)
    (mark,) = ax.plot(
        imputed["start"],
        imputed["start_value"].clip(lower=low),
        linestyle="",
        clip_on=False,
        zorder=4,
        **_diamond(),
    )
    mark.set_in_layout(False)
    if rows.empty:
        ax.text(0.98, 0.97, "nothing integrated", transform=ax.transAxes, ha="right", va="top", fontsize=8, color=MUTED)


def _draw_infinite(ax: Axes, rows: pd.DataFrame, low: float, edge: float) -> None:
    """Draw the exponential to infinity as far as the axis goes: hatched only beyond what windows extrapolate."""
    tails = rows[rows["interval"] == "tail"]
    infinite = tails[tails["end"].isna() & (tails["start"] < edge) & (tails["area"] > 0)].head(1)
    if infinite.empty:
        return
    # lambda_z of a tail to infinity: its area is its height / lambda_z
    rate = infinite["start_value"] / infinite["area"]
    height = infinite["start_value"] * np.exp(-rate * (edge - infinite["start"]))
    x, y = _curve(infinite.assign(end=edge, end_value=height))
    ax.plot(x, np.where(y > low, y, np.nan), color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)), zorder=3)
    begin = tails["end"].max() if tails["end"].notna().any() else infinite["start"].iloc[0]
    beyond = x >= begin
    _hatch(ax, x[beyond], y[beyond], low, MUTED, "\\\\\\")


def _hatch(ax: Axes, x: np.ndarray, y: np.ndarray, low: float, colour: str, hatch: str) -> None:
    ax.fill_between(x, low, np.maximum(y, low), facecolor="none", edgecolor=colour, hatch=hatch, linewidth=0.0)


def _curve(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the curve through intervals that follow each other, by the rule of each."""
    start, end, c1, c2 = (
        np.repeat(rows[name].to_numpy(float), _STEPS) for name in ("start", "end", "start_value", "end_value")
    )
    log = np.repeat((rows["rule"] != "linear").to_numpy(bool), _STEPS) & (c1 > 0) & (c2 > 0) & (c1 != c2)
    x = start + (end - start) * np.tile(np.linspace(0.0, 1.0, _STEPS), len(rows))
    return x, interpolate(x, start, c1, end, c2, log)


def _diamond() -> dict[str, Any]:
    return {
        "marker": "D",
        "markerfacecolor": SURFACE,
        "markeredgecolor": INK,
        "markeredgewidth": 0.8,
        "markersize": 3.8,
        "color": INK,
    }
