"""Standard errors and intervals of one patient's fit."""

import jax
import numpy as np
import pytest
from scipy.stats import norm, t

from cellkinetics.fitting.precision import WEAK_SE, Data, covariance, interval, programs
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
        data = Data(*(jax.numpy.asarray(pad(a)) for a in (time, np.log(y), flag, np.ones(4, dtype=bool))))
        run = programs(ECP, LOG_CONSTANT)
        value, gradient = run.value_and_gradient(x, data)
        assert float(value) == pytest.approx(expected, rel=1e-12)
        for k in range(7):
            step = np.zeros(7)
            step[k] = 1e-5
            up, down = (float(run.value_and_gradient(x + sign * step, data)[0]) for sign in (1, -1))
            assert float(gradient[k]) == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-6)
