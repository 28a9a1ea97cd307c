"""Individual profiles: samples, limit of quantification, fits with their change points and phases, a panel each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellkinetics.data.cohort import series_name
from cellkinetics.report.figures.panels import pages, panel_figure, panel_grid
from cellkinetics.report.figures.style import (
    FIT,
    INK,
    LIMIT,
    MUTED,
    POPULATION,
    SURFACE,
    dress,
    log_axis,
    log_limits,
    time_axis,
    uses_root_scale,
)

Key = tuple[str, str, str, str]
"""Subject, analyte, occasion, specimen: what one profile is."""
KEY = ("subject", "analyte", "occasion", "specimen")

CHANGE_POINTS = ("t0", "tlag", "tmax")
"""Parameters of a model that are days on which its curve has a corner."""
PHASES = {"contraction": "#1a9c74", "persistence": "#8a63d2"}
"""Columns of ``individual_curves.csv`` that are a phase of the decline each, and their colours."""
BAND = "#f6cfa8"
"""Colour of the interval of a patient's curve in the population fit."""
_DOTTED = (0, (1, 2))
_DASHED = (0, (4, 1.6))


@dataclass(frozen=True, eq=False)
class Profiles:
    """What panels of one analyte and specimen are drawn from.

    Attributes:
        samples: rows as in ``samples.csv``, of one analyte and specimen.
        curves: rows as in ``individual_curves.csv`` (`KEY`, ``time, predicted``, and the `PHASES` where it has them).
        population: rows as in ``population_curves.csv``; ``typical``, ``predicted_low`` and ``predicted_high`` are
            drawn where they are there.
        breaks: profile to the change points of its fit, each a parameter and its day; see `change_points`.
        outliers: samples (`KEY`, ``time``) that stand far from the individual fit.
        notes: profile to a short remark that stands in the panel (why there is no fit, say).
        time_unit, value_unit: labels of the axes.
        time_kind: which times ``samples`` has in its column ``time``, see `at`.
    """

    samples: pd.DataFrame
    curves: pd.DataFrame | None = None
    population: pd.DataFrame | None = None
    breaks: Mapping[Key, Mapping[str, float]] = field(default_factory=dict)
    outliers: pd.DataFrame | None = None
    notes: Mapping[Key, str] = field(default_factory=dict)
    time_unit: str = "day"
    value_unit: str = ""
    time_kind: Literal["actual", "nominal"] = "actual"

    def at(self, time: str) -> Profiles:
        """Return the profiles with the times that an analysis used, ``actual`` or ``nominal`` (`NCAOptions.time`)."""
        if time == self.time_kind or time != "nominal" or "nominal_time" not in self.samples:
            return self
        return replace(self, samples=self.samples.assign(time=self.samples["nominal_time"]), time_kind="nominal")

    @cached_property
    def keys(self) -> list[Key]:
        """The profiles, in order of first appearance."""
        columns = self.samples[[*KEY]].drop_duplicates()
        return [(str(s), str(a), str(o), str(m)) for s, a, o, m in columns.itertuples(index=False) if s]

    def samples_of(self, key: Key) -> pd.DataFrame:
        """Return the samples of one profile."""
        return self.samples.iloc[self._places["samples"].get(key, [])]

    def curve_of(self, source: Literal["curves", "population"], key: Key) -> pd.DataFrame | None:
        """Return one profile's curve of the individual or the population fit, or None."""
        table = getattr(self, source)
        return None if table is None else table.iloc[self._places[source].get(key, [])]

    def outliers_of(self, key: Key) -> pd.DataFrame:
        """Return the samples of one profile that stand far from its fit."""
        rows = self.samples_of(key)
        if self.outliers is None:
            return rows.iloc[:0]
        days = self.outliers["time"].iloc[self._places["outliers"].get(key, [])]
        return rows[rows["time"].isin(days) & (rows["status"] != "excluded")]

    @cached_property
    def _places(self) -> dict[str, Any]:
        """Row numbers of each profile in each table: looking a key up must not cost a pass over all rows."""
        tables = {name: getattr(self, name) for name in ("samples", "curves", "population", "outliers")}
        return {name: table.groupby([*KEY], sort=False).indices for name, table in tables.items() if table is not None}

    @cached_property
    def value_limits(self) -> tuple[float, float]:
        """Limits of the value axis that hold every sample, LLOQ and fitted peak, the same for all panels."""
        samples = self.samples
        low, high = log_limits(np.concatenate([samples["value"].to_numpy(float), samples["lloq"].to_numpy(float)]))
        if self.curves is not None and len(self.curves):
            # A peak far beyond all samples is seen to leave the panel; it must not flatten the others.
            high = max(high, min(1.5 * float(np.nanmax(self.curves["predicted"], initial=0.0)), 10.0 * high))
        return low, high

    @cached_property
    def time_limits(self) -> tuple[float, float]:
        """First and last time of any sample."""
        times = self.samples["time"].to_numpy(float)
        times = times[np.isfinite(times)]
        return (float(times.min()), float(times.max())) if times.size else (0.0, 1.0)


