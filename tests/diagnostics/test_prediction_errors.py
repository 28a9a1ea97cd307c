"""Prediction errors of a patient: standard normal under the model, whatever is censored, and not otherwise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cellkinetics.diagnostics.prediction_errors import normality, patient_errors
from cellkinetics.errors import SettingsError

M, K = 6, 300
FACTOR = np.linalg.cholesky(0.6 * np.ones((M, M)) + 0.4 * np.eye(M))
FREE = np.full(M, np.nan)


def patients(n: int, rng: np.random.Generator) -> np.ndarray:
    """Correlated samples of a model whose truth is known, falling with time; shape (n, M)."""
    return 2.0 - 0.6 * np.arange(M) + rng.standard_normal((n, M)) @ FACTOR.T


def errors_of(y: np.ndarray, lloq: float, *, shift: float = 0.0, uloq: float = np.nan, lower: float = np.nan):
    rng = np.random.default_rng(5)
    limit = np.full(M, lloq)
    pd, npde, n_censored = [], [], 0
    for row in y + shift:
        flag = np.where(row < lloq, 1, np.where(row > uloq, -1, 0))
        end = np.where((flag == 1) & (row > lower), lower, np.nan)
        found = patient_errors(row, flag, patients(K, rng), rng, lloq=limit, uloq=np.full(M, uloq), lower=end)
        pd.append(found.npd)
        npde.append(found.npde)
        n_censored += int((flag != 0).sum())
    return np.array(pd), np.array(npde), n_censored / y.size


def test_errors_are_standard_normal_with_a_fifth_below_quantification() -> None:
    npd, npde, share = errors_of(patients(250, np.random.default_rng(2)), lloq=-0.6)
    assert 0.15 < share < 0.30
    assert npde.mean() == pytest.approx(0, abs=0.1)
    assert npde.var() == pytest.approx(1, abs=0.1)
    assert normality(npde.ravel()).p_ks > 0.01
    assert np.abs(np.corrcoef(npde.T) - np.eye(M)).max() < 0.2
    assert np.corrcoef(npd.T)[0, 1] > 0.3


def test_intervals_and_a_ceiling_are_drawn_within_their_ranges() -> None:
    npd, npde, share = errors_of(patients(250, np.random.default_rng(3)), lloq=0.0, uloq=2.5, lower=-6.0)
    assert share > 0.3
    assert normality(npde.ravel()).p_ks > 0.01
    assert npd.var() == pytest.approx(1, abs=0.15)


def test_a_shifted_model_is_seen() -> None:
    _, npde, _ = errors_of(patients(100, np.random.default_rng(2)), lloq=-0.45, shift=0.7)
    assert normality(npde.ravel()).p_global < 1e-3


def test_a_censored_sample_is_drawn_below_its_limit_and_a_quantified_one_stays() -> None:
    rng = np.random.default_rng(0)
    y, flag = np.array([0.3, -9.0, 9.0]), np.array([0, 1, -1])
    found = patient_errors(
        y, flag, rng.standard_normal((400, 3)), rng, lloq=np.full(3, -0.5), uloq=np.full(3, 1.0), lower=np.full(3, -2.0)
    )
    assert found.imputed[0] == 0.3
    assert -2.0 <= found.imputed[1] <= -0.5
    assert found.imputed[2] >= 1.0
    assert stats.norm.cdf(-2.0) - 0.03 < found.pd[1] < stats.norm.cdf(-0.5) + 0.06
    assert found.pd[2] > stats.norm.cdf(1.0) - 0.06


def test_a_limit_that_no_simulation_reaches_gives_the_lowest_rank() -> None:
    rng = np.random.default_rng(0)
    found = patient_errors(np.array([0.0]), np.array([1]), 50 + rng.standard_normal((200, 1)), rng, lloq=np.zeros(1))
    assert found.pd[0] < 1 / 200
    assert found.imputed[0] == 0.0


def test_samples_that_do_not_vary_have_discrepancies_only() -> None:
    rng = np.random.default_rng(0)
    found = patient_errors(np.zeros(2), np.zeros(2, int), np.zeros((150, 2)), rng)
    assert np.isnan(found.npde).all()
    assert np.isfinite(found.npd).all()


def test_too_few_simulations_are_refused() -> None:
    with pytest.raises(SettingsError, match="at least 100"):
        patient_errors(np.zeros(2), np.zeros(2, int), np.zeros((50, 2)), np.random.default_rng(0))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.1, 50))
def test_ranks_lie_between_0_and_1_whatever_is_observed(seed: int, lloq: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    y = scale * rng.standard_normal(4)
    flag = (y < lloq).astype(int)
    found = patient_errors(y, flag, scale * rng.standard_normal((120, 4)), rng, lloq=np.full(4, lloq))
    assert ((found.pd > 0) & (found.pd < 1)).all()
    assert np.isfinite(found.npde).all()
    assert (found.imputed[flag == 1] <= lloq).all()


def test_moments_and_tests_agree_with_scipy() -> None:
    x = np.random.default_rng(4).gamma(2.0, size=300) - 2.0
    found = normality(np.append(x, np.nan))
    assert found.n == 300
    assert found.skewness == pytest.approx(stats.skew(x))
    assert found.kurtosis == pytest.approx(stats.kurtosis(x))
    assert found.p_mean == pytest.approx(stats.ttest_1samp(x, 0.0).pvalue)
    assert found.p_ks == pytest.approx(stats.kstest(x, "norm").pvalue)
    assert found.p_global == pytest.approx(min(1, 3 * min(found.p_mean, found.p_variance, found.p_normal)))
    assert np.isnan(normality(np.zeros(3)).mean)
