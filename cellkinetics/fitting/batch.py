"""Many searches at once: rows of a start in a box, carried on together until each has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.fitting.objective import Box, Data, Objective, Prior, State, begin

CHUNK = 256
"""Rows that one compiled call carries: one shape for every cohort, small enough for the processor's cache."""
_ROUNDS, _REFINEMENTS = 15, 5
_FAR = 20.0  # above the best -2LL of a patient: such an end is of no account
_SAME = 0.02  # on the transformed scale: two searches of one box so close are on their way to one end
_HOPELESS = 100.0  # the same while the searches are on their way
_SETTLED = 1  # rounds (of 8 steps) after which far and like searches are given up


class Rows(NamedTuple):
    """Searches to be done: the patient of each ``(rows,)``, its start and its box ``(rows, q)``."""

    patient: IntArray
    start: FloatArray
    lower: FloatArray
    upper: FloatArray
    free: BoolArray

    def pick(self, index: IntArray) -> Rows:
        """Return some of the rows."""
        return Rows(self.patient[index], self.start[index], self.lower[index], self.upper[index], self.free[index])


class Ends(NamedTuple):
    """Where searches ended ``(rows, q)``; -2LL there ``(rows,)``, infinite where it is not to be had.

    ``gradient`` (rows, q) and ``curvature`` (rows, q, q) are those of the last look.
    """

    x: FloatArray
    value: FloatArray
    gradient: FloatArray
    curvature: FloatArray

    @classmethod
    def at(cls, x: FloatArray) -> Ends:
        """Return ends that nobody has looked at yet."""
        rows, q = x.shape
        return cls(x.copy(), np.full(rows, np.inf), np.full((rows, q), np.nan), np.full((rows, q, q), np.nan))


Minimise = Callable[[Rows], Ends]


def join(rows: list[Rows]) -> Rows:
    """Return the rows of several parts, one after the other."""
    return Rows(*(np.concatenate(arrays) for arrays in zip(*rows, strict=True)))


def together(objective: Objective, data: Data, prior: Prior) -> Minimise:
    """Return a function that minimises -2LL from every row by itself, all rows at once.

    Damped Gauss-Newton steps inside the box, then Newton steps with the exact Hessian for the rows that are
    not far above the best of their patient; rows that have ended leave the batch, and so do those that have come
    to where a better one of the same box is. ``data`` and ``prior`` are those of all patients, ``(n, ...)``.
    """
    samples, before = _host(data, prior)

    def minimise(rows: Rows) -> Ends:
        margin = 0.01 * (rows.upper - rows.lower)
        inside = np.clip(rows.start, rows.lower + margin, rows.upper - margin)
        x = np.where(rows.free, inside, rows.start)
        ends = Ends.at(x)
        batch = _Batch(rows, samples, before, ends)
        everyone = np.arange(len(x))
        waiting = batch.run(objective.advance, everyone, _SETTLED)
        alone = batch.alone(_HOPELESS)
        batch.run(objective.advance, waiting[alone[waiting]], _ROUNDS - _SETTLED)
        batch.run(objective.refine, everyone[alone & batch.alone(_FAR)], _REFINEMENTS)
        return ends

    return minimise


def look(objective: Objective, rows: Rows, data: Data, prior: Prior) -> Ends:
    """Return -2LL with its gradient and exact Hessian at the start of each row."""
    ends = Ends.at(rows.start)
    still = rows._replace(free=np.zeros_like(rows.free))
    _Batch(still, *_host(data, prior), ends).run(objective.refine, np.arange(len(rows.start)), 1)
    return ends


def advance(objective: Objective, rows: Rows, data: Data, prior: Prior, rounds: int) -> Ends:
    """Take damped Gauss-Newton steps from the start of each row as it stands, at most so many rounds of 8."""
    ends = Ends.at(rows.start)
    _Batch(rows, *_host(data, prior), ends).run(objective.advance, np.arange(len(rows.start)), rounds)
    return ends


class _Batch:
    """Rows on their way; where they are is written into ``ends``."""

    def __init__(self, rows: Rows, samples: Any, before: Any, ends: Ends) -> None:
        self.rows, self.samples, self.before, self.ends = rows, samples, before, ends

    def alone(self, far: float) -> BoolArray:
        """Say which rows are worth going on with: not far above their patient's best, and the best of their place."""
        patient, value, x = self.rows.patient, self.ends.value, self.ends.x
        best = np.full(len(self.samples.mask), np.inf)
        np.minimum.at(best, patient, value)
        # Rows of one box follow one another.
        differ = (np.diff(self.rows.lower, axis=0) != 0).any(axis=1) | (np.diff(self.rows.upper, axis=0) != 0).any(
            axis=1
        )
        box = np.concatenate([[0], np.cumsum(differ | (np.diff(patient) != 0))])
        order = np.lexsort((value, box))
        lead = order[np.searchsorted(box[order], box)]
        like = (np.abs(x - x[lead]).max(axis=1) < _SAME) & (lead != np.arange(len(box)))
        return (value < best[patient] + far) & ~like

    def run(self, move: Callable[..., State], waiting: IntArray, rounds: int) -> IntArray:
        """Move the waiting rows until each has ended, at most so many rounds; return those that have not."""
        damping = np.full(len(self.ends.x), 0.05)
        for _ in range(rounds):
            left = []
            for start in range(0, len(waiting), CHUNK):
                chunk = waiting[start : start + CHUNK]
                state = self.move(move, chunk, damping)
                on_its_way = np.isfinite(self.ends.value[chunk]) & ~np.asarray(state.ended)[: len(chunk)]
                damping[chunk] = np.asarray(state.damping)[: len(chunk)]
                left.append(chunk[on_its_way])
            if not left:
                break
            waiting = np.concatenate(left)
        return waiting

    def move(self, move: Callable[..., State], chunk: IntArray, damping: FloatArray) -> State:
        """Move some rows, filled up to `CHUNK` with the last one, and note where they are."""
        index = np.append(chunk, np.repeat(chunk[-1:], CHUNK - len(chunk)))
        patient = self.rows.patient[index]
        data = Data(*(None if array is None else array[patient] for array in self.samples))
        prior = Prior(*(array[patient] for array in self.before))
        box = Box(*(array[index] for array in (self.rows.lower, self.rows.upper, self.rows.free)))
        state = move(begin(self.ends.x[index], damping[index]), data, prior, box)
        for mine, theirs in zip(self.ends, (state.x, state.value, state.gradient, state.curvature), strict=True):
            mine[chunk] = np.asarray(theirs)[: len(chunk)]
        return state


def _host(data: Data, prior: Prior) -> tuple[Any, Any]:
    """Return the arrays where rows are cheaply picked, without the lower ends of intervals if there are none."""
    samples: Data = jax.tree.map(np.asarray, data)
    if samples.lower is not None and not np.isfinite(samples.lower).any():
        samples = samples._replace(lower=None)
    return samples, jax.tree.map(np.asarray, prior)
