"""Percentiles that a part of the samples is below, or above, without a number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cellkinetics.diagnostics.percentiles import ABOVE, BELOW, percentiles


def test_a_percentile_among_the_censored_is_censored() -> None:
    values = np.array([BELOW, BELOW, BELOW, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, ABOVE, ABOVE])
    assert percentiles(values, [0.0, 0.2, 0.3, 0.5, 0.8, 0.95]).tolist() == [BELOW, BELOW, 1.0, 3.0, 6.0, ABOVE]


def test_between_a_censored_and_a_quantified_sample_it_is_censored() -> None:
    assert percentiles(np.array([BELOW, 1.0]), [0.5]).tolist() == [BELOW]
    assert percentiles(np.array([1.0, ABOVE]), [0.5]).tolist() == [ABOVE]


def test_without_samples_there_is_no_percentile() -> None:
    assert np.isnan(percentiles(np.empty((2, 0)), [0.5])).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(0, 1))
def test_without_censoring_it_is_that_of_numpy(values: list[float], share: float) -> None:
    x = np.array(values)
    assert np.allclose(percentiles(x, [share]), np.percentile(x, 100 * share), rtol=1e-6, atol=1e-6)
