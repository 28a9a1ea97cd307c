"""Importance sampling and the estimator that climbs on it, against quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line_model import LINE
from scipy.integrate import quad
from scipy.optimize import minimize
from wang_problem import CONSTANTS, OMEGA, SIGMA, VALUES, wang_problem

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled import importance, proposal
from cellkinetics.fitting.pooled.importance import importance_sample
from cellkinetics.fitting.pooled.marginal import estimate_marginal, newton_step
from cellkinetics.fitting.pooled.modes import search
from cellkinetics.fitting.pooled.problem import PooledProblem


def modes_of(problem, x):
    with jax.enable_x64(True):
        return search(jnp.asarray(x), problem.samples, problem.form)


def quadrature(x: np.ndarray, kind: str) -> float:
    """-2 ln L of Wang's problem by adaptive quadrature over the one random effect."""
    mu, omega, sigma = x[0], np.exp(x[1]), np.exp(x[2])
    total = 0.0
    for at_zero, at_one in VALUES:

        def density(u: float, pair=(at_zero, at_one)) -> float:
            f = np.array([10.0, 10.0 * np.exp(-np.exp(mu + omega * u))])
            sd = sigma * f if kind == "proportional" else np.full(2, sigma)
            z = (np.array(pair) - f) / sd
            return float(np.exp(-0.5 * u**2 - 0.5 * z @ z - np.log(sd).sum() - 1.5 * np.log(2 * np.pi)))

        total += np.log(quad(density, -9, 9, epsabs=0, epsrel=1e-10, limit=200)[0])
    return -2 * total


def differences(function, x, h=1e-3):
    d = len(x)
    shift = np.eye(d) * h
    gradient = np.array([(function(x + s) - function(x - s)) / (2 * h) for s in shift])
    hessian = np.array(
        [
            [
                (function(x + a + b) - function(x + a - b) - function(x - a + b) + function(x - a - b)) / (4 * h * h)
                for b in shift
            ]
            for a in shift
        ]
    )
    return gradient, hessian


def test_the_published_exact_value_of_wang_2007_is_reached_within_the_monte_carlo_error():
    problem = wang_problem("proportional")
    x = problem.pack({"ke": 0.5}, {"ke": OMEGA}, (SIGMA,))
    result = importance_sample(problem, x, modes_of(problem, x), seed=1, target_se=0.02)
    assert result.minus2ll - CONSTANTS == pytest.approx(39.3548, abs=3 * result.mc_se + 5e-5)
    assert result.mc_se <= 0.02
    assert result.effective.min() > 100


def test_score_and_information_are_the_derivatives_of_the_marginal_likelihood():
    problem = wang_problem("additive")
    x = problem.pack({"ke": 0.45}, {"ke": 0.3}, (0.4,))
    result = importance_sample(problem, x, modes_of(problem, x), seed=2, target_se=0.01)
    gradient, hessian = differences(lambda v: quadrature(v, "additive"), x)
    assert result.minus2ll == pytest.approx(quadrature(x, "additive"), abs=3 * result.mc_se)
    assert result.score == pytest.approx(-0.5 * gradient, abs=0.02 * np.abs(gradient).max())
    assert result.information == pytest.approx(0.5 * hessian, abs=0.02 * np.abs(hessian).max())


@pytest.fixture(scope="module")
def lines():
    """41 patients with a problem, a vector, and its likelihood."""
    rng = np.random.default_rng(3)
    days = np.array([1.0, 3.0, 7.0, 14.0])
    effects = rng.standard_normal((41, 2)) * [0.5, 0.3]
    mean = np.log(50.0) + effects[:, :1] - 0.2 * np.exp(effects[:, 1:]) * days
    values = np.exp(mean + 0.3 * rng.standard_normal((41, 4)))
    problem = PooledProblem.from_cohort(Cohort.from_arrays([days.tolist()] * 41, values.tolist()), LINE)
    x = problem.pack({"c0": 50.0, "k": 0.2}, {"c0": 0.5, "k": 0.3}, (0.3,))
    return problem, x, importance_sample(problem, x, modes_of(problem, x), seed=4, target_se=0.05)


def agree(one, other):
    assert one.minus2ll == pytest.approx(other.minus2ll, abs=4 * np.hypot(one.mc_se, other.mc_se))
    error = np.hypot(one.log_likelihood_se, other.log_likelihood_se)
    np.testing.assert_array_less(np.abs(one.log_likelihood - other.log_likelihood), 5 * error + 1e-12)
    noise = np.sqrt(np.diag(one.score_noise + other.score_noise))
    np.testing.assert_array_less(np.abs(one.score - other.score), 5 * noise)


def test_patients_in_several_blocks_have_the_likelihood_that_they_have_in_one(lines, monkeypatch):
    problem, x, whole = lines
    monkeypatch.setattr(proposal, "MOST_PATIENTS", 20)
    assert [len(block) for block in proposal.blocks_of(np.arange(48), 48)] == [16, 16, 16]
    parts = importance_sample(problem, x, modes_of(problem, x), seed=4, target_se=0.05)
    agree(parts, whole)
    # Other random numbers: patients of the second and third block are not those of the first again.
    assert len(np.unique(parts.log_likelihood.round(6))) == 41


