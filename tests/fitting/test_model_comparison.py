"""Models of a population are ranked by exact likelihoods, with their Monte-Carlo error, and never by approximations."""

import jax.numpy as jnp
import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.model_comparison import COLUMNS, Compared, ModelComparison, compare_models, rank
from cellkinetics.models.base import Model, Parameter

C0 = Parameter("c0", "log", "value", 1e-2, 1e8, "value at infusion")
K = Parameter("k", "log", "rate", 1e-4, 10.0, "decline rate")
DECLINE = Model("decline", "mono-exponential decline", (C0, K), lambda theta, t: jnp.log(theta[0]) - theta[1] * t)
LEVEL = Model("level", "no decline", (C0,), lambda theta, t: jnp.log(theta[0]) + 0.0 * t)
DAYS = [0.0, 2.0, 5.0, 9.0]


@pytest.fixture(scope="module")
def cohort() -> ck.Cohort:
    rng = np.random.default_rng(1)
    n = 16
    c0, k = 500 * np.exp(0.5 * rng.standard_normal(n)), 0.2 * np.exp(0.3 * rng.standard_normal(n))
    value = np.exp(np.log(c0)[:, None] - k[:, None] * DAYS + 0.3 * rng.standard_normal((n, len(DAYS))))
    return ck.Cohort.from_arrays([DAYS] * n, value.tolist())


@pytest.fixture(scope="module")
def found(cohort: ck.Cohort) -> ModelComparison:
    start = {"c0": 400.0, "k": 0.25}
    return compare_models(cohort, [LEVEL, DECLINE, "ecp+comedication"], start=start, method="importance")


def test_the_model_of_the_simulation_wins(found: ModelComparison) -> None:
    assert [one.model for one in found.models] == ["decline", "level", "ecp+comedication"]
    assert found.best is found.fits["decline"]
    first, second, failed = found.models
    assert (first.delta, first.delta_se, first.best) == (0.0, 0.0, True)
    assert second.delta == pytest.approx(second.bicc - first.bicc)
    assert second.delta_se == pytest.approx(np.hypot(first.mc_se, second.mc_se))
    assert second.delta > 20
    assert first.weight + second.weight == pytest.approx(1.0)
    assert first.left < 0.5
    assert failed.reason
    assert np.isnan(failed.bicc)
    assert any(text.startswith("ecp+comedication could not be fitted") for text in found.warnings)


def test_the_criteria_are_those_of_their_formulas(found: ModelComparison) -> None:
    level = found.models[1]
    assert level.n_parameters == 3
    assert level.aic == pytest.approx(level.minus2ll + 6)
    assert level.bic == pytest.approx(level.minus2ll + 3 * np.log(16))
    assert level.bicc == pytest.approx(level.minus2ll + 2 * np.log(16) + np.log(64))


def test_the_table_has_a_row_a_model(found: ModelComparison) -> None:
    assert list(found.table.columns) == list(COLUMNS)
    assert found.table["model"].tolist() == ["decline", "level", "ecp+comedication"]
    assert "decline has the least BICc" in repr(found)


def test_models_within_the_monte_carlo_error_are_said_to_be_undecided() -> None:
    rows = [
        Compared("a", minus2ll=100.0, mc_se=0.3, aic=104.0, converged=True),
        Compared("b", minus2ll=100.6, mc_se=0.4, aic=104.6, converged=True),
        Compared("c", minus2ll=103.0, mc_se=0.1, aic=107.0, converged=True),
        Compared("d", reason="no"),
    ]
    ranked = rank(rows, "aic")
    assert [(one.model, one.undecided) for one in ranked] == [("a", False), ("b", True), ("c", False), ("d", False)]
    assert [one.delta for one in ranked[:3]] == pytest.approx([0.0, 0.6, 3.0])
    assert ranked[1].delta_se == pytest.approx(0.5)
    weights = np.exp([0.0, -0.3, -1.5])
    assert [one.weight for one in ranked[:3]] == pytest.approx((weights / weights.sum()).tolist())


@pytest.mark.parametrize("criterion", ["laplace", "focei", "agq:5"])
def test_an_approximate_objective_never_ranks(cohort: ck.Cohort, criterion: str) -> None:
    with pytest.raises(SettingsError, match="never ranked by an approximate objective"):
        compare_models(cohort, [DECLINE, LEVEL], criterion=criterion)


def test_what_cannot_be_compared_is_refused(cohort: ck.Cohort) -> None:
    with pytest.raises(SettingsError, match="models are never compared by focei"):
        compare_models(cohort, [DECLINE, LEVEL], method="focei")
    with pytest.raises(SettingsError, match="no criterion 'bics'"):
        compare_models(cohort, [DECLINE, LEVEL], criterion="bics")
    with pytest.raises(SettingsError, match="at least two different models"):
        compare_models(cohort, ["ecp", "ecp"])
    with pytest.raises(SettingsError, match="fix foldx: none of the models has it"):
        compare_models(cohort, [DECLINE, LEVEL], fix={"foldx": 5.0})
    with pytest.raises(FitError, match="none of the models can be fitted: ecp"):
        compare_models(cohort.take([0, 1]), ["ecp", "ecp+lag"])
