"""The search for every patient's optimum: from which starts, how far outward, and with one phase or two.

A minimiser (`cellkinetics.fitting.batch.Minimise`) does the work; the same search drives the vectorised one
and lmfit. Each round collects the rows of all patients, so that a minimiser can do them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.fitting.batch import Ends, Minimise, Rows, join
from cellkinetics.fitting.objective import Objective
from cellkinetics.fitting.precision import aicc
from cellkinetics.fitting.start import Plan, faster_phase_first

INSET = 1e-7
"""How far inside a sampling interval its search ends, as a fraction of its length."""
NO_GAIN = 1.0
"""If two phases of decline lower -2LL by less than this, the curve with one phase is the fit."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class End:
    """Where the best search of a patient ended: -2LL, the point, and the box that it was searched in."""

    value: float
    x: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(eq=False)
class Patient:
    """One patient in the search.

    Attributes:
        number: its row in the arrays of samples.
        plan: how it is searched, and what is reported of it.
        n: number of samples that enter.
        sigma: values of the residual's parameters that are held; None to estimate them.
        ends: number of the interval of Tmax to the best end there.
        best: the best end of all.
        whole: the plan with every phase, from before one may have been switched off.
        sides: the plan's bounds on the transformed scale, kept by `box`.
    """

    number: int
    plan: Plan
    n: int
    sigma: tuple[float, ...] | None = None
    ends: dict[int, End] = field(default_factory=dict)
    best: End | None = None
    whole: Plan = field(init=False)
    sides: tuple[FloatArray, FloatArray] | None = None

    def __post_init__(self) -> None:
        self.whole = self.plan

    @property
    def place(self) -> int:
        """The interval of Tmax in which -2LL is least."""
        return min(self.ends, key=lambda number: self.ends[number].value)


def search(
    objective: Objective,
    patients: Sequence[Patient],
    minimise: Minimise,
    progress: Progress | None = None,
    *,
    symmetric: bool = True,
) -> None:
    """Find the optimum of every patient; the result stands in ``best``, ``ends`` and ``plan`` of each.

    1. The intervals of Tmax around the highest sample are searched, then further ones outward while the
       outermost is the best.
    2. The best end is searched from once more with the faster phase named contraction: bounds that stopped a
       phase under the other's name no longer do. The end is named so too where what is minimised is ``symmetric``,
       the same with the names exchanged; a prior tells the phases apart.
    3. Where the plan has two phases of decline, one is tried: it is the fit if two are no better
       (`NO_GAIN`); else AICc decides whether the second is reported (see `Plan.one_phase`).

    A patient for whom no end has a finite -2LL is left without ``best``.
    """
    waiting = {id(patient): list(range(*patient.plan.central)) for patient in patients}
    while any(waiting.values()):
        asked = [(patient, number) for patient in patients for number in waiting[id(patient)]]
        explore(objective, asked, minimise)
        for patient in patients:
            waiting[id(patient)] = _outward(patient) if waiting[id(patient)] else []
        if progress is not None:
            progress(sum(not numbers for numbers in waiting.values()), len(patients) + 1)
    found = [patient for patient in patients if np.isfinite(patient.ends[patient.place].value)]
    for patient in found:
        patient.best = patient.ends[patient.place]
    _again(objective, found, minimise, symmetric)
    _try_one_phase(objective, [patient for patient in found if patient.plan.simpler], minimise)


def explore(objective: Objective, asked: Sequence[tuple[Patient, int]], minimise: Minimise) -> None:
    """Search intervals of Tmax, each given by its patient and number, and note the best end of each."""
    points, sides, frees, owners = [], [], [], []
    for patient, number in asked:
        plan = patient.whole
        free = _free(objective, patient, plan.held)
        for start in plan.segments[number].starts:
            points.append(_point(objective, patient, {**start.values, **plan.held}))
            sides.append(box(objective, patient, start.limits))
            frees.append(free)
            owners.append((patient, number))
    if not points:
        return
    lower, upper = (np.array(side) for side in zip(*sides, strict=True))
    numbers = np.array([patient.number for patient, _ in owners])
    rows = Rows(numbers, np.array(points), lower, upper, np.array(frees))
    ends = minimise(rows)
    for k, (patient, number) in enumerate(owners):
        if number not in patient.ends or ends.value[k] < patient.ends[number].value:
            patient.ends[number] = End(float(ends.value[k]), ends.x[k], rows.lower[k], rows.upper[k])


def _outward(patient: Patient) -> list[int]:
    """Return the next interval to be searched: a neighbour of the best one, if it was not yet."""
    best = patient.place
    return [n for n in (best - 1, best + 1) if 0 <= n < len(patient.plan.segments) and n not in patient.ends][:1]


