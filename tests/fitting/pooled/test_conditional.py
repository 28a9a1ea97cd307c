"""Draws of a patient's parameters given the samples, against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.special import log_ndtr

import cellkinetics as ck
from cellkinetics.data.reading import read
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.conditional import Conditional, conditional_draws, resample
from cellkinetics.fitting.pooled.individuals import LEVELS
from cellkinetics.fitting.pooled.known import know
from cellkinetics.fitting.pooled.newcomers import problem_of
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.proposal import Proposal
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.structure import Form, Structure
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import library
from cellkinetics.models.residual import LOG_CONSTANT

DAYS = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84, 180]


@pytest.fixture(scope="module")
def fit() -> PopulationFit:
    """Twelve virtual patients; the first has only four samples left, so that little is known of that one."""
    drawn = library["stein2019"].simulate(12, DAYS, lloq=50, seed=5).samples
    few = (drawn["subject"] == "V01") & ~drawn["nominal_time"].isin([3, 9, 14, 56])
    return ck.pool(ck.read(drawn[~few]), method="focei", seed=1)


@pytest.fixture(scope="module")
def conditional(fit: PopulationFit) -> Conditional:
    return fit.conditional(2000)


def test_draws_agree_with_brute_force_where_little_is_known(fit: PopulationFit, conditional: Conditional) -> None:
    population = fit.population
    phi = population.draw(400_000, np.random.default_rng(8))
    samples = fit.problem.samples
    m = int(samples.mask[0].sum())
    time, y, censored = (np.asarray(part)[0, :m] for part in (samples.time, samples.y, samples.censored))
    assert m == 4
    theta = np.column_stack([np.exp(phi[:, :4]), 1 / (1 + np.exp(-phi[:, 4])), np.exp(phi[:, 5])])
    cmax, tmax, foldx, alpha, fb, beta = theta.T[:, :, None]
    after = np.maximum(time - tmax, 0.0)
    rise = np.log(cmax) - np.log(foldx) * (1 - time / tmax)
    fall = np.log(cmax) + np.log((1 - fb) * np.exp(-alpha * after) + fb * np.exp(-beta * after))
    z = (y - np.where(time < tmax, rise, fall)) / population.sigma[0]
    log_weight = np.where(censored == 1, log_ndtr(z), -0.5 * z**2).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    exact = weight @ phi
    spread = np.sqrt(weight @ (phi - exact) ** 2)
    found = conditional.phi[0, :, 0]
    few = min(1 / (weight**2).sum(), conditional.effective[0], 2000)
    assert few > 300
    np.testing.assert_allclose(found.mean(axis=0), exact, atol=4 * (spread * np.sqrt(2 / few)).max())
    # The SD of an SD is sd/sqrt(2 n) for a normal; twice that leaves room for tails.
    np.testing.assert_allclose(found.std(axis=0), spread, rtol=8 / np.sqrt(2 * few))


def test_draws_have_the_moments_of_the_importance_sampling(fit: PopulationFit, conditional: Conditional) -> None:
    error = conditional.u.mean(axis=1) - fit.importance.mean
    sd = np.sqrt(np.diagonal(fit.importance.covariance, axis1=1, axis2=2))
    assert np.abs(error / sd).max() < 5 / np.sqrt(300)


def test_the_same_seed_gives_the_same_draws_and_another_does_not(fit: PopulationFit) -> None:
    first, second, third = (fit.conditional(20, seed=seed).phi for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


def test_systematic_resampling_takes_each_place_as_often_as_its_weight_asks() -> None:
    rng = np.random.default_rng(0)
    weight = rng.dirichlet(np.ones(30), size=5)
    places = resample(weight, 400, rng.random(5))
    counts = np.stack([np.bincount(row, minlength=30) for row in places])
    assert np.abs(counts - 400 * weight).max() < 1 + 1e-9


def test_the_table_of_quantities_is_of_the_draws(fit: PopulationFit) -> None:
    table = fit.quantities
    assert len(table) == 12 * (len(ECP.names) + len(ECP.derived))
    assert table["status"].eq("ok").all()
    own = table[table["subject"] == "V03"].set_index("quantity")
    draws = fit.conditional().theta[list(fit.problem.subjects).index("V03"), :, 0]
    assert own.loc["alpha", "median"] == pytest.approx(np.median(draws[:, 3]))
    low, high = np.percentile(np.log(2) / draws[:, 3], LEVELS)
    assert own.loc["half_life_alpha", ["ci_low", "ci_high"]].tolist() == pytest.approx([low, high])
    assert own.loc["half_life_alpha", "mode"] == pytest.approx(np.log(2) / own.loc["alpha", "mode"])
    effects = fit.individual.set_index(["subject", "parameter"])
    assert own.loc["cmax", "mode"] == effects.loc[("V03", "cmax"), "ebe"]
    # Of the patient with four samples less is known.
    ratio = table[table["quantity"] == "cmax"].eval("sd / mode").to_numpy()
    assert ratio[0] == ratio.max()


def test_curves_have_a_band_around_the_mode(fit: PopulationFit) -> None:
    curves = fit.curves
    assert (curves["predicted_low"] < curves["predicted_high"]).all()
    inside = (curves["predicted_low"] < curves["predicted"]) & (curves["predicted"] < curves["predicted_high"])
    assert inside.mean() > 0.95


def test_shrinkage_stands_both_ways(fit: PopulationFit) -> None:
    row = fit["omega_cmax"]
    eta = fit.individual.query("parameter == 'cmax'")
    assert row.shrinkage_percent == pytest.approx(100 * (1 - eta["eta"].std() / row.estimate))
    assert row.shrinkage_variance_percent == pytest.approx(100 * (1 - eta["eta_mean"].var() / row.estimate**2))


def test_options_out_of_range_are_refused(fit: PopulationFit) -> None:
    with pytest.raises(SettingsError, match="n is 0"):
        fit.conditional(0)
    with pytest.raises(SettingsError, match="seed -1"):
        fit.conditional(seed=-1)


def wide(problem: PooledProblem) -> Proposal:
    """A single component around zero, wide enough for every patient."""
    n, d = problem.samples.time.shape[0], problem.structure.n_latent
    with jax.enable_x64(True):
        factor = jnp.asarray(np.tile(1.5 * np.eye(d), (n, 1, 1, 1)))
        return Proposal(jnp.ones((n, 1)), jnp.zeros((n, 1, d)), factor)


def test_occasions_and_classes_are_drawn_as_brute_force_finds_them() -> None:
    mu = know("stein2019").population.mu
    structure = Structure(ECP.names, (0,), LOG_CONSTANT.names, occasion=(0,), occasions=2, shifted=(0,), classes=2)
    shift = np.array([[0.0], [-2.0]])
    x = structure.pack(mu, np.array([0.5]), [0.6], gamma=np.array([0.3]), shift=shift, share=np.array([0.7, 0.3]))
    table = pd.DataFrame({"subject": "a", "occasion": [1, 1, 2], "time": [9.3, 14.0, 9.3], "value": [4e3, 4e3, 9e3]})
    problem = problem_of(read(table), PopulationModel(Form(ECP, LOG_CONSTANT, structure), x))
    found = conditional_draws(problem, x, wide(problem), draws=4000, seed=2)

    rng, n = np.random.default_rng(1), 400_000
    member = rng.random(n) < 0.3
    kappa = 0.3 * rng.standard_normal((2, n))
    cmax = mu[0] - 2.0 * member + 0.5 * rng.standard_normal(n) + kappa
    typical = know("stein2019").population.typical
    after = np.log(ECP.predict(typical, [14.0])[0] / typical["cmax"])
    predicted = np.stack([cmax[0], cmax[0] + after, cmax[1]])
    log_weight = -0.5 * ((np.log([4e3, 4e3, 9e3])[:, None] - predicted) ** 2).sum(axis=0) / 0.36
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    exact = cmax @ weight
    spread = np.sqrt(((cmax - exact[:, None]) ** 2) @ weight)
    drawn = found.phi[0, :, :, 0]
    np.testing.assert_allclose(drawn.mean(axis=0), exact, atol=5 * spread.max() / np.sqrt(4000))
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.06)
    np.testing.assert_array_equal(found.phi[0, :, 0, 1:], found.phi[0, :, 1, 1:])
