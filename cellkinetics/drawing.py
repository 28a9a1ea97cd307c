"""`.plot()` for results, wherever they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Drawable:
    """A result that draws itself with the package's public `plot`.

    Figures are made in the report layer, which results must not know. The package's table of public
    names is where the two meet, when a figure is asked for.
    """

    def plot(self, kind: str | None = None, **options: Any) -> Figure:
        """Return a figure of this result; see `cellkinetics.plot` for the kinds and options.

        Args:
            kind: which figure; by default the one that belongs to the result.
            options: ``subject``, ``analyte``, ``specimen`` and others of `cellkinetics.plot`.

        Example:
            >>> from cellkinetics import Cohort
            >>> cohort = Cohort.from_arrays([[0, 7, 14]], [[0, 900, 400]], lloq=50, subject=["P01"])
            >>> len(cohort.plot(subject="P01").axes)
            1
        """
        from cellkinetics import plot

        figure: Figure = plot(self, kind=kind, **options)
        return figure
