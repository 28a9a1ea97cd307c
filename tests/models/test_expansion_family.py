"""Every member of the expansion family: numbers worked out by hand, and the contract of all models."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.errors import ModelError
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.contract import check_model
from cellkinetics.models.ecp import expansion_model
from cellkinetics.models.phases import Phases, parse_phases
from cellkinetics.models.registry import get_model, list_models

VALUES = {"cmax": 24000.0, "tmax": 9.3, "foldx": 251.0, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}

FAMILY = [model for model in list_models() if model.phases is not None]


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def predict(name: str, days: list[float], given: object = None, **values: float) -> list[float]:
    model = get_model(name)
    wanted = {key: value for key, value in {**VALUES, **values}.items() if key in model.names}
    return model.predict(wanted, days, given=given).tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize("model", FAMILY, ids=lambda model: model.name)
def test_every_registered_member_keeps_the_contract_at_200_points(model: Model) -> None:
    check_model(model, points=200)


@pytest.mark.parametrize(
    "name", ["ecp+distribution+lag+comedication-persistence+smooth=0.5", "ecp-contraction-persistence"]
)
def test_combinations_that_have_no_name_of_their_own_keep_the_contract(name: str) -> None:
    check_model(get_model(name), points=10)


def test_with_a_lag_the_level_stays_at_cmax_over_foldx_until_it_ends() -> None:
    # growth 251-fold from day 3.27 to 9.3; half way on the log scale at (3.27 + 9.3)/2
    low, still, middle, peak = predict("ecp+lag", [0.0, 3.27, 6.285, 9.3], tlag=3.27)
    assert low == pytest.approx(24000 / 251, rel=1e-14)
    assert still == pytest.approx(low, rel=1e-14)
    assert middle == pytest.approx(24000 / np.sqrt(251), rel=1e-12)
    assert peak == pytest.approx(24000, rel=1e-14)


def test_ogasawara_fold_expansion_follows_from_lag_doubling_time_and_tmax() -> None:
    # doi:10.1007/s40262-021-01039-5: Tlag 3.27 d, doubling time 0.755 d, Tmax 9.29 d -> 2^(6.02/0.755) = 251
    model = get_model("ecp+lag")
    theta = jnp.asarray(model.theta({**VALUES, "tlag": 3.27, "tmax": 9.29, "foldx": 2 ** (6.02 / 0.755)}))
    doubling = next(quantity for quantity in model.derived if quantity.name == "doubling_time")
    assert float(doubling.function(theta)) == pytest.approx(0.755, rel=1e-12)
    assert round(2 ** (6.02 / 0.755)) == 251


def test_distribution_falls_to_cmax_over_foldx_at_the_nadir_from_which_growth_begins() -> None:
    start, nadir, peak = predict("ecp+distribution", [0.0, 1.2, 9.3], t0=1.2, delta=0.8)
    assert nadir == pytest.approx(24000 / 251, rel=1e-13)
    assert start == pytest.approx(24000 / 251 * np.exp(0.8 * 1.2), rel=1e-13)
    assert peak == pytest.approx(24000, rel=1e-14)


def test_distribution_and_lag_follow_each_other() -> None:
    level = predict("ecp+distribution+lag", [1.2, 2.0, 3.0, 9.3], t0=1.2, delta=0.8, tlag=3.0)
    assert level[:3] == pytest.approx([24000 / 251] * 3, rel=1e-13)
    assert level[3] == pytest.approx(24000, rel=1e-14)


def test_without_persistence_and_without_contraction_the_decline_is_one_exponential() -> None:
    assert predict("ecp-persistence", [19.3])[0] == pytest.approx(24000 * np.exp(-1.6), rel=1e-13)
    assert predict("ecp-contraction", [19.3])[0] == pytest.approx(24000 * np.exp(-0.032), rel=1e-13)
    assert predict("ecp-contraction-persistence", [500.0])[0] == pytest.approx(24000, rel=1e-13)


def test_comedication_changes_the_growth_rate_only_while_it_is_given_and_only_before_tmax() -> None:
    # rho = ln(251)/9.3. Tocilizumab (factor 1.2) on days 4 to 6 and steroids (0.7) from day 5 to 20:
    # G(9.3) = 4 + 1.2 (day 4-5) + 1.2 * 0.7 (5-6) + 0.7 * 3.3 (6-9.3)
    given = {"toci": [(4.0, 6.0)], "ster": [(5.0, 20.0)]}
    rho = np.log(251) / 9.3
    grown = 4 + 1.2 + 0.84 + 0.7 * 3.3
    before, peak, after = predict("ecp+comedication", [4.0, 9.3, 19.3], given, f_toci=1.2, f_ster=0.7)
    assert before == pytest.approx(24000 / 251 * np.exp(4 * rho), rel=1e-12)
    assert peak == pytest.approx(24000 / 251 * np.exp(rho * grown), rel=1e-12)
    fall = (1 - 0.0079) * np.exp(-1.6) + 0.0079 * np.exp(-0.032)
    assert after == pytest.approx(peak * fall, rel=1e-12)


def test_windows_of_one_drug_count_by_their_length_however_they_are_cut() -> None:
    whole = predict("ecp+comedication", [9.3, 30.0], {"toci": [(2.0, 8.0)]}, f_toci=1.3, f_ster=1.0)
    cut = predict(
        "ecp+comedication", [9.3, 30.0], {"toci": [(2.0, 3.0), (3.0, 5.5), (5.5, 8.0)]}, f_toci=1.3, f_ster=1.0
    )
    assert cut == pytest.approx(whole, rel=1e-13)
    none = predict("ecp+comedication", [9.3, 30.0], f_toci=1.3, f_ster=0.5)
    assert none == pytest.approx(predict("ecp", [9.3, 30.0]), rel=1e-14)


def test_an_input_that_the_model_does_not_have_is_refused() -> None:
    model = get_model("ecp+comedication")
    with pytest.raises(ModelError, match="no input 'dexa'; it takes toci, ster"):
        model.intervals({"dexa": [(1, 2)]})
    with pytest.raises(ModelError, match="from day, to day"):
        model.intervals({"toci": [(4, 2)]})
    with pytest.raises(ModelError, match="no input 'toci'; it takes none"):
        get_model("ecp").predict(VALUES, [1.0], given={"toci": [(1, 2)]})


@pytest.mark.parametrize("width", [0.25, 3.0])
def test_with_a_smooth_switch_the_curve_is_at_the_level_on_the_day_from_which_it_stays_below(width: float) -> None:
    model = get_model(f"ecp+smooth={width}")
    for level in (24100.0, 22000.0, 15000.0, 1000.0, 10.0):
        day = model.below(VALUES, level)
        at, *later = model.predict(VALUES, [day, *(day + np.array([0.01, 0.1, 1.0, 10.0, 100.0]))])
        assert at == pytest.approx(level, rel=1e-10)
        assert max(later) < level
    assert model.below(VALUES, 1e6) == model.realised_peak(VALUES).day


def test_time_below_a_level_and_peak_of_a_smooth_switch_have_the_derivatives_of_differences() -> None:
    model = get_model("ecp+smooth=1")
    assert model.time_below is not None
    assert model.peak is not None
    below, peak = model.time_below, model.peak

    @jax.jit
    def three(theta: jax.Array) -> jax.Array:
        value, day = peak(theta)
        return jnp.stack([jnp.log(value), day, below(theta, jnp.asarray(20000.0))])

    theta = model.theta(VALUES)
    exact = np.asarray(jax.jit(jax.jacfwd(three))(jnp.asarray(theta))) * theta
    for k, name in enumerate(model.names):
        step = np.where(np.arange(len(theta)) == k, 1e-5 * theta, 0.0)
        differences = (np.asarray(three(theta + step)) - np.asarray(three(theta - step))) / 2e-5
        assert exact[:, k] == pytest.approx(differences, rel=1e-6, abs=1e-8), name


def test_the_realised_peak_is_cmax_at_tmax_unless_drugs_or_a_smooth_switch_change_it() -> None:
    assert get_model("ecp").realised_peak(VALUES) == (pytest.approx(24000, rel=1e-14), 9.3)
    # as above: G(9.3) = 4 + 1.2 + 0.84 + 0.7 * 3.3 days of growth at ln(251)/9.3
    given = {"toci": [(4.0, 6.0)], "ster": [(5.0, 20.0)]}
    value, day = get_model("ecp+comedication").realised_peak({**VALUES, "f_toci": 1.2, "f_ster": 0.7}, given=given)
    assert value == pytest.approx(24000 / 251 * np.exp(np.log(251) / 9.3 * (4 + 1.2 + 0.84 + 0.7 * 3.3)), rel=1e-12)
    assert day == 9.3
    with pytest.raises(ModelError, match="mine cannot tell its peak"):
        decline(lambda theta, t: -theta[1] * t).realised_peak({"c0": 1.0, "k": 1.0})


def test_the_realised_peak_of_a_smooth_switch_is_the_maximum_on_a_fine_grid_and_a_derived_quantity() -> None:
    model, time = get_model("ecp+smooth=1"), np.linspace(8.0, 14.0, 600_001)
    curve = model.predict(VALUES, time)
    value, day = model.realised_peak(VALUES)
    assert value == pytest.approx(curve.max(), rel=1e-9)
    assert day == pytest.approx(time[curve.argmax()], abs=2e-5)
    realised = next(quantity for quantity in model.derived if quantity.name == "cmax_realised")
    assert float(realised.function(jnp.asarray(model.theta(VALUES)))) == value
    assert "cmax_realised" not in {quantity.name for quantity in get_model("ecp").derived}


@settings(deadline=None, max_examples=25)
@given(st.floats(0.5, 8.0), st.floats(1.0, 23000.0))
def test_the_curve_is_at_the_level_on_the_day_from_which_it_stays_below(tmax: float, level: float) -> None:
    with jax.enable_x64(True):
        model = get_model("ecp")
        values = {**VALUES, "tmax": tmax}
        day = model.below(values, level)
        assert day >= tmax
        assert model.predict(values, [day])[0] == pytest.approx(level, rel=1e-9)


def test_time_below_a_level_is_the_peak_for_a_level_above_it_and_never_on_a_plateau() -> None:
    assert get_model("ecp").below(VALUES, 1e6) == 9.3
    plateau = get_model("ecp-contraction-persistence")
    assert plateau.below({name: VALUES[name] for name in plateau.names}, 100.0) == np.inf


def test_time_below_a_level_has_the_derivative_of_its_equation() -> None:
    # ln(level/cmax) = -alpha s  ->  ds/dalpha = -s/alpha
    model = get_model("ecp-persistence")
    assert model.time_below is not None
    theta = jnp.asarray(model.theta({name: VALUES[name] for name in model.names}))
    slope = jax.grad(model.time_below)(theta, jnp.asarray(50.0))
    s = np.log(24000 / 50) / 0.16
    assert float(slope[model.names.index("alpha")]) == pytest.approx(-s / 0.16, rel=1e-12)
    assert float(slope[model.names.index("cmax")]) == pytest.approx(1 / (24000 * 0.16), rel=1e-12)


@pytest.mark.parametrize(
    "name", ["ecp", "ecp+lag", "ecp+distribution+lag", "ecp+comedication", "ecp+lag-persistence+smooth=0.1"]
)
def test_a_name_is_read_back_as_it_is_written(name: str) -> None:
    assert parse_phases(name).name == name
    assert expansion_model(parse_phases(name)) is get_model(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ecp+plateau", "no phase 'plateau'; there are lag, distribution"),
        ("ecp-lag", r"write \+lag"),
        ("ecp+persistence", "write -persistence"),
        ("ecp+lag+lag", "lag is given twice"),
        ("ecp+lag=3", "lag takes no value"),
        ("ecp+smooth=wide", "must be a number of days, not 'wide'"),
        ("ecp+smooth=0", "positive number of days"),
        ("ecp+comedication=toci/toci", "several different names"),
    ],
)
def test_a_name_that_makes_no_model_says_why(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        get_model(name)


def test_a_lag_beyond_tmax_leaves_a_curve_that_rises_at_the_last_moment() -> None:
    late, peak = predict("ecp+lag", [9.2, 9.3], tlag=30.0)
    assert late == pytest.approx(24000 / 251, rel=1e-12)
    assert peak == pytest.approx(24000, rel=1e-12)
    assert Phases(lag=True) == parse_phases("ecp+lag")


def decline(log_curve: object, **changed: object) -> Model:
    settings = {
        "name": "mine",
        "title": "mono-exponential decline",
        "parameters": (
            Parameter("c0", "log", "value", 1e-2, 1e8, "level"),
            Parameter("k", "log", "rate", 1e-4, 10.0, "rate"),
        ),
        "log_curve": log_curve,
    }
    return Model(**{**settings, **changed})  # type: ignore[arg-type]


def test_a_model_of_ones_own_passes_the_contract() -> None:
    check_model(decline(lambda theta, t: jnp.log(theta[0]) - theta[1] * t, area=_decline_area))


def _decline_area(theta: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
    return theta[0] / theta[1] * (jnp.exp(-theta[1] * start) - jnp.exp(-theta[1] * end))


@pytest.mark.parametrize(
    ("curve", "changed", "message"),
    [
        (lambda theta, t: jnp.log(theta[0] - theta[1] * t), {}, "ln C is no finite number at day"),
        (lambda theta, t: jnp.log(theta[0]), {}, r"shape \(\) for times of the shape"),
        (lambda theta, t: (jnp.log(theta[0]) - theta[1] * t).astype(jnp.float32), {}, "float32, not float64"),
        (lambda theta, t: jnp.log(theta[0]) - jax.lax.stop_gradient(theta[1]) * t, {}, "derivative of ln C in k"),
        (
            lambda theta, t: jnp.log(theta[0]) - theta[1] * t,
            {"area": lambda theta, a, b: 1.1 * _decline_area(theta, a, b)},
            "the area from day 0 to 40 is 1.1 times",
        ),
        (
            lambda theta, t: jnp.log(theta[0]) - theta[1] * t,
            {"time_below": lambda theta, level: 1.1 * jnp.log(theta[0] / level) / theta[1]},
            "on day .* the curve is .* times the level",
        ),
        (
            lambda theta, t: jnp.log(theta[0]) - theta[1] * t,
            {"peak": lambda theta: (theta[0] * jnp.exp(-theta[1]), 1.0)},
            "on day 1 is not the maximum of the curve",
        ),
        (
            lambda theta, t: jnp.log(theta[0]) - theta[1] * t,
            {"parameters": (Parameter("c0", "log", "value", 0.0, 1.0, ""), Parameter("k", "log", "rate", 1e-4, 1, ""))},
            "a bound does not suit the transform",
        ),
    ],
)
def test_what_breaks_the_contract_is_named(curve: object, changed: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_model(decline(curve, **changed))
