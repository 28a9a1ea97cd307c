"""Model (A) against the published numbers, finite differences and quadrature."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from cellkinetics.models.ecp import ECP, expansion_model
from cellkinetics.models.phases import Phases

log_curve, area = ECP.log_curve, ECP.area


def smooth_log_curve(width):  # type: ignore[no-untyped-def]
    return expansion_model(Phases(smooth=width)).log_curve


# Stein 2019, doi:10.1002/psp4.12388: typical values of its table.
STEIN = {"cmax": 24000.0, "tmax": 9.3, "foldx": 3900.0, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("day", "value"),
    [
        (1, "14.972096"),
        (3, "88.624658"),
        (7, "3105.263721"),
        (9.3, "24000.000000"),
        (14, "11411.534327"),
        (28, "1373.558776"),
        (84, "149.441380"),
        (180, "109.801764"),
        (365, "60.744503"),
    ],
)
def test_curve_of_stein_typical_values_to_the_last_printed_digit(day: float, value: str) -> None:
    assert f"{ECP.predict(STEIN, [day])[0]:.6f}" == value


@pytest.mark.parametrize(
    ("end", "value"), [(28, "171774.285180"), (84, "188397.910285"), (float("inf"), "235051.335240")]
)
def test_area_of_stein_typical_values_to_the_last_printed_digit(end: float, value: str) -> None:
    assert f"{ECP.auc(STEIN, 0, end):.6f}" == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rho", "0.889111"),
        ("r0", "6.153846"),
        ("auc_0_28", "171774.285180"),
        ("auc_0_inf", "235051.335240"),
        # ln 2 over rho, alpha and beta; the paper prints 0.78, 4.3 and 220 days.
        ("doubling_time", "0.779596"),
        ("half_life_alpha", "4.332170"),
        ("half_life_beta", "216.608494"),
    ],
)
def test_derived_quantities_of_stein_typical_values(name: str, value: str) -> None:
    quantity = next(q for q in ECP.derived if q.name == name)
    assert f"{float(quantity.function(jnp.asarray(ECP.theta(STEIN)))):.6f}" == value


def test_curve_equals_the_two_state_system_solved_step_by_step() -> None:
    # dE/dt = rho E, then -alpha E; dM/dt = F (alpha - beta) E - beta M after T, with E = C there and M
    # starting from 0: integrated by the classical Runge-Kutta method.
    rho = np.log(3900) / 9.3
    step, t, state = 0.001, 9.3, np.array([24000.0, 0.0])

    def rate(s: np.ndarray) -> np.ndarray:
        k = 0.0079 * (0.16 - 0.0032)
        return np.array([-0.16 * s[0], k * s[0] - 0.0032 * s[1]])

    for _ in range(round((28 - 9.3) / step)):
        a = rate(state)
        b = rate(state + step / 2 * a)
        c = rate(state + step / 2 * b)
        d = rate(state + step * c)
        state = state + step / 6 * (a + 2 * b + 2 * c + d)
        t += step
    assert t == pytest.approx(28)
    assert ECP.predict(STEIN, [28])[0] == pytest.approx(state.sum(), rel=1e-9)
    assert ECP.predict(STEIN, [4])[0] == pytest.approx(24000 / 3900 * np.exp(rho * 4), rel=1e-12)


def _random_phi(rng: np.random.Generator) -> np.ndarray:
    phi = np.asarray(ECP.to_transformed(jnp.asarray(ECP.theta(STEIN))))
    return phi + rng.standard_normal(6) * np.array([1, 0.3, 1.5, 0.8, 1, 1])


@pytest.mark.parametrize("curve", [log_curve, smooth_log_curve(0.05)])
def test_gradient_agrees_with_finite_differences_at_random_points(curve) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(11)

    def value(phi: jax.Array, time: jax.Array) -> jax.Array:
        return curve(ECP.to_natural(phi), time)

    jacobian = jax.jit(jax.jacfwd(value))
    run = jax.jit(value)
    compared = 0
    for _ in range(20):
        phi, time = _random_phi(rng), np.sort(rng.uniform(0, 200, 6))
        if np.abs(time - np.exp(phi[1])).min() < 0.5:  # beside the change point differences mix two branches
            continue
        numeric = np.empty((6, 6))
        for k in range(6):
            step = np.zeros(6)
            step[k] = 1e-5
            numeric[:, k] = (np.asarray(run(phi + step, time)) - np.asarray(run(phi - step, time))) / 2e-5
        np.testing.assert_allclose(np.asarray(jacobian(phi, time)), numeric, rtol=1e-6, atol=1e-7)
        compared += 1
    assert compared >= 10


def test_values_and_gradients_are_finite_at_bounds_negative_and_late_times() -> None:
    time = jnp.array([-30.0, -1.0, 0.0, 0.5, 9.3, 60.0, 5000.0])
    lower = np.array([p.lower for p in ECP.parameters])
    upper = np.array([p.upper for p in ECP.parameters])
    jacobian = jax.jit(jax.jacfwd(lambda phi: log_curve(ECP.to_natural(phi), time)))
    for corner in range(64):
        high = np.array([bool(corner >> k & 1) for k in range(6)])
        theta = jnp.asarray(np.where(high, upper, lower))
        assert np.isfinite(np.asarray(log_curve(theta, time))).all(), theta
        assert np.isfinite(np.asarray(jacobian(ECP.to_transformed(theta)))).all(), theta


def test_area_equals_quadrature_of_the_curve() -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        theta = np.asarray(ECP.to_natural(jnp.asarray(_random_phi(rng))))
        values = dict(zip(ECP.names, theta.tolist(), strict=True))
        tmax = float(theta[1])

        def c(t: float, theta: np.ndarray = theta) -> float:
            cmax, tmax, foldx, alpha, fb, beta = theta
            if t < tmax:
                return cmax / foldx * foldx ** (t / tmax)
            return cmax * ((1 - fb) * np.exp(-alpha * (t - tmax)) + fb * np.exp(-beta * (t - tmax)))

        start, end = 2.0, tmax + 40.0
        expected = quad(c, start, tmax, epsrel=1e-12)[0] + quad(c, tmax, end, epsrel=1e-12)[0]
        assert ECP.auc(values, start, end) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_areas_of_adjoining_intervals_add_up(a: float, b: float, c: float) -> None:
    with jax.enable_x64(True):
        a, b, c = sorted((a, b, c))
        whole = ECP.auc(STEIN, a, c)
        assert ECP.auc(STEIN, a, b) + ECP.auc(STEIN, b, c) == pytest.approx(whole, rel=1e-9, abs=1e-6)
        assert whole >= 0


def test_area_to_infinity_has_the_derivatives_of_its_closed_form() -> None:
    theta = jnp.array(ECP.theta(STEIN))
    gradient = jax.grad(area)(theta, jnp.asarray(0.0), jnp.asarray(jnp.inf))
    cmax, _, _, alpha, fb, beta = theta
    np.testing.assert_allclose(gradient[3], -cmax * (1 - fb) / alpha**2, rtol=1e-12)
    np.testing.assert_allclose(gradient[4], cmax * (1 / beta - 1 / alpha), rtol=1e-12)
    np.testing.assert_allclose(gradient[5], -cmax * fb / beta**2, rtol=1e-12)
    assert np.isfinite(gradient).all()


def test_area_before_the_peak_is_that_of_growth_alone() -> None:
    # (Cmax/foldx) (exp(rho x) - 1) / rho at x = 3: 6.153846 * (14.4015 - 1) / 0.889111
    theta = jnp.asarray(ECP.theta(STEIN))
    rho = np.log(3900) / 9.3
    expected = 24000 / 3900 * (np.exp(3 * rho) - 1) / rho
    assert float(area(theta, jnp.asarray(0.0), jnp.asarray(3.0))) == pytest.approx(expected, rel=1e-12)


def test_smooth_curve_becomes_the_exact_one_as_its_width_goes_to_zero() -> None:
    theta = jnp.asarray(ECP.theta(STEIN))
    time = jnp.array([0.0, 5.0, 9.0, 9.6, 14.0, 200.0])
    exact = np.asarray(log_curve(theta, time))
    gaps = [np.abs(np.asarray(smooth_log_curve(w)(theta, time)) - exact).max() for w in (1.0, 0.1, 0.01, 0.001)]
    assert gaps[0] > gaps[1] > gaps[2] >= gaps[3]
    assert gaps[3] == 0.0


def test_smooth_curve_has_one_slope_in_tmax_across_a_sampling_day_where_the_exact_one_has_two() -> None:
    def slopes(curve):  # type: ignore[no-untyped-def]
        slope = jax.grad(lambda tmax: curve(jnp.asarray(ECP.theta({**STEIN, "tmax": 1.0})).at[1].set(tmax), 9.0))
        return float(slope(9.0 - 1e-9)), float(slope(9.0 + 1e-9))

    left, right = slopes(lambda theta, t: log_curve(theta, jnp.array([t]))[0])
    assert abs(left - right) > 0.5
    left, right = slopes(lambda theta, t: smooth_log_curve(0.05)(theta, jnp.array([t]))[0])
    assert left == pytest.approx(right, abs=1e-6)
