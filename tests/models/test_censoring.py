"""The censored likelihood against SciPy's distributions, against quadrature, and by hand."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import log_ndtr as reference_log_ndtr
from scipy.stats import norm
from scipy.stats import t as student

from cellkinetics.models.censoring import (
    log_ndtr,
    normal_curvature,
    normal_nll,
    normal_ratio,
    student_curvature,
    student_log_cdf,
    student_nll,
)


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def nll(y: float, f: float, sd: float, flag: int) -> float:
    return float(normal_nll(jnp.asarray(y), jnp.asarray(f), jnp.asarray(sd), jnp.asarray(flag)))


def test_hand_numbers() -> None:
    # At the mean with sd 1: ln(2 pi)/2. A limit at the prediction: half of the distribution lies below it.
    assert nll(3.0, 3.0, 1.0, 0) == pytest.approx(0.9189385332046727, abs=1e-15)
    assert nll(3.0, 3.0, 0.7, 1) == pytest.approx(np.log(2), abs=1e-15)
    assert nll(3.0, 3.0, 0.7, -1) == pytest.approx(np.log(2), abs=1e-15)
    # One sd off: 1/2 more.
    assert nll(3.5, 3.0, 0.5, 0) == pytest.approx(np.log(0.5) + 0.9189385332046727 + 0.5, abs=1e-15)
    # LLOQ one sd above the prediction: Phi(1) = 0.8413447460685429.
    assert nll(3.5, 3.0, 0.5, 1) == pytest.approx(-np.log(0.8413447460685429), abs=1e-15)


def test_logarithm_of_the_normal_distribution_is_that_of_scipy_at_every_distance() -> None:
    z = np.concatenate([np.linspace(-40, 30, 14_001), -np.logspace(1.5, 8, 200)])
    expected = reference_log_ndtr(z)
    np.testing.assert_allclose(np.asarray(log_ndtr(jnp.asarray(z))), expected, rtol=2e-13, atol=0)
    near = z < 5
    np.testing.assert_allclose(np.asarray(log_ndtr(jnp.asarray(z[near]))), expected[near], rtol=1.2e-14, atol=0)
    # p/P from logarithms, which do not underflow, and far away its expansion -z - 1/z + 2/z^3.
    slope = np.asarray(jax.vmap(jax.grad(log_ndtr))(jnp.asarray(z)))
    here = z > -40
    ratio = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - expected)
    np.testing.assert_allclose(slope[here], ratio[here], rtol=1e-12, atol=0)
    far = z < -1000
    np.testing.assert_allclose(slope[far], -z[far] - 1 / z[far] + 2 / z[far] ** 3, rtol=1e-14)
    second = np.asarray(jax.vmap(jax.grad(jax.grad(log_ndtr)))(jnp.asarray(z)))
    np.testing.assert_allclose(second[here], -ratio[here] * (z[here] + ratio[here]), rtol=1e-9, atol=1e-12)


def test_samples_infinitely_far_from_the_prediction_are_certain_or_impossible() -> None:
    assert np.asarray(log_ndtr(jnp.array([jnp.inf, -jnp.inf]))).tolist() == [0.0, -np.inf]
    assert np.asarray(normal_ratio(jnp.array([jnp.inf, -jnp.inf]))).tolist() == [0.0, np.inf]
    assert nll(3.0, -np.inf, 0.5, 1) == 0.0
    assert nll(3.0, np.inf, 0.5, 1) == np.inf


@settings(deadline=None, max_examples=60)
@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0.05, 5.0))
def test_agrees_with_scipy(y: float, f: float, sd: float) -> None:
    with jax.enable_x64(True):
        assert nll(y, f, sd, 0) == pytest.approx(-norm.logpdf(y, f, sd), rel=1e-9, abs=1e-9)
        assert nll(y, f, sd, 1) == pytest.approx(-norm.logcdf(y, f, sd), rel=1e-9, abs=1e-9)
        assert nll(y, f, sd, -1) == pytest.approx(-norm.logsf(y, f, sd), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("flag", [0, 1, -1])
def test_gradient_is_finite_far_in_the_tails(flag: int) -> None:
    slope = jax.grad(lambda f: normal_nll(jnp.asarray(0.0), f, jnp.asarray(0.05), jnp.asarray(flag)))
    for f in (-50.0, -1.0, 0.0, 1.0, 50.0):
        assert np.isfinite(float(slope(f)))


@pytest.mark.parametrize("flag", [0, 1, -1])
def test_curvature_is_the_second_derivative_in_the_prediction(flag: int) -> None:
    second = jax.grad(jax.grad(lambda f: normal_nll(jnp.asarray(2.0), f, jnp.asarray(0.6), jnp.asarray(flag))))
    for f in (-3.0, 1.0, 2.0, 2.5, 6.0):
        curvature = normal_curvature(jnp.asarray(2.0), jnp.asarray(f), jnp.asarray(0.6), jnp.asarray(flag))
        assert float(curvature) == pytest.approx(float(second(f)), rel=1e-6, abs=1e-9)
        assert float(curvature) >= 0


INTERVALS = [(-31.0, -30.0), (-8.0, -7.999), (-2.0, 3.0), (-0.1, 0.1), (0.0, 40.0), (7.0, 9.0), (25.0, 25.5)]


def log_mass(log_density: Callable[[float], float], low: float, high: float) -> float:
    """ln of the integral of a density, by quadrature of the density over its greatest value in the interval."""
    top = max(log_density(low), log_density(high), log_density(min(max(0.0, low), high)))
    inside = [point for point in (low + 0.05, high - 0.05, 0.0) if low < point < high]
    area, _ = quad(lambda z: np.exp(log_density(z) - top), low, high, points=inside, epsabs=0, epsrel=1e-11, limit=200)
    return float(top + np.log(area))


@pytest.mark.parametrize("ends", INTERVALS)
def test_interval_is_the_mass_between_its_ends_in_either_tail(ends: tuple[float, float]) -> None:
    low, high = (jnp.asarray(2.0 + 0.5 * end) for end in ends)
    f, sd, flag = jnp.asarray(2.0), jnp.asarray(0.5), jnp.asarray(1)
    assert float(normal_nll(high, f, sd, flag, low)) == pytest.approx(-log_mass(norm.logpdf, *ends), rel=1e-9)
    ours = float(student_nll(high, f, sd, flag, 4.0, low))
    assert ours == pytest.approx(-log_mass(lambda z: float(student.logpdf(z, 4)), *ends), rel=1e-9)


def test_interval_without_a_lower_end_is_a_sample_below_the_limit() -> None:
    y, f, sd, flag = (jnp.asarray(number) for number in (3.0, 2.0, 0.7, 1))
    for none in (jnp.asarray(-jnp.inf), jnp.asarray(jnp.nan)):
        assert float(normal_nll(y, f, sd, flag, none)) == float(normal_nll(y, f, sd, flag))
        slope = jax.grad(lambda f, low=none: normal_nll(y, f, sd, flag, low))(f)
        assert float(slope) == pytest.approx(float(jax.grad(lambda f: normal_nll(y, f, sd, flag))(f)), rel=1e-14)


@pytest.mark.parametrize("ends", INTERVALS)
def test_curvature_of_an_interval_is_the_second_derivative(ends: tuple[float, float]) -> None:
    low, high = (jnp.asarray(2.0 + 0.5 * end) for end in ends)
    sd, flag, f = jnp.asarray(0.5), jnp.asarray(1), jnp.asarray(2.0)
    curvature = float(normal_curvature(high, f, sd, flag, low))
    # Var of a uniform over the interval is left where it is narrow: the difference to 1 is known to fewer digits.
    second = float(jax.grad(jax.grad(lambda f: normal_nll(high, f, sd, flag, low)))(f))
    assert curvature == pytest.approx(second, rel=1e-4, abs=1e-5)
    assert 0 <= curvature <= 1 / 0.25
    t = float(student_curvature(high, f, sd, flag, 4.0, low))
    exact = float(jax.grad(jax.grad(lambda f: student_nll(high, f, sd, flag, 4.0, low)))(f))
    assert t >= 0
    assert t >= exact - 1e-4


@settings(deadline=None, max_examples=40)
@given(st.floats(-300, 300), st.sampled_from([1.0, 4.0, 30.0]))
def test_student_agrees_with_scipy(z: float, df: float) -> None:
    with jax.enable_x64(True):
        y, f, sd = jnp.asarray(1.0 + 0.5 * z), jnp.asarray(1.0), jnp.asarray(0.5)
        expected = {0: -student.logpdf(z, df) + np.log(0.5), 1: -student.logcdf(z, df), -1: -student.logsf(z, df)}
        for flag, nll in expected.items():
            assert float(student_nll(y, f, sd, jnp.asarray(flag), df)) == pytest.approx(nll, rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("z", [-1000.0, -3.0, -2.0, -1e-9, 0.0, 1.0, 2.0, 40.0])
def test_derivatives_of_the_student_distribution_function(z: float) -> None:
    log_cdf = student_log_cdf(4.0)
    first = student.pdf(z, 4) / student.cdf(z, 4)
    # (ln P)'' = p'/P - (p/P)^2, with p' = -5 z/(4 + z^2) p
    second = -first * (5 * z / (4 + z**2) + first)
    assert float(jax.grad(log_cdf)(z)) == pytest.approx(first, rel=1e-10)
    assert float(jax.grad(jax.grad(log_cdf))(z)) == pytest.approx(second, rel=1e-8)


@pytest.mark.parametrize("flag", [0, 1, -1])
def test_student_curvature_is_never_negative_and_exact_at_the_limit(flag: int) -> None:
    args = (jnp.asarray(0.6), jnp.asarray(flag), 4.0)
    for f in (-60.0, -3.0, 1.0, 2.0, 2.5, 6.0, 80.0):
        curvature = float(student_curvature(jnp.asarray(2.0), jnp.asarray(f), *args))
        second = float(jax.grad(jax.grad(lambda f: student_nll(jnp.asarray(2.0), f, *args)))(f))
        assert curvature >= 0
        assert curvature >= second - 1e-12
        if flag and f == 2.0:
            assert curvature == pytest.approx(second, rel=1e-8)
