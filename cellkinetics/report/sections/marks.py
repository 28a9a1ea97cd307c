"""Marks of a legend as small SVGs: one legend then serves a whole grid of panels."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cellkinetics.report.figures.style import SURFACE, themed

_DASHES = {
    "LLOQ": "5 3",
    "change point of the fit": "1.5 3",
    "population fit, patient": "6 2.5",
    "extrapolated": "5 3",
    "break that it straddles": "1.5 3",
}


def legend_marks(handles: list[Line2D] | list[Artist]) -> list[tuple[str, str]]:
    """Return each handle of a legend as a mark (SVG) with its meaning."""
    return [(_mark(handle), str(handle.get_label())) for handle in handles]


def _mark(handle: Artist) -> str:
    if isinstance(handle, Patch):
        shape = _area(handle)
    elif isinstance(handle, Line2D):
        shape = _marker(handle) or _line(handle)
    else:
        raise TypeError(f"no mark of a {type(handle).__name__}")
    return f'<svg viewBox="0 0 28 14" width="28" height="14">{shape}</svg>'


def _marker(handle: Line2D) -> str:
    marker, colour, edge = handle.get_marker(), _colour(handle.get_color()), _colour(handle.get_markeredgecolor())
    if marker == "o":
        if handle.get_markerfacecolor() in (SURFACE, "none"):
            radius = 5.2 if handle.get_markersize() > 6 else 3.4
            return f'<circle cx="14" cy="7" r="{radius}" fill="none" stroke="{edge}" stroke-width="1.3"/>'
        return f'<circle cx="14" cy="7" r="{3.6 if handle.get_markersize() > 3 else 2.2}" fill="{colour}"/>'
    if marker == "v":
        return f'<path d="M9.5 3.5h9L14 11.5z" fill="none" stroke="{edge}" stroke-width="1.3"/>'
    if marker == "D":
        return f'<path d="M14 2.8l4.2 4.2l-4.2 4.2l-4.2 -4.2z" fill="none" stroke="{edge}" stroke-width="1.3"/>'
    if marker == "x":
        return f'<path d="M10.5 3.5l7 7m0-7l-7 7" stroke="{colour}" stroke-width="1.3"/>'
    return ""


def _line(handle: Line2D) -> str:
    dash = _DASHES.get(str(handle.get_label()), "none")
    stroke, width = _colour(handle.get_color()), 1.8 if handle.get_linewidth() > 1 else 1.0
    return f'<path d="M0 7H28" stroke="{stroke}" stroke-width="{width}" stroke-dasharray="{dash}"/>'


def _area(handle: Patch) -> str:
    """Return a filled box, or an open one with strokes for a hatch."""
    from matplotlib.colors import to_hex

    if not handle.get_hatch():
        fill = _colour(to_hex(handle.get_facecolor()))
        return f'<rect x="2" y="1.5" width="24" height="11" fill="{fill}" fill-opacity="{handle.get_alpha() or 1:g}"/>'
    colour = _colour(to_hex(handle.get_edgecolor()))
    inside = (
        "M4 12L10 2M11 12L17 2M18 12L24 2" if "/" in str(handle.get_hatch()) else "M4 2L10 12M11 2L17 12M18 2L24 12"
    )
    return (
        f'<rect x="2" y="1.5" width="24" height="11" fill="none" stroke="{colour}"/>'
        f'<path d="{inside}" stroke="{colour}" stroke-width="1.2"/>'
    )


def _colour(colour: object) -> str:
    return themed(str(colour))
