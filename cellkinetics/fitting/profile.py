"""Intervals by profile likelihood: every parameter, both sides, all patients at once.

    D(v) = min over the other parameters of -2LL at x_j = v, less the least -2LL of all

An end of the interval is where D reaches the rise of `cellkinetics.fitting.precision.rise_of_profile`. Each
sampling interval of Tmax has its own D, smooth inside; the profile is the least of them, so that the set of
all v with D(v) within the rise is the union of theirs, and the interval reported is its hull. A branch, that
is such an interval with a minimum within the rise, is walked from its minimum outward: a trial value comes
from the slope of sqrt(D), which is straight where -2LL is a parabola, and the others start where the
curvature says that they move to.

Source: profile likelihood and what it says of identifiability, Raue A et al. Bioinformatics 2009;25:1923-1929,
doi:10.1093/bioinformatics/btp358.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cellkinetics.data.cohort import NOT_CENSORED, BoolArray, FloatArray, IntArray
from cellkinetics.fitting.batch import Ends, Rows, advance, join, together
from cellkinetics.fitting.objective import Data, Objective, Prior
from cellkinetics.fitting.precision import rise_of_profile, rise_of_sigma
from cellkinetics.fitting.search import End, Patient, box, explore, row
from cellkinetics.fitting.start import ONE_PHASE, faster_phase_first

_ROUNDS = 18  # trial values of one end, at most; few ends need more than 9
_INNER = 2  # rounds of eight steps of the other parameters at a trial value
_CLOSE = 0.01  # of sqrt(D), and of the way from the minimum, at which an end is found
_LOOSE = 0.05  # on the transformed scale: an end enclosed no closer than this is marked
_FIRST = 0.6  # of sqrt(rise): the first trial value aims there
_BETTER = 1e-3  # of -2LL: by so much an optimum found here replaces that of the search


@dataclass(frozen=True, eq=False)
class Profiled:
    """What the profile says of one patient, by parameter; numbers on the transformed scale.

    Attributes:
        rise: rise of -2LL at the ends.
        low, high: ends of the interval; NaN on a side where -2LL never rises so far before the bound.
        value, delta: points of the profile, in order of the value, and the rise of -2LL there.
        loose: sides, ``lower`` or ``upper``, whose end was not found closely within the trial values allowed.
    """

    rise: dict[str, float] = field(default_factory=dict)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    value: dict[str, FloatArray] = field(default_factory=dict)
    delta: dict[str, FloatArray] = field(default_factory=dict)
    loose: dict[str, list[str]] = field(default_factory=dict)

    @property
    def flat(self) -> list[str]:
        """The parameters without an end on either side."""
        return [name for name in self.low if np.isnan(self.low[name]) and np.isnan(self.high[name])]


@dataclass(eq=False)
class _Branches:
    """Minima in sampling intervals of Tmax, one a row; ``single`` is the best curve with one phase there."""

    rows: Rows
    value: FloatArray
    curvature: FloatArray
    single: Ends


def profile(objective: Objective, patients: Sequence[Patient], data: Data, prior: Prior) -> dict[int, Profiled]:
    """Return the profile of each patient by its number; a better optimum met on the way becomes its ``best``."""
    if not patients:
        return {}
    rises = {patient.number: _rises(objective, patient, data) for patient in patients}
    branches = _branches(objective, patients, data, prior, rises)
    least = _least(branches, patients)
    return _walk(objective, patients, branches, least, rises, data, prior)


def _rises(objective: Objective, patient: Patient, data: Data) -> FloatArray:
    """Return the rise at the ends for every element of x, ``(q,)``."""
    mask, censored = data.mask[patient.number], data.censored[patient.number]
    n, p = int((mask & (censored == NOT_CENSORED)).sum()), len(objective.model.names)
    k = p - len(patient.whole.held)
    curve = rise_of_profile(n, k, sigma_known=patient.sigma is not None)
    residual = rise_of_sigma(n, k) if objective.size == p + 1 else curve
    return np.append(np.full(p, curve), np.full(objective.size - p, residual))


def _branches(
    objective: Objective, patients: Sequence[Patient], data: Data, prior: Prior, rises: Mapping[int, FloatArray]
) -> _Branches:
    """Return every sampling interval whose least -2LL is within the widest rise, with its minimum.

    What is searched here besides is forgotten again: Wald intervals are the same with profiles and without.
    """
    searched = [dict(patient.ends) for patient in patients]
    minimise = together(objective, data, prior)
    asked = _beside(patients, rises)
    while asked:
        explore(objective, asked, minimise)
        asked = _beside(patients, rises)
    parts = []
    for patient in patients:
        for number in _within(patient, rises):
            x = faster_phase_first(objective.model, patient.ends[number].x)
            interval = patient.whole.segments[number].interval
            lower, upper = box(objective, patient, {} if interval is None else {"tmax": interval})
            parts.append(row(objective, patient, np.clip(x, lower, upper), lower, upper, patient.whole.held))
    for patient, ends_before in zip(patients, searched, strict=True):
        patient.ends = ends_before
    rows = join(parts)
    ends = advance(objective, rows, data, prior, _INNER)
    x = np.array([faster_phase_first(objective.model, one) for one in ends.x])
    single = _one_phase(objective, rows._replace(start=x), data, prior)
    found = _Branches(rows._replace(start=ends.x), ends.value, ends.curvature, single)
    swapped = np.flatnonzero((x != ends.x).any(axis=1))
    if len(swapped):
        again = advance(objective, rows._replace(start=x).pick(swapped), data, prior, _INNER)
        found.rows.start[swapped], found.value[swapped] = again.x, again.value
        found.curvature[swapped] = again.curvature
    return found


def _beside(patients: Sequence[Patient], rises: Mapping[int, FloatArray]) -> list[tuple[Patient, int]]:
    """Return the intervals of Tmax not yet searched beside one whose -2LL is within the rise."""
    return [
        (patient, number)
        for patient in patients
        for number in sorted({near + step for near in _within(patient, rises) for step in (-1, 1)})
        if 0 <= number < len(patient.whole.segments) and number not in patient.ends
    ]


def _within(patient: Patient, rises: Mapping[int, FloatArray]) -> list[int]:
    least = min(end.value for end in patient.ends.values())
    widest = rises[patient.number].max()
    return [number for number, end in patient.ends.items() if end.value - least <= widest]


def _one_phase(objective: Objective, rows: Rows, data: Data, prior: Prior) -> Ends:
    """Return the best curve with one phase of decline in each branch; -2LL is infinite without a second."""
    names, out = objective.model.names, Ends.at(rows.start)
    if any(name not in names for name in ("alpha", *ONE_PHASE)):
        return out
    index = [names.index(name) for name in ONE_PHASE]
    two = np.flatnonzero(rows.free[:, index].all(axis=1))
    if len(two):
        some = rows.pick(two)
        start, free = some.start.copy(), some.free.copy()
        start[:, index] = [objective.model[name].transformed(value) for name, value in ONE_PHASE.items()]
        free[:, index] = False
        found = advance(objective, some._replace(start=start, free=free), data, prior, _INNER + 1)
        out.x[two], out.value[two] = found.x, found.value
    return out


def _least(branches: _Branches, patients: Sequence[Patient]) -> FloatArray:
    """Return the least -2LL of each branch's patient; a better end than the search's replaces it."""
    number = branches.rows.patient
    least = np.full(int(number.max()) + 1, np.inf)
    np.minimum.at(least, number, np.minimum(branches.value, branches.single.value))
    for patient in patients:
        mine = np.flatnonzero(number == patient.number)
        k = mine[np.argmin(branches.value[mine])]
        assert patient.best is not None
        if patient.plan.held == patient.whole.held and branches.value[k] < patient.best.value - _BETTER:
            at = branches.rows
            patient.best = End(float(branches.value[k]), at.start[k], at.lower[k], at.upper[k])
        least[patient.number] = min(least[patient.number], patient.best.value)
    return least[number]


class _Walks:
    """Walks outward, one a branch, parameter and side; arrays over the walks."""

    def __init__(self, objective: Objective, branches: _Branches, least: FloatArray, rise: FloatArray) -> None:
        grid = np.indices((len(least), objective.size, 2))
        branch, element, side = (index.ravel() for index in grid)
        side = 2 * side - 1
        open_ = branches.rows.free[branch, element] & (branches.value[branch] - least[branch] < rise[branch, element])
        self.branch, self.element, self.side = branch[open_], element[open_], side[open_]
        self.objective, self.rows = objective, branches.rows.pick(self.branch)
        self.rise, self.base = rise[self.branch, self.element], least[self.branch]
        self.single = branches.single.value[self.branch] - self.base
        self.x, self.curvature = self.rows.start.copy(), branches.curvature[self.branch]
        n = np.arange(len(self.branch))
        self.origin = self.x[n, self.element]
        self.limit = np.where(self.side > 0, self.rows.upper[n, self.element], self.rows.lower[n, self.element])
        self.delta = np.maximum(branches.value[self.branch] - self.base, 0.0)
        self.slope = np.zeros(len(n))
        self.inside, self.z_inside = self.origin.copy(), np.sqrt(self.delta)
        self.outside, self.z_outside = np.full(len(n), np.nan), np.full(len(n), np.nan)
        self.ended = self.inside == self.limit

    def path(self) -> tuple[FloatArray, FloatArray]:
        """Return how the others move with the parameter, ``(walks, q)``, and the curvature of the profile."""
        n = np.arange(len(self.branch))
        stuck = (self.x <= self.rows.lower) | (self.x >= self.rows.upper)
        active = self.rows.free & ~stuck
        active[n, self.element] = True
        both = active[:, :, None] & active[:, None, :]
        system = np.where(both, self.curvature, 0.0) + np.eye(self.x.shape[1]) * np.where(active, 1e-6, 1.0)[:, None, :]
        column = np.zeros_like(self.x)
        column[n, self.element] = 1.0
        solved = np.linalg.solve(system, column[:, :, None])[:, :, 0]
        scale = np.maximum(solved[n, self.element], 1e-12)
        return np.where(active, solved / scale[:, None], 0.0), 1.0 / scale

    def trial(self, first: bool) -> tuple[FloatArray, FloatArray]:
        """Return the next value of the parameter, and where the others are expected there."""
        moves, curvature = self.path()
        n, goal, z = np.arange(len(self.branch)), np.sqrt(self.rise), np.sqrt(self.delta)
        at = self.x[n, self.element]
        if first:
            way = np.sqrt(2.0 * np.maximum((_FIRST * goal) ** 2 - self.delta, 0.01 * self.rise) / curvature)
        else:
            rising = self.side * self.slope / np.maximum(2.0 * z, 1e-9)
            with np.errstate(divide="ignore", invalid="ignore"):
                way = np.where(rising > 0, (goal - z) / rising, np.inf)
        longest = np.where(first, 2.0, np.maximum(2.0 * np.abs(at - self.origin), 0.1))
        value = at + self.side * np.minimum(way, longest)
        # Once the end is enclosed a trial value lies between; the chord of sqrt(D) where Newton's leaves it.
        enclosed = np.isfinite(self.outside)
        low, high = np.minimum(self.inside, self.outside), np.maximum(self.inside, self.outside)
        with np.errstate(invalid="ignore", divide="ignore"):
            part = (goal - self.z_inside) / (self.z_outside - self.z_inside)
            chord = self.inside + np.clip(part, 0.1, 0.9) * (self.outside - self.inside)
            margin = 0.02 * (high - low)
            astray = enclosed & ~((value > low + margin) & (value < high - margin))
        value = np.where(astray, chord, value)
        value = np.where(self.side > 0, np.minimum(value, self.limit), np.maximum(value, self.limit))
        x = self.x + moves * (value - at)[:, None]
        x[n, self.element] = value
        return value, x

    def boxes(self, value: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return bounds of the other parameters that keep contraction the faster phase."""
        names, lower, upper = self.objective.model.names, self.rows.lower.copy(), self.rows.upper.copy()
        if all(name in names for name in ("alpha", "beta")):
            alpha, beta = names.index("alpha"), names.index("beta")
            fast, slow = self.element == alpha, self.element == beta
            upper[fast, beta] = np.clip(value[fast], lower[fast, beta], upper[fast, beta])
            lower[slow, alpha] = np.clip(value[slow], lower[slow, alpha], upper[slow, alpha])
        return lower, upper

    def note(self, going: IntArray, value: FloatArray, x: FloatArray, delta: FloatArray, slope: FloatArray) -> None:
        """Take in what was found at the trial values."""
        names = self.objective.model.names
        if all(name in names for name in ("alpha", "beta")):
            crossed = x[:, names.index("alpha")] < x[:, names.index("beta")] - 1e-9
            delta = np.where(crossed, np.maximum(self.single[going], delta), delta)
        delta = np.where(np.isfinite(delta), np.maximum(delta, 0.0), 1e6)
        z, goal = np.sqrt(delta), np.sqrt(self.rise[going])
        within = z < goal
        for into, z_into, those in ((self.inside, self.z_inside, within), (self.outside, self.z_outside, ~within)):
            into[going[those]], z_into[going[those]] = value[those], z[those]
        self.delta[going], self.slope[going] = delta, slope
        inside, outside = self.inside[going], self.outside[going]
        narrow = np.abs(outside - inside) < _CLOSE * np.abs(inside - self.origin[going]) + 1e-9
        self.ended[going] = (np.abs(z - goal) < _CLOSE * goal) | narrow | (within & (value == self.limit[going]))

    def end(self) -> tuple[FloatArray, BoolArray, BoolArray]:
        """Return where each walk ended, whether that is the bound, and whether it is not found closely."""
        goal = np.sqrt(self.rise)
        enclosed = np.isfinite(self.outside)
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.clip((goal - self.z_inside) / (self.z_outside - self.z_inside), 0.0, 1.0)
            end = np.where(enclosed, self.inside + part * (self.outside - self.inside), self.inside)
        close = np.abs(self.outside - self.inside) <= _LOOSE  # False where not enclosed
        return end, ~enclosed & (np.abs(self.inside - self.limit) < 1e-9), ~self.ended & ~close


