"""How far the elements of the flat vector may go in a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cellkinetics.fitting.pooled.population import PopulationModel
    from cellkinetics.fitting.pooled.problem import PooledProblem

FloatArray = NDArray[np.float64]

OMEGA_BOUNDS = (np.log(1e-2), np.log(20.0))
"""Of ln omega. A between-patient CV of 1 % is as good as none."""
SIGMA_BOUNDS = (np.log(1e-3), np.log(20.0))
CORRELATION_BOUNDS = (-np.arctanh(0.999), np.arctanh(0.999))
_OF_KIND = {
    "typical": (-np.inf, np.inf),
    "coefficient": (-np.inf, np.inf),
    "omega": OMEGA_BOUNDS,
    "correlation": CORRELATION_BOUNDS,
    "gamma": OMEGA_BOUNDS,
    "shift": (-np.inf, np.inf),
    "share": (-6.0, 6.0),
}


def bounds(problem: PooledProblem | PopulationModel) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest value of each element of the flat vector, ``(k,)`` each.

    A residual parameter on the natural scale is bounded from below only: its size is that of the values.
    """
    natural = problem.residual.scale == "natural"
    residual = (SIGMA_BOUNDS[0], np.inf if natural else SIGMA_BOUNDS[1])
    pairs = [_OF_KIND.get(kind, residual) for kind in problem.structure.kinds]
    lower, upper = np.array(pairs, dtype=float).T
    return lower, upper
