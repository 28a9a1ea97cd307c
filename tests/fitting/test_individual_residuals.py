"""Residuals sample by sample with outliers marked, and fits with every kind of residual and censoring."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.individual import fit
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import STEIN_2019
from cellkinetics.models.residual import residuals

DAYS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 17, 21, 28, 42, 56, 84, 112, 180, 270, 365]
OUTLIER = 4  # place of the sample that is 30 times too low


def noisy(sigma: float = 0.2) -> np.ndarray:
    scatter = np.random.default_rng(3).normal(0.0, sigma, len(DAYS))
    return np.asarray(ECP.predict(STEIN_2019.typical, DAYS)) * np.exp(scatter)


@pytest.fixture(scope="module")
def spoiled() -> Cohort:
    values = noisy()
    values[OUTLIER] /= 30.0
    below = [[1, *[0] * (len(DAYS) - 1)]]
    return Cohort.from_arrays(
        [DAYS, [1, 7, 14]], [values.tolist(), [0, 900, 400]], censored=[*below, [1, 0, 0]], lloq=20.0
    )


@pytest.fixture(scope="module")
def fits(spoiled: Cohort) -> IndividualFits:
    return fit(spoiled)


def test_the_outlier_is_marked_and_nothing_else(fits: IndividualFits) -> None:
    table = fits.residuals
    assert len(table) == len(DAYS) + 3
    marked = table[table["outlier"].eq(True)]
    assert marked["time"].tolist() == [DAYS[OUTLIER]]
    # The fitted sd holds the outlier itself: the plain weighted residual stays far smaller than the robust one.
    assert marked["robust_residual"].iloc[0] < -8 < -5 < marked["weighted_residual"].iloc[0]


def test_residuals_and_probabilities_are_those_of_the_likelihood(fits: IndividualFits) -> None:
    table, one = fits.residuals[: len(DAYS)], fits.fits[0]
    estimates = dict(zip(ECP.names, one.theta, strict=True))
    np.testing.assert_allclose(table["predicted"], ECP.predict(estimates, DAYS), rtol=1e-10)
    z = np.log(table["value"] / table["predicted"]) / one.sigma
    np.testing.assert_allclose(table["weighted_residual"][1:], z[1:], rtol=1e-9)
    first = table.iloc[0]
    assert first["probability"] == pytest.approx(norm.cdf(np.log(20 / first["predicted"]) / one.sigma), rel=1e-9)
    assert np.isnan(first["weighted_residual"])


def test_what_cannot_be_judged_has_a_reason(fits: IndividualFits) -> None:
    table = fits.residuals[len(DAYS) :]
    assert table["outlier"].isna().iloc[1]
    assert "2 quantified samples for" in table["reason"].iloc[1]
    failed = fit(Cohort.from_arrays([[0, 7, 14]], [[0, 900, 0]], lloq=50.0)).residuals
    assert failed["predicted"].isna().all()
    assert (failed["reason"] != "").all()


def test_heavy_tails_are_not_drawn_by_an_outlier(spoiled: Cohort, fits: IndividualFits) -> None:
    heavy = fit(spoiled.take([0]), residual="log-student").fits[0]
    off = [np.abs(np.log(one.theta[:3] / list(STEIN_2019.typical.values())[:3])).max() for one in (heavy, fits.fits[0])]
    assert off[0] < 0.7 * off[1]
    assert heavy.sigma < 0.5 * fits.fits[0].sigma


@pytest.mark.parametrize("name", ["natural-proportional", "natural-combined-root"])
def test_fits_on_the_natural_scale_find_the_truth(name: str) -> None:
    cohort = Cohort.from_arrays([DAYS], [noisy(0.05).tolist()])
    one = fit(cohort, residual=name).fits[0]
    np.testing.assert_allclose(one.theta[[0, 1, 3]], [24000, 9.3, 0.16], rtol=0.1)
    assert [row.parameter for row in one.rows if row.parameter.startswith("sigma")] == list(residuals[name].names)
    if name == "natural-combined-root":
        assert one["sigma_additive"].unit == "copies/ug"
        assert np.isnan(one.sigma)
    assert one["minus2ll"].estimate is not None


def test_lmfit_agrees_for_another_residual() -> None:
    cohort = Cohort.from_arrays([DAYS], [noisy().tolist()])
    batch, single = (fit(cohort, residual="log-student", method=method).fits[0] for method in ("batch", "lmfit"))
    np.testing.assert_allclose(single.theta[[0, 1, 3]], batch.theta[[0, 1, 3]], rtol=1e-3)
    assert batch.lmfit.params["ln_alpha"].value == pytest.approx(np.log(batch.theta[3]), rel=1e-4)


def test_an_interval_tells_more_than_a_limit() -> None:
    # The rise up to day 6 is known within a factor of 1.5, or only to be below that.
    values = noisy()
    truth = np.asarray(ECP.predict(STEIN_2019.typical, DAYS))
    flags = (truth < 2000).astype(int) * (np.array(DAYS) < 8)
    lower = np.where(flags == 1, truth / 1.5, np.nan)
    upper = np.where(flags == 1, truth * 1.5, 50.0)
    free = Cohort.from_arrays([DAYS], [values.tolist()], censored=[flags.tolist()], lloq=[upper.tolist()])
    bounded = replace(free, lower=np.array([lower]))
    wide, narrow = fit(free).fits[0], fit(bounded).fits[0]
    assert narrow["foldx"].se / narrow["foldx"].estimate < 0.8 * wide["foldx"].se / wide["foldx"].estimate
    probability = ck.fit(bounded).residuals["probability"]
    assert (probability[flags == 1] < 1).all()


def test_unknown_residual_is_refused() -> None:
    with pytest.raises(SettingsError, match="log-constant"):
        fit(Cohort.from_arrays([[1.0, 2.0]], [[1.0, 2.0]]), residual="lognormal")