def _walk(
    objective: Objective,
    patients: Sequence[Patient],
    branches: _Branches,
    least: FloatArray,
    rises: Mapping[int, FloatArray],
    data: Data,
    prior: Prior,
) -> dict[int, Profiled]:
    rise = np.array([rises[number] for number in branches.rows.patient])
    walks = _Walks(objective, branches, least, rise)
    points = [(np.arange(len(walks.branch)), walks.origin.copy(), walks.delta.copy())]
    for count in range(_ROUNDS):
        going = np.flatnonzero(~walks.ended)
        if not len(going):
            break
        value, x = walks.trial(first=count == 0)
        lower, upper = walks.boxes(value)
        free = walks.rows.free.copy()
        free[np.arange(len(free)), walks.element] = False
        start = np.where(free, np.clip(x, lower, upper), x)
        rows = Rows(walks.rows.patient, start, lower, upper, free).pick(going)
        ends = advance(objective, rows, data, prior, _INNER)
        element = walks.element[going]
        found = ends.value - walks.base[going]
        walks.x[going], walks.curvature[going] = ends.x, ends.curvature
        walks.note(going, value[going], ends.x, found, ends.gradient[np.arange(len(going)), element])
        points.append((going, value[going], walks.delta[going].copy()))
    return _gather(objective, patients, branches, least, walks, points, rises)


