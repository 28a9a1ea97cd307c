"""Uncertainty of a population fit: resampled and simulated data sets, a likelihood near a point, SIR, the sandwich."""

import pickle
from dataclasses import replace
from math import erf

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled import bootstrap as bootstrapping
from cellkinetics.fitting.pooled import reweighting
from cellkinetics.fitting.pooled.bootstrap import bootstrap
from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.estimate import Estimate
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.importance import importance_sample
from cellkinetics.fitting.pooled.modes import conditional_modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.resampling import drawn_subjects, limits, simulated, with_subjects
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.reweighting import Reweighted
from cellkinetics.fitting.pooled.sir import sir
from cellkinetics.fitting.pooled.summary import working_covariance
from cellkinetics.fitting.replicates import Replicates
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.residual import Residual

RATE = 0.5
ADDITIVE = Residual("constant", "natural")


def fall(theta: jax.Array, time: jax.Array) -> jax.Array:
    return jnp.log(10.0) - theta[0] * time


DECLINE = Model("fall", "decline from 10", (Parameter("ke", "log", "rate", 1e-3, 10.0, "elimination rate"),), fall)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """32 subjects, ke 0.5 with omega 0.4, additive residual 0.4; some of the last samples are below an LLOQ of 2.5."""
    rng = np.random.default_rng(1)
    n, days = 32, np.array([0.0, 1.0, 2.0])
    ke = 0.5 * np.exp(0.4 * rng.standard_normal((n, 1)))
    values = 10 * np.exp(-ke * days) + 0.4 * rng.standard_normal((n, 3))
    return Cohort.from_arrays(
        [days] * n,
        np.maximum(values, 2.5),
        lloq=2.5,
        censored=(values < 2.5).astype(int),
        subject=[f"S{k:02d}" for k in range(n)],
        group=["a", "b", "b", "b"] * (n // 4),
    )


@pytest.fixture(scope="module")
def fit(cohort: Cohort) -> PopulationFit:
    return pool(cohort, model=DECLINE, residual=ADDITIVE, method="importance", start={"ke": 0.5}, seed=3)


def mean_of_logs(problem: PooledProblem, start: np.ndarray, seed: int, target_se: float, report: object) -> Estimate:
    """A quick fit: moments of ln(10/y) at day 1; it fails or does not converge as the data have it."""
    y, mask = np.asarray(problem.samples.y), np.asarray(problem.samples.mask)
    rate = np.log(10 / y[mask & (np.asarray(problem.samples.time) == 1.0)])
    if rate.mean() > RATE + 0.1:
        raise FitError("the rates are too high for this fit")
    x = problem.structure.pack(np.log([rate.mean()]), np.array([rate.std()]), [0.3])
    return Estimate(x, bool(rate.mean() < RATE + 0.05), reason="" if rate.mean() < RATE + 0.05 else "high rates")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrapping, "estimator_of", lambda method: mean_of_logs)


def test_resampled_subjects_keep_the_sizes_of_strata() -> None:
    strata = ["a", "b", "b", "a", "c", "b"]
    for seed in range(20):
        drawn = drawn_subjects(strata, np.random.default_rng(seed))
        assert sorted(strata[k] for k in drawn) == sorted(strata)
    counts = np.bincount(drawn_subjects([""] * 4000, np.random.default_rng(1)), minlength=4000)
    # Each subject is drawn a Poisson number of times: exp(-1) of them not at all.
    assert (counts == 0).mean() == pytest.approx(np.exp(-1), abs=0.03)


def test_a_subject_that_is_drawn_twice_counts_twice_in_the_same_shape(fit: PopulationFit) -> None:
    problem = fit.problem
    chosen = np.r_[0, np.arange(problem.n_real - 1)]
    twice = with_subjects(problem, chosen)
    assert twice.samples.y.shape == problem.samples.y.shape
    assert np.asarray(twice.samples.y).dtype == np.float64
    assert len(set(twice.subjects)) == problem.n_real
    assert twice.subjects[:2] == ("1: S00", "2: S00")
    np.testing.assert_array_equal(np.asarray(twice.samples.y)[:2], np.asarray(problem.samples.y)[[0, 0]])
    assert twice.n_censored == sum(problem_censored(problem)[chosen])


