"""The look that all figures share: colours, axes, and how a figure becomes a file."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from cellkinetics.printing import superscript

INK = "#1d2530"
MUTED = "#6b7685"
GRID = "#e3e7ec"
FAINT = "#cbd2da"
SURFACE = "#fefefe"
FIT = "#2f6fde"
POPULATION = "#d9730d"
LIMIT = "#b4536a"

GROUPS = ("#2f6fde", "#d9730d", "#1a9c74", "#b4508f", "#c79a00", "#3fa7d6", "#8a63d2", "#7c6a58")
"""Colours of groups, in order of first appearance; told apart in the common colour-vision deficiencies."""

# Colours that follow the page's theme: in inlined SVG they become variables of the page's style sheet.
_THEMED = {INK: "--ink", MUTED: "--muted", GRID: "--grid", FAINT: "--faint", SURFACE: "--surface"}

_RC: Any = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "text.color": INK,
    # Names come from the data: a dollar sign in one is no formula.
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "cellkinetics",
}

_DAYS = (0, 7, 14, 28, 56, 84, 168, 365, 730, 1095, 1825, 3650)


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and saved; settings outside it are left alone."""
    return mpl.rc_context(_RC)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, laid out so that labels never overlap."""
    return Figure(figsize=(width, height), layout="constrained")


def dress(ax: Axes) -> None:
    """Give axes the shared look: no box, a light grid of major ticks."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, which="major", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(which="both", length=3)
    ax.tick_params(which="minor", length=0)


def decade(value: float, _position: int = 0) -> str:
    """Return a power of ten as a tick's text, with superscript digits from 100 on.

    Example:
        >>> decade(1e4), decade(10.0)
        ('10⁴', '10')
    """
    exponent = round(np.log10(value))
    return {0: "1", 1: "10"}.get(exponent, "10" + superscript(exponent))


def plain(value: float, _position: int = 0) -> str:
    """Return a number as a tick's text, thousands set apart.

    Example:
        >>> plain(20000.0), plain(0.5), plain(5e8)
        ('20,000', '0.5', '5e+08')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:g}"


def log_axis(axis: Axis, low: float, high: float) -> None:
    """Give an axis (already on a log scale) ticks at powers of ten, or at 1-2-5 on a short axis."""
    decades = np.log10(high) - np.log10(low)
    if decades < 1.7:
        axis.set_major_locator(LogLocator(base=10.0, subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(plain))
    else:
        axis.set_major_locator(LogLocator(base=10.0 ** max(1, int(np.ceil(decades / 6)))))
        axis.set_major_formatter(FuncFormatter(decade))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def log_limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return limits of a log axis that hold all positive finite values with some room."""
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return 0.1, 10.0
    low, high = float(values.min()), float(values.max())
    # A value beside the largest float would carry the axis to infinity.
    return max(low / 2.0, 1e-290), min(max(high, low * 5.0), 1e290) * 2.0


def uses_root_scale(last: float) -> bool:
    """Return whether a time axis to ``last`` is drawn on a square-root scale, which keeps the peak readable."""
    return last > 120


def days_label(last: float, unit: str) -> str:
    """Return the label of an axis of time to ``last``, which says when its scale is not linear.

    Example:
        >>> days_label(365.0, "day"), days_label(28.0, "day")
        ('Time since infusion (day, square-root scale)', 'Time since infusion (day)')
    """
    return f"Time since infusion ({unit}{', square-root scale' if uses_root_scale(last) else ''})"


def time_axis(ax: Axes, first: float, last: float, *, most: int = 6) -> None:
    """Set the scale, limits and ticks of a time axis from ``first`` to ``last``.

    Follow-up of months hides a peak in the second week, so a long axis has a square-root scale.
    """
    if uses_root_scale(last):
        ax.set_xscale(
            "function", functions=(lambda t: np.sign(t) * np.sqrt(np.abs(t)), lambda s: np.sign(s) * np.square(s))
        )
        ticks = _thinned([day for day in _DAYS if day <= last * 1.02], last, most)
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda day, _: f"{day:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
    room = 0.02 * max(last - min(first, 0.0), 1.0)
    ax.set_xlim(min(first, 0.0) - (0.2 if uses_root_scale(last) else room), last + room)


def _thinned(ticks: Sequence[int], last: float, most: int) -> list[int]:
    """Leave out ticks that would stand closer together than ``1/most`` of a square-root axis."""
    kept: list[int] = []
    for tick in ticks:
        if not kept or np.sqrt(tick) - np.sqrt(kept[-1]) >= np.sqrt(last) / (most + 1.5):
            kept.append(tick)
    return kept


def group_colours(groups: Sequence[str]) -> dict[str, str]:
    """Return a colour for each group, in order of first appearance; colours repeat after the eighth."""
    return {group: GROUPS[i % len(GROUPS)] for i, group in enumerate(dict.fromkeys(groups))}


def save_png(figure: Figure, dpi: int = 150) -> bytes:
    """Return a figure as PNG on a white ground, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with style(), _any_script():
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


@contextlib.contextmanager
def _any_script() -> Iterator[None]:
    """Draw names in scripts that matplotlib's font lacks without a warning; a page has the reader's fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support", category=UserWarning)
        yield


def themed(colour: str) -> str:
    """Return a colour as a page writes it: one that follows the theme is a variable of the style sheet."""
    return f"var({_THEMED[colour]})" if colour in _THEMED else colour


def svg_text(figure: Figure, prefix: str) -> str:
    """Return a figure as an ``<svg>`` element for a page: transparent, in the page's colours and font.

    Args:
        figure: the figure.
        prefix: put before every id, so that several figures can stand in one page.
    """
    buffer = io.StringIO()
    with style(), _any_script():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Its one rule (round joins) would hold for the whole page; the page's style sheet says it for figures.
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    # Only tags are rewritten: what stands between them is text of the data, in which < is escaped.
    return re.sub(r"<[^>]*>", lambda tag: _page_tag(tag[0], prefix), text)


def _page_tag(tag: str, prefix: str) -> str:
    """Return a tag of a figure as it stands in a page."""
    if tag.startswith("<svg"):
        # The size comes from the page; the viewBox keeps the shape.
        tag = re.sub(r' (?:width|height)="[^"]*"', "", tag)
    tag = re.sub(r'\bid="', f'id="{prefix}-', tag)
    tag = tag.replace("url(#", f"url(#{prefix}-").replace('href="#', f'href="#{prefix}-')
    tag = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", tag)
    for colour in _THEMED:
        tag = tag.replace(colour, themed(colour))
    return tag
