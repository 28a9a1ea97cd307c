"""Terminal lines: which samples could be points, which are, and what the line says."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cellkinetics.nca.biphasic import find_break
from cellkinetics.printing import number
from cellkinetics.report.figures.panels import pages, panel_figure, panel_grid
from cellkinetics.report.figures.profiles import (
    KEY,
    Key,
    Profiles,
    draw_limit,
    legend_handles,
    panel_title,
    time_name,
    value_label,
)
from cellkinetics.report.figures.style import (
    FIT,
    INK,
    LIMIT,
    MUTED,
    POPULATION,
    SURFACE,
    dress,
    log_axis,
    plain,
)

_FLAGS = {"r2adj_low": "R²adj low", "span_short": "span short", "straddles_break": "straddles the break"}
_BREAK: dict[str, Any] = {"color": POPULATION, "linewidth": 1.0, "linestyle": (0, (1, 2))}


@dataclass(frozen=True, eq=False)
class TerminalLines:
    """What panels of terminal lines are drawn from, of one analyte and specimen.

    Attributes:
        profiles: the samples.
        points: rows as in ``nca_points.csv``.
        parameters: rows as in ``nca.csv``; of these LAMZ, LAMZICPT, LAMZHL, R2ADJ, LAMZNPT and LAMZUL are read.
        tmax_tie: which of several equal maxima is Tmax, as in the analysis.
    """

    profiles: Profiles
    points: pd.DataFrame
    parameters: pd.DataFrame
    tmax_tie: str = "first"

    @property
    def keys(self) -> list[Key]:
        """The profiles, in order of first appearance."""
        return self.profiles.keys

    def points_of(self, key: Key) -> pd.DataFrame:
        """Return the candidates of one profile."""
        return self._points.iloc[self._places["points"].get(key, [])]

    def line_of(self, key: Key) -> dict[str, dict[str, Any]]:
        """Return the rows of one profile's line, by the parameter."""
        rows = self._parameters.iloc[self._places["parameters"].get(key, [])]
        return {str(row["parameter"]): row for row in rows.to_dict("records")}

    def break_of(self, key: Key) -> float:
        """Return where contraction and persistence meet, by the rule of the analysis; NaN for one phase."""
        rows = self.profiles.samples_of(key)
        rows = rows[(rows["status"] != "excluded") & (rows["censored"] != 1) & (rows["value"] > 0)]
        rows = rows[rows["time"] >= 0].sort_values("time")
        if rows.empty:
            return float("nan")
        peaks = np.flatnonzero(rows["value"] == rows["value"].max())
        rows = rows.iloc[int(peaks[-1 if self.tmax_tie == "last" else 0]) :]
        time, value = rows["time"].to_numpy(float)[:, None], rows["value"].to_numpy(float)[:, None]
        with np.errstate(all="ignore"):
            return float(find_break(time, value, np.ones_like(value, bool)).time[0])

    @cached_property
    def _points(self) -> pd.DataFrame:
        return self.points[self.points["role"] == "lambda_z"]

    @cached_property
    def _parameters(self) -> pd.DataFrame:
        wanted = {"LAMZ", "LAMZICPT", "LAMZHL", "LAMZNPT", "LAMZLL", "LAMZUL", "R2ADJ"}
        return self.parameters[self.parameters["parameter"].isin(wanted)]

    @cached_property
    def _places(self) -> dict[str, Any]:
        """Row numbers of each profile in each table: looking a key up must not cost a pass over all rows."""
        tables = {"points": self._points, "parameters": self._parameters}
        return {name: table.groupby([*KEY], sort=False).indices for name, table in tables.items()}


def terminal_figure(lines: TerminalLines, key: Key, *, width: float = 3.1, height: float = 2.35) -> Figure:
    """Return one profile's terminal line.

    Open circles are the samples that could be points, filled ones those that are, crosses those that were left
    out by hand; pale dots are the other quantified samples, open triangles samples below quantification at
    their LLOQ. The line is dashed where it is extrapolated. A dotted line marks the break between contraction
    and persistence where the points lie on both sides of it. The time axis is linear, the value axis
    logarithmic, so that an exponential is straight; the axis ends after the last sample, or
    at three times the last quantified time, and the panel says what is later.

    Args:
        lines: points and parameters of the analyte.
        key: subject, analyte, occasion, specimen.
        width: in inches.
        height: in inches.
    """
    return panel_figure(lambda ax: draw_terminal(ax, lines, key), width, height, _labels(lines.profiles))


