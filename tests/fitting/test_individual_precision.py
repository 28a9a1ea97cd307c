"""Standard errors and intervals of one patient's fit."""

import jax
import numpy as np
import pytest
from scipy.stats import norm, t

from cellkinetics.fitting.objective import Data, Prior, objective
from cellkinetics.fitting.precision import WEAK_SE, between_intervals, covariance, interval, reach_down
from cellkinetics.models.ecp import ECP
from cellkinetics.models.residual import LOG_CONSTANT


def test_covariance_is_twice_the_inverse_hessian_with_the_factor_of_least_squares() -> None:
    hessian = np.array([[8.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 10.0]])
    free = np.array([True, True, False])
    # 2 * [[8, 2], [2, 4]]^-1 = 2/28 * [[4, -2], [-2, 8]], times 12/(12 - 4) = 1.5
    expected = 1.5 * 2 / 28 * np.array([[4.0, -2.0], [-2.0, 8.0]])
    got = covariance(hessian, free, n=12, k=4)
    np.testing.assert_allclose(got[:2, :2], expected)
    assert not got[2].any()


@pytest.mark.parametrize("curvature", [0.0, -3.0])
def test_a_flat_or_wrongly_curved_direction_leaves_the_other_parameters_their_errors(curvature: float) -> None:
    # The likelihood curves along (1, 1)/sqrt 2 not at all, or the wrong way; the third is apart.
    flat = np.array([1.0, 1.0, 0.0]) / 2**0.5
    curved = np.array([1.0, -1.0, 0.0]) / 2**0.5
    hessian = curvature * np.outer(flat, flat) + 50 * np.outer(curved, curved) + np.diag([0, 0, 8.0])
    se = np.sqrt(np.diag(covariance(hessian, np.ones(3, dtype=bool), n=0, k=0)))
    assert (se[:2] > WEAK_SE).all()
    assert se[2] == pytest.approx(0.5)


def test_intervals_are_mapped_back_from_the_transformed_scale() -> None:
    q = t.ppf(0.975, 7)
    log = interval("log", 200.0, 0.3, 7)
    assert log == pytest.approx((60.0, 30.0, 200 * np.exp(-0.3 * q), 200 * np.exp(0.3 * q)))
    logit = interval("logit", 0.1, 0.5, 7)
    low, high = (1 / (1 + np.exp(-(np.log(0.1 / 0.9) + sign * 0.5 * q))) for sign in (-1, 1))
    assert logit == pytest.approx((0.5 * 0.09, 45.0, low, high))
    assert interval("identity", -4.0, 0.5, 7) == pytest.approx((0.5, 12.5, -4 - 0.5 * q, -4 + 0.5 * q))


def test_likelihood_at_fixed_parameters_equals_scipy_with_padding_ignored() -> None:
    theta = {"cmax": 24000.0, "tmax": 9.3, "foldx": 3900.0, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}
    time, y, flag = np.array([3.0, 7.0, 14.0, 28.0]), np.array([50.0, 2500.0, 15000.0, 900.0]), np.array([1, 0, 0, 0])
    f, sd = np.log(ECP.predict(theta, time)), 0.56
    expected = -2 * (norm.logcdf(np.log(50.0), f[0], sd) + norm.logpdf(np.log(y[1:]), f[1:], sd).sum())

    def pad(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros(4, dtype=values.dtype)])

    with jax.enable_x64(True):
        x = np.append(np.asarray(ECP.to_transformed(jax.numpy.asarray(ECP.theta(theta)))), np.log(sd))
        arrays = (time, np.log(y), flag, np.ones(4, dtype=bool), np.full(4, -np.inf))
        data = Data(*(jax.numpy.asarray(pad(a)) for a in arrays))
        run, nothing = objective(ECP, LOG_CONSTANT), Prior(np.zeros(6), np.zeros((6, 6)))
        value, gradient = run.value_and_gradient(x, data, nothing)
        assert float(value) == pytest.approx(expected, rel=1e-12)
        for k in range(7):
            step = np.zeros(7)
            step[k] = 1e-5
            up, down = (float(run.value_and_gradient(x + sign * step, data, nothing)[0]) for sign in (1, -1))
            assert float(gradient[k]) == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-6)


def test_an_optimum_in_another_interval_widens_by_its_likelihood() -> None:
    x, free = np.array([1.0, 2.0, 3.0]), np.array([True, True, False])
    others = [(10.0 + 2 * np.log(3), np.array([1.0, 2.4, 9.0])), (1e6, np.zeros(3)), (np.nan, np.zeros(3))]
    # Weight 1/3 beside 1: a quarter of 0.4^2; what is not free, or far less likely, adds nothing.
    got = between_intervals(x, 10.0, others, free, n=0, k=0)
    np.testing.assert_allclose(got, np.diag([0, 0.04, 0]), atol=1e-12)
    # With 6 parameters in 12 samples the difference in -2LL counts by half.
    half = between_intervals(x, 10.0, others[:1], free, n=12, k=6)
    assert half[1, 1] == pytest.approx(0.16 * 3**-0.5 / (1 + 3**-0.5))


def test_a_rate_that_may_be_zero_has_an_interval_down_to_zero_and_its_half_life_no_upper_end() -> None:
    q = norm.ppf(0.975)
    for se in (0.2, 0.8):
        ci = interval("log", 0.01, se)
        rate, half_life = (reach_down(ci, 0.01, se, power, np.inf) for power in (1.0, -1.0))
        left = max(0.0, 1 - q * se)
        assert rate.ci_low == pytest.approx(0.01 * left)
        assert rate.ci_high == pytest.approx(0.01 * np.exp(q * se))
        assert half_life.ci_high == pytest.approx(0.01 / left if left else np.inf)
