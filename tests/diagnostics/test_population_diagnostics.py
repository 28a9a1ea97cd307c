"""Residuals, random effects, contributions and traces of a population fit."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import cellkinetics as ck
from cellkinetics.diagnostics.residuals import PopulationResiduals, truncated
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled.estimate import Trace
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.models.published import library

DAYS = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84, 180]
NAMES = ["cmax", "tmax", "foldx", "alpha", "fb", "beta"]


@pytest.fixture(scope="module")
def fit() -> PopulationFit:
    drawn = library["stein2019"].simulate(12, DAYS, lloq=50, seed=5).samples
    first = drawn["subject"].str[1:].astype(int)
    table = drawn.assign(group=np.where(first <= 6, "a", "b"), weight=60.0 + first)
    return ck.pool(ck.read(table), method="focei", seed=1)


@pytest.fixture(scope="module")
def residuals(fit: PopulationFit) -> PopulationResiduals:
    return fit.residuals()


def test_residuals_are_those_of_the_modes(fit: PopulationFit, residuals: PopulationResiduals) -> None:
    table, sigma = residuals.table, fit["sigma"].estimate
    seen = table[~table["drawn"]]
    by_hand = (np.log(seen["value"]) - np.log(seen["predicted"])) / sigma
    np.testing.assert_allclose(seen["iwres"], by_hand, rtol=1e-9)
    curve = fit.curves[fit.curves["subject"] == "V03"]
    own = table[table["subject"] == "V03"]
    nearest = np.interp(own["time"], curve["time"], np.log(curve["predicted"]))
    np.testing.assert_allclose(np.log(own["predicted"]), nearest, atol=0.1)


def test_censored_residuals_lie_below_their_limit_and_are_marked(
    fit: PopulationFit, residuals: PopulationResiduals
) -> None:
    table = residuals.table
    drawn = table[table["drawn"]]
    assert len(drawn) == fit.n_censored
    limit = (np.log(50.0) - np.log(drawn["predicted"])) / fit["sigma"].estimate
    np.testing.assert_allclose(drawn["iwres_high"], limit, rtol=1e-9)
    assert (drawn["iwres"] <= drawn["iwres_high"]).all()
    assert drawn["iwres_low"].isna().all()
    assert table.loc[~table["drawn"], "iwres_high"].isna().all()


def test_residuals_at_conditional_draws_do_not_shrink(residuals: PopulationResiduals) -> None:
    table = residuals.table
    assert table["iwres"].std() < table["iwres_conditional"].std()
    assert table["iwres_conditional"].std() == pytest.approx(1, abs=0.2)
    assert residuals.shrinkage > 5
    assert "shrinkage" in repr(residuals)


def test_a_truncated_draw_has_the_distribution_of_its_range() -> None:
    n = 4000
    uniform = (np.arange(n) + 0.5) / n
    for z, flag, lower, low, high in (
        (0.5, 1, np.nan, -np.inf, 0.5),
        (-7.0, 1, np.nan, -np.inf, -7.0),
        (1.0, -1, np.nan, 1.0, np.inf),
        (0.3, 1, -1.0, -1.0, 0.3),
    ):
        drawn, *ends = truncated(np.full(n, z), np.full(n, flag), np.full(n, lower), uniform)
        assert stats.kstest(drawn, stats.truncnorm(low, high).cdf).statistic < 0.001
        assert [ends[0][0], ends[1][0]] == [low, high]


def test_shrinkage_agrees_with_the_table_of_the_fit(fit: PopulationFit) -> None:
    found = fit.random_effects()
    rows = found.table[(found.table["kind"] == "shrinkage") & (found.table["statistic"] == "modes")]
    for name, value in zip(rows["parameter"], rows["value"], strict=True):
        assert value == pytest.approx(fit[f"omega_{name}"].shrinkage_percent)
    eta = fit.individual[fit.individual["parameter"] == "foldx"].set_index("subject")["eta"]
    own = found.effects[found.effects["parameter"] == "foldx"].set_index("subject")["eta"]
    np.testing.assert_allclose(own, eta)


def test_pairs_and_covariates_are_compared(fit: PopulationFit) -> None:
    table = fit.random_effects().table
    pairs = table[(table["kind"] == "pair") & (table["statistic"] == "modes")]
    assert len(pairs) == 15
    wide = fit.individual.pivot_table(index="subject", columns="parameter", values="eta")
    row = pairs[(pairs["parameter"] == "cmax") & (pairs["beside"] == "alpha")].iloc[0]
    expected = stats.pearsonr(wide["cmax"], wide["alpha"])
    assert (row["value"], row["p"]) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    covariates = table[table["kind"] == "covariate"]
    assert set(zip(covariates["beside"], covariates["statistic"], strict=True)) == {
        ("group", "kruskal"),
        ("weight", "spearman"),
    }
    assert covariates["p"].between(0, 1).all()


def test_contributions_add_up_and_influence_is_that_of_leaving_out(fit: PopulationFit) -> None:
    table = fit.contributions().table
    assert table["minus2ll"].sum() == pytest.approx(fit.objective.minus2ll)
    assert table["n"].sum() == fit.n_observations
    assert table["n_below"].sum() == fit.n_censored
    assert (table["influence"] > 0).all()
    assert set(table["most_moved"]) <= set(fit.labels)
    # The scores of all patients add up to nearly nothing at an optimum, so what they move cancels.
    k = fit.labels.index("sigma")
    scores = fit.importance.scores[:, [fit.problem.labels.index(label) for label in fit.labels]]
    moved = -(scores @ fit.covariance)[:, k] / np.sqrt(fit.covariance[k, k])
    rows = table["most_moved"] == "sigma"
    np.testing.assert_allclose(table.loc[rows, "moved_by"], moved[rows])


def test_without_standard_errors_influence_is_empty_with_a_reason(fit: PopulationFit) -> None:
    table = replace(fit, covariance=None).contributions().table
    assert table["influence"].isna().all()
    assert table["reason"].str.contains("no standard errors").all()
    assert table["minus2ll"].notna().all()


def test_a_trace_is_on_the_natural_scale(fit: PopulationFit) -> None:
    x = np.stack([fit.x + 0.5, fit.x])
    trace = Trace(np.array([1, 2]), ("explore", "average"), x, np.array([np.nan, 123.0]))
    found = replace(fit, trace=trace).search_trace()
    last = found.table[found.table["iteration"] == 2].set_index("parameter")["value"]
    for row in fit.estimates:
        assert last[row.parameter] == pytest.approx(row.estimate)
    assert last["minus2ll"] == 123.0
    assert found.table["phase"].tolist() == ["explore"] * 13 + ["average"] * 14
    assert "2 iterations" in repr(found)


def test_a_method_without_a_trace_says_so(fit: PopulationFit) -> None:
    with pytest.raises(FitError, match="keeps no trace"):
        fit.search_trace()


def test_every_kind_can_be_drawn_from_the_fit_or_from_what_it_returned(fit: PopulationFit) -> None:
    for kind in ("vpc", "pcvpc", "npde", "residuals", "effects", "effect_pairs", "covariates", "contributions"):
        assert fit.plot(kind=kind).get_size_inches()[0] > 5
    check = fit.vpc(simulations=50, by="group")
    assert [ax.get_title(loc="left") for ax in check.plot(kind="pcvpc").axes[:2]] == ["group a", "group b"]
    with pytest.raises(SettingsError, match="there are vpc, pcvpc"):
        check.plot(kind="npde")
    with pytest.raises(SettingsError, match="contributions"):
        fit.plot(kind="nothing")
    assert fit.npde().plot().axes
    assert "outside" in repr(check)
