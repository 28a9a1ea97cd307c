"""Residual models: scales, standard deviations, curvature."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellkinetics.errors import SettingsError
from cellkinetics.models.residual import LOG_CONSTANT, Residual, get_residual, residuals


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


@pytest.mark.parametrize(("name", "sd"), [("natural-combined", 3 + 0.2 * 50), ("natural-combined-root", 109**0.5)])
def test_combined_residuals_add_the_spreads_or_the_variances(name: str, sd: float) -> None:
    # a = 3, b = 0.2, f = 50: 3 + 10, and the root of 9 + 100.
    residual = get_residual(name)
    values = jnp.array([3.0, 0.2])
    assert float(residual.sd(jnp.array([50.0]), values)[0]) == pytest.approx(sd)
    nll = residual.nll(jnp.array([61.0]), jnp.array([50.0]), jnp.array([0]), values)
    assert float(nll[0]) == pytest.approx(np.log(sd) + 0.9189385332046727 + 0.5 * (11 / sd) ** 2)


@pytest.mark.parametrize("name", list(residuals))
def test_expected_curvature_is_the_weight_of_quantified_samples(name: str) -> None:
    # E(nll'') of a normal residual, by Gauss-Hermite quadrature; that of t is (df + 1)/(df + 3)/s^2, and its
    # weight at y = f is (df + 1)/df/s^2 (Lange 1989).
    residual = get_residual(name)
    values = jnp.array([0.3, 0.2])[: len(residual.names)]
    f = jnp.asarray(4.0)
    if residual.kind == "student":
        w = residual.curvature(f, f, jnp.asarray(0), values)
        assert float(w) == pytest.approx(5 / 4 / 0.09)
        return
    z, weight = np.polynomial.hermite_e.hermegauss(30)
    sd = float(residual.sd(f, values))
    second = jax.vmap(jax.grad(jax.grad(lambda g, y: residual.nll(y, g, jnp.asarray(0), values))), (None, 0))
    expected = np.average(second(f, 4.0 + sd * z), weights=weight)
    assert float(residual.curvature(f, f, jnp.asarray(0), values)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", list(residuals))
def test_every_residual_takes_every_kind_of_censoring(name: str) -> None:
    residual = get_residual(name)
    values = jnp.array([0.5, 0.3])[: len(residual.names)]
    f = residual.prediction(jnp.log(jnp.array([0.01, 0.9, 3.0, 40.0])))
    y, lower = residual.observation(jnp.array(2.0)), residual.observation(jnp.array(1.0))
    below = residual.nll(y, f, jnp.asarray(1), values)
    above = residual.nll(y, f, jnp.asarray(-1), values)
    between = residual.nll(y, f, jnp.asarray(1), values, lower)
    lowest = residual.nll(lower, f, jnp.asarray(1), values)
    assert np.exp(-below) + np.exp(-above) == pytest.approx(1.0)
    assert np.exp(-between) == pytest.approx(np.asarray(np.exp(-below) - np.exp(-lowest)), abs=1e-13)
    for flag, low in ((1, None), (-1, None), (1, lower)):
        assert (np.asarray(residual.curvature(y, f, jnp.asarray(flag), values, low)) >= 0).all()


def test_name_of_a_residual_finds_it_again() -> None:
    for residual in (*residuals.values(), Residual("student", "log", 7.5)):
        assert get_residual(residual.name) == residual


@pytest.mark.parametrize("name", ["log", "log-constant:3", "log-student:many", "log-student:0.5", "log-student:nan"])
def test_unknown_residual_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(SettingsError, match=r"natural-combined|from 1 to 100"):
        get_residual(name)
