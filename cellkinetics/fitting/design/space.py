"""Which schedules a search may choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.design.patients import checked_days

Index = tuple[int, ...]
"""A schedule as places among the admissible days, in rising order."""


@dataclass(frozen=True)
class Space:
    """The schedules that are allowed: places among ``days``, some of them kept, with a least gap.

    Attributes:
        days: admissible and fixed days, in rising order.
        kept: places of the fixed days.
        n: number of samples.
        gap: least number of days between two samples.

    Example:
        >>> space = Space.of([1, 2, 5, 9], [5], 3, 2.0)
        >>> space.on(space.spread())
        (2.0, 5.0, 9.0)
    """

    days: tuple[float, ...]
    kept: Index
    n: int
    gap: float

    @classmethod
    def of(cls, admissible: Iterable[float], fixed_days: Iterable[float], n: int, gap: float) -> Space:
        """Return the space of the options of a search.

        Raises:
            SettingsError: for options out of their range, or days that cannot hold that many samples.
        """
        given = tuple(fixed_days)
        fixed = checked_days(given, "fixed_days") if given else ()
        days = checked_days({*checked_days(admissible, "admissible"), *fixed}, "admissible")
        if not 0 <= gap < np.inf:
            raise SettingsError(f"min_gap is {gap}; give a number of days of at least 0")
        if n < len(fixed) + 1:
            raise SettingsError(f"n_samples is {n} and {len(fixed)} days are fixed: there is nothing to search")
        space = cls(days, tuple(days.index(day) for day in fixed), n, gap)
        if any(b - a < gap for a, b in pairwise(fixed)):
            raise SettingsError(f"fixed_days stand closer together than min_gap, {gap:g} days")
        most = len(space._packed())
        if most < n:
            raise SettingsError(
                f"the admissible days hold {most} samples with a gap of {gap:g} days, not {n}; allow more days or a "
                "smaller gap"
            )
        return space

    def on(self, index: Iterable[int]) -> tuple[float, ...]:
        """Return the days at these places."""
        return tuple(self.days[i] for i in sorted(index))

    def fits(self, i: int, others: Iterable[int]) -> bool:
        """Say whether a sample at place ``i`` keeps its distance from the others."""
        return all(i != k and abs(self.days[i] - self.days[k]) >= self.gap for k in others)

    def _packed(self) -> list[int]:
        """Return as many days as fit: from the left, which packs a line best."""
        chosen = list(self.kept)
        for i in range(len(self.days)):
            if self.fits(i, chosen):
                chosen.append(i)
        return chosen

    def spread(self) -> Index:
        """Return a schedule spread evenly over the admissible days, as far as the rules allow."""
        targets = np.quantile(self.days, np.linspace(0.0, 1.0, self.n - len(self.kept) + 2)[1:-1])
        return self._fill(range(len(self.days)), targets.tolist())

    def random(self, rng: np.random.Generator) -> Index:
        """Return a schedule at random."""
        return self._fill(rng.permutation(len(self.days)).tolist(), [])

    def _fill(self, order: Sequence[int], targets: Sequence[float]) -> Index:
        chosen = list(self.kept)
        for target in targets:
            near = [i for i in order if self.fits(i, chosen)]
            if near and len(chosen) < self.n:
                chosen.append(min(near, key=lambda i: abs(self.days[i] - target)))
        for i in order:
            if len(chosen) < self.n and self.fits(i, chosen):
                chosen.append(i)
        if len(chosen) < self.n:  # a wide gap can lock days out; the densest packing always holds enough
            chosen = [*self.kept, *[i for i in self._packed() if i not in self.kept]][: self.n]
        return tuple(sorted(chosen))
