"""FOCEI: minimise the Gauss-Newton (Laplace-type) objective over the population parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from cellkinetics.fitting.pooled.likelihood import focei_objective
from cellkinetics.fitting.pooled.modes import Modes, search
from cellkinetics.fitting.pooled.problem import PooledProblem

FloatArray = NDArray[np.float64]

OMEGA_BOUNDS = (np.log(1e-2), np.log(20.0))
"""Of ln omega. A between-patient CV of 1 % is as good as none."""
SIGMA_BOUNDS = (np.log(1e-3), np.log(20.0))
MAX_SEARCHES = 6
SEARCH_GAIN = 0.01
"""A new full search of the modes that lowers the objective by less than this ends the fit."""


@dataclass(frozen=True, eq=False)
class FoceiEstimate:
    """Where FOCEI arrived.

    Attributes:
        x: flat vector of the problem.
        modes: conditional modes there.
        objective: -2 ln L by the FOCEI approximation, constants included.
        gradient: of the objective at ``x``.
        iterations, evaluations: work done.
        message: the optimiser's last words, for the record.
        settled: whether repeated full searches of the modes stopped finding better ones.
    """

    x: FloatArray
    modes: Modes
    objective: float
    gradient: FloatArray
    iterations: int
    evaluations: int
    message: str
    settled: bool


def estimate_focei(
    problem: PooledProblem,
    start: FloatArray,
    *,
    max_iterations: int = 200,
    on_iteration: Callable[[int, float], None] | None = None,
) -> FoceiEstimate:
    """Minimise the FOCEI objective from a flat start vector.

    The inner modes follow the outer parameters from step to step; whenever the outer search has
    stopped, they are searched anew from all starts, and if any patient has a better mode the outer
    search goes on from there. A model with a change point is expanded on its smooth twin
    (`Model.search_curve`): on the kink itself the modes have no gradient and the objective jumps.

    Args:
        problem: data, model and residual.
        start: flat vector; elements that are not free stay as they are.
        max_iterations: of the outer search, in total.
        on_iteration: called with the iteration and the objective.
    """
    model, residual, samples = problem.model, problem.residual, problem.samples
    curve = model.search_curve or model.log_curve
    free, p = problem.free, problem.n_parameters
    bounds = [
        *((None, None),) * p,
        *(OMEGA_BOUNDS,) * p,
        *(SIGMA_BOUNDS,) * len(residual.names),
    ]
    work = {"iterations": 0, "evaluations": 0}
    x = np.array(start, dtype=float)

    with jax.enable_x64(True):
        modes = search(jnp.asarray(x), samples, model, residual, curve)

        def value_and_gradient(point: FloatArray, state: dict[str, Any]) -> tuple[float, FloatArray]:
            full = x.copy()
            full[free] = point
            flat = jnp.asarray(full)
            found = search(flat, samples, model, residual, curve, known=state["modes"], thorough=False)
            value, gradient = focei_objective(flat, found.u, samples, model, residual, curve)
            work["evaluations"] += 1
            if not np.isfinite(float(value)):
                return 1e10, np.zeros(int(free.sum()))
            # Modes of a trial step that failed would lead the next trial into their basin.
            if float(value) < state["value"]:
                state.update(modes=found, value=float(value))
            return float(value), np.asarray(gradient)[free]

        def step(_: FloatArray) -> None:
            work["iterations"] += 1
            if on_iteration is not None:
                on_iteration(work["iterations"], state["value"])

        message, settled, best = "", False, np.inf
        for _ in range(MAX_SEARCHES):
            state: dict[str, Any] = {"modes": modes, "value": np.inf}
            outcome = minimize(
                value_and_gradient,
                x[free],
                args=(state,),
                jac=True,
                method="L-BFGS-B",
                bounds=[b for b, keep in zip(bounds, free, strict=True) if keep],
                callback=step,
                options={
                    "maxiter": max(max_iterations - work["iterations"], 1),
                    "ftol": 1e-11,
                    "gtol": 1e-4,
                    "maxcor": 20,
                },
            )
            message = str(outcome.message)
            x[free] = outcome.x
            flat = jnp.asarray(x)
            modes = search(flat, samples, model, residual, curve, known=state["modes"])
            value, gradient = focei_objective(flat, modes.u, samples, model, residual, curve)
            if best - float(value) < SEARCH_GAIN:
                settled = True
                break
            best = float(value)
    return FoceiEstimate(
        x=x,
        modes=modes,
        objective=float(value),
        gradient=np.asarray(gradient),
        iterations=work["iterations"],
        evaluations=work["evaluations"],
        message=message,
        settled=settled,
    )
