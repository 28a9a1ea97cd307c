"""Panels: one as a figure of its own, a grid of them in one figure, and pages of such grids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellkinetics.report.figures.style import new_figure, style

COLUMNS, ROWS = 3, 4
"""Panels of profiles beside each other, and below each other on a page."""

Shown = TypeVar("Shown")
"""What one panel shows: a profile, say."""


def pages(
    shown: Sequence[Shown], draw: Callable[[Sequence[Shown]], Figure], size: int = COLUMNS * ROWS
) -> Iterator[Figure]:
    """Yield a figure for each page.

    Args:
        shown: what the panels show.
        draw: makes a figure of what stands on one page.
        size: how much stands on a page.
    """
    for start in range(0, len(shown), size):
        yield draw(shown[start : start + size])


def panel_axes(
    count: int, width: float, height: float, rest: float, *, columns: int = COLUMNS, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure, within `style`, and the axes of its panels, row by row.

    Args:
        count: number of panels.
        width: of the figure, in inches.
        height: of a row of panels, in inches.
        rest: height beside the rows, for a legend and labels.
        columns: most panels beside each other.
        sharex: whether the panels have one axis in common.
    """
    across = min(columns, max(1, count))
    rows = max(1, -(-count // across))
    figure = new_figure(width, rest + height * rows)
    axes = list(figure.subplots(rows, across, squeeze=False, sharex=sharex).flat)
    for ax in axes[count:]:
        ax.set_visible(False)
    return figure, axes[:count]


def panel_figure(
    draw: Callable[[Axes], None], width: float, height: float, labels: tuple[str, str], *, size: float = 7.5
) -> Figure:
    """Return one panel as a figure of its own.

    Args:
        draw: draws it on given axes.
        width: in inches.
        height: in inches.
        labels: of the horizontal and of the vertical axis.
        size: of the labels, in points.
    """
    with style():
        figure = new_figure(width, height)
        ax = figure.subplots()
        draw(ax)
        ax.set_xlabel(labels[0], fontsize=size)
        ax.set_ylabel(labels[1], fontsize=size)
    return figure


def panel_grid(
    shown: Sequence[Shown],
    draw: Callable[[Axes, Shown], None],
    *,
    labels: tuple[str, str],
    handles: Sequence[Artist],
    rest: float = 0.9,
) -> Figure:
    """Return panels with axis labels and a legend that they share.

    Args:
        shown: what each panel shows.
        draw: draws it on given axes.
        labels: of the horizontal and of the vertical axes.
        handles: of the legend.
        rest: height beside the rows, see `panel_axes`.
    """
    with style():
        figure, axes = panel_axes(len(shown), 8.3, 2.3, rest)
        for ax, one in zip(axes, shown, strict=True):
            draw(ax, one)
        figure.supxlabel(labels[0], fontsize=9)
        figure.supylabel(labels[1], fontsize=9)
        figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure
