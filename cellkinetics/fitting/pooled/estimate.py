"""What every method of estimation returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.modes import Modes
from cellkinetics.fitting.pooled.proposal import Proposal

FloatArray = NDArray[np.float64]
Report = Callable[[float], None]
"""Called with the share of the work that is done, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The way of a search: one row an iteration.

    Attributes:
        iteration: numbers ``(t,)``.
        phase: ``explore``, ``average`` or another word of the method, one a row.
        x: flat vector ``(t, k)``.
        objective: -2 ln L, or the method's own objective ``(t,)``; NaN where it was not calculated.
    """

    iteration: NDArray[np.int64]
    phase: tuple[str, ...]
    x: FloatArray
    objective: FloatArray


@dataclass(frozen=True, eq=False)
class Estimate:
    """Where a method arrived.

    Attributes:
        x: flat vector of the problem.
        converged: whether the method ended because nothing was left to gain.
        reason: why not, in a few words; empty where it converged.
        modes: conditional modes near ``x``, where the method has them.
        proposal: what importance sampling may draw from at ``x``, where the method has it.
        objectives: the method's own objectives by name (``focei``, ``laplace``, ``agq``), never to be compared.
        gradient: of its own objective at ``x``, where it has one.
        sloped_draws: draws over all patients that the information should rest on, where the method knows.
        work: counts of the work done.
        trace: the way, where it was kept.
        covariance: of all elements of the flat vector, of a method with standard errors of its own ``(k, k)``.
        uncertainty: where that comes from.
        notes: what a reader should know of the method.
    """

    x: FloatArray
    converged: bool
    reason: str = ""
    modes: Modes | None = None
    proposal: Proposal | None = None
    objectives: Mapping[str, float] = field(default_factory=dict)
    gradient: FloatArray | None = None
    sloped_draws: int | None = None
    work: Mapping[str, int] = field(default_factory=dict)
    trace: Trace | None = None
    covariance: FloatArray | None = None
    uncertainty: str = ""
    notes: tuple[str, ...] = ()
