"""A lag time bends the curve: the exact likelihood against draws by brute force, where Laplace is far off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brute_force import brute_force
from oral_model import ORAL_LAG

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.importance import importance_sample
from cellkinetics.fitting.pooled.likelihood import laplace_objective
from cellkinetics.fitting.pooled.modes import conditional_modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.residual import Residual

HOURS = [0.5, 1.0, 1.5, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0, 96.0]
TYPICAL = {"ka": 1.5, "v": 8.0, "cl": 0.13, "tlag": 0.9}
OMEGA = {"ka": 0.7, "v": 0.2, "cl": 0.3, "tlag": 0.5}
ERROR = (0.2, 0.05)


def simulated(n: int, seed: int) -> Cohort:
    """Warfarin-like patients: 100 mg, samples around the lag; values may be zero or negative, as measured."""
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(n):
        theta = {name: value * np.exp(OMEGA[name] * rng.standard_normal()) for name, value in TYPICAL.items()}
        f = ORAL_LAG.predict(theta, HOURS)
        values.append((f + (ERROR[0] + ERROR[1] * f) * rng.standard_normal(len(f))).tolist())
    return Cohort.from_arrays([HOURS] * n, values, censored=[[0] * len(HOURS)] * n)


@pytest.fixture(scope="module")
def problem() -> PooledProblem:
    return PooledProblem.from_cohort(simulated(10, 3), ORAL_LAG, residual=Residual("combined", "natural"))


@pytest.fixture(scope="module")
def exact(problem):
    x = problem.pack(TYPICAL, OMEGA, ERROR)
    modes = conditional_modes(problem, x)
    return x, modes, importance_sample(problem, x, modes, seed=1, target_se=0.1, slopes=False)


def test_importance_sampling_agrees_with_brute_force_at_a_lag(problem, exact):
    x, _, result = exact
    value, se = brute_force(problem, x, 1_000_000, seed=5)
    assert se < 1.0
    assert result.minus2ll == pytest.approx(value, abs=3 * np.hypot(se, result.mc_se))


def test_laplace_is_off_by_more_than_5_at_a_lag(problem, exact):
    x, modes, result = exact
    with jax.enable_x64(True):
        flat = jnp.asarray(x)
        value, _ = laplace_objective(flat, modes.u, problem.samples, problem.form, True)
    assert abs(float(value) - result.minus2ll) > 5.0


def test_a_fit_by_laplace_says_how_far_its_objective_is_off(problem):
    fit = pool(simulated(10, 3), model=ORAL_LAG, method="focei", residual="natural-combined", start=TYPICAL)
    off = fit.objective.own["focei"] - fit.objective.minus2ll
    assert abs(off) > 2.0
    assert any(f"focei is an approximation, here off by {off:+.1f}" in warning for warning in fit.warnings)
    assert any("never by the objective of focei" in warning for warning in fit.warnings)
