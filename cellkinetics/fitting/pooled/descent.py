"""One quasi-Newton search for every objective of the population parameters."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.estimate import Estimate, Report
from cellkinetics.fitting.pooled.modes import Modes, search
from cellkinetics.fitting.pooled.problem import PooledProblem

FloatArray = NDArray[np.float64]
Function = Callable[[jax.Array], tuple[jax.Array, jax.Array]]
"""Flat vector to an objective and its gradient."""
AroundModes = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""Flat vector and the patients' modes ``(n, d)`` to an objective and its gradient."""

MAX_ITERATIONS = 200
MAX_SEARCHES = 6
SEARCH_GAIN = 0.01
"""A new search that lowers the objective by less than this ends the fit."""
_NOWHERE = 1e10


def descend(
    problem: PooledProblem,
    start: FloatArray,
    function: Function,
    *,
    max_iterations: int = MAX_ITERATIONS,
    on_step: Callable[[], None] = lambda: None,
) -> tuple[FloatArray, str]:
    """Minimise an objective over the free elements of the flat vector, inside their bounds (L-BFGS-B).

    Args:
        problem: says what is free.
        start: flat vector; what is not free stays.
        function: the objective with its gradient.
        max_iterations: steps.
        on_step: called after each step.

    Returns:
        The flat vector, and the optimiser's last word.

    Source: Byrd RH, Lu P, Nocedal J, Zhu C. SIAM J Sci Comput 1995;16:1190-1208, doi:10.1137/0916069.
    """
    free, x = problem.free, np.array(start, dtype=float)
    limits = list(zip(*(end[free].tolist() for end in bounds(problem)), strict=True))

    def at(point: FloatArray) -> tuple[float, FloatArray]:
        full = x.copy()
        full[free] = point
        value, gradient = function(jnp.asarray(full))
        slope = np.asarray(gradient)[free]
        if not (np.isfinite(float(value)) and np.isfinite(slope).all()):
            return _NOWHERE, np.zeros(int(free.sum()))
        return float(value), slope

    options = {"maxiter": max(max_iterations, 1), "ftol": 1e-11, "gtol": 1e-4, "maxcor": 20}
    outcome = minimize(
        at, x[free], jac=True, method="L-BFGS-B", bounds=limits, callback=lambda _: on_step(), options=options
    )
    x[free] = outcome.x
    return x, str(outcome.message)


def descend_to_rest(
    problem: PooledProblem, start: FloatArray, function: Function, name: str, *, report: Report | None = None
) -> Estimate:
    """Minimise an objective that needs no modes, again from where it ended until that gains nothing.

    Args:
        problem: says what is free.
        start: flat vector.
        function: the objective with its gradient.
        name: of the objective, in the result.
        report: called with the share of the work that is done.
    """
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if report is not None:
            report(min(steps / MAX_ITERATIONS, 1.0))

    x, message, settled, best = np.array(start, dtype=float), "", False, np.inf
    with jax.enable_x64(True):
        for _ in range(MAX_SEARCHES):
            x, message = descend(problem, x, function, on_step=step)
            value, gradient = function(jnp.asarray(x))
            settled = best - float(value) < SEARCH_GAIN
            if settled:
                break
            best = float(value)
    return Estimate(
        x=x,
        converged=settled,
        reason="" if settled else f"stopped by its optimiser: {message}",
        objectives={name: float(value)},
        gradient=np.asarray(gradient),
        work={f"{name}_iterations": steps},
    )


def descend_around_modes(
    problem: PooledProblem,
    start: FloatArray,
    objective: AroundModes,
    name: str,
    *,
    max_iterations: int = MAX_ITERATIONS,
    report: Report | None = None,
) -> Estimate:
    """Minimise an objective that is expanded around the conditional modes.

    The inner modes follow the outer parameters from step to step; whenever the outer search has
    stopped, they are searched anew from all starts, and if any patient has a better mode the outer
    search goes on from there. A model with a change point is expanded on its smooth twin
    (`Model.search_curve`): on the kink itself the modes have no gradient and the objective jumps.

    Args:
        problem: data, model and residual.
        start: flat vector; elements that are not free stay as they are.
        objective: with its gradient, the modes' own dependence on the flat vector included.
        name: of the objective, in the result.
        max_iterations: of the outer search, in total.
        report: called with the share of the work that is done.
    """
    samples, form = problem.samples, problem.form
    work = {"iterations": 0, "evaluations": 0}
    x = np.array(start, dtype=float)

    def step() -> None:
        work["iterations"] += 1
        if report is not None:
            report(work["iterations"] / max_iterations)

    with jax.enable_x64(True):
        modes = search(jnp.asarray(x), samples, form)
        message, settled, best = "", False, np.inf
        for _ in range(MAX_SEARCHES):
            follow = _Follower(problem, modes, objective)
            x, message = descend(problem, x, follow, max_iterations=max_iterations - work["iterations"], on_step=step)
            work["evaluations"] += follow.evaluations
            modes = search(jnp.asarray(x), samples, form, known=follow.modes)
            value, gradient = objective(jnp.asarray(x), modes.u)
            if best - float(value) < SEARCH_GAIN:
                settled = True
                break
            best = float(value)
    return Estimate(
        x=x,
        converged=settled,
        reason="" if settled else f"stopped by its optimiser: {message}",
        modes=modes,
        objectives={name: float(value)},
        gradient=np.asarray(gradient),
        work={f"{name}_{what}": number for what, number in work.items()},
    )


class _Follower:
    """An objective whose modes go along with the flat vector."""

    def __init__(self, problem: PooledProblem, modes: Modes, objective: AroundModes) -> None:
        self.problem, self.modes, self.objective = problem, modes, objective
        self.evaluations, self.best = 0, np.inf

    def __call__(self, flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        samples, form = self.problem.samples, self.problem.form
        found = search(flat, samples, form, known=self.modes, thorough=False)
        value, gradient = self.objective(flat, found.u)
        self.evaluations += 1
        # Modes of a trial step that failed would lead the next trial into their basin.
        if float(value) < self.best:
            self.modes, self.best = found, float(value)
        return value, gradient
