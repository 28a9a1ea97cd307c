"""`.plot()` for results, wherever they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Drawable:
    """A result that draws itself with the package's public `plot`.

    Figures are made in the report layer, which results must not know. The package's table of public
    names is where the two meet, when a figure is asked for.
    """

    def plot(self, *, subject: str | None = None, analyte: str | None = None) -> Figure:
        """Return the figure that belongs to this result; see `cellkinetics.plot` for what it shows.

        Args:
            subject: draw this subject's first profile alone.
            analyte: of several, the one to draw; by default the first.

        Example:
            >>> from cellkinetics import Cohort
            >>> cohort = Cohort.from_arrays([[0, 7, 14]], [[0, 900, 400]], lloq=50, subject=["P01"])
            >>> len(cohort.plot(subject="P01").axes)
            1
        """
        from cellkinetics import plot

        figure: Figure = plot(self, subject=subject, analyte=analyte)
        return figure
