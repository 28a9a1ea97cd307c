"""`likelihood_profile`: how far -2LL rises as one population parameter is held and the others are estimated anew."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.diagnostics.trace import natural_values
from cellkinetics.drawing import Drawable
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.importance import ImportanceResult, importance_sample
from cellkinetics.fitting.pooled.marginal import estimate_marginal
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.proposal import Proposal, carried
from cellkinetics.fitting.pooled.structure import Structure

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

COLUMNS = ("parameter", "value", "minus2ll", "mc_se", "delta", "converged", "low", "high", "reason")
ENDS = ("parameter", "estimate", "low", "high", "reason")
RISE = 3.841458820694124
"""Rise of -2LL at the ends of a 95 % interval: the 0.95 quantile of chi-squared with one degree of freedom."""
FIRST_STEP = 1.0
AIM = 1.15
"""A step aims at this multiple of the root of the rise, so that the end lies between two points."""
MOST_POINTS = 6
"""To each side of the estimate."""
WIDEST_STEP = 3.0
"""A step from the estimate is at most this many times the one before."""
_UNKNOWN_SE = 0.5
_MAX_ITERATIONS = 25


class _Point(NamedTuple):
    """One refit: the flat vector, its -2LL with the Monte-Carlo error, and whether the search came to rest."""

    x: FloatArray
    result: ImportanceResult
    converged: bool


@dataclass(frozen=True, eq=False, repr=False)
class PopulationProfile(Drawable):
    """Profiles of the likelihood of a population fit.

    Attributes:
        table: one row a parameter and value, the file ``population_profiles.csv``. ``delta`` is the rise of -2LL
            above its least value in the profile; the interval stands in every row of its parameter.
        intervals: one row a parameter: ``parameter, estimate, low, high, reason``; an end that the profile does not
            have is empty, with the reason.
    """

    table: pd.DataFrame
    intervals: pd.DataFrame

    def __repr__(self) -> str:
        lines = ["PopulationProfile: 95 % intervals where -2LL has risen by 3.84"]
        for row in self.intervals.to_dict("records"):
            low, high = ("none" if row[end] != row[end] else f"{row[end]:.4g}" for end in ("low", "high"))
            lines.append(f"  {row['parameter']}: {row['estimate']:.4g} ({low} to {high}) {row['reason']}".rstrip())
        return "\n".join(lines)


def likelihood_profile(
    fit: PopulationFit,
    *parameters: str,
    seed: int | None = None,
    target_se: float = 0.15,
    progress: Callable[[int, int], None] | None = None,
) -> PopulationProfile:
    """Profile the likelihood of population parameters: hold one at several values, estimate the others anew.

        delta(v) = -2 ln L(v, others(v)) - min,   95 % interval: delta < 3.84

    The exact likelihood is maximised by Newton steps on importance sampling, from the estimates on outwards. Between
    points the signed root of delta is taken as straight. An SD whose profile stays below 3.84 down to a coefficient
    of variation of 1 % cannot be told from zero.

    Args:
        fit: what `pool` returned.
        parameters: labels such as ``omega_beta``; by default all that were estimated, which takes long.
        seed: of the draws; by default that of the fit.
        target_se: Monte-Carlo standard error of each -2LL.
        progress: called as ``progress(done, total)``, a step a parameter.

    Raises:
        SettingsError: for a label that the fit does not have, that is fixed, or is a correlation in a block of three
            or more parameters.
        FitError: for a fit without random effects.

    Source: Venzon DJ, Moolgavkar SH. Appl Stat 1988;37:87-94, doi:10.2307/2347496.
    """
    import pandas as pd

    problem = fit.problem
    if not problem.structure.n_latent:
        raise FitError("a fit without random effects has no marginal likelihood to profile")
    free = [label for label, is_free in zip(problem.labels, problem.free, strict=True) if is_free]
    chosen = list(parameters) or free
    for label in chosen:
        check_profiled(problem.structure, label, problem.fixed)
    chosen_seed = fit.seed if seed is None else seed
    rows, ends = [], []
    for done, label in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen))
        points = _profile(fit, label, chosen_seed, target_se)
        values = natural_values(problem, np.array([point.x for point in points]))[:, problem.labels.index(label)]
        least = min(point.result.minus2ll for point in points)
        interval = _interval(problem, label, points, values)
        for value, point in zip(values, points, strict=True):
            found = point.result
            rows.append((label, value, found.minus2ll, found.mc_se, found.minus2ll - least, point.converged, *interval))
        ends.append((label, fit[label].estimate, *interval))
    if progress is not None:
        progress(len(chosen), len(chosen))
    table = pd.DataFrame.from_records(rows, columns=list(COLUMNS)).astype({"low": float, "high": float})
    intervals = pd.DataFrame.from_records(ends, columns=list(ENDS)).astype({"low": float, "high": float})
    return PopulationProfile(table, intervals)


def check_profiled(structure: Structure, label: str, fixed: Container[str]) -> None:
    """Refuse a parameter that a fit of this structure has no likelihood profile of, with a SettingsError."""
    if label not in structure.labels:
        raise SettingsError(f"the fit has no parameter {label!r}; it has {', '.join(structure.labels)}")
    if label in fixed:
        raise SettingsError(f"{label} is fixed, so it has no profile")
    kind = structure.kinds[structure.labels.index(label)]
    if kind == "correlation" and any(len(block) > 2 for block in structure.blocks):
        raise SettingsError(f"{label} is one of several correlations of a block, which has no profile of its own")


def _profile(fit: PopulationFit, label: str, seed: int, target_se: float) -> list[_Point]:
    """Return the points of one profile in order of the parameter."""
    problem, j = fit.problem, fit.problem.labels.index(label)
    lower, upper = (float(end[j]) for end in bounds(problem))
    held = replace(problem, fixed={**problem.fixed, label: np.nan})
    middle = _Point(fit.x, _evaluated(problem, fit.x, fit.importance, seed, target_se), fit.converged)
    se = _standard_error(fit, label)
    direction = _direction(fit.importance.information, problem.free, j)
    sides = []
    for sign, bound in ((-1.0, lower), (1.0, upper)):
        points, reached, step = [middle], 0.0, FIRST_STEP * se
        for _ in range(MOST_POINTS):
            reached = min(step, abs(bound - fit.x[j])) if np.isfinite(bound) else step
            if reached <= 1e-9:
                break
            points.append(_refit(held, points[-1], j, fit.x[j] + sign * reached, direction, seed, target_se))
            z = _root(points[-1], middle)
            if z > np.sqrt(RISE) or (np.isfinite(bound) and reached >= abs(bound - fit.x[j]) - 1e-9):
                break
            wanted = AIM * np.sqrt(RISE) / max(z, 1e-3)
            step = reached * float(np.clip(wanted, 1.3, WIDEST_STEP))
        sides.append(points[1:])
    return [*sides[0][::-1], middle, *sides[1]]


def _root(point: _Point, middle: _Point) -> float:
    return float(np.sqrt(max(point.result.minus2ll - middle.result.minus2ll, 0.0)))


def _standard_error(fit: PopulationFit, label: str) -> float:
    """Standard error on the working scale, kept within what a first step may be."""
    if fit.covariance is None or label not in fit.labels:
        return _UNKNOWN_SE
    k = fit.labels.index(label)
    return float(np.clip(np.sqrt(fit.covariance[k, k]), 0.02, 2.0))


def _direction(information: FloatArray, free: np.ndarray, j: int) -> FloatArray:
    """Return by how much the others move per unit of the held element, near the estimates."""
    others = free.copy()
    others[j] = False
    block = information[np.ix_(others, others)]
    values, vectors = np.linalg.eigh(0.5 * (block + block.T))
    values = np.maximum(values, 1e-3 * values.max())
    move = np.zeros(len(free))
    move[others] = -(vectors / values) @ (vectors.T @ information[others, j])
    move[j] = 1.0
    return move


def _refit(
    held: PooledProblem, near: _Point, j: int, value: float, direction: FloatArray, seed: int, target_se: float
) -> _Point:
    """Estimate everything but element ``j`` at its new value, from a point beside it."""
    lower, upper = bounds(held)
    step = value - near.x[j]
    start = np.clip(near.x + np.clip(step * direction, -abs(step) - 0.5, abs(step) + 0.5), lower, upper)
    start[j] = value
    known = _carried(held, near.result, start)
    found = estimate_marginal(held, start, known, seed=seed, target_se=2 * target_se, max_iterations=_MAX_ITERATIONS)
    return _Point(found.x, _evaluated(held, found.x, found.likelihood, seed, target_se), found.converged)


def _carried(problem: PooledProblem, near: ImportanceResult, x: FloatArray) -> Proposal:
    structure = problem.structure
    return carried(near.proposal, structure.values(near.x), structure.values(x), problem.samples, problem.form)


def _evaluated(
    problem: PooledProblem, x: FloatArray, near: ImportanceResult, seed: int, target_se: float
) -> ImportanceResult:
    """Return -2LL with draws that the search has not seen, the same for all points."""
    known = _carried(problem, near, x)
    return importance_sample(problem, x, known, seed=seed, stream=2, target_se=target_se, slopes=False)


def _interval(problem: PooledProblem, label: str, points: list[_Point], values: FloatArray) -> tuple[float, float, str]:
    """Return both ends of the interval, NaN where the profile has none, and why."""
    j = problem.labels.index(label)
    at = np.array([point.x[j] for point in points])
    rise = np.array([point.result.minus2ll for point in points])
    rise -= rise.min()
    best = int(rise.argmin())
    ends, reasons = [], []
    for side, order in (("low", range(best, -1, -1)), ("high", range(best, len(points)))):
        end = np.nan
        for inner, outer in zip(order, list(order)[1:], strict=False):
            if rise[outer] >= RISE:
                inside, outside = np.sqrt(rise[inner]), np.sqrt(rise[outer])
                share = (np.sqrt(RISE) - inside) / (outside - inside)
                x = points[inner].x + share * (points[outer].x - points[inner].x)
                x[j] = at[inner] + share * (at[outer] - at[inner])
                end = float(natural_values(problem, x[None])[0, j])
                break
        if np.isnan(end):
            furthest = values[0] if side == "low" else values[-1]
            reasons.append(f"no {side} end: -2LL stays within {RISE:.2f} of its least as far as {furthest:.4g}")
        ends.append(end)
    return ends[0], ends[1], "; ".join(reasons)
