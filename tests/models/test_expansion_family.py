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
            {"parameters": (Parameter("c0", "log", "value", 0.0, 1.0, ""), Parameter("k", "log", "rate", 1e-4, 1, ""))},
            "a bound does not suit the transform",
        ),
    ],
)
def test_what_breaks_the_contract_is_named(curve: object, changed: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_model(decline(curve, **changed))