def _gather(
    objective: Objective,
    patients: Sequence[Patient],
    branches: _Branches,
    least: FloatArray,
    walks: _Walks,
    points: Sequence[tuple[IntArray, FloatArray, FloatArray]],
    rises: Mapping[int, FloatArray],
) -> dict[int, Profiled]:
    """Join the walks of each patient: the outermost ends, and the least of the profiles."""
    size, q = max(rises) + 1, objective.size
    owner = branches.rows.patient[walks.branch]
    end, unended, loose = walks.end()
    low, high = np.full((size, q), np.inf), np.full((size, q), -np.inf)
    below, above = walks.side < 0, walks.side > 0
    np.minimum.at(low, (owner[below], walks.element[below]), end[below])
    np.maximum.at(high, (owner[above], walks.element[above]), end[above])
    for sides, those in ((low, below & unended), (high, above & unended)):
        # At an edge inside the range of Tmax the walk of the neighbour goes on.
        tip = those & (end == sides[owner, walks.element])
        sides[owner[tip], walks.element[tip]] = np.where(walks.side[tip] < 0, -np.inf, np.inf)
    _without_second_phase(objective, branches, least, rises, low, high)
    loose &= end == np.where(below, low[owner, walks.element], high[owner, walks.element])
    walk, value, delta = (np.concatenate(arrays) for arrays in zip(*points, strict=True))
    order = np.lexsort((value, walks.branch[walk], walks.element[walk], owner[walk]))
    walk, value, delta = walk[order], value[order], delta[order]
    keys = owner[walk] * q + walks.element[walk]
    out = {}
    for patient in patients:
        i, found = patient.number, Profiled()
        for k, name in enumerate(objective.names):
            first, last = np.searchsorted(keys, [i * q + k, i * q + k + 1])
            if first == last:
                continue
            some = slice(first, last)
            lowest, highest = low[i, k], high[i, k]
            found.rise[name] = float(rises[i][k])
            found.low[name] = float(lowest) if np.isfinite(lowest) else float("nan")
            found.high[name] = float(highest) if np.isfinite(highest) else float("nan")
            mine = loose & (owner == i) & (walks.element == k)
            found.loose[name] = [side for side, those in (("lower", below), ("upper", above)) if (mine & those).any()]
            found.value[name], found.delta[name] = _envelope(walks.branch[walk[some]], value[some], delta[some])
        out[i] = found
    return out


