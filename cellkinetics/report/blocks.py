"""The parts that a section of a report is made of; the template draws each by its ``kind``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cellkinetics.report.tables import Table


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = field(default="text", init=False)


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: str = field(default="heading", init=False)


@dataclass(frozen=True)
class Notes:
    """Sentences that must be seen, as a list; ``tone`` is ``warn`` or ``info``."""

    items: Sequence[str]
    tone: str = "warn"
    kind: str = field(default="notes", init=False)


@dataclass(frozen=True)
class Facts:
    """Key numbers, each a value with what it is and a remark."""

    items: Sequence[tuple[str, str, str]]
    kind: str = field(default="facts", init=False)


@dataclass(frozen=True)
class Picture:
    """A figure as SVG text, with its caption and what a reader who cannot see it is told."""

    svg: str
    caption: str
    alternative: str
    kind: str = field(default="picture", init=False)


@dataclass(frozen=True)
class Panels:
    """Small figures in a grid that follows the width of the page, with one legend of marks (SVG, meaning) for all."""

    legend: Sequence[tuple[str, str]]
    svgs: Sequence[tuple[str, str]]
    caption: str
    kind: str = field(default="panels", init=False)


@dataclass(frozen=True)
class Folded:
    """Blocks that are shown on demand (and always printed)."""

    title: str
    blocks: Sequence[Block]
    kind: str = field(default="folded", init=False)


Block = Text | Heading | Notes | Facts | Picture | Panels | Folded | Table


@dataclass(frozen=True)
class Section:
    """A section of a report: its anchor, its title, its blocks."""

    anchor: str
    title: str
    blocks: Sequence[Block]
