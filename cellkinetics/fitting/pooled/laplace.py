"""FOCEI and Laplace: minimise a Laplace-type objective over the population parameters."""

from __future__ import annotations

import jax
import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.descent import MAX_ITERATIONS, descend_around_modes
from cellkinetics.fitting.pooled.estimate import Estimate, Report
from cellkinetics.fitting.pooled.likelihood import laplace_objective
from cellkinetics.fitting.pooled.problem import PooledProblem

FloatArray = NDArray[np.float64]


def estimate_laplace(
    problem: PooledProblem,
    start: FloatArray,
    *,
    exact: bool = False,
    max_iterations: int = MAX_ITERATIONS,
    report: Report | None = None,
) -> Estimate:
    """Minimise the FOCEI objective, or with ``exact`` Laplace's, from a flat start vector.

    Args:
        problem: data, model and residual.
        start: flat vector; elements that are not free stay as they are.
        exact: with the Hessian at the modes (Laplace) instead of the Gauss-Newton curvature (FOCEI).
        max_iterations: of the outer search, in total.
        report: called with the share of the work that is done.
    """

    def objective(flat: jax.Array, modes: jax.Array) -> tuple[jax.Array, jax.Array]:
        return laplace_objective(flat, modes, problem.samples, problem.form, exact)

    name = "laplace" if exact else "focei"
    return descend_around_modes(problem, start, objective, name, max_iterations=max_iterations, report=report)
