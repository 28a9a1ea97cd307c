"""The flat vector of a population, and the parts that it holds."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.structure import Coefficient, Structure, parse_blocks

NAMES = ("a", "b", "c", "d", "e")
BLOCKS = (
    (),
    ((0, 1, 2, 3),),
    ((0, 2), (1, 3)),
    ((1, 3),),
    ((0, 1, 3),),
)


def structure_of(blocks: tuple[tuple[int, ...], ...]) -> Structure:
    """Four of five parameters vary between patients (not b), one between occasions, one between two classes."""
    return Structure(
        NAMES,
        (0, 2, 3, 4),
        ("sigma",),
        blocks=blocks,
        coefficients=(Coefficient("beta_a_x", 0), Coefficient("beta_e_x", 4)),
        occasion=(3,),
        occasions=2,
        shifted=(1,),
        classes=2,
    )


def covariance(rng: np.random.Generator, blocks: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """A covariance with correlations inside the blocks, some close to 1."""
    sd = np.exp(rng.uniform(-3, 1, 4))
    out = np.diag(sd**2)
    for block in blocks:
        factor = rng.standard_normal((len(block), len(block))) + 2.0 * rng.standard_normal((len(block), 1))
        spread = factor @ factor.T + 1e-3 * np.eye(len(block))
        scale = sd[list(block)] / np.sqrt(np.diag(spread))
        out[np.ix_(block, block)] = spread * np.outer(scale, scale)
    return out


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(BLOCKS))
def test_omega_and_all_other_parts_come_back_from_the_flat_vector(seed, blocks):
    rng = np.random.default_rng(seed)
    structure = structure_of(blocks)
    mu, beta, omega = rng.standard_normal(5), rng.standard_normal(2), covariance(rng, blocks)
    shift = np.zeros((2, 4))
    shift[1, 1] = rng.standard_normal()
    share = rng.dirichlet([2.0, 2.0])
    x = structure.pack(mu, omega, [0.4], beta=beta, gamma=np.array([0.2]), shift=shift, share=share)
    assert x.shape == (len(structure.labels),)
    back = structure.values(x)
    np.testing.assert_allclose(back.factor @ back.factor.T, omega, rtol=1e-7, atol=1e-9)
    assert np.allclose(np.triu(back.factor, 1), 0.0)
    for part, value in (
        (back.mu, mu),
        (back.beta, beta),
        (back.gamma, [0.2]),
        (back.shift, shift),
        (back.sigma, [0.4]),
    ):
        np.testing.assert_allclose(part, value, rtol=1e-12)
    np.testing.assert_allclose(np.exp(back.log_share), share, rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(BLOCKS))
def test_every_flat_vector_is_a_population_and_comes_back(seed, blocks):
    structure = structure_of(blocks)
    x = np.random.default_rng(seed).normal(0.0, 1.2, len(structure.labels))
    part = structure.values(x)
    omega = part.factor @ part.factor.T
    assert np.linalg.eigvalsh(omega).min() > 0
    again = structure.pack(
        part.mu, omega, part.sigma, beta=part.beta, gamma=part.gamma, shift=part.shift, share=np.exp(part.log_share)
    )
    np.testing.assert_allclose(again, x, rtol=1e-6, atol=1e-6)


def test_labels_and_kinds_name_every_element_in_order():
    structure = structure_of(((0, 2),))
    assert structure.labels == (
        *NAMES, "beta_a_x", "beta_e_x", "omega_a", "omega_c", "omega_d", "omega_e", "corr_a_d", "gamma_d",
        "shift_c_2", "share_2", "sigma",
    )  # fmt: skip
    kinds = ["typical"] * 5 + ["coefficient"] * 2 + ["omega"] * 4
    assert list(structure.kinds) == [*kinds, "correlation", "gamma", "shift", "share", "residual"]
    assert structure.n_latent == 6


def test_a_correlation_of_two_is_the_hyperbolic_tangent_of_its_element():
    structure = Structure(("a", "b"), (0, 1), ("sigma",), blocks=((0, 1),))
    x = np.array([0.0, 0.0, np.log(2.0), np.log(3.0), np.arctanh(-0.6), 0.0])
    factor = structure.values(x).factor
    np.testing.assert_allclose(factor @ factor.T, [[4.0, -3.6], [-3.6, 9.0]])


def test_unpacking_has_derivatives_everywhere():
    structure = structure_of(((0, 1, 2, 3),))
    with jax.enable_x64(True):
        slope = jax.grad(lambda x: sum(part.sum() for part in structure.unpack(x)))
        assert np.isfinite(np.asarray(slope(np.zeros(len(structure.labels))))).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,zz", "'zz' has no random effect"),
        ("a,c;c,d", "c stands twice"),
        ("a,a", "a stands twice"),
        ("a;c,d", "at least two parameters"),
        ("", "at least two parameters"),
    ],
)
def test_blocks_that_make_no_sense_are_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        parse_blocks(text, ["a", "c", "d"])


def test_blocks_are_read_in_any_order_and_spacing():
    assert parse_blocks(" d , a ; c,e", ["a", "c", "d", "e"]) == ((0, 2), (1, 3))
    assert parse_blocks("FULL", ["a", "c", "d"]) == ((0, 1, 2),)
    assert parse_blocks("full", ["a"]) == ()
