"""Visual predictive checks of a population whose truth is known."""

from typing import Any

import numpy as np
import pytest
from known_population import DAYS, LLOQ, at, cohort, samples

import cellkinetics as ck
from cellkinetics.diagnostics.vpc import VisualPredictiveCheck
from cellkinetics.errors import SettingsError


@pytest.fixture(scope="module")
def fit() -> Any:
    return at(cohort(60))


@pytest.fixture(scope="module")
def check(fit: Any) -> VisualPredictiveCheck:
    return ck.vpc(fit, simulations=300)


def test_the_truth_lies_inside_and_a_wrong_model_outside(fit: Any, check: VisualPredictiveCheck) -> None:
    rows = check.table[check.table["check"] != "blq"]
    assert rows["outside"].mean() < 0.12
    wrong = ck.vpc(at(fit.cohort, cmax=5e3, alpha=0.4), simulations=300).table
    assert wrong.loc[wrong["check"] == "vpc", "outside"].mean() > 0.4


def test_bins_are_the_nominal_times_and_every_sample_is_in_one(fit: Any, check: VisualPredictiveCheck) -> None:
    assert check.rule == "nominal"
    one = check.table[(check.table["check"] == "vpc") & (check.table["percentile"] == 50)]
    assert one["time"].tolist() == list(DAYS)
    assert one["n"].sum() == fit.problem.n_observations
    assert one["n_below"].sum() == fit.problem.n_censored


def test_an_observed_percentile_is_that_of_the_samples(fit: Any, check: VisualPredictiveCheck) -> None:
    table = samples(60)
    day = table[table["nominal_time"] == 11]
    row = check.table[(check.table["check"] == "vpc") & (check.table["time"] == 11) & (check.table["percentile"] == 50)]
    assert row["observed"].item() == pytest.approx(np.exp(np.median(np.log(day["value"]))))


def test_empty_numbers_have_a_reason_and_others_none(check: VisualPredictiveCheck) -> None:
    table = check.table
    empty = table[["observed", "low", "median", "high"]].isna().any(axis=1)
    assert empty.any()
    assert (table.loc[empty, "reason"].str.contains("below the LLOQ")).all()
    assert (table.loc[~empty, "reason"] == "").all()
    first = table[(table["check"] == "blq") & (table["time"] == 1)]
    assert first["observed"].item() == pytest.approx(first["n_below"].item() / first["n"].item())


def test_the_same_seed_gives_the_same_numbers(fit: Any) -> None:
    whole = ck.vpc(fit, simulations=40, seed=3).table
    assert whole.equals(ck.vpc(fit, simulations=40, seed=3).table)
    assert not whole.equals(ck.vpc(fit, simulations=40, seed=4).table)


def test_strata_are_the_values_of_a_column(fit: Any) -> None:
    check = ck.vpc(fit, simulations=40, by="group")
    assert set(check.table["stratum"]) == {"one", "two"}
    halves = check.table[(check.table["check"] == "blq")].groupby("stratum")["n"].sum()
    assert halves.sum() == fit.problem.n_observations
    assert set(ck.vpc(fit, simulations=40, by="weight").table["stratum"]) == {"60", "80"}
    with pytest.raises(SettingsError, match="no column"):
        ck.vpc(fit, by="colour")


def test_without_nominal_times_the_visits_are_found() -> None:
    check = ck.vpc(at(cohort(60, nominal=False)), simulations=40)
    assert check.rule == "natural breaks"
    assert check.table["bin"].nunique() == len(DAYS)


def test_options_out_of_range_are_refused(fit: Any) -> None:
    with pytest.raises(SettingsError, match="percentiles"):
        ck.vpc(fit, percentiles=[50, 120])
    with pytest.raises(SettingsError, match="interval"):
        ck.vpc(fit, interval=100)
    with pytest.raises(SettingsError, match="simulations"):
        ck.vpc(fit, simulations=0)
    with pytest.raises(SettingsError, match="seed"):
        ck.vpc(fit, seed=-1)
    with pytest.raises(SettingsError, match="widen the bins"):
        ck.vpc(fit, bins=[0, 10])


def test_given_bins_hold(fit: Any) -> None:
    assert ck.vpc(fit, simulations=20, bins=[0, 10, 300]).table["bin"].nunique() == 2


def test_a_natural_residual_is_checked_on_its_scale() -> None:
    fit = at(cohort(20), residual="natural-combined", sigma=(20.0, 0.4))
    table = ck.vpc(fit, simulations=100).table
    levels = table.loc[table["check"] == "vpc", "observed"].dropna()
    assert (levels >= LLOQ).all()
    corrected = table.loc[table["check"] == "pcvpc", "median"].dropna()
    assert np.isfinite(corrected).all()
