"""FOCEI and Laplace: minimise a Laplace-type objective over the population parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.estimate import Estimate, Report
from cellkinetics.fitting.pooled.likelihood import laplace_objective
from cellkinetics.fitting.pooled.modes import search
from cellkinetics.fitting.pooled.problem import PooledProblem

FloatArray = NDArray[np.float64]

MAX_ITERATIONS = 200
MAX_SEARCHES = 6
SEARCH_GAIN = 0.01
"""A new full search of the modes that lowers the objective by less than this ends the fit."""


def estimate_laplace(
    problem: PooledProblem,
    start: FloatArray,
    *,
    exact: bool = False,
    max_iterations: int = MAX_ITERATIONS,
    report: Report | None = None,
) -> Estimate:
    """Minimise the FOCEI objective, or with ``exact`` Laplace's, from a flat start vector.

    The inner modes follow the outer parameters from step to step; whenever the outer search has
    stopped, they are searched anew from all starts, and if any patient has a better mode the outer
    search goes on from there. A model with a change point is expanded on its smooth twin
    (`Model.search_curve`): on the kink itself the modes have no gradient and the objective jumps.

    Args:
        problem: data, model and residual.
        start: flat vector; elements that are not free stay as they are.
        exact: with the Hessian at the modes (Laplace) instead of the Gauss-Newton curvature (FOCEI).
        max_iterations: of the outer search, in total.
        report: called with the share of the work that is done.
    """
    samples, form, free = problem.samples, problem.form, problem.free
    limits = list(zip(*(end.tolist() for end in bounds(problem)), strict=True))
    work = {"iterations": 0, "evaluations": 0}
    x = np.array(start, dtype=float)

    with jax.enable_x64(True):
        modes = search(jnp.asarray(x), samples, form)

        def value_and_gradient(point: FloatArray, state: dict[str, Any]) -> tuple[float, FloatArray]:
            full = x.copy()
            full[free] = point
            flat = jnp.asarray(full)
            found = search(flat, samples, form, known=state["modes"], thorough=False)
            value, gradient = laplace_objective(flat, found.u, samples, form, exact)
            work["evaluations"] += 1
            if not np.isfinite(float(value)):
                return 1e10, np.zeros(int(free.sum()))
            # Modes of a trial step that failed would lead the next trial into their basin.
            if float(value) < state["value"]:
                state.update(modes=found, value=float(value))
            return float(value), np.asarray(gradient)[free]

        def step(_: FloatArray) -> None:
            work["iterations"] += 1
            if report is not None:
                report(work["iterations"] / max_iterations)

        message, settled, best = "", False, np.inf
        for _ in range(MAX_SEARCHES):
            state: dict[str, Any] = {"modes": modes, "value": np.inf}
            outcome = minimize(
                value_and_gradient,
                x[free],
                args=(state,),
                jac=True,
                method="L-BFGS-B",
                bounds=[b for b, keep in zip(limits, free, strict=True) if keep],
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
            modes = search(flat, samples, form, known=state["modes"])
            value, gradient = laplace_objective(flat, modes.u, samples, form, exact)
            if best - float(value) < SEARCH_GAIN:
                settled = True
                break
            best = float(value)
    name = "laplace" if exact else "focei"
    return Estimate(
        x=x,
        converged=settled,
        reason="" if settled else f"stopped by its optimiser: {message}",
        modes=modes,
        objectives={name: float(value)},
        gradient=np.asarray(gradient),
        work={f"{name}_{what}": number for what, number in work.items()},
    )
