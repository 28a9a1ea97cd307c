"""Many searches at once: rows of a start in a box, carried on together until each has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.fitting.objective import Box, Data, Objective, Prior, State, begin

CHUNK = 256
"""Rows that one compiled call carries: one shape for every cohort, small enough for the processor's cache."""
_ROUNDS, _REFINEMENTS = 15, 5
_FAR = 20.0  # above the best -2LL of a patient: such an end is of no account


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
    not far above the best of their patient; rows that have ended leave the batch. ``data`` and ``prior`` are
    those of all patients, ``(n, ...)``.
    """
    samples, before = _host(data, prior)

    def minimise(rows: Rows) -> Ends:
        margin = 0.01 * (rows.upper - rows.lower)
        inside = np.clip(rows.start, rows.lower + margin, rows.upper - margin)
        x = np.where(rows.free, inside, rows.start)
        ends = Ends.at(x)
        batch = _Batch(rows, samples, before, ends)
        batch.run(objective.advance, np.arange(len(x)), _ROUNDS)
        best = np.full(len(samples.mask), np.inf)
        np.minimum.at(best, rows.patient, ends.value)
        batch.run(objective.refine, np.flatnonzero(ends.value < best[rows.patient] + _FAR), _REFINEMENTS)
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

    def run(self, move: Callable[..., State], waiting: IntArray, rounds: int) -> None:
        """Move the waiting rows until each has ended, at most so many rounds."""
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
                return
            waiting = np.concatenate(left)

    def move(self, move: Callable[..., State], chunk: IntArray, damping: FloatArray) -> State:
        """Move some rows, filled up to `CHUNK` with the last one, and note where they are."""
        index = np.append(chunk, np.repeat(chunk[-1:], CHUNK - len(chunk)))
        patient = self.rows.patient[index]
        data = Data(*(jnp.asarray(array[patient]) for array in self.samples))
        prior = Prior(*(jnp.asarray(array[patient]) for array in self.before))
        box = Box(*(jnp.asarray(array[index]) for array in (self.rows.lower, self.rows.upper, self.rows.free)))
        state = move(begin(self.ends.x[index], damping[index]), data, prior, box)
        for mine, theirs in zip(self.ends, (state.x, state.value, state.gradient, state.curvature), strict=True):
            mine[chunk] = np.asarray(theirs)[: len(chunk)]
        return state


def _host(data: Data, prior: Prior) -> tuple[Any, Any]:
    """Return the arrays where rows are cheaply picked."""
    return jax.tree.map(np.asarray, data), jax.tree.map(np.asarray, prior)