def terminal_pages(lines: TerminalLines, *, most: int | None = None) -> Iterator[Figure]:
    """Return pages of twelve panels each; see `terminal_grid`."""
    return pages(lines.keys[:most], partial(terminal_grid, lines))


def terminal_grid(lines: TerminalLines, keys: Sequence[Key]) -> Figure:
    """Return the terminal lines of several profiles, with shared axis labels and a legend."""
    return panel_grid(
        keys,
        lambda ax, key: draw_terminal(ax, lines, key),
        labels=_labels(lines.profiles),
        handles=terminal_handles(lines),
    )


def terminal_handles(lines: TerminalLines) -> list[Line2D]:
    """Return the handles of a legend of the marks that a set of panels uses."""
    points = lines.points[lines.points["role"] == "lambda_z"]
    by_hand = (points["reason_code"] == "excluded_by_hand").any()
    handles = [
        Line2D([], [], color=FIT, marker="o", linestyle="", markersize=4.5, label="point of the line"),
        Line2D([], [], linestyle="", label="candidate, not used", **_open_circle()),
    ]
    if by_hand:
        handles.append(Line2D([], [], color=LIMIT, marker="x", linestyle="", markersize=5, label="left out by hand"))
    handles.append(Line2D([], [], color=MUTED, marker="o", linestyle="", markersize=2.6, label="no candidate"))
    known = {"below quantification", "LLOQ"}
    handles += [handle for handle in legend_handles(lines.profiles) if str(handle.get_label()) in known]
    handles += [
        Line2D([], [], color=FIT, linewidth=1.4, label="terminal line"),
        Line2D([], [], color=FIT, linewidth=1.0, linestyle=(0, (4, 2)), label="extrapolated"),
    ]
    rows = lines.parameters[lines.parameters["parameter"] == "LAMZ"]
    if rows["reason_code"].astype(str).str.contains("straddles_break").any():
        handles.append(Line2D([], [], label="break that it straddles", **_BREAK))
    return handles


def draw_terminal(ax: Axes, lines: TerminalLines, key: Key) -> None:
    """Draw one terminal line on given axes, with a title; see `terminal_figure` for the marks."""
    profiles = lines.profiles
    ax.set_title(panel_title(profiles, key), loc="left")
    low, high = profiles.value_limits
    high *= (high / low) ** 0.35  # room for what is written
    rows, points, line = profiles.samples_of(key), lines.points_of(key), lines.line_of(key)
    end = _end(rows)
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    log_axis(ax.yaxis, low, high)
    dress(ax)
    ax.set_xlim(-0.03 * end, end)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(plain))
    draw_limit(ax, rows)
    _draw_others(ax, rows[rows["time"] <= end], points, low)
    by_hand = points["reason_code"] == "excluded_by_hand"
    used = points["used"].astype(str).str.lower() == "true"
    idle = ~used & ~by_hand
    ax.plot(points["time"][idle], points["value"][idle], linestyle="", zorder=4, **_open_circle())
    ax.plot(points["time"][by_hand], points["value"][by_hand], "x", color=LIMIT, markersize=5, zorder=5)
    ax.plot(points["time"][used], points["value"][used], "o", color=FIT, markersize=4.4, zorder=5)
    rate, intercept = (_value(line, name) for name in ("LAMZ", "LAMZICPT"))
    if np.isfinite(rate) and np.isfinite(intercept):
        _draw_line(ax, rate, intercept, _value(line, "LAMZLL"), _value(line, "LAMZUL"), end)
        straddled = "straddles_break" in str(line["LAMZ"].get("reason_code", ""))
        at = lines.break_of(key) if straddled else float("nan")
        if np.isfinite(at):
            ax.axvline(at, zorder=2, **_BREAK)
    late = rows[(rows["status"] != "excluded") & (rows["time"] > end)]
    more = f"{len(late)} later BLQ, to {number(late['time'].max())} {profiles.time_unit}" if len(late) else ""
    _write(ax, line, profiles.time_unit, more)