def profile_figure(profiles: Profiles, key: Key, *, width: float = 3.1, height: float = 2.35) -> Figure:
    """Return one patient's panel.

    Filled circles are quantified samples, open triangles samples below quantification at their LLOQ
    (at the foot of the axis where no LLOQ is known), crosses excluded samples, circles around a sample mark
    one far from the fit. The dashed line is the LLOQ; dotted lines are the change points of the fit, with
    their names; thin lines are contraction and persistence, whose sum is the fitted decline. The value
    axis is logarithmic.

    Args:
        profiles: samples and curves of the analyte.
        key: subject, analyte, occasion, specimen.
        width: in inches.
        height: in inches.
    """
    return panel_figure(lambda ax: draw_profile(ax, profiles, key), width, height, _labels(profiles))


def profile_pages(profiles: Profiles, *, most: int | None = None) -> Iterator[Figure]:
    """Return pages of twelve panels each; see `profile_grid`.

    Args:
        profiles: samples and curves of the analyte.
        most: draw only this many profiles, the first in the file.
    """
    return pages(profiles.keys[:most], partial(profile_grid, profiles))


def profile_grid(profiles: Profiles, keys: Sequence[Key]) -> Figure:
    """Return panels of several profiles, with shared axis labels and a legend."""
    return panel_grid(
        keys,
        lambda ax, key: draw_profile(ax, profiles, key),
        labels=_labels(profiles),
        handles=legend_handles(profiles),
    )


def draw_profile(ax: Axes, profiles: Profiles, key: Key) -> None:
    """Draw one profile on given axes, with a title; see `profile_figure` for the marks."""
    ax.set_title(panel_title(profiles, key), loc="left")
    low, high = profiles.value_limits
    first, last = profiles.time_limits
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    log_axis(ax.yaxis, low, high)
    dress(ax)
    time_axis(ax, first, last)

    rows = profiles.samples_of(key)
    draw_limit(ax, rows)
    population, fitted = profiles.curve_of("population", key), profiles.curve_of("curves", key)
    _draw_band(ax, population)
    _draw_curve(ax, population, "typical", MUTED, "-", 0.9)
    _draw_curve(ax, population, "predicted", POPULATION, _DASHED, 1.3)
    for phase, colour in PHASES.items():
        _draw_curve(ax, fitted, phase, colour, "-", 0.9)
    _draw_curve(ax, fitted, "predicted", FIT, "-", 1.5)
    _draw_breaks(ax, {name: day for name, day in profiles.breaks.get(key, {}).items() if first <= day <= last})
    draw_samples(ax, rows, low)
    _draw_outliers(ax, profiles.outliers_of(key))
    if key in profiles.notes:
        ax.text(0.98, 0.97, profiles.notes[key], transform=ax.transAxes, ha="right", va="top", fontsize=8, color=MUTED)


