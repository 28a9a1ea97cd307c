"""What holds for a whole file, for the reading of a part of it: no part can tell by its own rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cellkinetics.data.column import Column


@dataclass(frozen=True)
class Whole:
    """What the rows of all parts say together.

    Attributes:
        points: columns whose labels keep what stands behind a point, see `Column.points`.
        kinds: column to ``number``, ``text`` or ``none``, see `Column.kind`; others decide for themselves.
        comma: whether a comma is the decimal mark.
        nominal: whether there is a nominal time anywhere.
    """

    points: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    comma: bool = False
    nominal: bool = True

    def column(self, part: Column) -> Column:
        """Return a column of a part as it is in the whole file."""
        name = part.name
        return replace(part, comma=self.comma, points=name in self.points, kind=self.kinds.get(name, ""))
