"""The table of Wang 2007: every objective at fixed parameters, and the exact value."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from wang_problem import CONSTANTS, OMEGA, SIGMA, VALUES, wang_problem

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.agq import agq_objective, grid_nodes, hermite_grid
from cellkinetics.fitting.pooled.likelihood import laplace_objective
from cellkinetics.fitting.pooled.linearised import fo_objective, foce_objective
from cellkinetics.fitting.pooled.modes import conditional_modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.ecp import ECP


def at_published(kind):
    problem = wang_problem(kind)
    return problem, problem.pack({"ke": 0.5}, {"ke": OMEGA}, (SIGMA,))


def quadrature(problem, x, nodes):
    modes = conditional_modes(problem, x)
    with jax.enable_x64(True):
        points, log_weight = (jnp.asarray(a) for a in hermite_grid(problem.structure.n_latent, nodes))
        value, gradient = agq_objective(jnp.asarray(x), modes.u, problem.samples, points, log_weight, problem.form)
        return float(value), np.asarray(gradient)


def laplace(problem, x, exact):
    modes = conditional_modes(problem, x)
    with jax.enable_x64(True):
        return float(laplace_objective(jnp.asarray(x), modes.u, problem.samples, problem.form, exact)[0])


def test_the_ten_subjects_are_those_of_the_reference(shared):
    table = pd.read_csv(shared / "reference" / "wang2007.csv")
    assert [tuple(part["Y"]) for _, part in table.groupby("ID")] == VALUES


@pytest.mark.parametrize(
    ("method", "proportional", "additive"),
    # The published column "Laplace" has the first-order Hessian, and with it the numbers of FOCEI.
    [("focei", 39.458, -2.059), ("foce", 39.207, -2.059), ("fo", 39.213, 0.026)],
)
def test_each_approximation_has_its_published_value(method, proportional, additive):
    functions = {"focei": lambda p, x: laplace(p, x, exact=False), "foce": foce_objective, "fo": fo_objective}
    for kind, published in (("proportional", proportional), ("additive", additive)):
        problem, x = at_published(kind)
        assert functions[method](problem, x) - CONSTANTS == pytest.approx(published, abs=1e-3), kind


@pytest.mark.parametrize("kind", ["proportional", "additive"])
def test_laplace_has_the_whole_second_derivative_at_the_mode(kind):
    """39.2268 and -1.9361: by differences of the joint density, written out anew."""
    total, h = 0.0, 1e-4
    for pair in VALUES:

        def joint(eta, pair=pair):
            f = np.array([10.0, 10.0 * np.exp(-0.5 * np.exp(eta))])
            variance = SIGMA**2 * f**2 if kind == "proportional" else np.full(2, SIGMA**2)
            return 0.5 * ((np.array(pair) - f) ** 2 / variance + np.log(variance)).sum() + 0.5 * (eta / OMEGA) ** 2

        mode = minimize_scalar(joint, bounds=(-3, 3), method="bounded", options={"xatol": 1e-12}).x
        second = (joint(mode + h) - 2 * joint(mode) + joint(mode - h)) / h**2
        total += 2 * joint(mode) + np.log(second * OMEGA**2)
    problem, x = at_published(kind)
    assert laplace(problem, x, exact=True) - CONSTANTS == pytest.approx(total, abs=1e-4)
    assert total == pytest.approx(39.2268 if kind == "proportional" else -1.9361, abs=1e-4)


def test_quadrature_reaches_the_published_exact_value_with_few_nodes():
    problem, x = at_published("proportional")
    assert quadrature(problem, x, 9)[0] - CONSTANTS == pytest.approx(39.3548, abs=1e-3)
    # One node is the approximation of FOCEI.
    assert quadrature(problem, x, 1)[0] == pytest.approx(laplace(problem, x, exact=False), abs=1e-9)


def test_the_gradient_of_the_quadrature_is_that_of_its_value():
    problem, _ = at_published("proportional")
    x = problem.pack({"ke": 0.4}, {"ke": 0.3}, (0.2,))
    _, gradient = quadrature(problem, x, 5)
    for k in range(len(x)):
        shift = np.zeros_like(x)
        shift[k] = 1e-5
        slope = (quadrature(problem, x + shift, 5)[0] - quadrature(problem, x - shift, 5)[0]) / 2e-5
        assert gradient[k] == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_a_grid_has_as_many_nodes_as_there_is_room_for_and_more_are_refused():
    assert [grid_nodes(d) for d in (1, 2, 3, 4, 6, 8, 12)] == [9, 9, 9, 8, 4, 2, 2]
    assert grid_nodes(2, 70) == 70
    with pytest.raises(SettingsError, match=r"5 nodes along 6 random effects takes 15625 points .* at most agq:4"):
        grid_nodes(6, 5)
    with pytest.raises(
        SettingsError, match=r"2 nodes, the least, along 13 random effects .* method saem or importance"
    ):
        grid_nodes(13)
    with pytest.raises(SettingsError, match="at least 2 nodes"):
        grid_nodes(1, 1)


def test_fo_and_foce_refuse_what_they_have_no_term_for():
    censored = PooledProblem.from_cohort(Cohort.from_arrays([[5.0, 9.0]], [[20.0, 900.0]], lloq=50.0), ECP)
    with pytest.raises(SettingsError, match="no censored samples"):
        fo_objective(censored, np.zeros(len(censored.labels)))
    with pytest.raises(SettingsError, match="no censored samples"):
        foce_objective(censored, np.zeros(len(censored.labels)))
