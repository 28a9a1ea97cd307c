"""Which samples enter a likelihood."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.reading import read
from cellkinetics.errors import FitError
from cellkinetics.fitting.observations import REASONS, observations, require_days


def test_each_kind_of_sample_is_used_or_left_out_with_its_reason() -> None:
    cohort = Cohort.from_arrays(
        [[-2.0, 0.0, 3.0, 5.0, 7.0, 9.0, 14.0]],
        [[80.0, 50.0, 50.0, 0.0, 900.0, np.nan, 1e6]],
        lloq=[[50.0, 50.0, 50.0, np.nan, 50.0, 50.0, 50.0]],
        censored=[[0, 1, 1, 1, 0, 0, -1]],
    )
    chosen = observations(cohort)
    assert chosen.code[0].tolist() == [
        "before_infusion",
        "before_infusion",
        "",
        "blq_without_lloq",
        "",
        "not_positive",
        "alq_without_uloq",
    ]
    assert_array_equal(chosen.used[0], [False, False, True, False, True, False, False])
    assert set(chosen.code[0]) - {""} <= set(REASONS)
    # The limit stands in for the value of a censored sample.
    assert chosen.y[0, 2] == 50.0
    assert chosen.left_out(0) == (
        "left out: 1 above quantification without a ULOQ, 2 taken at or before infusion, "
        "1 below quantification without an LLOQ, 1 quantified, but not a positive number"
    )


def test_a_quantified_sample_at_time_zero_is_used_and_padding_is_not() -> None:
    chosen = observations(Cohort.from_arrays([[0.0, 7.0], [7.0]], [[60.0, 900.0], [100.0]]))
    assert_array_equal(chosen.used, [[True, True], [True, False]])
    assert chosen.left_out(1) == ""


def test_zero_and_negative_values_are_samples_of_a_residual_on_the_natural_scale() -> None:
    cohort = Cohort.from_arrays([[0.0, 1.0, 2.0, 3.0]], [[0.0, -0.4, np.nan, 0.0]], censored=[[0, 0, 0, 1]])
    assert_array_equal(observations(cohort).used, [[False] * 4])
    chosen = observations(cohort, natural=True)
    # A value without a number, and one below an LLOQ that nobody knows, stay out on either scale.
    assert_array_equal(chosen.used, [[True, True, False, False]])
    assert chosen.code[0, 2:].tolist() == ["not_positive", "blq_without_lloq"]


def test_times_in_days_are_accepted_by_each_of_their_names_and_other_units_are_refused() -> None:
    cohort = Cohort.from_arrays([[7.0]], [[100.0]])
    for unit in ("day", "days", "d", "Days"):
        require_days(replace(cohort, time_unit=unit))
    with pytest.raises(FitError, match="these are in h: convert the times to days"):
        require_days(replace(cohort, time_unit="h"))


def test_samples_that_reading_left_out_because_of_a_fault_are_named_with_the_others() -> None:
    cohort = read(
        pd.DataFrame(
            [("A", 0, "<50"), ("A", 7, "4,200"), ("A", 9, "900"), ("A", 14, "."), ("B", 7, "800"), ("B", 9, "500")],
            columns=["subject", "time", "value"],
        )
    )
    chosen = observations(cohort)
    assert chosen.left_out(0) == (
        "left out: 1 taken at or before infusion, 1 because of a fault in the row (see the check of the table)"
    )
    assert chosen.left_out(1) == ""
