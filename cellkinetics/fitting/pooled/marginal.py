"""Maximum likelihood on the marginal likelihood itself: Newton steps on importance-sampling estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.estimate import Estimate, Report
from cellkinetics.fitting.pooled.importance import SLOPED_DRAWS, ImportanceResult, importance_sample, rounds_with_slopes
from cellkinetics.fitting.pooled.modes import Modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.proposal import Proposal, carried

FloatArray = NDArray[np.float64]

EXPECTED_DROP = 0.01
"""Converged when the next Newton step promises to lower -2 ln L by less than this, beyond what the noise of the draws
alone would promise along each direction: every estimate is then within a tenth of its standard error of the optimum,
but for directions so flat that the draws cannot tell."""
COARSE_DROP = 0.1
"""Steps that promise more than this are taken on one round of draws; the rest of the way on as many as it takes."""
LEAST_START = np.log(0.1)
"""Of ln omega, where the search on the exact likelihood begins."""
LONGEST_STEP = 1.0
MAX_ITERATIONS = 60
MAX_HALVINGS = 6
NOISE = 2.5
"""Monte-Carlo errors of a difference that count as noise: with one, a step in 20 would be refused by chance."""
MOST_RISE = 1.0
"""Of -2 ln L with up to 100 patients: a rise of more is none that noise may excuse."""
FLATTEST = 0.02
"""Information below this along a direction is taken as this, in steps as in standard errors."""
MOST_NOISE = 0.1
MOST_SLOPED = 16
"""Where the score's noise promises more than `MOST_NOISE`, more draws are taken, up to so many times as many."""
SADDLE = -3.0
"""An eigenvalue of the information below this is curved the wrong way, beyond what the draws' noise explains."""
PUSH = 0.5
SAME_CLASS = 0.2
"""In SDs between patients: sub-populations closer than this have not been told apart."""
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
        reason: why not, in a few words.
        sloped_draws: draws that the score took to be known well enough.
        path, objective: flat vector and -2 ln L after each step.
    """

    x: FloatArray
    likelihood: ImportanceResult
    iterations: int
    converged: bool
    reason: str = ""
    sloped_draws: int = SLOPED_DRAWS
    path: tuple[FloatArray, ...] = ()
    objective: tuple[float, ...] = ()


class Step(NamedTuple):
    """A Newton step, and what is known along each eigenvector of the observed information.

    Attributes:
        move: change of the flat vector.
        gain: drop of -2 ln L that is promised along each eigenvector.
        noise: what the draws' noise alone would promise there.
        lowest: the lowest eigenvalue, negative where the likelihood is curved the wrong way.
        direction: its eigenvector, in the flat vector.
    """

    move: FloatArray
    gain: FloatArray
    noise: FloatArray
    lowest: float
    direction: FloatArray

    @property
    def drop(self) -> float:
        """Drop of -2 ln L that the whole step promises."""
        return float(self.gain.sum())

    @property
    def certain(self) -> float:
        """The part of `drop` that is no noise, direction by direction: a flat one does not excuse the others."""
        return float(np.maximum(self.gain - 2 * self.noise, 0.0).sum())

    @property
    def saddle(self) -> bool:
        """Whether the likelihood is curved the wrong way beyond the noise of its information."""
        return self.lowest < SADDLE


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
        reason=exact.reason,
        sloped_draws=exact.sloped_draws,
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
    curvature, vectors = np.linalg.eigh(information)
    values = np.maximum(np.abs(curvature), FLATTEST)
    along = vectors.T @ result.score[free]
    move, direction = np.zeros(free.size), np.zeros(free.size)
    move[free], direction[free] = vectors @ (along / values), vectors[:, 0]
    noise = np.einsum("ki,kl,li->i", vectors, result.score_noise[np.ix_(free, free)], vectors)
    return Step(move, along**2 / values, noise / values, float(curvature[0]), direction)


def _apart(problem: PooledProblem, x: FloatArray) -> bool:
    """Tell whether the classes of a mixture differ; where they do not the likelihood has no slope and no curve."""
    structure = problem.structure
    if structure.classes == 1:
        return True
    population = structure.values(x)
    size = np.sqrt((population.factor**2).sum(1))
    return bool((np.abs(population.shift[1:]) / size).max() > SAME_CLASS)


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
    sloped = SLOPED_DRAWS

    def evaluate(at: FloatArray, near: Modes | Proposal | ImportanceResult, target: float) -> ImportanceResult:
        least = min(MAX_DRAWS, SEARCH_DRAWS // problem.n_real) if np.isfinite(target) else 0
        if isinstance(near, ImportanceResult):
            parts = (problem.structure.values(near.x), problem.structure.values(at))
            near = carried(near.proposal, *parts, problem.samples, problem.form)
        return importance_sample(
            problem,
            at,
            near,
            seed=seed,
            target_se=target,
            min_draws=max(least, sloped // problem.n_real if sloped > SLOPED_DRAWS else 0),
            max_draws=max(MAX_DRAWS, sloped // problem.n_real),
            sloped_draws=sloped,
        )

    def plan(at: FloatArray, found: ImportanceResult) -> Step:
        outward = ((at <= lower) & (found.score < 0)) | ((at >= upper) & (found.score > 0))
        return newton_step(found, free & ~outward)

    def no_worse(trial: ImportanceResult, than: ImportanceResult) -> bool:
        """A rise within the noise of two evaluations is no rise, but only so far."""
        noise = NOISE * np.hypot(trial.mc_se, than.mc_se)
        return bool(trial.minus2ll <= than.minus2ll + min(noise, MOST_RISE * max(1.0, np.sqrt(problem.n_real / 100))))

    x = np.array(start, dtype=float)
    # An SD between occasions that was given up has no slope left to come back by.
    gamma = problem.structure.parts["gamma"]
    x[gamma] = np.where(free[gamma], np.maximum(x[gamma], LEAST_START), x[gamma])
    target = np.inf
    result = evaluate(x, known, target)
    step = plan(x, result)
    iteration, pushed, reason = 0, False, "the search on the exact likelihood did not come to rest"
    path: list[FloatArray] = []
    objective: list[float] = []
    while True:
        # What the score says counts, not how well -2 ln L is known: with many patients one round of draws is enough.
        arrived = (
            rounds_with_slopes(sloped, problem.n_real) == 1
            and step.certain < EXPECTED_DROP
            and step.noise.sum() <= MOST_NOISE
            and not step.saddle
        )
        if target > target_se and step.certain < COARSE_DROP and not arrived:
            target = target_se
            result = evaluate(x, result, target)
            step = plan(x, result)
        fine = target <= target_se
        if fine and step.noise.sum() > MOST_NOISE and sloped < MOST_SLOPED * SLOPED_DRAWS:
            sloped *= 4
            result = evaluate(x, result, target)
            step = plan(x, result)
            continue
        if (fine or arrived) and step.certain < EXPECTED_DROP:
            if not step.saddle:
                reason = "" if _apart(problem, x) else "the sub-populations are not told apart: start elsewhere"
                break
            largest = problem.labels[int(np.argmax(np.abs(step.direction)))]
            reason = f"the likelihood is curved the wrong way, most of all along {largest}"
            if pushed:
                break
            # Down from the saddle on one of its two sides, if there is a way down.
            pushed = True
            sides = [np.clip(x + sign * PUSH * step.direction, lower, upper) for sign in (1.0, -1.0)]
            trials = [evaluate(side, result, target) for side in sides]
            best = int(np.argmin([trial.minus2ll for trial in trials]))
            if trials[best].minus2ll >= result.minus2ll - NOISE * result.mc_se:
                break
            x, result, target = sides[best], trials[best], np.inf
            reason = "the search on the exact likelihood did not come to rest"
        else:
            if iteration >= max_iterations:
                break
            move = step.move * min(1.0, LONGEST_STEP / np.abs(step.move).max())
            for _ in range(MAX_HALVINGS):
                candidate = np.clip(x + move, lower, upper)
                trial = evaluate(candidate, result, target)
                if no_worse(trial, result):
                    break
                move = move / 2
            else:
                break
            x, result = candidate, trial
        iteration += 1
        path.append(x)
        objective.append(result.minus2ll)
        if on_iteration is not None:
            on_iteration(iteration, result.minus2ll)
        step = plan(x, result)
    return MarginalEstimate(x, result, iteration, not reason, reason, sloped, tuple(path), tuple(objective))
