"""Inter-occasion variability and mixtures from a cohort to tables, through `pool`."""

from dataclasses import replace

import numpy as np
import pytest
from line_model import LINE

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.result import PopulationFit

DAYS = np.array([1.0, 3.0, 6.0, 10.0])
START = {"c0": 60.0, "k": 0.3}


def samples(rng: np.random.Generator, log_c0: np.ndarray, log_k: np.ndarray) -> list[list[float]]:
    curve = np.exp(log_c0[:, None] - np.exp(log_k)[:, None] * DAYS)
    return (curve * np.exp(0.15 * rng.standard_normal(curve.shape))).tolist()


@pytest.fixture(scope="module")
def infused_twice() -> Cohort:
    """Thirty patients, all but the last two infused twice; k differs between occasions with an SD of 0.25."""
    rng = np.random.default_rng(1)
    who = [*np.repeat(np.arange(28), 2).tolist(), 28, 29]
    log_c0 = (np.log(50.0) + 0.6 * rng.standard_normal(30))[who]
    log_k = (np.log(0.2) + 0.4 * rng.standard_normal(30))[who] + 0.25 * rng.standard_normal(58)
    cohort = Cohort.from_arrays([DAYS.tolist()] * 58, samples(rng, log_c0, log_k), subject=[f"P{i:02d}" for i in who])
    return replace(cohort, occasion=tuple(str(1 + (i < 56 and i % 2)) for i in range(58)))


@pytest.fixture(scope="module")
def occasions(infused_twice) -> PopulationFit:
    return pool(infused_twice, model=LINE, method="importance", iov=("k",), start=START, seed=1)


def within(fit: PopulationFit, **truth: float) -> None:
    """Each estimate lies within four standard errors of its truth, on the scale of its interval."""
    for name, value in truth.items():
        row = fit[name]
        half = {"log": np.log, "logit": lambda v: np.log(v / (1 - v)), "identity": lambda v: v}[row.transform]
        error = (half(row.ci_high) - half(row.ci_low)) / 3.92
        assert abs(half(row.estimate) - half(value)) < 4 * error, name


def test_variability_between_occasions_is_told_from_that_between_patients(occasions):
    assert occasions.converged, occasions.status
    assert occasions["gamma_k"].kind == "gamma"
    within(occasions, c0=50.0, k=0.2, omega_c0=0.6, omega_k=0.4, gamma_k=0.25, sigma=0.15)
    assert occasions["gamma_k"].iiv_cv_percent == pytest.approx(
        100 * np.sqrt(np.expm1(occasions["gamma_k"].estimate ** 2))
    )


def test_every_occasion_has_its_own_rows_and_only_what_varies_differs(occasions, infused_twice):
    table = occasions.individual
    keys = list(zip(table["subject"], table["occasion"], strict=True))
    assert keys == [key for key in zip(infused_twice.subject, infused_twice.occasion, strict=True) for _ in range(2)]
    assert (occasions.n_subjects, len(table)) == (30, 116)
    wide = table.set_index(["subject", "occasion", "parameter"])["ebe"].unstack()
    first, second = wide.xs("1", level="occasion").iloc[:28], wide.xs("2", level="occasion")
    assert first["c0"].to_numpy() == pytest.approx(second["c0"].to_numpy(), rel=1e-12)
    assert np.median(np.abs(np.log(first["k"] / second["k"]))) > 0.1
    assert table["eta_sd"].gt(0).all()
    curves = occasions.curves.groupby(["subject", "occasion"], sort=False)["predicted"].first()
    assert len(curves) == 58


def test_the_deviation_of_an_occasion_is_that_of_the_patient_and_of_the_occasion(occasions):
    table = occasions.individual.query("parameter == 'k'")
    assert table["eta"].to_numpy() == pytest.approx(np.log(table["ebe"] / occasions["k"].estimate).to_numpy())


