"""Two-stage and naive fits: what they estimate, and what they say of themselves."""

import json

import numpy as np
import pytest
from line_model import LINE

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled.estimation import estimator_of, pool
from cellkinetics.fitting.pooled.result import PopulationFit

DAYS = np.array([0.5, 1.0, 2.0, 4.0, 6.0, 9.0])
START = {"c0": 60.0, "k": 0.3}
SIGMA = 0.3


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Forty patients with six samples; some are below the LLOQ."""
    rng = np.random.default_rng(4)
    log_c0 = np.log(50.0) + 0.5 * rng.standard_normal((40, 1))
    log_k = np.log(0.2) + 0.4 * rng.standard_normal((40, 1))
    values = np.exp(log_c0 - np.exp(log_k) * DAYS + SIGMA * rng.standard_normal((40, len(DAYS))))
    return Cohort.from_arrays([DAYS.tolist()] * 40, values.tolist(), lloq=4.0)


@pytest.fixture(scope="module")
def two_stage(cohort) -> PopulationFit:
    return pool(cohort, model=LINE, method="two-stage", start=START)


@pytest.fixture(scope="module")
def naive(cohort) -> PopulationFit:
    return pool(cohort, model=LINE, method="naive", start=START)


def test_two_stages_take_the_uncertainty_of_each_fit_off_the_variability(two_stage, cohort):
    assert two_stage.converged, two_stage.status
    for name, truth in (("c0", 50.0), ("k", 0.2), ("omega_c0", 0.5), ("omega_k", 0.4), ("sigma", SIGMA)):
        row = two_stage[name]
        error = np.log(row.ci_high / row.ci_low) / 3.92
        assert abs(np.log(row.estimate / truth)) < 4 * error, name
    from cellkinetics.fitting.individual import fit

    own = [one["k"].estimate for one in fit(cohort, model=LINE, starts=START)]
    spread = np.log([value for value in own if value is not None]).std(ddof=1)
    # The spread of the patients' own estimates has their error in it.
    assert two_stage["omega_k"].estimate < spread


def test_two_stages_say_that_they_are_no_maximum(two_stage, cohort):
    assert two_stage.uncertainty.startswith("information of the second stage")
    assert any("no maximum of -2LL" in warning for warning in two_stage.warnings)
    best = pool(cohort, model=LINE, method="importance", start=START)
    assert two_stage.objective.method == "importance sampling"
    assert best.objective.minus2ll < two_stage.objective.minus2ll + 0.2
    assert two_stage.objective.minus2ll - best.objective.minus2ll < 10.0


def test_a_parameter_that_few_determine_is_refused_by_name():
    late = Cohort.from_arrays([[4.0, 6.0, 9.0]] * 4, [[height, 5.0, 5.0] for height in (30, 25, 20, 28)], lloq=8.0)
    with pytest.raises(FitError, match=r"determine c0 by themselves, and method two-stage needs 3"):
        pool(late, model=LINE, method="two-stage", start=START)


def test_a_block_and_a_covariate_of_two_stages(cohort):
    grouped = Cohort.from_arrays(
        [DAYS.tolist()] * 40,
        cohort.value.tolist(),
        lloq=4.0,
        group=["a", "b"] * 20,
    )
    fit = pool(grouped, model=LINE, method="two-stage", start=START, omega="full", covariates=("c0 ~ group",))
    assert fit.converged
    assert abs(fit["beta_c0_group_b"].estimate) < 4 * fit["beta_c0_group_b"].se
    assert -0.9 < fit["corr_c0_k"].estimate < 0.9


def test_naive_pooling_is_the_regression_of_all_samples(naive, cohort):
    """Without censoring it is least squares: compared by the score, which is zero at its maximum."""
    assert naive.converged
    assert [row.parameter for row in naive.estimates] == ["c0", "k", "sigma"]
    assert np.abs(naive.importance.score).max() < 0.02
    assert naive["sigma"].estimate > 1.5 * SIGMA
    assert naive.objective.mc_se == 0.0
    assert naive.objective.own["naive"] == pytest.approx(naive.objective.minus2ll, abs=1e-6)
    assert naive.objective.method == "exact: no random effects"


def test_naive_pooling_says_what_is_wrong_with_it_and_writes_its_tables(naive, cohort):
    assert any(warning.startswith("naive pooling has no variability") for warning in naive.warnings)
    record = json.loads(json.dumps(naive.to_dict(), allow_nan=False))
    assert record["omega"]["names"] == []
    table = naive.individual
    assert set(table["reason"]) == {"no random effect"}
    assert table["eta"].abs().max() == 0.0
    assert naive.curves["predicted"].to_numpy() == pytest.approx(naive.curves["typical"].to_numpy())


def test_the_sandwich_counts_patients_and_is_wider_where_they_differ(naive, cohort):
    sandwich = pool(cohort, model=LINE, method="naive", start=START, uncertainty="sandwich")
    assert sandwich["c0"].se > 1.2 * naive["c0"].se
    assert "importance sampling" not in sandwich.uncertainty


def test_naive_pooling_takes_no_structure_of_random_effects(cohort):
    with pytest.raises(SettingsError, match="naive has no random effects"):
        pool(cohort, model=LINE, method="naive", start=START, omega="full")
    with pytest.raises(SettingsError, match="no parameter has a random effect: use method naive"):
        pool(cohort, model=LINE, method="focei", start=START, fix={"omega_c0": 0, "omega_k": 0})


def test_quadrature_finds_the_maximum_of_the_likelihood(cohort):
    fit = pool(cohort, model=LINE, method="agq", start=START)
    assert fit.converged, fit.status
    assert fit.objective.own["agq"] == pytest.approx(fit.objective.minus2ll, abs=4 * fit.objective.mc_se)
    assert fit.work["agq_nodes"] == 9
    assert any("quadrature with 9 nodes along each of 2 random effects" in warning for warning in fit.warnings)


def test_a_method_is_found_by_its_name_or_refused():
    assert estimator_of("agq:5") is not estimator_of("agq")
    with pytest.raises(SettingsError, match="'focei:5' does not exist"):
        estimator_of("focei:5")
    with pytest.raises(SettingsError, match="whole number, as in agq:5"):
        estimator_of("agq:-1")
