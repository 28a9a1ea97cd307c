"""SAEM against the exact maximum of a model that is linear in its random effects."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.saem import estimate_saem, proposal_of, saem
from cellkinetics.models.base import Model, Parameter

STRAIGHT = Model(
    name="straight",
    title="straight line on the log scale",
    parameters=(
        Parameter("level", "identity", "none", -50.0, 50.0, "ln C at infusion"),
        Parameter("slope", "identity", "none", -10.0, 10.0, "change of ln C a day"),
    ),
    log_curve=lambda theta, time: theta[0] + theta[1] * time,
)
DAYS = np.array([1.0, 3.0, 7.0, 12.0])
OMEGA = np.array([[0.64, -0.06], [-0.06, 0.01]])


def samples(n: int, seed: int, *, occasions: int = 1) -> Cohort:
    """Patients of two groups whose levels differ by 1, with correlated effects and a level of each occasion."""
    rng = np.random.default_rng(seed)
    time, value, subject, group = [], [], [], []
    for i in range(n):
        eta = rng.multivariate_normal([0, 0], OMEGA)
        for _ in range(occasions):
            level = 6.0 + (i % 2) + eta[0] + (0.5 * rng.standard_normal() if occasions > 1 else 0.0)
            y = level + (-0.2 + eta[1]) * DAYS + 0.3 * rng.standard_normal(len(DAYS))
            time.append(DAYS.tolist())
            value.append(np.exp(y).tolist())
            subject.append(f"P{i}")
            group.append("ab"[i % 2])
    cohort = Cohort.from_arrays(time, value, subject=subject, group=group)
    rounds = [str(k) for _ in range(n) for k in range(occasions)]
    return replace(cohort, occasion=tuple(rounds)) if occasions > 1 else cohort


def exact(problem: PooledProblem, x: np.ndarray) -> float:
    """-2 ln L in closed form: y ~ N(Z (mu + X beta), Z Omega Z' + between occasions + sigma^2)."""
    structure, data = problem.structure, problem.samples
    population = structure.values(x)
    omega = np.zeros((2, 2))
    omega[np.ix_(structure.random, structure.random)] = population.factor @ population.factor.T
    total = 0.0
    for i in range(problem.n_real):
        mask = np.asarray(data.mask[i])
        z = np.column_stack([np.ones(mask.sum()), np.asarray(data.time[i])[mask]])
        middle = population.mu + np.asarray(data.design[i]) @ population.beta
        cov = z @ omega @ z.T + population.sigma[0] ** 2 * np.eye(mask.sum())
        if structure.occasion:
            same = np.equal.outer(*[np.asarray(data.occasion[i])[mask]] * 2)
            cov = cov + population.gamma[0] ** 2 * same
        total += multivariate_normal.logpdf(np.asarray(data.y[i])[mask], z @ middle, cov)
    return -2 * total


def maximum(problem: PooledProblem, x: np.ndarray) -> float:
    free = problem.free

    def at(part: np.ndarray) -> float:
        full = x.copy()
        full[free] = part
        return exact(problem, full)

    return float(minimize(at, x[free], method="BFGS", options={"gtol": 1e-3}).fun)


def poor_start(problem: PooledProblem) -> np.ndarray:
    return problem.pack({"level": 2.0, "slope": 0.3}, {"level": 0.3, "slope": 0.4}, (1.5,))


STRUCTURES = {
    "diagonal": {},
    "full": {"omega": "full"},
    "covariate": {"omega": "full", "covariates": ["level ~ group", "slope ~ group"]},
    "fixed": {"fix": {"slope": -0.2, "omega_level": 0.8}},
    "one random effect": {"fix": {"omega_slope": 0.0}, "covariates": ["slope ~ group"]},
    "occasions": {"iov": ["level"], "occasions": 2},
}


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_saem_reaches_the_exact_maximum_from_a_poor_start(name: str) -> None:
    options = dict(STRUCTURES[name])
    cohort = samples(40, 8, occasions=options.pop("occasions", 1))
    problem = PooledProblem.from_cohort(cohort, STRAIGHT, **options)
    run = saem(problem, poor_start(problem), seed=3)
    best = maximum(problem, run.x)
    assert run.converged, run.drifting
    # A tenth of a unit of -2LL is far within any standard error, and SAEM ends by averaging noise.
    assert best - 1e-6 <= exact(problem, run.x) < best + 0.1
    for label, value in problem.fixed.items():
        assert run.x[problem.labels.index(label)] == pytest.approx(value if label == "slope" else np.log(value))


def test_newton_steps_take_the_rest_of_the_way_and_stand_in_the_trace() -> None:
    problem = PooledProblem.from_cohort(samples(40, 8), STRAIGHT, omega="full")
    told: list[float] = []
    found = estimate_saem(problem, poor_start(problem), seed=3, report=told.append)
    assert found.converged
    assert exact(problem, found.x) == pytest.approx(maximum(problem, found.x), abs=0.02)
    assert found.trace is not None
    assert list(dict.fromkeys(found.trace.phase))[:3] == ["warm", "explore", "average"]
    assert len(found.trace.iteration) == len(found.trace.phase) == len(found.trace.x) == len(found.trace.objective)
    assert found.work["saem_iterations"] + found.work["newton_steps"] == len(found.trace.iteration)
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] <= 1


