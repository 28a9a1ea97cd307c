"""Profiles of the likelihood: how far -2LL rises as one parameter is moved and the others follow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from cellkinetics.printing import unit_text
from cellkinetics.report.figures.panels import pages
from cellkinetics.report.figures.profiles import KEY, Key
from cellkinetics.report.figures.style import (
    FIT,
    INK,
    LIMIT,
    MUTED,
    POPULATION,
    decade,
    dress,
    plain,
    style,
)

ROWS = 6
"""Patients on a page."""
_DASHED = (0, (4, 2))
_HEIGHT = 1.9  # of the axis, in rises at the ends of the interval
_PLAIN_RISE = 3.84  # that of chi-squared, which gives the axis its height where there is no other
_DECADES = 100.0  # ends of an axis further apart than this factor have ticks at powers of ten
_WIDEST = 1e4  # from the least to the greatest value of a parameter's axis, around its estimate or the minimum


@dataclass(frozen=True, eq=False)
class LikelihoodProfiles:
    """What profiles of the likelihood are drawn from.

    Attributes:
        points: rows as in ``individual_profiles.csv`` (`KEY`, ``parameter, value, delta, rise``).
        estimates: rows as in ``individual.csv``.
        linear: parameters on a linear axis; others have a logarithmic one.
    """

    points: pd.DataFrame
    estimates: pd.DataFrame
    linear: Collection[str] = ()

    @cached_property
    def keys(self) -> list[Key]:
        """The profiles that have points, in order of first appearance."""
        columns = self.points[[*KEY]].drop_duplicates()
        return [(str(s), str(a), str(o), str(m)) for s, a, o, m in columns.itertuples(index=False)]

    @cached_property
    def parameters(self) -> list[str]:
        """All parameters that have a profile in some patient, in their order."""
        present = set(self.points["parameter"])
        return [name for name in dict.fromkeys(self.estimates["parameter"]) if name in present]

    @cached_property
    def _places(self) -> dict[str, Mapping[Any, Any]]:
        tables = {"points": self.points, "estimates": self.estimates}
        return {name: table.groupby([*KEY, "parameter"], sort=False).indices for name, table in tables.items()}

    def points_of(self, key: Key, parameter: str) -> pd.DataFrame:
        """Return the points of one parameter, in order of its value."""
        return self.points.iloc[self._places["points"].get((*key, parameter), [])].sort_values("value")

    def estimate_of(self, key: Key, parameter: str) -> Mapping[str, Any]:
        """Return the row of one parameter in ``individual.csv``."""
        rows = self.estimates.iloc[self._places["estimates"].get((*key, parameter), [])]
        return {} if rows.empty else {str(name): value for name, value in rows.iloc[0].items()}


def likelihood_figure(profiles: LikelihoodProfiles, key: Key, *, width: float = 8.3) -> Figure:
    """Return one patient's profiles, a panel for each parameter.

    The line is the rise of -2LL above its least value, the dashed line the rise at the ends of the 95 %
    interval. Upright lines are the ends that the profile has; the bar at the foot is the Wald interval with
    the estimate. A parameter without an estimate says why; a profile that stays below the dashed line to
    one side has no end there.

    Args:
        profiles: points and estimates.
        key: subject, analyte, occasion, specimen.
        width: in inches.
    """
    names = [name for name in profiles.parameters if len(profiles.points_of(key, name))]
    columns = min(4, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    with style():
        figure, grid = _laid_out(width, 1.85 * rows + 0.5, rows, columns, between=(0.42, 0.62))
        for ax, name in zip(grid.flat, names, strict=False):
            draw_likelihood(ax, profiles, key, name)
            ax.set_title(_title(profiles, key, name), loc="left")
        for ax in grid.flat[len(names) :]:
            ax.set_visible(False)
        _dress(figure)
    return figure


def likelihood_pages(profiles: LikelihoodProfiles, *, most: int | None = None) -> Iterator[Figure]:
    """Return pages of six patients each; see `likelihood_grid`."""
    return pages(profiles.keys[:most], partial(likelihood_grid, profiles), size=ROWS)


def likelihood_grid(profiles: LikelihoodProfiles, keys: Sequence[Key]) -> Figure:
    """Return the profiles of several patients: a row a patient, a column a parameter; see `likelihood_figure`."""
    names = profiles.parameters
    with style():
        rows, columns = max(1, len(keys)), max(1, len(names))
        size = max(8.3, 1.6 * columns), 0.7 + 1.45 * rows
        figure, grid = _laid_out(*size, rows, columns, between=(0.32, 0.34), left=0.72)
        for k, (row, key) in enumerate(zip(grid, keys, strict=False)):
            for ax, name in zip(row, names, strict=False):
                draw_likelihood(ax, profiles, key, name)
                ax.tick_params(labelsize=6.5)
                if k == 0:
                    ax.set_title(_title(profiles, key, name), loc="left", fontsize=8)
            row[0].set_ylabel(" · ".join(part for part in (key[0], key[2]) if part), fontsize=8, fontweight="bold")
        _dress(figure)
    return figure


def _laid_out(
    width: float, height: float, rows: int, columns: int, *, between: tuple[float, float], left: float = 0.55
) -> tuple[Figure, Any]:
    """Return a figure and its axes at fixed distances in inches: to lay a hundred axes out by trial takes seconds."""
    figure = Figure(figsize=(width, height))
    right, bottom, top, (across, down) = 0.1, 0.3, 0.55, between
    panel = (width - left - right - (columns - 1) * across) / columns
    tall = (height - bottom - top - (rows - 1) * down) / rows
    figure.subplots_adjust(
        left=left / width,
        right=1.0 - right / width,
        bottom=bottom / height,
        top=1.0 - top / height,
        wspace=across / panel,
        hspace=down / tall,
    )
    return figure, figure.subplots(rows, columns, squeeze=False)


def _dress(figure: Figure) -> None:
    width, height = figure.get_size_inches()
    figure.text(0.08 / width, 0.5, "rise of -2LL", rotation=90, va="center", ha="left", fontsize=8)
    place = (0.0, 1.0 - 0.02 / height)
    figure.legend(handles=likelihood_handles(), loc="upper left", bbox_to_anchor=place, ncols=4, borderaxespad=0.0)


def draw_likelihood(ax: Axes, profiles: LikelihoodProfiles, key: Key, parameter: str) -> None:
    """Draw the profile of one parameter on given axes; see `likelihood_figure` for the marks."""
    dress(ax)
    rows, row = profiles.points_of(key, parameter), profiles.estimate_of(key, parameter)
    value, delta = rows["value"].to_numpy(float), rows["delta"].to_numpy(float)
    logarithmic = parameter not in profiles.linear
    usable = np.isfinite(value) & np.isfinite(delta) & ((value > 0) | (not logarithmic))
    value, delta = value[usable], delta[usable]
    if not len(value):
        ax.text(0.5, 0.5, "not searched", transform=ax.transAxes, ha="center", va="center", color=MUTED, fontsize=7)
        ax.set_xticks([])
        ax.set_yticks([])
        return
    rise = float(rows["rise"].iloc[0])
    # Without degrees of freedom no rise ends an interval: the profile is drawn all the same.
    bounded, rise = np.isfinite(rise), rise if np.isfinite(rise) else _PLAIN_RISE
    ax.set_ylim(-0.12 * rise, _HEIGHT * rise)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    fine = _between(value, np.minimum(delta, 1e3 * rise), logarithmic)
    _value_axis(ax, *fine, rise, row, logarithmic)
    ax.plot(*fine, color=FIT, linewidth=1.3)
    ax.plot(value, delta, "o", color=FIT, markersize=1.8)
    if bounded:
        ax.axhline(rise, color=LIMIT, linewidth=0.9, linestyle=_DASHED)
    for side in ("profile_low", "profile_high"):
        if _is_number(row.get(side)):
            ax.vlines(float(row[side]), -0.12 * rise, rise, color=LIMIT, linewidth=0.9)
    if _is_number(row.get("estimate")):
        if _is_number(row.get("ci_low")) and _is_number(row.get("ci_high")):
            ax.plot([row["ci_low"], row["ci_high"]], [0.0, 0.0], color=POPULATION, linewidth=2.2, alpha=0.8)
        ax.plot([row["estimate"]], [0.0], "o", color=INK, markersize=3.4, zorder=4)
    elif row:
        code = str(row.get("reason_code", "")).replace("_", " ").replace(";", "\n")
        ax.text(0.97, 0.95, code, transform=ax.transAxes, ha="right", va="top", fontsize=6.5, color=MUTED)


def likelihood_handles() -> list[Line2D]:
    """Return the handles of a legend of these figures."""
    return [
        Line2D([], [], color=FIT, linewidth=1.3, label="profile of -2LL"),
        Line2D([], [], color=LIMIT, linewidth=0.9, linestyle=_DASHED, label="rise at the ends of a 95 % interval"),
        Line2D([], [], color=LIMIT, linewidth=0.9, label="ends by the profile"),
        Line2D([], [], color=POPULATION, linewidth=2.2, marker="o", markerfacecolor=INK, markeredgecolor=INK,
               markersize=3.4, label="estimate with Wald interval"),
    ]  # fmt: skip


def _value_axis(
    ax: Axes, value: np.ndarray, delta: np.ndarray, rise: float, row: Mapping[str, Any], logarithmic: bool
) -> None:
    """Give the axis of the parameter the range in which something happens."""
    inside = value[delta <= _HEIGHT * rise]
    ends = [float(row[name]) for name in ("profile_low", "profile_high") if _is_number(row.get(name))]
    low, high = float(min([*inside, *ends])), float(max([*inside, *ends]))
    if not logarithmic:
        room = 0.06 * (high - low) or 1.0
        ax.set_xlim(low - room, high + room)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
        ax.xaxis.set_major_formatter(FuncFormatter(plain))
        return
    middle = float(value[np.argmin(delta)])
    low, high = max(low, middle / _WIDEST), min(high, middle * _WIDEST)
    low, high = low / max((high / low) ** 0.06, 1.05), high * max((high / low) ** 0.06, 1.05)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = few_ticks(low, high)
    wide = high / low > _DECADES
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(decade if wide else plain))
    ax.xaxis.set_minor_locator(NullLocator())


def few_ticks(low: float, high: float, most: int = 3) -> list[float]:
    """Return a few round numbers within the limits of a short logarithmic axis.

    Example:
        >>> few_ticks(1e-6, 2.0), few_ticks(1500.0, 2e4), few_ticks(7.1, 8.6)
        ([1e-06, 0.0001, 0.01, 1.0], [2000.0, 10000.0], [7.5, 8.0, 8.5])
    """
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    if high / low > _DECADES:
        exponents = [k for k in range(first, last + 1) if low <= 10.0**k <= high]
        return [float(f"1e{k}") for k in exponents[:: -(-len(exponents) // (most + 1))]]
    round_ones = [float(f"{m}e{k}") for k in range(first, last + 1) for m in (1, 2, 5)]
    inside = [tick for tick in round_ones if low <= tick <= high]
    if len(inside) < 2:
        inside = [float(tick) for tick in MaxNLocator(nbins=most).tick_values(low, high) if low <= tick <= high]
    return inside[:: -(-len(inside) // most)]


def _between(value: np.ndarray, delta: np.ndarray, logarithmic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fill the steps between the points: the root of the rise is straight where -2LL is a parabola."""
    x = np.log(value) if logarithmic else value
    fine = np.unique(np.concatenate([x, np.linspace(x[:-1], x[1:], 12).ravel()])) if len(x) > 1 else x
    filled = np.interp(fine, x, np.sqrt(np.maximum(delta, 0.0))) ** 2
    return np.exp(fine) if logarithmic else fine, filled


def _title(profiles: LikelihoodProfiles, key: Key, name: str) -> str:
    unit = unit_text(str(profiles.estimate_of(key, name).get("unit", "")))
    return f"{name} ({unit})" if unit else name


def _is_number(value: object) -> bool:
    return isinstance(value, (float, int, np.floating, np.integer)) and bool(np.isfinite(value))