def problem_censored(problem: PooledProblem) -> np.ndarray:
    return (np.asarray(problem.samples.mask) & (np.asarray(problem.samples.censored) == 1)).sum(1)


def test_simulated_samples_have_the_moments_of_the_population_and_the_limits_of_the_data(
    cohort: Cohort, fit: PopulationFit
) -> None:
    problem, limit = fit.problem, limits(fit.problem, cohort)
    x = problem.pack({"ke": 0.5}, {"ke": 0.2}, (0.3,))
    drawn = [simulated(problem, x, limit, np.random.default_rng((4, k))) for k in range(200)]
    n = problem.n_real
    y = np.array([np.asarray(one.samples.y)[:n] for one in drawn])
    flags = np.array([np.asarray(one.samples.censored)[:n] for one in drawn])
    first = y[:, :, 0]
    assert first.mean() == pytest.approx(10.0, abs=4 * 0.3 / np.sqrt(first.size))
    assert first.std() == pytest.approx(0.3, rel=0.05)
    z, eps = np.random.default_rng(9).standard_normal((2, 200_000))
    expected = 10 * np.exp(-2 * 0.5 * np.exp(0.2 * z)) + 0.3 * eps
    assert (flags[:, :, 2] == 1).mean() == pytest.approx((expected < 2.5).mean(), abs=0.02)
    assert (y[flags == 1] == 2.5).all()
    assert (y[:, :, :3][flags[:, :, :3] == 0] >= 2.5).all()


def test_samples_are_not_simulated_where_those_below_quantification_were_substituted(cohort: Cohort) -> None:
    problem = PooledProblem.from_cohort(cohort, DECLINE, residual=ADDITIVE, blq="half")
    with pytest.raises(SettingsError, match="take blq m3"):
        limits(problem, cohort)


def test_the_likelihood_near_a_point_is_that_of_fresh_draws_there(fit: PopulationFit) -> None:
    problem = fit.problem
    near = Reweighted(problem, fit.importance, seed=5)
    se = np.sqrt(np.diag(fit.covariance))
    points = fit.x + np.array([[0.0] * 3, [1.5, 0, 0.5], [-1.0, 1.0, -1.0]]) * se
    values, effective = near(points)
    assert values.shape == effective.shape == (3, problem.n_real)
    for x, value, size in zip(points, values, effective, strict=True):
        fresh = importance_sample(problem, x, conditional_modes(problem, x), seed=8, target_se=0.02, slopes=False)
        error = 2 * np.sqrt((1 / size).sum() + fresh.mc_se**2)
        assert -2 * value.sum() == pytest.approx(fresh.minus2ll, abs=4 * error)
        assert error < 0.3


@pytest.mark.parametrize("offset", [-2.0, -1.0, 1.0, 2.0])
def test_the_likelihood_far_from_a_point_in_a_residual_parameter_is_calculated(
    fit: PopulationFit, offset: float
) -> None:
    problem = fit.problem
    far = fit.x.copy()
    far[problem.structure.parts["residual"]] += offset
    value, size = Reweighted(problem, fit.importance, seed=5)(np.array([fit.x, far]))
    fresh = importance_sample(problem, far, conditional_modes(problem, far), seed=8, target_se=0.05, slopes=False)
    error = 2 * np.sqrt((1 / size[1]).sum() + fresh.mc_se**2)
    assert -2 * value[1].sum() == pytest.approx(fresh.minus2ll, abs=4 * error)
    assert error < 1.0
    assert -2 * value[0].sum() == pytest.approx(fit.importance.minus2ll, abs=0.5)


