"""Forecasts: the samples so far, the curve that is expected, and the bands that curve and samples should stay in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cellkinetics.report.figures.panels import pages, panel_figure, panel_grid
from cellkinetics.report.figures.profiles import (
    KEY,
    Key,
    Profiles,
    draw_limit,
    draw_samples,
    panel_title,
    value_label,
)
from cellkinetics.report.figures.style import (
    FIT,
    INK,
    LIMIT,
    MUTED,
    SURFACE,
    dress,
    log_axis,
    log_limits,
    style,
    time_axis,
    uses_root_scale,
)

CURVE_BAND, SAMPLE_BAND = "#a9c4f4", "#dfe9fb"
_REACH = 30.0
"""A band is drawn down to this factor below what was measured and the limits."""


@dataclass(frozen=True, eq=False)
class Forecasts:
    """What panels of forecasts are drawn from.

    Attributes:
        profiles: the samples.
        table: rows as in ``forecast.csv``.
        until: last day whose samples were used, None for all.
        marks: rows of the same kind at the days that were asked for, where the curve is drawn through others.
    """

    profiles: Profiles
    table: pd.DataFrame
    until: float | None = None
    marks: pd.DataFrame | None = None

    @cached_property
    def keys(self) -> list[Key]:
        """The profiles with a forecast, in order of first appearance."""
        with_forecast = {tuple(map(str, key)) for key in self.table[[*KEY]].drop_duplicates().itertuples(index=False)}
        return [key for key in self.profiles.keys if key in with_forecast]

    @cached_property
    def _places(self) -> dict[Any, Any]:
        return dict(self.table.groupby([*KEY], sort=False).indices)

    def of(self, key: Key) -> pd.DataFrame:
        """Return the forecast of one profile, in order of time."""
        return self.table.iloc[self._places[key]].sort_values("time")

    def marks_of(self, key: Key) -> pd.DataFrame | None:
        """Return the marked days of one profile, None where there are none."""
        if self.marks is None:
            return None
        own = (self.marks[[*KEY]].astype(str) == list(key)).all(axis=1)
        return self.marks[own]

    @cached_property
    def value_limits(self) -> tuple[float, float]:
        """Limits of the value axis, the same for all panels, with the bands as far as they matter."""
        samples = self.profiles.samples
        seen = np.concatenate([samples["value"].to_numpy(float), samples["lloq"].to_numpy(float)])
        low, high = log_limits(seen[seen > 0] if (seen > 0).any() else self.table["median"].to_numpy(float))
        bottom = float(np.nanmin(self.table["low"].where(self.table["low"] > 0)))
        return max(bottom, low / _REACH), max(high, min(1.3 * float(self.table["sample_high"].max()), 30.0 * high))

    @cached_property
    def time_limits(self) -> tuple[float, float]:
        """First and last day of any sample or forecast."""
        first, last = self.profiles.time_limits
        return min(first, float(self.table["time"].min())), max(last, float(self.table["time"].max()))


def forecast_figure(forecasts: Forecasts, key: Key, *, width: float = 6.5, height: float = 4.2) -> Figure:
    """Return one patient's forecast.

    The curve is drawn through many days; diamonds stand on those that were asked for. The dark
    band holds the curve, the light one a new sample, both with a probability of 95 %; the line is the curve at the
    conditional mode (MAP), the dashed one that of a typical patient. Open circles are samples that were not used,
    behind the upright line.

    Args:
        forecasts: samples and forecasts.
        key: subject, analyte, occasion, specimen.
        width: in inches.
        height: in inches.
    """
    labels = _time_label(forecasts), value_label(forecasts.profiles)
    figure = panel_figure(lambda ax: _draw(ax, forecasts, key), width, height, labels, size=8.5)
    with style():
        figure.legend(handles=_legend(forecasts), loc="outside upper left", ncols=4)
    return figure


def forecast_pages(forecasts: Forecasts, *, most: int | None = None) -> Iterator[Figure]:
    """Return pages of twelve panels each; see `forecast_grid`."""
    return pages(forecasts.keys[:most], partial(forecast_grid, forecasts))


def forecast_grid(forecasts: Forecasts, keys: Sequence[Key]) -> Figure:
    """Return panels of several patients, see `forecast_figure`, with shared axis labels and a legend."""
    labels = _time_label(forecasts), value_label(forecasts.profiles)
    return panel_grid(
        keys, lambda ax, key: _draw(ax, forecasts, key), labels=labels, handles=_legend(forecasts), rest=1.1
    )


def _draw(ax: Axes, forecasts: Forecasts, key: Key) -> None:
    ax.set_title(panel_title(forecasts.profiles, key), loc="left")
    low, high = forecasts.value_limits
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    log_axis(ax.yaxis, low, high)
    dress(ax)
    time_axis(ax, *forecasts.time_limits)
    rows, table = forecasts.profiles.samples_of(key), forecasts.of(key)
    time = table["time"].to_numpy(float)
    for name, colour in (("sample_", SAMPLE_BAND), ("", CURVE_BAND)):
        ends = (np.maximum(table[f"{name}{end}"].to_numpy(float), low / 10.0) for end in ("low", "high"))
        ax.fill_between(time, *ends, color=colour, linewidth=0, zorder=1)
    draw_limit(ax, rows)
    for column, colour, dashes, line in (("typical", MUTED, (0, (4, 1.6)), 0.9), ("mode", FIT, "-", 1.5)):
        values = table[column].to_numpy(float)
        shown = np.where(values > low / 10.0, values, np.nan)
        ax.plot(time, shown, color=colour, linestyle=dashes, linewidth=line, zorder=2)
    if (marks := forecasts.marks_of(key)) is not None:
        seen = marks[marks["mode"] > low / 10.0]
        ax.plot(seen["time"], seen["mode"], "D", color=FIT, markersize=4.0, markeredgecolor=SURFACE, zorder=4)
    if forecasts.until is not None:
        ax.axvline(forecasts.until, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        later = rows["time"] > forecasts.until
        _draw_later(ax, rows[later])
        rows = rows[~later]
    draw_samples(ax, rows, low)


def _draw_later(ax: Axes, rows: pd.DataFrame) -> None:
    rows = rows[rows["status"] != "excluded"]
    blq = rows["censored"] == 1
    look: dict[str, Any] = {"markerfacecolor": SURFACE, "markeredgecolor": MUTED, "markeredgewidth": 0.9, "zorder": 3}
    ax.plot(rows["time"][~blq], rows["value"][~blq], "o", markersize=3.8, **look)
    ax.plot(rows["time"][blq], rows["lloq"][blq], "v", markersize=4.2, **look)


def _legend(forecasts: Forecasts) -> list[Line2D | Patch]:
    samples = forecasts.profiles.samples
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=FIT, linewidth=1.5, label="patient (MAP)"),
        Patch(color=CURVE_BAND, linewidth=0, label="curve, 95 %"),
        Patch(color=SAMPLE_BAND, linewidth=0, label="sample, 95 %"),
        Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (4, 1.6)), label="typical patient"),
        Line2D([], [], color=INK, marker="o", linestyle="", markersize=4.5, label="quantified"),
    ]
    if forecasts.marks is not None:
        handles.insert(
            1,
            Line2D(
                [], [], color=FIT, marker="D", markeredgecolor=SURFACE, linestyle="", markersize=5, label="asked day"
            ),
        )
    look: dict[str, Any] = {"linestyle": "", "markerfacecolor": SURFACE}
    if (samples["censored"] == 1).any():
        handles.append(
            Line2D([], [], marker="v", markeredgecolor=INK, markersize=5, label="below quantification", **look)
        )
    if samples["lloq"].notna().any():
        handles.append(Line2D([], [], color=LIMIT, linestyle=(0, (4, 2)), linewidth=0.9, label="LLOQ"))
    if forecasts.until is not None and (samples["time"] > forecasts.until).any():
        handles.append(
            Line2D([], [], marker="o", markeredgecolor=MUTED, markersize=4.5, label="later, not used", **look)
        )
    return handles


def _time_label(forecasts: Forecasts) -> str:
    scale = ", square-root scale" if uses_root_scale(forecasts.time_limits[1]) else ""
    return f"time ({forecasts.profiles.time_unit}{scale})"