def test_only_patients_whose_proposal_missed_a_region_begin_anew(lines, monkeypatch):
    problem, x, whole = lines
    # At this share some patients have missed one, and some still have after all attempts.
    share = whole.effective / whole.draws
    monkeypatch.setattr(importance, "POOR_SHARE", float(np.quantile(share, 0.3)))
    found = importance_sample(problem, x, modes_of(problem, x), seed=4, max_draws=1000)
    once = importance_sample(problem, x, modes_of(problem, x), seed=4, max_draws=1000)
    agree(found, whole)
    monkeypatch.setattr(importance, "POOR_SHARE", 0.0)
    plain = importance_sample(problem, x, modes_of(problem, x), seed=4, max_draws=1000)
    np.testing.assert_array_equal(found.log_likelihood, once.log_likelihood)
    again = found.log_likelihood != plain.log_likelihood
    assert 0 < again.sum() < 41
    # The same draws as without: nobody else pays for them.
    assert (found.draws[~again] == plain.draws[~again]).all()
    assert (found.draws[again] >= 1000).all()


def test_a_patient_who_begins_anew_takes_no_draws_from_the_others(lines, monkeypatch):
    problem, x, whole = lines
    waiting = [np.array([7])]
    monkeypatch.setattr(importance, "_poor", lambda *_: waiting.pop() if waiting else np.array([], dtype=int))
    found = importance_sample(problem, x, whole.proposal, seed=4, target_se=10.0, min_draws=2000)
    others = np.arange(41) != 7
    assert found.draws[7] > 41_000
    assert (found.draws[others] == 2000).all()


def test_a_proposal_that_is_far_off_is_found_out_and_mended(lines):
    problem, x, whole = lines
    weight, centre, factor = (np.array(part) for part in whole.proposal)
    centre[7] += 40.0
    factor[7] = 0.01 * np.eye(2)
    found = importance_sample(problem, x, proposal.Proposal(weight, centre, factor), seed=5, target_se=0.05)
    agree(found, whole)
    assert found.effective[7] > 100


def test_the_error_bar_is_right_over_many_seeds():
    problem = wang_problem("proportional")
    x = problem.pack({"ke": 0.5}, {"ke": OMEGA}, (SIGMA,))
    modes = modes_of(problem, x)
    runs = [importance_sample(problem, x, modes, seed=seed, target_se=np.inf) for seed in range(30)]
    exact = quadrature(x, "proportional")
    z = np.array([(run.minus2ll - exact) / run.mc_se for run in runs])
    # 30 standard normal numbers: mean within 4 standard errors, SD within a factor 1.6.
    assert abs(z.mean()) < 4 / np.sqrt(30)
    assert 1 / 1.6 < z.std() < 1.6


def test_the_estimator_arrives_at_the_maximum_of_the_exact_likelihood():
    problem = wang_problem("additive")
    x = problem.pack({"ke": 0.8}, {"ke": 0.5}, (0.5,))
    found = estimate_marginal(problem, x, modes_of(problem, x), seed=3, target_se=0.01)
    best = minimize(quadrature, x, args=("additive",), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7})
    assert found.converged
    assert found.x == pytest.approx(best.x, abs=0.01)
    assert quadrature(found.x, "additive") == pytest.approx(best.fun, abs=1e-3)


def test_a_newton_step_leads_uphill_where_the_information_is_not_positive():
    problem = wang_problem("additive")
    x = problem.pack({"ke": 0.5}, {"ke": OMEGA}, (SIGMA,))
    result = importance_sample(problem, x, modes_of(problem, x), seed=1, target_se=np.inf)
    turned = result.__class__(**{**vars(result), "information": np.diag([-2.0, 1.0, 4.0]), "scores": np.ones((1, 3))})
    step = newton_step(turned, np.ones(3, dtype=bool))
    assert step.move == pytest.approx([0.5, 1.0, 0.25])
    assert step.drop == pytest.approx(1.75)


def test_the_noise_of_the_score_is_what_it_varies_by_over_seeds():
    problem = wang_problem("additive")
    x = problem.pack({"ke": 0.45}, {"ke": 0.3}, (0.4,))
    modes = modes_of(problem, x)
    runs = [importance_sample(problem, x, modes, seed=seed, target_se=np.inf) for seed in range(40)]
    seen = np.std([run.score for run in runs], axis=0)
    told = np.mean([np.sqrt(np.diag(run.score_noise)) for run in runs], axis=0)
    # An SD of 40 numbers is within a third of the truth; the formula is a first-order one.
    assert told == pytest.approx(seen, rel=0.5)


def test_the_same_seed_gives_the_same_number_and_another_seed_another_one():
    problem = wang_problem("additive")
    x = problem.pack({"ke": 0.5}, {"ke": OMEGA}, (SIGMA,))
    modes = modes_of(problem, x)
    first, again, other = (importance_sample(problem, x, modes, seed=s, target_se=np.inf) for s in (5, 5, 6))
    assert first.minus2ll == again.minus2ll != other.minus2ll
