"""Draws of a patient's parameters given the samples, against brute force."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.special import log_ndtr

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.reading import read
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.conditional import Conditional, conditional_draws, resample
from cellkinetics.fitting.pooled.individuals import LEVELS, quantity_rows
from cellkinetics.fitting.pooled.known import know
from cellkinetics.fitting.pooled.newcomers import problem_of
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.proposal import Proposal
from cellkinetics.fitting.pooled.structure import Form, Structure
from cellkinetics.models.ecp import ECP
from cellkinetics.models.residual import LOG_CONSTANT


def wide(problem: PooledProblem) -> Proposal:
    """A single component around zero, wide enough for every patient."""
    n, d = problem.samples.time.shape[0], problem.structure.n_latent
    with jax.enable_x64(True):
        factor = jnp.asarray(np.tile(1.5 * np.eye(d), (n, 1, 1, 1)))
        return Proposal(jnp.ones((n, 1)), jnp.zeros((n, 1, d)), factor)


@pytest.fixture(scope="module")
def population() -> PopulationModel:
    """Stein 2019, in which only cmax, foldx and alpha vary between patients."""
    structure = Structure(ECP.names, (0, 2, 3), LOG_CONSTANT.names)
    x = structure.pack(know("stein2019").population.mu, np.array([0.65, 2.4, 0.91]), [0.56])
    return PopulationModel(Form(ECP, LOG_CONSTANT, structure), x)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    time, value = [[3.0, 9.0, 14.0, 56.0], [9.0, 28.0]], [[0.0, 9e3, 2e4, 0.0], [3e4, 6e2]]
    return Cohort.from_arrays(time, value, lloq=50.0, subject=["a", "b"])


@pytest.fixture(scope="module")
def conditional(population: PopulationModel, cohort: Cohort) -> Conditional:
    problem = problem_of(cohort, population)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellkinetics.fitting.pooled.conditional.MOST_ROUNDS", 60)
        return conditional_draws(problem, population.x, wide(problem), draws=2000, seed=3)


def test_draws_agree_with_brute_force(population: PopulationModel, conditional: Conditional) -> None:
    phi = population.draw(400_000, np.random.default_rng(8))
    theta = np.column_stack([np.exp(phi[:, :4]), 1 / (1 + np.exp(-phi[:, 4])), np.exp(phi[:, 5])])
    time, y, censored = np.array([3.0, 9.0, 14.0, 56.0]), np.log([50.0, 9e3, 2e4, 50.0]), np.array([1, 0, 0, 1])
    cmax, tmax, foldx, alpha, fb, beta = theta.T[:, :, None]
    after = np.maximum(time - tmax, 0.0)
    rise = np.log(cmax) - np.log(foldx) * (1 - time / tmax)
    fall = np.log(cmax) + np.log((1 - fb) * np.exp(-alpha * after) + fb * np.exp(-beta * after))
    z = (y - np.where(time < tmax, rise, fall)) / 0.56
    log_weight = np.where(censored == 1, log_ndtr(z), -0.5 * z**2).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    exact = weight @ phi
    spread = np.sqrt(weight @ (phi - exact) ** 2)
    found = conditional.phi[0, :, 0]
    few = min(1 / (weight**2).sum(), conditional.effective[0], 2000)
    assert few > 1000
    np.testing.assert_allclose(found.mean(axis=0), exact, atol=4 * (spread * np.sqrt(2 / few)).max())
    np.testing.assert_allclose(found.std(axis=0), spread, rtol=8 / np.sqrt(2 * few), atol=1e-12)


def test_the_same_seed_gives_the_same_draws_and_another_does_not(conditional: Conditional) -> None:
    problem = conditional.problem
    first, second, third = (
        conditional_draws(problem, conditional.x, wide(problem), draws=20, seed=seed).phi for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


def test_systematic_resampling_takes_each_place_as_often_as_its_weight_asks() -> None:
    rng = np.random.default_rng(0)
    weight = rng.dirichlet(np.ones(30), size=5)
    places = resample(weight, 400, rng.random(5))
    counts = np.stack([np.bincount(row, minlength=30) for row in places])
    assert np.abs(counts - 400 * weight).max() < 1 + 1e-9


def test_the_table_of_quantities_is_of_the_draws(cohort: Cohort, conditional: Conditional) -> None:
    modes = {i: np.median(conditional.theta[i, :, 0], axis=0) for i in range(2)}
    table = quantity_rows(cohort, conditional, modes)
    assert len(table) == 2 * (len(ECP.names) + len(ECP.derived))
    assert table["status"].eq("ok").all()
    own = table[table["subject"] == "b"].set_index("quantity")
    draws = conditional.theta[1, :, 0]
    assert own.loc["alpha", "median"] == pytest.approx(np.median(draws[:, 3]))
    low, high = np.percentile(np.log(2) / draws[:, 3], LEVELS)
    assert own.loc["half_life_alpha", ["ci_low", "ci_high"]].tolist() == pytest.approx([low, high])
    assert own.loc["half_life_alpha", "mode"] == pytest.approx(np.log(2) / own.loc["alpha", "mode"])


def test_an_interval_of_few_effective_draws_is_flagged(cohort: Cohort, conditional: Conditional) -> None:
    poor = replace(conditional, effective=np.array([500.0, 7.2]))
    table = quantity_rows(cohort, poor, {0: conditional.theta[0, 0, 0], 1: conditional.theta[1, 0, 0]})
    assert table.groupby("subject")["status"].unique().map(list).to_dict() == {"a": ["ok"], "b": ["flagged"]}
    assert table["reason"].iloc[-1] == "the interval is rough: 7 effective draws"


def test_options_out_of_range_are_refused(conditional: Conditional) -> None:
    for options, message in (({"draws": 0}, "n is 0"), ({"seed": -1}, "seed -1")):
        with pytest.raises(SettingsError, match=message):
            conditional_draws(conditional.problem, conditional.x, wide(conditional.problem), **options)


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
