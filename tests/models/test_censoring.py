"""The censored normal likelihood against SciPy's normal distribution, and by hand."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from cellkinetics.models.censoring import normal_curvature, normal_nll


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