def test_chains_know_the_conditional_distribution_in_the_end() -> None:
    problem = PooledProblem.from_cohort(samples(40, 8), STRAIGHT)
    run = saem(problem, poor_start(problem), seed=1)
    population = problem.structure.values(run.x)
    z = np.column_stack([np.ones(4), DAYS])
    prior = np.linalg.inv(population.factor @ population.factor.T)
    covariance = np.linalg.inv(prior + z.T @ z / population.sigma[0] ** 2)
    means = [
        covariance @ (prior @ population.mu + z.T @ np.asarray(problem.samples.y[i])[:4] / population.sigma[0] ** 2)
        for i in range(40)
    ]
    sd = np.sqrt(np.diag(covariance))
    off = (run.mean[:40] - means) / sd
    assert np.abs(off).mean() < 0.2
    seen = np.sqrt(np.median([np.diag(one) for one in run.covariance[:40]], axis=0))
    assert seen == pytest.approx(sd, rel=0.2)
    assert proposal_of(problem, run).centre.shape == (48, 3, 2)


def test_the_same_seed_is_the_same_run_and_another_one_ends_at_the_same_place() -> None:
    problem = PooledProblem.from_cohort(samples(40, 8), STRAIGHT)
    first, again, other = (saem(problem, poor_start(problem), seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(first.trace.x, again.trace.x)
    assert (first.trace.x[-1] != other.trace.x[-1]).any()
    assert exact(problem, other.x) == pytest.approx(exact(problem, first.x), abs=0.1)


def test_what_still_drifts_is_named_when_there_is_no_time_left() -> None:
    problem = PooledProblem.from_cohort(samples(40, 8), STRAIGHT)
    start = problem.pack({"level": -30.0, "slope": 5.0}, {"level": 0.1, "slope": 0.01}, (0.3,))
    run = saem(problem, start, seed=1, most_exploring=20, averaging=20)
    assert not run.converged
    assert set(run.drifting) <= set(problem.labels)
    assert run.drifting


def test_a_fixed_correlation_is_refused_by_name() -> None:
    problem = PooledProblem.from_cohort(samples(10, 8), STRAIGHT, omega="full", fix={"corr_level_slope": 0.5})
    with pytest.raises(SettingsError, match="corr_level_slope is fixed"):
        saem(problem, poor_start(problem), seed=1)


def test_classes_of_a_mixture_are_told_apart() -> None:
    rng = np.random.default_rng(2)
    levels = np.where(rng.random(80) < 0.3, 3.0, 7.0) + 0.4 * rng.standard_normal(80)
    y = levels[:, None] + (-0.2 + 0.05 * rng.standard_normal((80, 1))) * DAYS + 0.3 * rng.standard_normal((80, 4))
    cohort = Cohort.from_arrays([DAYS.tolist()] * 80, np.exp(y).tolist())
    problem = PooledProblem.from_cohort(cohort, STRAIGHT, mixture=["level"])
    x = problem.pack({"level": 6.0, "slope": -0.1}, {"level": 1.0, "slope": 0.1}, (0.5,))
    x[problem.labels.index("shift_level_2")] = -2.0
    run = saem(problem, x, seed=1)
    found = dict(zip(problem.labels, run.x, strict=True))
    share = 1 / (1 + np.exp(-found["share_2"]))
    low = (levels < 5).mean()
    assert share == pytest.approx(low, abs=0.02)
    assert found["level"] == pytest.approx(levels[levels > 5].mean(), abs=0.1)
    assert found["shift_level_2"] == pytest.approx(levels[levels < 5].mean() - levels[levels > 5].mean(), abs=0.15)
    assert np.exp(found["omega_level"]) == pytest.approx(0.4, abs=0.1)


def test_samples_below_quantification_and_a_natural_scale_are_taken() -> None:
    rng = np.random.default_rng(5)
    theta = np.column_stack([6.0 + 0.5 * rng.standard_normal(40), -0.2 + 0.05 * rng.standard_normal(40)])
    curve = np.exp(theta[:, :1] + theta[:, 1:] * DAYS)
    from cellkinetics.models.residual import get_residual

    value = curve * (1 + 0.15 * rng.standard_normal(curve.shape))
    cohort = Cohort.from_arrays([DAYS.tolist()] * 40, np.maximum(value, 0).tolist(), lloq=60.0)
    problem = PooledProblem.from_cohort(cohort, STRAIGHT, residual=get_residual("natural-proportional"))
    assert problem.n_censored > 10
    run = saem(problem, problem.pack({"level": 5.0, "slope": -0.1}, {"level": 1.0, "slope": 0.2}, (0.5,)), seed=2)
    found = dict(zip(problem.labels, run.x, strict=True))
    assert found["level"] == pytest.approx(6.0, abs=0.25)
    assert found["slope"] == pytest.approx(-0.2, abs=0.03)
    assert np.exp(found["sigma"]) == pytest.approx(0.15, abs=0.04)
    assert jnp.isfinite(run.x).all()
