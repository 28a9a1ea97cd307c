"""Residual models: scales, standard deviations, curvature."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellkinetics.models.residual import LOG_CONSTANT, Residual


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def test_constant_log_residual_is_a_normal_on_ln_values() -> None:
    y = LOG_CONSTANT.observation(jnp.array([np.e**2]))
    nll = LOG_CONSTANT.nll(y, LOG_CONSTANT.prediction(jnp.array([1.0])), jnp.array([0]), jnp.array([0.5]))
    # (2 - 1)/0.5 = 2 standard deviations: ln 0.5 + ln(2 pi)/2 + 2
    assert float(nll[0]) == pytest.approx(np.log(0.5) + 0.9189385332046727 + 2.0, abs=1e-12)


def test_proportional_residual_has_a_standard_deviation_of_a_fraction_of_the_prediction() -> None:
    residual = Residual("proportional", "natural")
    prediction = residual.prediction(jnp.log(jnp.array([200.0])))
    assert float(residual.sd(prediction, jnp.array([0.1]))[0]) == pytest.approx(20.0)
    assert float(residual.observation(jnp.array([210.0]))[0]) == 210.0


def test_interaction_term_of_the_proportional_residual() -> None:
    # w = 1/v + (v'/v)^2/2 with v = (s f)^2: v'/v = 2/f, so w = 1/(s f)^2 + 2/f^2.
    residual = Residual("proportional", "natural")
    w = residual.curvature(jnp.array([9.0]), jnp.array([10.0]), jnp.array([0]), jnp.array([0.2]))
    assert float(w[0]) == pytest.approx(1 / 4 + 2 / 100)
