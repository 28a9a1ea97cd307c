"""The information of samples, patients and populations that a schedule brings."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cellkinetics as ck
from cellkinetics.errors import ModelError, SettingsError
from cellkinetics.fitting.design.fisher import add_samples, expected_information, precision_of
from cellkinetics.fitting.design.individual import explained, patient_information, patient_precision
from cellkinetics.fitting.design.information import schedule_information
from cellkinetics.fitting.design.patients import Days, days_of, draw_effects
from cellkinetics.fitting.design.population import AssumedPopulation, assume
from cellkinetics.fitting.design.sample import sample_information
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.censoring import normal_nll

STEIN = assume("stein2019")


def total(population: AssumedPopulation, days: Days) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(expected_information(add_samples(days), jnp.asarray(population.omega)))


def oral(theta: jax.Array, t: jax.Array) -> jax.Array:
    cl, v, ka = theta
    k = cl / v
    return jnp.log(70.0 * ka / (v * (ka - k)) * (jnp.exp(-k * t) - jnp.exp(-ka * t)))


def line(theta: jax.Array, t: jax.Array) -> jax.Array:
    return theta[0] + theta[1] * t


WARFARIN = Model(
    "oral", "one compartment", tuple(Parameter(n, "log", "none", 1e-3, 1e3, n) for n in ("cl", "v", "ka")), oral
)
LINE = Model("line", "a line", tuple(Parameter(n, "identity", "none", -9, 9, n) for n in ("a", "b")), line)


def test_first_order_information_agrees_with_poped_for_warfarin() -> None:
    # PopED's example ex.2.a (32 patients, proportional error of variance 0.01, which on the log scale is a
    # constant one): the RSE in percent that PopED prints, as recorded in babelmixr2, inst/poped. The design is
    # that of Nyberg et al. 2015, doi:10.1111/bcp.12352. PopED's rows are variances, ours SDs: half the RSE.
    variance = {"cl": 0.07, "v": 0.02, "ka": 0.6}
    population = AssumedPopulation(
        WARFARIN, {"cl": 0.15, "v": 8.0, "ka": 1.0}, {name: value**0.5 for name, value in variance.items()}, 0.1
    )
    found = schedule_information([0.5, 1, 2, 6, 24, 36, 72, 120], population, n_subjects=32, method="fo", patients=4)
    poped = [4.738266, 2.756206, 13.925829, 25.627205, 30.344316, 25.777327, 11.170784]
    rse = np.array([row.rse_percent for row in found.parameters]) * [1, 1, 1, 2, 2, 2, 2]
    assert rse == pytest.approx(poped, rel=1e-6)


@pytest.mark.parametrize("z", [-3.0, -0.5, 0.0, 1.0, 2.5])
def test_expected_information_of_a_censored_sample_is_the_mean_curvature_of_its_likelihood(z: float) -> None:
    rng = np.random.default_rng(1)
    f, sd = 2.0, 0.7
    limit = f + z * sd
    y = f + sd * rng.standard_normal(200_000)

    def nll(x: jax.Array, one: jax.Array) -> jax.Array:
        return normal_nll(jnp.maximum(one, limit), x[0], jnp.exp(x[1]), jnp.where(one < limit, 1, 0))

    with jax.enable_x64(True):
        x = jnp.array([f, np.log(sd)])
        scores = np.asarray(jax.vmap(lambda one: jax.grad(nll)(x, one))(jnp.asarray(y)))
        told = sample_information(jnp.array(f), jnp.array(sd), jnp.array(limit))
    products = np.stack([scores[:, 0] ** 2 * sd**2, scores[:, 0] * scores[:, 1] * sd, scores[:, 1] ** 2])
    error = products.std(axis=1) / np.sqrt(len(y))
    expected = [float(told.prediction), float(told.cross), float(told.log_sd)]
    assert np.abs(products.mean(axis=1) - expected).max() / error.max() < 4
    assert float(told.quantified) == pytest.approx((y > limit).mean(), abs=0.004)


def test_a_sample_far_from_the_limit_has_the_information_of_a_normal_one_and_a_lost_one_none() -> None:
    with jax.enable_x64(True):
        far = sample_information(jnp.array(9.0), jnp.array(0.5), jnp.array(-jnp.inf))
        lost = sample_information(jnp.array(0.0), jnp.array(0.5), jnp.array(60.0))
    assert [float(a) for a in far] == [1.0, 0.0, 2.0, 1.0]
    assert [float(a) for a in lost] == [0.0, 0.0, 0.0, 0.0]


@settings(max_examples=60, deadline=None)
@given(z=st.floats(-30, 30), sd=st.floats(0.05, 3))
def test_information_is_a_share_of_that_without_a_limit(z: float, sd: float) -> None:
    with jax.enable_x64(True):
        told = sample_information(jnp.array(0.0), jnp.array(sd), jnp.array(z * sd))
    a, b, c = (float(x) for x in told[:3])
    assert -1e-12 <= a <= 1 + 1e-12
    assert c >= -1e-9
    assert a * c - b * b >= -1e-9


def test_information_of_a_patient_is_the_sum_over_samples() -> None:
    effects = draw_effects(STEIN, 8, 3)
    both = patient_information(days_of(STEIN, effects, [3.0, 14.0, 40.0], 50.0))
    apart = sum(patient_information(days_of(STEIN, effects, [day], 50.0)) for day in (3.0, 14.0, 40.0))
    assert both == pytest.approx(apart, rel=1e-12)


def test_linear_mixed_model_has_its_exact_information() -> None:
    population = AssumedPopulation(LINE, {"a": 1.0, "b": 0.5}, {"a": 0.8, "b": 0.3}, 0.4)
    days = np.array([1.0, 2.0, 4.0])
    found = total(population, days_of(population, draw_effects(population, 5, 0), days, None))
    J = np.column_stack([np.ones(3), days])
    V = J @ np.diag([0.64, 0.09]) @ J.T + 0.16 * np.eye(3)
    W = np.linalg.inv(V)
    slopes = [2 * 0.64 * np.outer(J[:, 0], J[:, 0]), 2 * 0.09 * np.outer(J[:, 1], J[:, 1]), 2 * 0.16 * np.eye(3)]
    expected = np.zeros((5, 5))
    expected[:2, :2] = J.T @ W @ J
    expected[2:, 2:] = [[0.5 * np.trace(W @ a @ W @ b) for a in slopes] for b in slopes]
    assert found == pytest.approx(expected, rel=1e-10)


def test_a_parameter_in_another_unit_keeps_its_relative_error() -> None:
    def other(theta: jax.Array, t: jax.Array) -> jax.Array:
        return STEIN.model.log_curve(theta.at[0].multiply(1000.0), t)

    model = Model("scaled", "cmax in thousands", STEIN.model.parameters, other)
    scaled = AssumedPopulation(model, {**STEIN.typical, "cmax": 24.0}, STEIN.omega_sd, 0.56)
    days = [2, 5, 9, 14, 28, 60, 120]
    a, b = (schedule_information(days, p, lloq=50, patients=32) for p in (STEIN, scaled))
    for row, same in zip(a.parameters, b.parameters, strict=True):
        assert row.rse_percent == pytest.approx(same.rse_percent, rel=1e-8)
    assert a.log_det == pytest.approx(b.log_det, abs=1e-8)


@settings(max_examples=15, deadline=None)
@given(days=st.lists(st.integers(1, 90), min_size=2, max_size=7, unique=True), lloq=st.sampled_from([None, 50.0, 2e3]))
def test_one_more_sample_never_takes_information_away(days: list[int], lloq: float | None) -> None:
    effects = draw_effects(STEIN, 16, 0)
    more = days_of(STEIN, effects, [float(day) for day in days], lloq)
    fewer = days_of(STEIN, effects, [float(day) for day in days[:-1]], lloq)
    gain = total(STEIN, more)[:12, :12] - total(STEIN, fewer)[:12, :12]
    assert np.linalg.eigvalsh(gain).min() > -1e-9 * np.abs(gain).max()
    assert np.linalg.eigvalsh(patient_information(more) - patient_information(fewer)).min() > -1e-8


def test_more_patients_divide_standard_errors_by_the_root() -> None:
    days = [3, 7, 10, 14, 28, 60, 180]
    one, four = (schedule_information(days, STEIN, n_subjects=n, patients=64) for n in (20, 80))
    assert one["alpha"].se == pytest.approx(2 * four["alpha"].se, rel=1e-9)
    assert one["alpha"].shrinkage_percent == four["alpha"].shrinkage_percent


def test_samples_at_or_before_infusion_tell_nothing() -> None:
    with_, without = (schedule_information(days, STEIN, lloq=50, patients=32) for days in ([-7, 0, 7, 14], [7, 14]))
    assert with_.information == pytest.approx(without.information)
    assert with_.n_blq == pytest.approx(without.n_blq)


def test_expected_samples_below_quantification_are_those_of_simulated_patients() -> None:
    days = [2, 5, 9, 28, 90]
    found = schedule_information(days, STEIN, lloq=200, patients=400)
    drawn = ck.models.library["stein2019"].simulate(4000, days, lloq=200, seed=3).samples
    assert found.n_blq == pytest.approx(drawn["censored"].mean() * len(days), abs=0.06)
    assert found.n_blq + found.n_quantified == pytest.approx(5)


def test_what_a_schedule_leaves_open_is_empty_with_a_reason() -> None:
    found = schedule_information([20, 30, 40], STEIN, method="fo", patients=16)
    row = found["foldx"]
    assert (row.se, row.rse_percent, row.reason_code) == (None, None, "not_estimable")
    assert "foldx" in found.status
    assert found.to_dict()["log_det"] is None
    assert np.isneginf(found.log_det)
    empty = found.table[found.table["se"].isna()]
    assert (empty["reason"] != "").all()


def test_known_quantities_are_left_out_and_sharpen_the_others() -> None:
    days = [3, 7, 10, 14, 28, 60]
    free = schedule_information(days, STEIN, lloq=50, patients=64)
    fixed = schedule_information(days, STEIN, lloq=50, patients=64, fixed=["beta", "omega_beta"])
    assert fixed["beta"].reason_code == "fixed"
    assert len(fixed.labels) == len(free.labels) - 2
    assert fixed["fb"].se < free["fb"].se


def test_a_parameter_without_variability_has_no_omega_and_no_shrinkage() -> None:
    population = AssumedPopulation("ecp", STEIN.typical, {"cmax": 0.65}, 0.56)
    found = schedule_information([2, 5, 9, 14, 28, 60, 120], population, patients=32)
    assert [row.parameter for row in found.parameters if row.kind == "omega"] == ["omega_cmax"]
    assert found["alpha"].shrinkage_percent is None
    assert found["cmax"].shrinkage_percent > 0


def test_shrinkage_of_a_linear_model_is_that_of_its_modes() -> None:
    # One random effect, m samples: P = 1/(1/w2 + m/s2), Var(modes)/w2 = w2/(w2 + s2/m) = 0.25/(0.25 + 0.16/4).
    flat = Model("flat", "a level", (Parameter("a", "identity", "none", -9, 9, "a"),), lambda th, t: th[0] + 0.0 * t)
    found = schedule_information([1, 2, 3, 4], AssumedPopulation(flat, {"a": 1.0}, {"a": 0.5}, 0.4), patients=8)
    assert found["a"].shrinkage_percent == pytest.approx(100 * (1 - np.sqrt(0.25 / 0.29)))
    assert found["a"].map_sd == pytest.approx((4 + 25) ** -0.5)
    # alone: sigma^2/m times m/(m - 1), as in a fit
    assert found["a"].individual_se == pytest.approx(0.4 / np.sqrt(3))


def test_as_many_samples_as_parameters_identify_nothing() -> None:
    information = np.eye(3)[None] * 1e4
    alone = patient_precision(np.repeat(information, 2, axis=0), np.array([2.0, 2.1]))
    assert alone.identifiable.tolist() == [[False] * 3, [True] * 3]


def test_shares_that_a_day_explains_add_up_to_less_than_one() -> None:
    share = explained(days_of(STEIN, draw_effects(STEIN, 64, 0), np.arange(0.0, 8.0), 50.0), STEIN.omega)
    assert (share >= 0).all()
    assert (share.sum(axis=1) < 1).all()
    assert share[0].sum() == 0.0
    # before the peak nothing is told of the decline
    assert share[1, 4:].sum() < 1e-6


def test_simulated_information_is_that_of_the_linear_model() -> None:
    population = AssumedPopulation(LINE, {"a": 1.0, "b": 0.5}, {"a": 0.8, "b": 0.3}, 0.4)
    exact = schedule_information([1, 2, 4, 8], population, patients=8)
    simulated = schedule_information([1, 2, 4, 8], population, patients=400, method="simulated", seed=1)
    for label in exact.labels:
        assert simulated[label].se == pytest.approx(exact[label].se, rel=0.12)


def test_the_same_seed_gives_the_same_numbers() -> None:
    a, b, c = (schedule_information([3, 9, 14, 28], STEIN, patients=32, seed=s).information for s in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


def test_a_singular_matrix_tells_which_parameters_it_leaves_open() -> None:
    found = precision_of(np.array([[4.0, 0, 0], [0, 1.0, 1.0], [0, 1.0, 1.0]]))
    assert found.determined.tolist() == [True, False, False]
    assert found.se[0] == 0.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: schedule_information([]), "schedule must be a list of different days"),
        (lambda: schedule_information([7, 7]), "different days"),
        (lambda: schedule_information(["x"]), "list of days"),
        (lambda: schedule_information([7], lloq=0), "lloq is 0"),
        (lambda: schedule_information([7], method="exact"), "choose one of conditional, fo, simulated"),
        (lambda: schedule_information([7], fixed=["gamma"]), "there is no gamma"),
        (lambda: schedule_information([7], n_subjects=0), "n_subjects is 0"),
        (lambda: schedule_information([7], 5), "not a int"),
        (lambda: AssumedPopulation("ecp", STEIN.typical, {"cmax": -1}, 0.5), "at least 0"),
        (lambda: AssumedPopulation("ecp", STEIN.typical, {}, 0.0), "above 0"),
        (
            lambda: schedule_information(
                [7, 9], AssumedPopulation("ecp", STEIN.typical, {"cmax": 1.0}, 0.5), method="simulated"
            ),
            "use the method conditional",
        ),
    ],
)
def test_bad_options_are_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        call()


def test_an_unknown_population_is_refused() -> None:
    with pytest.raises(ModelError, match="stein2018"):
        schedule_information([7], "stein2018")


def test_a_result_prints_as_a_table() -> None:
    text = repr(schedule_information([7, 14, 28], "stein2019", lloq=50, patients=16))
    assert "days 7, 14, 28, 30 patients of stein2019" in text
    assert len(text.splitlines()) == 3 + 13


def test_every_library_entry_is_a_population_or_says_what_was_not_published() -> None:
    for name, entry in ck.models.library.items():
        try:
            found = assume(entry)
        except ModelError as error:
            assert name in str(error) or "extra" in str(error)  # noqa: PT017  (either outcome is right)
        else:
            assert found.name == name
            assert found.random