def legend_handles(profiles: Profiles) -> list[Line2D]:
    """Return the handles of a legend of the marks that a set of panels uses."""
    samples = profiles.samples
    handles = [Line2D([], [], color=INK, marker="o", linestyle="", markersize=4.5, label="quantified")]
    if (samples["censored"] == 1).any():
        handles.append(_open_triangle("below quantification"))
    if (samples["status"] == "excluded").any():
        handles.append(Line2D([], [], color=MUTED, marker="x", linestyle="", markersize=4.5, label="excluded"))
    if samples["lloq"].notna().any():
        handles.append(Line2D([], [], color=LIMIT, linestyle=(0, (4, 2)), linewidth=0.9, label="LLOQ"))
    if profiles.outliers is not None and len(profiles.outliers):
        handles.append(_ring("far from the fit"))
    if profiles.curves is not None:
        handles.append(Line2D([], [], color=FIT, linewidth=1.5, label="individual fit"))
        for phase, colour in PHASES.items():
            if phase in profiles.curves and profiles.curves[phase].notna().any():
                handles.append(Line2D([], [], color=colour, linewidth=0.9, label=phase))
    if any(profiles.breaks.values()):
        handles.append(Line2D([], [], color=FIT, linewidth=0.9, linestyle=_DOTTED, label="change point of the fit"))
    if profiles.population is not None:
        handles.append(
            Line2D([], [], color=POPULATION, linewidth=1.3, linestyle=_DASHED, label="population fit, patient")
        )
        if "predicted_low" in profiles.population:
            handles.append(Line2D([], [], color=BAND, linewidth=6, label="population fit, patient, 95 %"))
        if "typical" in profiles.population:
            handles.append(Line2D([], [], color=MUTED, linewidth=0.9, label="population fit, typical"))
    return handles


def change_points(table: pd.DataFrame | None) -> dict[Key, dict[str, float]]:
    """Return the change points of each profile's fit, among the rows of ``individual.csv``, in order of time."""
    if table is None:
        return {}
    rows = table[table["parameter"].isin(CHANGE_POINTS) & table["estimate"].notna()].sort_values("estimate")
    found: dict[Key, dict[str, float]] = {}
    for s, a, o, m, name, day in rows[[*KEY, "parameter", "estimate"]].itertuples(index=False):
        found.setdefault((str(s), str(a), str(o), str(m)), {})[str(name)] = float(day)
    return found


def panel_title(profiles: Profiles, key: Key) -> str:
    """Return a panel's title: subject, occasion if there is one, and group."""
    rows = profiles.samples_of(key)
    group = str(rows["group"].iloc[0]) if len(rows) else ""
    return " · ".join(part for part in (key[0], key[2], group) if part)


def _labels(profiles: Profiles) -> tuple[str, str]:
    return time_label(profiles), value_label(profiles)


def time_label(profiles: Profiles) -> str:
    """Return the label of the time axis, which says when its scale is not linear."""
    scale = ", square-root scale" if uses_root_scale(profiles.time_limits[1]) else ""
    return f"{time_name(profiles)} ({profiles.time_unit}{scale})"


def time_name(profiles: Profiles) -> str:
    """Return what the times are called: nominal ones are told."""
    return "time" if profiles.time_kind == "actual" else "nominal time"


def value_label(profiles: Profiles) -> str:
    """Return the label of the value axis: analyte, specimen and unit."""
    kinds = profiles.samples[["analyte", "specimen"]].drop_duplicates()
    name = (series_name(*kinds.iloc[0]) if len(kinds) == 1 else "") or "value"
    return f"{name} ({profiles.value_unit})" if profiles.value_unit else name