def test_occasions_without_a_parameter_that_varies_are_refused_and_the_other_way_round(infused_twice):
    with pytest.raises(FitError, match=r"P00 has several occasions.* \(iov=..., --iov\)"):
        pool(infused_twice, model=LINE, start=START)
    with pytest.raises(FitError, match="no subject has several occasions"):
        pool(infused_twice.take([0, 2, 4, 6]), model=LINE, start=START, iov=("k",))
    with pytest.raises(SettingsError, match="iov 'tmax': choose among c0, k"):
        pool(infused_twice, model=LINE, start=START, iov=("tmax",))
    for method in ("two-stage", "naive"):
        with pytest.raises(SettingsError, match="iov"):
            pool(infused_twice, model=LINE, start=START, iov=("k",), method=method)


@pytest.fixture(scope="module")
def classes() -> PopulationFit:
    """Eighty patients, of whom a third decline about three times as fast."""
    rng = np.random.default_rng(2)
    fast = rng.random(80) < 1 / 3
    log_c0 = np.log(50.0) + 0.5 * rng.standard_normal(80)
    log_k = np.log(0.15) + 1.2 * fast + 0.2 * rng.standard_normal(80)
    cohort = Cohort.from_arrays([DAYS.tolist()] * 80, samples(rng, log_c0, log_k))
    return pool(cohort, model=LINE, method="importance", mixture=("k",), start={**START, "shift_k_2": 0.8}, seed=1)


def test_two_classes_are_found_with_their_shares_and_standard_errors(classes):
    assert classes.converged, classes.status
    assert classes["share_2"].kind == "share"
    within(classes, c0=50.0, k=0.15, omega_c0=0.5, omega_k=0.2, shift_k_2=1.2, share_2=1 / 3, sigma=0.15)
    assert 0 < classes["share_2"].ci_low < classes["share_2"].ci_high < 1


def test_the_population_of_two_classes_draws_from_both(classes):
    drawn = classes.population.draw(20_000, np.random.default_rng(3))[:, 1]
    share, shift = classes["share_2"].estimate, classes["shift_k_2"].estimate
    assert drawn.mean() == pytest.approx(np.log(classes["k"].estimate) + share * shift, abs=0.02)
    assert drawn.var() == pytest.approx(classes["omega_k"].estimate ** 2 + share * (1 - share) * shift**2, rel=0.05)


def without_shift(classes: PopulationFit, column: str) -> np.ndarray:
    """Effects on k less the shift of the class, which is beyond doubt: the classes are six omegas apart."""
    eta, shift = classes.individual.query("parameter == 'k'")[column].to_numpy(), classes["shift_k_2"].estimate
    return eta - shift * (eta > shift / 2)


def test_shrinkage_is_of_the_effects_without_the_shift_of_the_class(classes):
    row, omega = classes["omega_k"], classes["omega_k"].estimate
    assert 0 < row.shrinkage_percent < 50
    assert row.shrinkage_percent == pytest.approx(100 * (1 - without_shift(classes, "eta").std(ddof=1) / omega), abs=2)
    variance = 100 * (1 - without_shift(classes, "eta_mean").var(ddof=1) / omega**2)
    assert row.shrinkage_variance_percent == pytest.approx(variance, abs=2)


def test_diagnostics_of_a_mixture_are_of_the_effects_without_the_shift(classes):
    table = classes.random_effects().table.query("parameter == 'k'").set_index(["kind", "statistic"])
    own = without_shift(classes, "eta")
    t = own.mean() / (own.std(ddof=1) / np.sqrt(80))
    assert table.loc[("mean", "t"), "value"] == pytest.approx(t, abs=0.1)
    assert abs(t) < 3  # with the shift in it, of a third of the patients, t is about 6
    assert table.loc[("shrinkage", "modes"), "value"] == pytest.approx(classes["omega_k"].shrinkage_percent)
    assert np.isnan(table.loc[("shrinkage", "variance"), "value"])
    assert "class" in table.loc[("shrinkage", "variance"), "reason"]
    assert "nan" not in repr(classes.random_effects())
    # The mean of chi with two degrees of freedom is 1.25; shrinkage makes it less.
    distance = classes.contributions().table["distance"]
    assert 0.6 < distance.mean() < 1.4
    by_hand = np.hypot(
        without_shift(classes, "eta_mean") / classes["omega_k"].estimate,
        classes.individual.query("parameter == 'c0'")["eta_mean"].to_numpy() / classes["omega_c0"].estimate,
    )
    assert distance.to_numpy() == pytest.approx(by_hand, abs=0.15)