def _without_second_phase(
    objective: Objective,
    branches: _Branches,
    least: FloatArray,
    rises: Mapping[int, FloatArray],
    low: FloatArray,
    high: FloatArray,
) -> None:
    """Open the sides that one phase of decline opens, where it is within the rise.

    It is the curve with fb = 0 and any beta, that with fb = 1 and any alpha, and that with beta = alpha and
    any fb: alpha is then at least its rate, and beta anything up to it.
    """
    names = objective.model.names
    if any(name not in names for name in ("alpha", *ONE_PHASE)):
        return
    alpha, fb, beta = (names.index(name) for name in ("alpha", "fb", "beta"))
    number = branches.rows.patient
    for k in np.flatnonzero(np.isfinite(branches.single.value)):
        i = number[k]
        if branches.single.value[k] - least[k] < rises[i][fb]:
            rate = branches.single.x[k, alpha]
            low[i, [fb, beta]], high[i, [fb, alpha]] = -np.inf, np.inf
            low[i, alpha], high[i, beta] = min(low[i, alpha], rate), max(high[i, beta], rate)


def _envelope(branch: IntArray, value: FloatArray, delta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the points of several branches that no other branch lies below, in order of the value."""
    keep, root = np.ones(len(value), bool), np.sqrt(delta)
    for one in np.unique(branch):
        mine = branch == one
        other = np.interp(value, value[mine], root[mine], left=np.inf, right=np.inf)
        keep &= mine | (root <= other)
    order = np.argsort(value[keep], kind="stable")
    return value[keep][order], delta[keep][order]
