"""Models of differential equations: closed forms, printed trajectories, invariants, and the contract.

Numbers of Kimmel 2021 and Chaudhury 2020 at day 9 are those printed by a public run of the BioModels files
themselves (BIOMD0000001041, BIOMD0000001024, BIOMD0000001025; libroadrunner by Tellurium, ten daily records from
day 0 on): cells 25.922 and 159.5, tumour 0.0710; cells 8323.4, tumour 0.1603; tumour 73.681.
The run: README files of labs/kimmel2021-* and labs/chaudhury2020-* in github.com/Biosimulant/models-oncology.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from cellkinetics.errors import ModelError
from cellkinetics.models.contract import check_model
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import library
from cellkinetics.models.registry import DYNAMIC_NAMES, get_model, list_models, trajectories

STEIN = library["stein2019"].typical
DAYS = [14.0, 0.0, 1.0, 3.0, 7.0, 9.0, 9.3, 28.0, 90.0, -2.0, 180.0, 365.0, 0.0, 0.0]
"""Not in order, with padding, a change point and a day before infusion."""


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def random_thetas(n: int, seed: int) -> jax.Array:
    """Parameters of model (A) from all over their bounds."""
    low = ECP.to_transformed(jnp.asarray([p.lower for p in ECP.parameters]))
    high = ECP.to_transformed(jnp.asarray([p.upper for p in ECP.parameters]))
    return ECP.to_natural(low + jnp.asarray(np.random.default_rng(seed).random((n, len(low)))) * (high - low))


def scipy_solution(rates: Callable, start: list[float], days: list[float]) -> np.ndarray:
    return solve_ivp(rates, (0.0, days[-1]), start, method="DOP853", rtol=1e-12, atol=1e-14, t_eval=days).y


# Model (A)


def test_effector_and_memory_cells_equal_the_closed_form_to_1e_8_within_all_bounds() -> None:
    many = jnp.concatenate([jnp.asarray([ECP.theta(STEIN)]), random_thetas(200, seed=1)])
    time = jnp.asarray(DAYS)
    solved = jax.vmap(get_model("effector-memory").log_curve, (0, None))(many, time)
    closed = jax.vmap(ECP.log_curve, (0, None))(many, time)
    # A difference of ln C is a relative difference of C.
    assert float(jnp.abs(solved - closed).max()) < 1e-8


def test_derivatives_of_the_solution_are_those_of_the_closed_form_of_second_order_too() -> None:
    model, theta, time = get_model("effector-memory"), jnp.asarray(ECP.theta(STEIN)), jnp.asarray(DAYS)
    exact, found = jax.jacrev(ECP.log_curve)(theta, time), jax.jacrev(model.log_curve)(theta, time)
    np.testing.assert_allclose(found, exact, rtol=1e-7, atol=1e-7 * float(jnp.abs(exact).max()))

    def curvature(curve: Callable) -> np.ndarray:
        inside = jax.hessian(lambda phi: (curve(ECP.to_natural(phi), time) ** 2).sum())
        return np.asarray(jax.jit(inside)(ECP.to_transformed(theta)))

    def of_jacobian(curve: Callable) -> np.ndarray:
        # A gradient of the derivatives, as FOCEI takes it.
        squares = jax.grad(lambda phi: (jax.jacfwd(lambda x: curve(ECP.to_natural(x), time))(phi) ** 2).sum())
        return np.asarray(jax.jit(squares)(ECP.to_transformed(theta)))

    exact = of_jacobian(ECP.log_curve)
    np.testing.assert_allclose(of_jacobian(model.log_curve), exact, rtol=1e-6, atol=1e-6 * np.abs(exact).max())
    exact = curvature(ECP.log_curve)
    np.testing.assert_allclose(curvature(model.log_curve), exact, rtol=1e-6, atol=1e-6 * np.abs(exact).max())


def test_the_curve_has_a_slope_in_time() -> None:
    theta, time = jnp.asarray(ECP.theta(STEIN)), jnp.asarray([-1.0, 4.0, 30.0, 200.0])
    exact = jax.jacfwd(ECP.log_curve, argnums=1)(theta, time)
    found = jax.jacfwd(get_model("effector-memory").log_curve, argnums=1)(theta, time)
    np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-12)


def test_the_area_by_an_extra_state_is_the_exact_one_and_needs_an_end() -> None:
    # models.md prints AUC0-28 171,774.285180 and AUC0-84 188,397.910285 for the typical patient
    model = get_model("effector-memory")
    assert model.auc(STEIN, 0, 28) == pytest.approx(171774.285180, abs=1e-5)
    assert model.auc(STEIN, 28, 84) == pytest.approx(188397.910285 - 171774.285180, rel=1e-8)
    with pytest.raises(ModelError, match="finite interval only"):
        model.auc(STEIN, 0, np.inf)


# Saturable and logistic growth


def test_logistic_growth_follows_its_closed_form_up_to_the_peak() -> None:
    # C = K / (1 + (K/R0 - 1) exp(-rho t)), K = Cmax/q, through R0 = Cmax/foldx at 0 and Cmax at Tmax
    q, days = 0.9, np.array([0.0, 1.0, 4.0, 8.0, 9.3])
    capacity, first = 24000 / q, 24000 / 3900
    rho = (np.log(capacity / first - 1) - np.log(capacity / 24000 - 1)) / 9.3
    found = get_model("logistic").predict({**STEIN, "filled": q}, days)
    np.testing.assert_allclose(found, capacity / (1 + (capacity / first - 1) * np.exp(-rho * days)), rtol=1e-8)
    assert found[-1] == pytest.approx(24000, rel=1e-8)


def test_saturable_growth_obeys_its_integral_and_slows_down() -> None:
    # dE/dt = rho E / (1 + E/Km)  ->  ln(E/E0) + (E - E0)/Km = rho t
    km, days = 5000.0, np.array([1.0, 3.0, 5.0, 8.0, 9.3])
    first = 24000 / 3900
    rho = (np.log(3900) + (24000 - first) / km) / 9.3
    found = get_model("saturable").predict({**STEIN, "km": km}, days)
    np.testing.assert_allclose(np.log(found / first) + (found - first) / km, rho * days, rtol=1e-8)
    assert found[-1] == pytest.approx(24000, rel=1e-8)


def test_without_saturation_both_are_model_a() -> None:
    expected = ECP.predict(STEIN, DAYS)
    np.testing.assert_allclose(get_model("saturable").predict({**STEIN, "km": 1e15}, DAYS), expected, rtol=1e-8)
    np.testing.assert_allclose(get_model("logistic").predict({**STEIN, "filled": 1e-12}, DAYS), expected, rtol=1e-8)


# Kimmel 2021


def test_kimmel_reproduces_the_printed_run_of_the_biomodels_file() -> None:
    day_9 = library["kimmel2021"].trajectories([9.0])
    assert round(day_9["car"][0], 3) == 25.922
    assert round(day_9["normal"][0], 1) == 159.5
    assert round(day_9["tumour"][0], 4) == 0.0710


def test_kimmel_agrees_with_another_solver_on_the_equations_of_biomodels() -> None:
    def rates(_: float, y: np.ndarray) -> list[float]:
        n, c, b = y
        t = n + c
        r_c = 0.0251 + 0.525 * (t - 500) ** 2 / (0.423 * t**2 + (t - 500) ** 2)
        return [-0.17 * n * np.log(t / 500), -r_c * c * np.log(t / 139), 0.01 * b - 1.15 * b * c / (4.05 + c)]

    days = [0.0, 1.0, 5.0, 14.0, 28.0, 90.0, 180.0]
    expected = scipy_solution(rates, [6.0, 0.36, 94.86], days)
    found = library["kimmel2021"].trajectories(days)
    for row, name, tolerance in zip(expected, ("normal", "car", "tumour"), (1e-8, 1e-8, 1e-7), strict=True):
        np.testing.assert_allclose(found[name], row, rtol=tolerance)


def test_kimmel_without_its_tumour_is_the_same_curve_of_cells() -> None:
    entry = library["kimmel2021"]
    days = [0.0, 7.0, 30.0, 90.0]
    np.testing.assert_allclose(entry.model.predict(entry.typical, days), entry.trajectories(days)["car"], rtol=1e-9)
    with pytest.raises(ModelError, match="missing: b0, rb, gammab, kb"):
        trajectories("kimmel", entry.typical, days)


# Chaudhury 2020


def test_chaudhury_lotka_volterra_reproduces_the_printed_run_of_the_biomodels_file() -> None:
    day_9 = library["chaudhury2020-lotka-volterra"].trajectories([9.0])
    assert round(day_9["car"][0], 1) == 8323.4
    assert round(day_9["tumour"][0], 4) == 0.1603


def test_lotka_volterra_keeps_its_invariant_through_boom_and_bust() -> None:
    # rho U - kE ln U + d E - g ln E does not change in time
    values = library["chaudhury2020-lotka-volterra"].typical
    found = library["chaudhury2020-lotka-volterra"].trajectories([0.0, 3.0, 7.0, 14.0, 60.0, 120.0, 200.0])
    u, e = found["tumour"], found["car"]
    kept = values["rho"] * u - values["ke"] * np.log(u) + values["d"] * e - values["g"] * np.log(e)
    np.testing.assert_allclose(kept, kept[0], rtol=1e-8)
    assert u.min() < 1.0 < 900.0 < u.max()


def test_chaudhury_ec50_reproduces_the_printed_run_of_the_biomodels_file() -> None:
    assert round(library["chaudhury2020-ec50"].trajectories([9.0])["tumour"][0], 3) == 73.681


def test_chaudhury_ec50_cures_and_relapses_as_in_figures_3a_and_3b() -> None:
    # Figure 3 of the paper, its supplementary table S1: d = 0.35 cures, d = 0.34 relapses
    days = [0.0, 60.0, 200.0]
    cured = library["chaudhury2020-ec50"].trajectories(days)["tumour"]
    relapsed = library["chaudhury2020-ec50"].trajectories(days, d=0.34)["tumour"]
    assert cured[1] < 0.1
    assert cured[2] < 0.1
    assert relapsed[1] < 1.0
    assert relapsed[2] > 500.0


def test_chaudhury_ec50_agrees_with_another_solver_on_either_side_of_the_peak() -> None:
    def tumour(e: float, u: float) -> float:
        return u * 0.2 * (1 - np.log(u) / np.log(1000)) / (1 + (0.1 / u) ** 3) - 0.35 * e * u / (10 + e + u)

    before = [0.0, 1.0, 5.0, 9.3]
    rising = scipy_solution(lambda _, y: [8.8 * y[0] * y[2] / (1 + y[0] + y[2]), 0.0, tumour(y[0], y[2])],
                            [10.0, 0.0, 900.0], before)  # fmt: skip
    after = [0.0, 4.7, 50.7]
    falling = scipy_solution(
        lambda _, y: [-0.1612 * y[0], 0.0012 * y[0] - 0.0032 * y[1], tumour(y[0], y[2])], rising[:, -1].tolist(), after
    )
    expected = np.concatenate([rising[0], (falling[0] + falling[1])[1:]])
    found = library["chaudhury2020-ec50"].trajectories([0.0, 1.0, 5.0, 9.3, 14.0, 60.0])["car"]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_chaudhury_first_order_is_model_a_in_other_parameters() -> None:
    # C0 = 10, rho = 1 until day 9.3; kE + kEP = 0.1612 is alpha, kEP / (0.1612 - 0.0032) is F
    as_a = {"cmax": 10 * np.exp(9.3), "tmax": 9.3, "foldx": np.exp(9.3), "alpha": 0.1612, "fb": 0.0012 / 0.158}
    entry = library["chaudhury2020-first-order"]
    np.testing.assert_allclose(
        entry.model.predict(entry.typical, DAYS), ECP.predict({**as_a, "beta": 0.0032}, DAYS), rtol=1e-9
    )


# Antigen


def test_cells_that_expand_on_antigen_agree_with_another_solver() -> None:
    values = {"c0": 0.5, "rho": 1.2, "alpha": 0.16, "conversion": 0.0012, "beta": 0.0032,
              "antigen": 50.0, "growth": 0.05, "kill": 1.5, "e50": 100.0}  # fmt: skip

    def rates(_: float, y: np.ndarray) -> list[float]:
        e, m, b = y
        return [1.2 * e * b / (1 + b) - 0.16 * e, 0.0012 * e - 0.0032 * m, 0.05 * b - 1.5 * b * e / (100 + e)]

    days = [0.0, 3.0, 7.0, 10.0, 28.0, 90.0]
    e, m, b = scipy_solution(rates, [0.5, 0.0, 50.0], days)
    found = trajectories("antigen", values, days)
    np.testing.assert_allclose(found["car"], e + m, rtol=1e-8)
    np.testing.assert_allclose(found["antigen"], b, rtol=1e-6)
    # The cells come down because their antigen is gone, not on a day that was set.
    assert found["car"][3] > found["car"][4] > found["car"][5]


# All of them


@pytest.mark.parametrize("name", ["saturable", "antigen", "chaudhury-ec50", "kimmel"])
def test_a_dynamic_model_of_each_kind_keeps_the_contract(name: str) -> None:
    # All of them, at 200 points each, are checked by validation/dynamic_models.py: compiling one takes 20 CPU s.
    check_model(get_model(name), points=2, days=(-1.0, 0.0, 1.0, 3.0, 9.3, 28.0, 365.0), tolerance=1e-4)


def test_patients_are_simulated_from_a_model_of_differential_equations() -> None:
    drawn = library["kimmel2021"].simulate(4, [0, 7, 14, 28], omega_sd={"kc": 0.2}, residual_sd=0.1, seed=1)
    assert drawn.truth["kc"].nunique() == 4
    assert (drawn.samples["value"] > 0).all()


def test_what_is_asked_wrongly_is_told() -> None:
    with pytest.raises(ModelError, match=r"no model 'kimel'; there is ecp, ecp.lag"):
        get_model("kimel")
    with pytest.raises(ModelError, match="no model of differential equations 'ecp'; there is effector-memory"):
        trajectories("ecp", {}, [0.0])
    with pytest.raises(ModelError, match="trajectories begin at infusion, day 0, not on day -1"):
        library["chaudhury2020-first-order"].trajectories([-1.0, 2.0])


def test_without_the_extra_other_models_work_and_these_say_what_to_install() -> None:
    code = (
        "import sys; sys.modules['diffrax'] = None\n"
        "import cellkinetics.models.registry as registry\n"
        "registry.importlib.util.find_spec = lambda name: None\n"
        "print([model.name for model in registry.list_models()][-1])\n"
        "try: registry.get_model('kimmel')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "ecp+smooth"
    assert 'ModelError models of differential equations need diffrax: pip install "cellkinetics[ode]"' in done.stdout


def test_the_registry_does_not_import_the_solver_until_it_is_needed() -> None:
    code = (
        "import sys, cellkinetics.models.registry as registry, cellkinetics.models.published as published\n"
        "registry.get_model('ecp+lag'); published.library['kimmel2021'].to_dict()\n"
        "print('diffrax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert {model.name for model in list_models()} >= set(DYNAMIC_NAMES)
