"""Names, transforms and errors that every model shares."""

import pickle
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.errors import ModelError
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.ecp import ECP
from cellkinetics.models.registry import get_model, list_models


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6))
def test_transforms_invert_each_other_within_the_bounds(position: list[float]) -> None:
    with jax.enable_x64(True):
        low = np.asarray(ECP.to_transformed(jnp.asarray([p.lower for p in ECP.parameters])))
        high = np.asarray(ECP.to_transformed(jnp.asarray([p.upper for p in ECP.parameters])))
        phi = low + np.array(position) * (high - low)
        theta = np.asarray(ECP.to_natural(jnp.asarray(phi)))
        np.testing.assert_allclose(np.asarray(ECP.to_transformed(jnp.asarray(theta))), phi, atol=1e-9)


def test_named_values_must_be_the_parameters() -> None:
    with pytest.raises(ModelError, match=r"missing: tmax, foldx, alpha, fb, beta; unknown: peak"):
        ECP.theta({"cmax": 1.0, "peak": 2.0})
    with pytest.raises(ModelError, match="no parameter 'lag'; it has cmax"):
        ECP["lag"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cmax", -5.0, "cmax of model ecp must be a finite number above 0, not -5.0"),
        ("tmax", float("inf"), "tmax of model ecp must be a finite number above 0, not inf"),
        ("fb", 1.0, "fb of model ecp must be a number between 0 and 1, exclusive, not 1.0"),
        ("beta", float("nan"), "beta of model ecp must be a finite number above 0, not nan"),
        ("alpha", "0.2", "alpha of model ecp must be a finite number above 0, not '0.2'"),
        ("alpha", True, "alpha of model ecp must be a finite number above 0, not True"),
        ("lag", 1.0, "model ecp has no parameter 'lag'"),
    ],
)
def test_values_off_the_scale_of_their_parameter_are_refused_by_name(name: str, value: float, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ECP.check_values({"foldx": 10.0, name: value})


def test_values_on_the_scale_of_their_parameter_are_accepted() -> None:
    ECP.check_values({"cmax": np.float32(10), "tmax": 9, "fb": 0.5})


def test_a_model_without_a_closed_area_says_so() -> None:
    flat = Model(
        "flat", "constant", (Parameter("c", "log", "value", 1, 2, "level"),), lambda theta, t: 0 * t + theta[0]
    )
    with pytest.raises(ModelError, match="no closed-form area"):
        flat.auc({"c": 1.0}, 0, 1)


def test_unknown_model_names_are_answered_with_those_that_exist() -> None:
    with pytest.raises(ModelError, match=r"no model 'epc'; there is ecp, .*; did you mean 'ecp'\?"):
        get_model("epc")
    assert get_model("ecp") is ECP
    assert get_model(ECP) is ECP
    assert ECP in list_models()


def test_a_model_with_a_name_is_the_same_one_in_another_process() -> None:
    for name in ("ecp", "ecp+lag-persistence", "ecp+smooth=1"):
        model = get_model(name)
        assert pickle.loads(pickle.dumps(model)) is model


def rise(theta: jax.Array, time: jax.Array) -> jax.Array:
    return theta[0] * time


def test_a_model_of_ones_own_is_sent_as_it_is() -> None:
    own = Model("mine", "a line", (Parameter("a", "identity", "rate", -1.0, 1.0, "a slope"),), rise)
    assert pickle.loads(pickle.dumps(own)) == own
    borrowed = replace(own, name="ecp")
    assert pickle.loads(pickle.dumps(borrowed)) == borrowed
