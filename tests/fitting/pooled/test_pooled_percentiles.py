"""Intervals from replicates agree with numbers worked out by hand and with their properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.fitting.pooled.percentiles import FEWEST, acceleration, replicate_interval


def test_percentile_interval_is_made_of_order_statistics() -> None:
    """b + 1 = 1000: the 2.5 % quantile is number 25 of the replicates in order."""
    found = replicate_interval(500.0, np.random.default_rng(1).permutation(np.arange(1.0, 1000.0)))
    assert (found.low, found.high) == pytest.approx((25.0, 975.0))
    assert (found.bca_low, found.bca_high) == pytest.approx((25.0, 975.0))


def test_bca_interval_corrects_bias_and_acceleration_as_worked_out_by_hand() -> None:
    """600 of 999 below and half of one tie: z0 = Phi^-1(.6006); with a = .05 the shares follow from the formula.

    z0 = .25490; Phi(z0 + (z0 - 1.95996)/(1 - .05 (z0 - 1.95996))) = Phi(-1.31623) = .09405,
    Phi(z0 + (z0 + 1.95996)/(1 - .05 (z0 + 1.95996))) = Phi(2.74555) = .99698.
    """
    replicates = np.arange(1.0, 1000.0)
    found = replicate_interval(600.5, replicates, acceleration=0.05)
    assert found.bca_low == pytest.approx(94.05, abs=0.6)
    assert found.bca_high == pytest.approx(996.98, abs=0.1)
    assert found.bias == pytest.approx(500.0 - 600.5)


def test_acceleration_of_equal_influences_is_that_of_their_skewness() -> None:
    """U = (2, -1, -1): 6 sum U^2^1.5 = 6 * 6^1.5, sum U^3 = 6."""
    influence = np.array([[2.0, 1.0, 0.0], [-1.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
    assert acceleration(influence) == pytest.approx([6 / (6 * 6**1.5), 0.0, 0.0])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(-500, 500), min_size=FEWEST, max_size=200, unique=True),
    st.integers(-400, 400),
    st.floats(-0.2, 0.2),
)
def test_intervals_follow_a_rising_scale_and_lie_within_the_replicates(
    values: list[int], estimate: int, a: float
) -> None:
    replicates = np.array(values, dtype=float)
    found = replicate_interval(estimate, replicates, acceleration=a)
    shifted = replicate_interval(2 * estimate + 3, 2 * replicates + 3, acceleration=a)
    for name in ("low", "high", "bca_low", "bca_high"):
        end = getattr(found, name)
        if np.isfinite(end):
            assert replicates.min() - 1e-9 <= end <= replicates.max() + 1e-9
            assert getattr(shifted, name) == pytest.approx(2 * end + 3, abs=1e-6)
    assert found.low <= found.high


@pytest.mark.parametrize(
    ("estimate", "replicates", "reason"),
    [
        (1.0, np.array([1.0]), "1 replicates"),
        (1.0, np.arange(FEWEST - 1.0), "too few"),
        (-1.0, np.arange(50.0), "all replicates lie above"),
        (50.0, np.arange(50.0), "all replicates lie below"),
        (48.5, np.arange(50.0), "outermost replicate"),
    ],
)
def test_what_replicates_cannot_say_is_missing_with_a_reason(
    estimate: float, replicates: np.ndarray, reason: str
) -> None:
    found = replicate_interval(estimate, replicates)
    assert reason in found.reason
    assert np.isnan(found.bca_low) or "outermost" in reason


def test_a_fixed_quantity_has_an_interval_of_no_length() -> None:
    found = replicate_interval(0.5, np.full(100, 0.5))
    assert (found.low, found.high, found.bca_low, found.bca_high, found.se) == (0.5, 0.5, 0.5, 0.5, 0.0)
