"""`search_schedule`: the days among those admissible on which samples tell most, by exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from cellkinetics.drawing import Drawable
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.design.comparison import ScheduleComparison, compare_schedules
from cellkinetics.fitting.design.criterion import Score
from cellkinetics.fitting.design.information import days_text
from cellkinetics.fitting.design.patients import checked_count, checked_limit
from cellkinetics.fitting.design.population import Assumed, AssumedPopulation, assume
from cellkinetics.fitting.design.space import Index, Space

if TYPE_CHECKING:
    import pandas as pd

Criterion = Literal["d", "rse"]
GAIN = 1e-9
"""A swap that raises the criterion by less than this is none."""
SWEEPS = 50
"""Most sweeps over the samples from one start; a search ends after a handful."""
Progress = Callable[[int, int], None]


class Swap(NamedTuple):
    """A step of the search: from one start, the day given up for another, and the criterion then."""

    start: int
    step: int
    out: float | None
    into: float | None
    schedule: tuple[float, ...]
    value: float


class Found(NamedTuple):
    """A schedule that a search ended at, and how many starts ended there."""

    schedule: tuple[float, ...]
    value: float
    starts: int


@dataclass(frozen=True, eq=False)
class ScheduleSearch(Drawable):
    """What a search for a schedule found.

    Attributes:
        best: the schedules that starts ended at, best first.
        path: every swap of every start.
        criterion, interest: what was maximised, for which quantities.
        admissible: the days searched among.
        comparison: the best schedules side by side, in full.
        status: the sentence to read first.
    """

    best: tuple[Found, ...]
    path: tuple[Swap, ...]
    criterion: str
    interest: tuple[str, ...]
    admissible: tuple[float, ...]
    comparison: ScheduleComparison
    status: str
    seed: int = field(repr=False)

    @property
    def schedule(self) -> tuple[float, ...]:
        """The best schedule."""
        return self.best[0].schedule

    @property
    def population(self) -> AssumedPopulation:
        """What was taken as true."""
        return self.comparison.population

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a schedule that a start ended at, best first: the file ``schedule_search.csv``."""
        import pandas as pd

        top = self.best[0].value
        rows = [
            (rank, _days(one.schedule), one.value, relative(one.value, top, self.criterion), one.starts)
            for rank, one in enumerate(self.best, 1)
        ]
        return pd.DataFrame(rows, columns=["rank", "days", "criterion", "efficiency_percent", "starts"])

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a swap, in order: the file ``schedule_path.csv``."""
        import pandas as pd

        rows = [(s.start, s.step, s.out, s.into, _days(s.schedule), s.value) for s in self.path]
        frame = pd.DataFrame(rows, columns=["start", "step", "out", "into", "days", "criterion"])
        return frame.astype({"out": float, "into": float})

    def to_dict(self) -> dict[str, Any]:
        """Return the search as plain values."""
        return {
            "criterion": self.criterion,
            "interest": list(self.interest),
            "admissible": list(self.admissible),
            "seed": self.seed,
            "status": self.status,
            "best": [{"schedule": list(one.schedule), "value": one.value, "starts": one.starts} for one in self.best],
            "path": [swap._asdict() for swap in self.path],
            "comparison": self.comparison.to_dict(),
        }

    def __repr__(self) -> str:
        lines = [f"ScheduleSearch: {self.status}"]
        top = self.best[0].value
        for rank, one in enumerate(self.best[:5], 1):
            lines.append(
                f"  {rank}. days {days_text(one.schedule)}: {relative(one.value, top, self.criterion):.1f} %, "
                f"{one.starts} start{'' if one.starts == 1 else 's'}"
            )
        return "\n".join([*lines, repr(self.comparison)])


def _days(schedule: tuple[float, ...]) -> str:
    return days_text(schedule).replace(", ", " ")


def relative(value: float, top: float, criterion: str) -> float:
    """Return how efficient a schedule is against the best one, in percent of its patients' worth.

        d:    exp(value - top)          (value is ln det / q)
        rse:  exp(2 (value - top))      (value is -ln of the root mean square of the relative SEs)

    Example:
        >>> round(relative(-0.6931471805599453, 0.0, "d"), 6), round(relative(-0.6931471805599453, 0.0, "rse"), 6)
        (50.0, 25.0)
    """
    return 100.0 * float(np.exp((value - top) * (2.0 if criterion == "rse" else 1.0)))


def search_schedule(
    n_samples: int,
    admissible: Iterable[float] = range(1, 61),
    population: Assumed = "stein2019",
    *,
    lloq: float | None = None,
    fixed_days: Iterable[float] = (),
    min_gap: float = 0.0,
    criterion: Criterion = "d",
    interest: Iterable[str] = (),
    fixed: Iterable[str] = (),
    starts: int = 8,
    best: int = 5,
    n_subjects: int = 30,
    patients: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> ScheduleSearch:
    """Search the schedule of ``n_samples`` days that tells most, by coordinate exchange from several starts.

    From each start one sample at a time is moved to the admissible day that raises the criterion most, until
    no move of any sample does. The information of every patient and day is computed once; sums over days
    make that of a schedule.

    | criterion | maximised |
    |---|---|
    | ``d`` | ln det of the information, per quantity; with ``interest`` that of these, the others estimated too (Ds) |
    | ``rse`` | -ln of the root mean square of the relative standard errors of ``interest`` (A, free of units) |

    Args:
        n_samples: number of samples of a patient, ``fixed_days`` included.
        admissible: days on which a sample can be taken; give windows as their days.
        population: name of a library entry, an entry, a population fit, or an `AssumedPopulation`.
        lloq: lower limit of quantification, or None.
        fixed_days: days that every schedule keeps.
        min_gap: least number of days between two samples.
        criterion: see above.
        interest: quantities that matter, such as ``alpha`` or ``omega_alpha``; by default all that are estimated.
        fixed: quantities taken as known.
        starts: number of starts; the first is spread evenly, the others are drawn.
        best: number of schedules that are compared in full.
        n_subjects: number of patients, for the comparison.
        patients: number of patients drawn for expectations.
        seed: of patients and starts; the same seed gives the same search.
        progress: called with the number of starts done and in all.

    Raises:
        SettingsError: for options out of their range, or days that cannot hold that many samples.
        ModelError: for an unknown population.

    Source: Fedorov VV. Theory of Optimal Experiments. Academic Press 1972 (exchange); Meyer RK, Nachtsheim CJ.
    Technometrics 1995;37:60-69, doi:10.1080/00401706.1995.10485889 (coordinate exchange).

    Example:
        >>> found = search_schedule(4, [2, 5, 9, 14, 28, 56], lloq=50, starts=2, best=1, patients=32)
        >>> len(found.schedule)
        4
    """
    assumed = assume(population)
    known = tuple(fixed)
    labels = assumed.estimated(known)
    wanted = tuple(interest) if not isinstance(interest, str) else (interest,)
    assumed.check_labels(wanted, "interest")
    if [name for name in wanted if name in known]:
        raise SettingsError("interest names what fixed takes as known; leave it out of one of them")
    if criterion not in get_args(Criterion):
        raise SettingsError(f"criterion is {criterion!r}; choose one of {', '.join(get_args(Criterion))}")
    starts, best, patients = (
        checked_count(starts, "starts"),
        checked_count(best, "best"),
        checked_count(patients, "patients"),
    )
    space = Space.of(admissible, fixed_days, checked_count(n_samples, "n_samples"), min_gap)
    limit = checked_limit(lloq)
    score = Score.of(assumed, space.days, limit, labels, wanted or labels, criterion, patients, seed)
    rng = np.random.default_rng((seed, 2))
    path: list[Swap] = []
    ends: dict[Index, tuple[float, int]] = {}
    for start in range(starts):
        chosen = space.spread() if start == 0 else space.random(rng)
        value, chosen = _exchange(space, score, chosen, start, path)
        ends[chosen] = (value, ends.get(chosen, (value, 0))[1] + 1)
        if progress is not None:
            progress(start + 1, starts)
    order = sorted(ends, key=lambda index: (-ends[index][0], index))
    found = tuple(Found(space.on(index), *ends[index]) for index in order)
    if not np.isfinite(found[0].value):
        raise SettingsError(
            f"{n_samples} samples among these days leave quantities open; allow more samples or days, or name known "
            "quantities with fixed"
        )
    comparison = compare_schedules(
        {f"best {rank}": one.schedule for rank, one in enumerate(found[:best], 1)},
        assumed,
        reference="best 1",
        lloq=limit,
        n_subjects=n_subjects,
        fixed=known,
        patients=patients,
        seed=seed,
    )
    agree = found[0].starts
    status = f"days {days_text(found[0].schedule)} tell most; {agree} of {starts} starts ended there"
    if agree == 1 and starts > 1:
        status += ": try more starts"
    return ScheduleSearch(found, tuple(path), criterion, wanted or labels, space.days, comparison, status, seed)


def _exchange(space: Space, score: Score, chosen: Index, start: int, path: list[Swap]) -> tuple[float, Index]:
    """Move one sample at a time to its best day until no move helps; return the value and the schedule."""
    value = float(score(_padded([chosen], len(space.days)))[0])
    path.append(Swap(start, 0, None, None, space.on(chosen), value))
    step = 0
    for _ in range(SWEEPS):
        moved = False
        for place in [i for i in chosen if i not in space.kept]:
            rest = tuple(i for i in chosen if i != place)
            options = [i for i in range(len(space.days)) if i != place and space.fits(i, rest)]
            if not options:
                continue
            values = score(_padded([tuple(sorted((*rest, i))) for i in options], len(space.days)))[: len(options)]
            top = int(np.argmax(values))
            if values[top] > value + GAIN or (not np.isfinite(value) and np.isfinite(values[top])):
                value, chosen, moved, step = float(values[top]), tuple(sorted((*rest, options[top]))), True, step + 1
                path.append(Swap(start, step, space.days[place], space.days[options[top]], space.on(chosen), value))
        if not moved:
            break
    return value, chosen


def _padded(rows: list[Index], n: int) -> list[Index]:
    """Repeat the last row up to ``n`` rows: every call has one shape, compiled once."""
    return [*rows, *[rows[-1]] * (n - len(rows))]