def test_a_large_cohort_goes_through_in_blocks_of_patients_with_the_same_numbers(
    fit: PopulationFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = fit.x + np.array([[0.1, 0.0, 0.2], [0.0, 0.2, 1.0], [0.0, -0.1, -0.3]])
    whole = Reweighted(fit.problem, fit.importance, draws=400, seed=5)(points)
    held = []

    def watched(*args: object) -> jax.Array:
        held.append(on_grid(*args))
        return held[-1]

    on_grid, limit = reweighting._on_grid, 8 * 400 * 50 * 24
    monkeypatch.setattr(reweighting, "_on_grid", watched)
    monkeypatch.setattr(reweighting, "GRID_BYTES", limit)
    blocks = Reweighted(fit.problem, fit.importance, draws=400, seed=5)(points)
    # 32 subjects in blocks of 24: nodes, and the far point itself.
    assert len(held) == 4
    assert max(grid.nbytes for grid in held) <= limit
    for one, other in zip(blocks, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_scores_of_patients_are_the_slopes_of_their_likelihoods(fit: PopulationFit) -> None:
    """By central differences on common random numbers; they make the sandwich."""
    near, step = Reweighted(fit.problem, fit.importance, draws=8000, seed=5), 1e-3 * np.eye(3)
    slopes = (near(fit.x + step)[0] - near(fit.x - step)[0]).T / 2e-3
    scores = fit.importance.scores
    np.testing.assert_allclose(slopes, scores, atol=0.15)
    assert np.corrcoef(slopes.ravel(), scores.ravel())[0, 1] > 0.995
    searched = np.ones(3, bool)
    sandwich = working_covariance(fit.importance, searched, "sandwich")
    inverse = np.linalg.inv(fit.importance.information)
    np.testing.assert_allclose(sandwich, inverse @ (slopes.T @ slopes) @ inverse, rtol=0.1, atol=2e-3)
    # The model is the one that the data come from: both covariances estimate the same.
    ratio = np.sqrt(np.diag(sandwich) / np.diag(inverse))
    assert ((ratio > 0.6) & (ratio < 1.6)).all()


def test_correlations_of_estimates_are_listed_by_pair_with_their_source(fit: PopulationFit) -> None:
    table = fit.correlations
    assert fit.covariance is not None
    assert fit.condition_number is not None
    pair = table[(table["parameter"] == "omega_ke") & (table["other"] == "ke")].iloc[0]
    sd = np.sqrt(np.diag(fit.covariance))
    assert pair["correlation"] == pytest.approx(fit.covariance[1, 0] / sd[0] / sd[1])
    assert (table[table["parameter"] == table["other"]]["correlation"].round(12) == 1.0).all()
    assert set(table["uncertainty"]) == {fit.uncertainty}
    assert 1.0 <= fit.condition_number < 1000
    assert fit.to_dict()["condition_number"] == fit.condition_number
    none = replace(fit, covariance=None)
    assert none.correlations.empty
    assert none.condition_number is None


def test_where_a_random_effect_is_tight_the_curve_is_calculated_anew(cohort: Cohort) -> None:
    """Below `TIGHT_OMEGA` draws are held in units of omega: mu acts through the curve."""
    problem = PooledProblem.from_cohort(cohort, DECLINE, residual=ADDITIVE)
    x = problem.pack({"ke": 0.45}, {"ke": 0.08}, (0.5,))
    near = Reweighted(problem, importance_sample(problem, x, conditional_modes(problem, x), seed=1), seed=5)
    moved = x + np.array([0.05, 0.1, -0.1])
    fresh = importance_sample(problem, moved, conditional_modes(problem, moved), seed=8, target_se=0.02, slopes=False)
    value, size = near(moved[None])
    error = 2 * np.sqrt((1 / size).sum() + fresh.mc_se**2)
    assert -2 * value.sum() == pytest.approx(fresh.minus2ll, abs=4 * error)
    assert error < 0.3


def test_sir_finds_the_covariance_of_a_likelihood_that_is_nearly_normal(fit: PopulationFit) -> None:
    found = sir(fit, samples=400, iterations=3, resamples=1000, seed=2)
    assert found.iterations[-1].effective > 400
    # -2LL rises by a chi-square of 3 degrees of freedom on average.
    assert found.iterations[-1].mean_rise == pytest.approx(3.0, abs=0.5)
    assert fit.covariance is not None
    np.testing.assert_allclose(found.vectors.std(axis=0), np.sqrt(np.diag(fit.covariance)), rtol=0.3)
    table = found.table.set_index("parameter")
    assert table.loc["ke", "se"] == pytest.approx(fit["ke"].se, rel=0.15)
    assert table.loc["ke", "ci_low"] < fit["ke"].estimate < table.loc["ke", "ci_high"]
    assert set(table["uncertainty"]) == {"SIR"}
    again = sir(fit, samples=400, iterations=3, resamples=1000, seed=2)
    np.testing.assert_array_equal(found.vectors, again.vectors)


def test_sir_rejects_vectors_outside_the_bounds_and_says_how_many(fit: PopulationFit) -> None:
    """A standard error of 2 for ln omega_ke, whose bounds are ln 0.01 and ln 20."""
    assert fit.covariance is not None
    wide = fit.covariance.copy()
    wide[1] = wide[:, 1] = 0.0
    wide[1, 1] = 4.0
    found = sir(replace(fit, covariance=wide), samples=400, iterations=1, seed=2)
    (last,) = found.iterations
    z = (np.log([0.01, 20.0]) - fit.x[1]) / np.sqrt(1.2 * 4.0)
    within = np.diff([0.5 * (1 + erf(one / np.sqrt(2))) for one in z])[0]
    assert last.outside == pytest.approx(800 * (1 - within), abs=4 * np.sqrt(800 * within * (1 - within)))
    assert f"{last.outside} lay outside the bounds of the search and were rejected" in found.status
    lower, upper = bounds(fit.problem)
    assert ((found.vectors >= lower) & (found.vectors <= upper)).all()


def test_sir_needs_a_covariance_and_enough_samples(fit: PopulationFit) -> None:
    with pytest.raises(FitError, match="the optimum was not reached"):
        sir(replace(fit, covariance=None, uncertainty="none: the optimum was not reached"))
    with pytest.raises(SettingsError, match="samples is 3"):
        sir(fit, samples=3)
    with pytest.raises(FitError, match="has draws of its parameters already"):
        sir(replace(fit, method="bayes"))
    bare = replace(fit.problem.structure, random=())
    problem = replace(fit.problem, form=replace(fit.problem.form, structure=bare))
    with pytest.raises(FitError, match="no random effects"):
        sir(replace(fit, problem=problem))


@pytest.mark.usefixtures("quick")
def test_bootstrap_of_a_fit_that_is_a_mean_has_the_standard_error_of_a_mean(fit: PopulationFit) -> None:
    found = bootstrap(fit, replicates=300, seed=1)
    y = np.asarray(fit.problem.samples.y)[: fit.problem.n_real, 1]
    expected = np.log(10 / y).std() / np.sqrt(len(y))
    used = [one.parameters["ke"] for one in found.replicates if one.status != "failed"]
    assert np.std(used) == pytest.approx(expected, rel=0.2)
    statuses = {one.status for one in found.replicates}
    assert statuses == {"converged", "not converged", "failed"}
    assert {one.reason for one in found.replicates} == {"", "high rates", "the rates are too high for this fit"}
    assert found.n_used == sum(one.status == "converged" for one in found.replicates)
    assert found.status.startswith(f"{found.n_used} of 300 replicates converged; the intervals rest on these")
    assert list(found.table["replicates"].unique()) == [found.n_used]
    assert len(found.estimates) == 900
    assert "converged" in repr(found)


@pytest.mark.usefixtures("quick")
def test_an_interrupted_bootstrap_goes_on_with_the_same_numbers(
    fit: PopulationFit, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bootstrap(fit, replicates=12, strata="group", seed=1)
    run = Replicates.run

    def stop(self: Replicates, work, tasks, **others):
        run(self, work, tasks[:5], **others)
        raise KeyboardInterrupt

    monkeypatch.setattr(Replicates, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        bootstrap(fit, replicates=12, strata="group", seed=1, folder=tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(bootstrapping, "estimator_of", lambda method: mean_of_logs)
    assert len(list(tmp_path.glob("records/*.json"))) == 5
    resumed = bootstrap(fit, replicates=12, strata="group", seed=1, folder=tmp_path, resume=True)
    pd.testing.assert_frame_equal(resumed.table, whole.table, check_exact=True)
    pd.testing.assert_frame_equal(resumed.estimates, whole.estimates, check_exact=True)
    with pytest.raises(SettingsError, match="strata was group, is "):
        bootstrap(fit, replicates=12, seed=1, folder=tmp_path, resume=True)
    # More replicates are more of the same.
    more = bootstrap(fit, replicates=14, strata="group", seed=1, folder=tmp_path, resume=True)
    assert more.replicates[:12] == whole.replicates


@pytest.mark.usefixtures("quick")
def test_a_parametric_bootstrap_differs_from_one_of_subjects_and_keeps_its_name(fit: PopulationFit) -> None:
    found = bootstrap(fit, replicates=3, kind="parametric", seed=1)
    assert found.kind == "parametric"
    assert [one.number for one in found.replicates] == [1, 2, 3]
    with pytest.raises(SettingsError, match="a parametric bootstrap keeps every subject"):
        bootstrap(fit, replicates=3, kind="parametric", strata="group")


@pytest.mark.usefixtures("quick")
def test_a_bootstrap_without_a_fit_says_why(fit: PopulationFit, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Estimate:
        raise FitError("nothing to see")

    monkeypatch.setattr(bootstrapping, "estimator_of", lambda method: broken)
    with pytest.raises(FitError, match="no replicate could be fitted: nothing to see"):
        bootstrap(fit, replicates=2)


@pytest.mark.usefixtures("quick")
def test_no_replicate_draws_from_a_stream_that_an_estimator_draws_from(
    fit: PopulationFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def watched(strata: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
        begun.append(rng.bit_generator.state["state"]["state"])
        return drawn_subjects(strata, rng)

    monkeypatch.setattr(bootstrapping, "drawn_subjects", watched)
    bootstrap(fit, replicates=80, seed=1)
    # SAEM has (seed, 5), NUTS (seed, 7), reweighting (seed, 77).
    streams = [np.random.default_rng((1, k)).bit_generator.state["state"]["state"] for k in range(100)]
    assert len(set(begun)) == 80
    assert not set(begun) & set(streams)


def test_a_fit_by_quadrature_with_a_number_of_nodes_is_refitted_with_as_many(fit: PopulationFit) -> None:
    found = bootstrap(replace(fit, method="agq:3"), replicates=1, seed=1)
    assert found.replicates[0].status == "converged", found.replicates[0].reason
    assert bootstrapping._shared(found.fit, "nonparametric", None, 1, 0.4).method == "agq:3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicates": 0}, "replicates is 0"),
        ({"kind": "wild"}, "'wild' does not exist"),
        ({"strata": "centre"}, "strata 'centre': the data have group"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"jobs": 0}, "1 or more"),
    ],
)
def test_a_bootstrap_that_makes_no_sense_is_refused(fit: PopulationFit, options: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        bootstrap(fit, **options)


def test_a_refit_in_another_process_is_the_same_one(fit: PopulationFit) -> None:
    shared = bootstrapping._shared(fit, "nonparametric", "group", 1, 0.4)
    there = pickle.loads(pickle.dumps(shared))
    assert bootstrapping._refit(there, 1) == bootstrapping._refit(shared, 1)


@pytest.mark.usefixtures("quick")
def test_a_model_that_cannot_be_sent_is_refused_before_a_process_begins(fit: PopulationFit) -> None:
    unnamed = replace(DECLINE, log_curve=lambda theta, t: jnp.log(10.0) - theta[0] * t)
    problem = replace(fit.problem, form=replace(fit.problem.form, model=unnamed))
    with pytest.raises(SettingsError, match="cannot be sent to other processes"):
        bootstrap(replace(fit, problem=problem), replicates=2, jobs=2)
