"""Maximum likelihood on the marginal likelihood itself: Newton steps on importance-sampling estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.estimate import Estimate, Report
from cellkinetics.fitting.pooled.importance import ImportanceResult, importance_sample
from cellkinetics.fitting.pooled.modes import Modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.proposal import Proposal, carried

FloatArray = NDArray[np.float64]

EXPECTED_DROP = 0.01
"""Converged when the next Newton step promises to lower -2 ln L by less than this: every estimate is then
within a tenth of its standard error of the optimum. What the noise of the draws alone promises is no gain:
along a flat direction it can be more."""
COARSE_DROP = 0.1
"""Steps that promise more than this are taken on one round of draws; the rest of the way on as many as it takes."""
LEAST_START = np.log(0.1)
"""Of ln omega, where the search on the exact likelihood begins."""
LONGEST_STEP = 1.0
MAX_ITERATIONS = 60
MAX_HALVINGS = 6
NOISE = 2.5
"""Monte-Carlo errors of a difference that count as noise: with one, a step in 20 would be refused by chance."""
MAX_DRAWS = 10_000
SEARCH_DRAWS = 100_000
"""Draws over all patients that the last steps take at least."""


@dataclass(frozen=True, eq=False)
class MarginalEstimate:
    """Where the marginal likelihood has its maximum, and how the search ended.

    Attributes:
        x: flat vector of the problem.
        likelihood: evaluation at ``x`` with the draws of the search (optimistic: evaluate anew to report).
        iterations: steps taken.
        converged: whether the search ended because nothing was left to gain.
        path, objective: flat vector and -2 ln L after each step.
    """

    x: FloatArray
    likelihood: ImportanceResult
    iterations: int
    converged: bool
    path: tuple[FloatArray, ...] = ()
    objective: tuple[float, ...] = ()


class Step(NamedTuple):
    """A step of the flat vector, the drop of -2 ln L it promises, and what the draws' noise alone would promise."""

    move: FloatArray
    drop: float
    noise: float


def estimate_importance(
    problem: PooledProblem, start: FloatArray, *, seed: int, target_se: float = 0.2, report: Report
) -> Estimate:
    """Maximise the marginal likelihood from any start: FOCEI first, then Newton steps on the exact likelihood.

    Args:
        problem: data, model and residual.
        start: flat vector.
        seed: of the draws.
        target_se: Monte-Carlo standard error of -2 ln L to reach in the end.
        report: called with the share of the work that is done.
    """
    from cellkinetics.fitting.pooled.laplace import estimate_laplace

    approximate = estimate_laplace(problem, start, report=lambda share: report(0.7 * share))
    # A random effect that FOCEI gave up has no slope left to come back by.
    omega, x = problem.structure.parts["omega"], approximate.x.copy()
    x[omega] = np.maximum(x[omega], LEAST_START)
    assert approximate.modes is not None
    exact = estimate_marginal(
        problem,
        problem.hold(x),
        approximate.modes,
        seed=seed,
        # The optimum moves by far less than a standard error at twice the noise, and costs a quarter.
        target_se=2 * target_se,
        on_iteration=lambda iteration, _: report(0.7 + 0.3 * iteration / MAX_ITERATIONS),
    )
    return Estimate(
        x=exact.x,
        converged=exact.converged,
        reason="" if exact.converged else "the search on the exact likelihood did not come to rest",
        modes=approximate.modes,
        objectives=approximate.objectives,
        work={**approximate.work, "importance_iterations": exact.iterations},
    )


def newton_step(result: ImportanceResult, free: NDArray[np.bool_]) -> Step:
    """Return the Newton step I^-1 s of the free elements (zero elsewhere).

    Directions in which the observed information is not positive (far from the maximum, or where a
    parameter is not identified) follow the absolute value of the curvature, which keeps the step uphill.
    """
    information = result.information[np.ix_(free, free)]
    score = result.score[free]
    values, vectors = np.linalg.eigh(information)
    values = np.maximum(np.abs(values), 1e-6 * np.abs(values).max())
    along = vectors.T @ score
    move = np.zeros(free.size)
    move[free] = vectors @ (along / values)
    noise = np.einsum("ki,kl,li->i", vectors, result.score_noise[np.ix_(free, free)], vectors)
    return Step(move, float((along**2 / values).sum()), float((noise / values).sum()))


def estimate_marginal(
    problem: PooledProblem,
    start: FloatArray,
    known: Modes | Proposal,
    *,
    seed: int,
    target_se: float = 0.4,
    max_iterations: int = MAX_ITERATIONS,
    on_iteration: Callable[[int, float], None] | None = None,
) -> MarginalEstimate:
    """Maximise the marginal likelihood from a start such as a FOCEI estimate.

    Every step evaluates likelihood, score and observed information from one set of draws; the same
    random numbers serve all steps, so the search has a fixed end point and can tell when it is there.

    Args:
        problem: data, model and residual.
        start: flat vector.
        known: conditional modes at ``start``, where the proposals begin, or proposals near it.
        seed: of the draws.
        target_se: Monte-Carlo standard error of -2 ln L for the last steps.
        max_iterations: Newton steps.
        on_iteration: called with the iteration and -2 ln L.
    """
    free = problem.free
    lower, upper = bounds(problem)

    def evaluate(at: FloatArray, near: Modes | Proposal | ImportanceResult, target: float) -> ImportanceResult:
        least = min(MAX_DRAWS, SEARCH_DRAWS // problem.n_real) if np.isfinite(target) else 0
        if isinstance(near, ImportanceResult):
            parts = (problem.structure.values(near.x), problem.structure.values(at))
            near = carried(near.proposal, *parts, problem.samples, problem.form)
        return importance_sample(problem, at, near, seed=seed, target_se=target, min_draws=least, max_draws=MAX_DRAWS)

    def plan(at: FloatArray, found: ImportanceResult) -> Step:
        outward = ((at <= lower) & (found.score < 0)) | ((at >= upper) & (found.score > 0))
        return newton_step(found, free & ~outward)

    x = np.array(start, dtype=float)
    target = np.inf
    result = evaluate(x, known, target)
    step = plan(x, result)
    iteration = 0
    path: list[FloatArray] = []
    objective: list[float] = []
    while iteration < max_iterations:
        if target > target_se and step.drop < COARSE_DROP + 2 * step.noise:
            target = target_se
            result = evaluate(x, result, target)
            step = plan(x, result)
        if target <= target_se and step.drop < EXPECTED_DROP + 2 * step.noise:
            break
        iteration += 1
        move = step.move * min(1.0, LONGEST_STEP / np.abs(step.move).max())
        for _ in range(MAX_HALVINGS):
            candidate = np.clip(x + move, lower, upper)
            trial = evaluate(candidate, result, target)
            # A rise within the noise of two evaluations is no rise.
            if trial.minus2ll <= result.minus2ll + NOISE * np.hypot(trial.mc_se, result.mc_se):
                break
            move = move / 2
        else:
            break
        x, result = candidate, trial
        path.append(x)
        objective.append(result.minus2ll)
        if on_iteration is not None:
            on_iteration(iteration, result.minus2ll)
        step = plan(x, result)
    converged = target <= target_se and step.drop < EXPECTED_DROP + 2 * step.noise
    return MarginalEstimate(x, result, iteration, converged, tuple(path), tuple(objective))