def draw_limit(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw the LLOQ: a line if it is one number for all samples, steps between samples if not."""
    known = rows[rows["lloq"].notna() & rows["time"].notna()].sort_values("time")
    if known.empty:
        return
    look: dict[str, Any] = {"color": LIMIT, "linewidth": 0.9, "linestyle": (0, (4, 2))}
    limits = known["lloq"].to_numpy(float)
    if np.ptp(limits) == 0:
        ax.axhline(limits[0], **look)
    else:
        ax.step(known["time"].to_numpy(float), limits, where="mid", **look)


def _draw_curve(ax: Axes, table: pd.DataFrame | None, column: str, colour: str, dashes: object, width: float) -> None:
    if table is None or column not in table or table.empty:
        return
    rows = table.sort_values("time")
    values = rows[column].to_numpy(float)
    seen = values > ax.get_ylim()[0] / 10.0
    if not seen.any():
        return
    ax.plot(
        rows["time"].to_numpy(float),
        np.where(seen, values, np.nan),
        color=colour,
        linestyle=dashes,
        linewidth=width,
    )


def _draw_band(ax: Axes, table: pd.DataFrame | None) -> None:
    """Draw the interval of a patient's curve in the population fit, where there is one."""
    if table is None or "predicted_low" not in table or table.empty:
        return
    rows = table.sort_values("time")
    floor = ax.get_ylim()[0] / 10.0
    low, high = (np.maximum(rows[f"predicted_{end}"].to_numpy(float), floor) for end in ("low", "high"))
    ax.fill_between(rows["time"].to_numpy(float), low, high, color=BAND, alpha=0.55, linewidth=0, zorder=1)


def _draw_breaks(ax: Axes, breaks: Mapping[str, float]) -> None:
    """Draw change points with their names, where a profile leaves room: below its peak, above what precedes growth."""
    look: dict[str, Any] = {"rotation": 90, "va": "center", "fontsize": 6.5, "color": FIT}
    for name, day in breaks.items():
        ax.axvline(day, color=FIT, linewidth=0.9, linestyle=_DOTTED)
        side, height = ("left", 0.24) if name == "tmax" else ("right", 0.6)
        ax.text(day, height, name, transform=ax.get_xaxis_transform(), ha=side, **look)


def _draw_outliers(ax: Axes, rows: pd.DataFrame) -> None:
    if len(rows):
        height = rows["value"].where(rows["censored"] == 0, rows["lloq"])
        ring = _ring("")
        ax.plot(
            rows["time"],
            height,
            "o",
            markersize=ring.get_markersize(),
            markerfacecolor="none",
            markeredgecolor=LIMIT,
            markeredgewidth=1.1,
            zorder=4,
        )


def draw_samples(ax: Axes, rows: pd.DataFrame, floor: float) -> None:
    """Draw samples by what they are: quantified, below quantification at their LLOQ, or excluded."""
    excluded = rows["status"] == "excluded"
    blq = (rows["censored"] == 1) & ~excluded
    seen = ~blq & ~excluded
    # Where no limit is known the triangle stands at the foot of the axis: below quantification, height unknown.
    height = rows["lloq"].where(rows["lloq"] > 0, floor * 1.25)
    ax.plot(rows["time"][seen], rows["value"][seen], "o", color=INK, markersize=3.6, zorder=3)
    (triangles,) = ax.plot(
        rows["time"][blq],
        height[blq],
        "v",
        markerfacecolor=SURFACE,
        markeredgecolor=INK,
        markeredgewidth=0.8,
        markersize=4.4,
        clip_on=False,
        zorder=3,
    )
    # Marks that may stick out of the axes have no bounds where there are none of them: the layout would collapse.
    triangles.set_in_layout(False)
    ax.plot(rows["time"][excluded], rows["value"][excluded], "x", color=MUTED, markersize=4.2, zorder=3)


def _ring(label: str) -> Line2D:
    look: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": LIMIT, "markeredgewidth": 1.1}
    return Line2D([], [], marker="o", linestyle="", markersize=8, label=label, **look)


def _open_triangle(label: str) -> Line2D:
    return Line2D(
        [],
        [],
        marker="v",
        linestyle="",
        markerfacecolor=SURFACE,
        markeredgecolor=INK,
        markeredgewidth=0.8,
        markersize=5,
        label=label,
    )