def _again(objective: Objective, patients: Sequence[Patient], minimise: Minimise, symmetric: bool) -> None:
    if not patients:
        return
    ends = _from_best(
        objective, patients, minimise, [faster_phase_first(objective.model, _best(p).x) for p in patients]
    )
    for k, patient in enumerate(patients):
        old = _best(patient)
        value, x = (float(ends.value[k]), ends.x[k]) if ends.value[k] <= old.value else (old.value, old.x)
        # The search may end where the names are exchanged, or no better than there by the last digit.
        named = faster_phase_first(objective.model, x) if symmetric else x
        fits = bool(((named >= old.lower) & (named <= old.upper)).all())
        patient.best = End(value, named if fits else x, old.lower, old.upper)


def _try_one_phase(objective: Objective, patients: Sequence[Patient], minimise: Minimise) -> None:
    if not patients:
        return
    names, starts = objective.model.names, []
    for patient in patients:
        x = _best(patient).x.copy()
        off = _transformed(objective, patient.plan.simpler)
        index = [names.index(name) for name in patient.plan.simpler]
        x[index] = off[index]
        starts.append(x)
    held = [patient.plan.simplified().held for patient in patients]
    ends = _from_best(objective, patients, minimise, starts, held)
    for k, patient in enumerate(patients):
        # The residual's parameters count too, as in the ranking of models.
        searched = len(names) - len(patient.plan.held) + (len(objective.residual.names) if patient.sigma is None else 0)
        fewer = searched - len(patient.plan.simpler)
        old, value = _best(patient), float(ends.value[k])
        if value - old.value < NO_GAIN:
            patient.plan = patient.plan.simplified().one_phase()
            patient.best = End(value, ends.x[k], old.lower, old.upper)
        elif aicc(value, patient.n, fewer) <= aicc(old.value, patient.n, searched):
            patient.plan = patient.plan.one_phase()


def _from_best(
    objective: Objective,
    patients: Sequence[Patient],
    minimise: Minimise,
    starts: Sequence[FloatArray],
    held: Sequence[Mapping[str, float]] | None = None,
) -> Ends:
    parts = []
    for k, (patient, x) in enumerate(zip(patients, starts, strict=True)):
        end = _best(patient)
        parts.append(row(objective, patient, x, end.lower, end.upper, patient.plan.held if held is None else held[k]))
    return minimise(join(parts))


def best_row(objective: Objective, patient: Patient) -> Rows:
    """Return the row that stands where a patient's best search ended."""
    end = _best(patient)
    return row(objective, patient, end.x, end.lower, end.upper, patient.plan.held)


def _best(patient: Patient) -> End:
    assert patient.best is not None
    return patient.best


def row(
    objective: Objective,
    patient: Patient,
    x: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    held: Mapping[str, float],
) -> Rows:
    """Return one row of a search."""
    free = _free(objective, patient, held)
    return Rows(np.array([patient.number]), x[None], lower[None], upper[None], free[None])


def _free(objective: Objective, patient: Patient, held: Mapping[str, float]) -> BoolArray:
    p = len(objective.model.names)
    return np.array([name not in held if k < p else patient.sigma is None for k, name in enumerate(objective.names)])


def box(
    objective: Objective, patient: Patient, limits: Mapping[str, tuple[float, float]]
) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of a search on the transformed scale, each ``(q,)``.

    Raises:
        FloatingPointError: if a bound is no finite number there.
    """
    if patient.sides is None:
        bounds = [
            _transformed(objective, {name: pair[side] for name, pair in patient.plan.bounds.items()}) for side in (0, 1)
        ]
        for side in (0, 1):
            bounds[side][len(objective.model.names) :] = np.log([span[2 * side] for span in patient.plan.spread])
        patient.sides = bounds[0], bounds[1]
    lower, upper = (side.copy() for side in patient.sides)
    for name, (low, high) in limits.items():
        parameter = objective.model[name]
        k = objective.model.names.index(name)
        # Not on a sampling time itself, where the slope belongs to the interval beyond.
        inset = INSET * (high - low)
        lower[k], upper[k] = parameter.transformed(low + inset), parameter.transformed(high - inset)
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise FloatingPointError("a bound of the search is no number")
    return lower, upper


def _point(objective: Objective, patient: Patient, values: Mapping[str, float]) -> FloatArray:
    x = _transformed(objective, values)
    first = [span[1] for span in patient.plan.spread]
    x[len(objective.model.names) :] = np.log(first if patient.sigma is None else patient.sigma)
    return x


def _transformed(objective: Objective, values: Mapping[str, float]) -> FloatArray:
    """Return named values on the transformed scale, ``(q,)``; the others are NaN."""
    x = np.full(objective.size, np.nan)
    for k, parameter in enumerate(objective.model.parameters):
        if parameter.name in values:
            x[k] = parameter.transformed(values[parameter.name])
    return x


def natural(objective: Objective, x: FloatArray) -> FloatArray:
    """Return the model's parameters on the natural scale, ``(p,)``."""
    return np.asarray(objective.model.to_natural(jnp.asarray(x[: len(objective.model.names)])))
