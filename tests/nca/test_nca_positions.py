"""Positions are those that numpy's argmax finds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cellkinetics.nca.positions import first_largest, first_true, last_true

shapes = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)


@settings(deadline=None, max_examples=60)
@given(mask=arrays(bool, shapes))
def test_first_and_last_true_are_those_of_argmax(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(first_true(mask), np.argmax(mask, axis=0))
    np.testing.assert_array_equal(last_true(mask), len(mask) - 1 - np.argmax(mask[::-1], axis=0))


@settings(deadline=None, max_examples=60)
@given(value=arrays(float, shapes, elements=st.sampled_from([-1.0, 0.0, 2.0, 5.0, np.inf])))
def test_the_first_largest_is_that_of_argmax(value: np.ndarray) -> None:
    np.testing.assert_array_equal(first_largest(value), np.argmax(value, axis=0))