def _labels(profiles: Profiles) -> tuple[str, str]:
    return f"{time_name(profiles)} ({profiles.time_unit})", value_label(profiles)


def _end(rows: pd.DataFrame) -> float:
    """Return where the time axis ends: after the last sample that counts, but the decline keeps a third of it."""
    kept = rows[rows["status"] != "excluded"]
    seen = kept[kept["censored"] != 1]
    last = float(np.nanmax((seen if len(seen) else rows)["time"].to_numpy(float), initial=0.0))
    every = float(np.nanmax(kept["time"].to_numpy(float), initial=0.0))
    if last <= 0:
        return 1.0
    return min(1.05 * every, 3.0 * last) if every > 1.3 * last else 1.3 * last


def _draw_others(ax: Axes, rows: pd.DataFrame, points: pd.DataFrame, floor: float) -> None:
    """Draw the samples that could not be points."""
    kept = rows[rows["status"] != "excluded"]
    blq = kept["censored"] == 1
    others = kept[~blq & ~kept["row"].isin(points["row"].dropna().astype(int))]
    ax.plot(others["time"], others["value"], "o", color=MUTED, markersize=2.6, zorder=3)
    limit = kept["lloq"].where(kept["lloq"] > 0, floor * 1.25)
    look: dict[str, Any] = {"markerfacecolor": SURFACE, "markeredgecolor": INK, "markeredgewidth": 0.8}
    (triangles,) = ax.plot(kept["time"][blq], limit[blq], "v", markersize=4.2, clip_on=False, zorder=3, **look)
    triangles.set_in_layout(False)


def _draw_line(ax: Axes, rate: float, intercept: float, lower: float, upper: float, end: float) -> None:
    lower, upper = (edge if np.isfinite(edge) else place for edge, place in ((lower, 0.0), (upper, end)))
    for x, look in (
        (np.array([lower, upper]), {"linewidth": 1.4}),
        (np.array([upper, max(end, upper)]), {"linewidth": 1.0, "linestyle": (0, (4, 2))}),
    ):
        with np.errstate(all="ignore"):
            height = np.exp(intercept - rate * x)
        ax.plot(x, np.where(height > 0, height, np.nan), color=FIT, zorder=4, **look)


def _write(ax: Axes, line: dict[str, dict[str, Any]], time_unit: str, more: str = "") -> None:
    """Write half-life, fit and marks of the line into its panel, or why there is none; and what is not drawn."""
    row = line.get("LAMZ", {})
    half_life = _value(line, "LAMZHL")
    if np.isfinite(half_life):
        texts = [
            f"t½ {number(half_life)} {time_unit}",
            f"R²adj {_fit_text(_value(line, 'R2ADJ'))} · {number(_value(line, 'LAMZNPT'))} points",
        ]
    else:
        reason = str(row.get("reason", "") or "not calculated")
        texts = textwrap.wrap(f"no line: {reason}", 36)[:3]
    flags = str(row.get("reason_code", "") or "") if row.get("status") == "flagged" else ""
    texts += [f"† {_FLAGS.get(flag, flag.replace('_', ' '))}" for flag in flags.split(";") if flag]
    texts += [more] if more else []
    ax.text(
        0.985,
        0.985,
        "\n".join(texts),
        transform=ax.transAxes,
        ha="right",
        va="top",
        fontsize=7,
        linespacing=1.35,
        color=INK if np.isfinite(half_life) else MUTED,
        zorder=6,
        bbox={"facecolor": SURFACE, "edgecolor": "none", "alpha": 0.75, "pad": 1.0},
    )


def _fit_text(r2: float) -> str:
    """Return an R2 with three digits; one that is not exactly 1 does not read as 1."""
    return "–" if np.isnan(r2) else ">0.999" if 0.9995 <= r2 < 1 else f"{r2:.3f}".replace("-", "−")


def _value(line: dict[str, dict[str, Any]], name: str) -> float:
    value = line.get(name, {}).get("value")
    return float("nan") if value is None or value == "" else float(value)


def _open_circle() -> dict[str, Any]:
    return {
        "marker": "o",
        "markerfacecolor": SURFACE,
        "markeredgecolor": FIT,
        "markeredgewidth": 0.9,
        "markersize": 4.4,
        "color": FIT,
    }
