"""When the search on the exact likelihood may say that it has arrived."""

import numpy as np
import pytest
from test_saem import DAYS, STRAIGHT, exact, maximum, samples

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled.marginal import SADDLE, Step, estimate_marginal
from cellkinetics.fitting.pooled.modes import conditional_modes
from cellkinetics.fitting.pooled.problem import PooledProblem


def climbed(problem: PooledProblem, x: np.ndarray):
    return estimate_marginal(problem, x, conditional_modes(problem, x), seed=1)


def test_an_sd_between_occasions_that_was_given_up_comes_back() -> None:
    problem = PooledProblem.from_cohort(samples(40, 8, occasions=2), STRAIGHT, iov=["level"])
    x = problem.pack({"level": 6.5, "slope": -0.2}, {"level": 0.8, "slope": 0.1}, (0.3,))
    x[problem.labels.index("gamma_level")] = np.log(0.0101)
    found = climbed(problem, x)
    assert found.converged
    assert exact(problem, found.x) == pytest.approx(maximum(problem, found.x), abs=0.3)


def test_two_classes_that_start_as_one_are_no_optimum() -> None:
    rng = np.random.default_rng(2)
    levels = np.where(rng.random(60) < 0.4, 3.0, 7.0) + 0.4 * rng.standard_normal(60)
    y = levels[:, None] + (-0.2 + 0.05 * rng.standard_normal((60, 1))) * DAYS + 0.3 * rng.standard_normal((60, 4))
    cohort = Cohort.from_arrays([DAYS.tolist()] * 60, np.exp(y).tolist())
    problem = PooledProblem.from_cohort(cohort, STRAIGHT, mixture=["level"])
    start = problem.pack({"level": levels.mean(), "slope": -0.2}, {"level": levels.std(), "slope": 0.05}, (0.3,))
    start[problem.labels.index("shift_level_2")] = 0.0
    stuck = climbed(problem, start)
    apart = start.copy()
    apart[problem.labels.index("shift_level_2")] = -3.0
    best = climbed(problem, apart)
    assert best.converged
    assert stuck.likelihood.minus2ll > best.likelihood.minus2ll + 50
    assert not stuck.converged
    assert stuck.reason == "the sub-populations are not told apart: start elsewhere"


def test_a_flat_direction_does_not_excuse_what_is_left_to_gain_along_another() -> None:
    step = Step(np.zeros(2), np.array([0.5, 0.7]), np.array([2.0, 0.01]), 0.1, np.zeros(2))
    assert step.drop == pytest.approx(1.2)
    assert step.certain == pytest.approx(0.68)
    assert not step.saddle
    assert step._replace(lowest=SADDLE - 1).saddle


def test_a_correlation_at_its_edge_has_no_standard_error() -> None:
    from cellkinetics.fitting.pooled.estimation import pool

    rng = np.random.default_rng(3)
    eta = rng.standard_normal((30, 1))
    y = 6 + 0.8 * eta + (-0.2 + 0.1 * eta) * DAYS + 0.3 * rng.standard_normal((30, 4))
    cohort = Cohort.from_arrays([DAYS.tolist()] * 30, np.exp(y).tolist())
    fit = pool(cohort, model=STRAIGHT, omega="full", start={"level": 6.0, "slope": -0.2}, seed=1)
    rows = [fit[name] for name in ("level", "slope")]
    exact_se = {"level": 0.14, "slope": 0.015}
    # Where Omega is singular the standard errors are right, or missing with a reason.
    for row in rows:
        if row.se is None:
            assert row.reason
        else:
            assert row.se == pytest.approx(exact_se[row.parameter], rel=0.5)
    assert fit["corr_level_slope"].estimate > 0.9
