"""A cohort holds what it was given: shapes are checked, samples in order, arrays not to be written to."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.errors import DataError


@pytest.fixture
def cohort() -> ck.Cohort:
    table = pd.DataFrame(
        {
            "subject": ["A", "A", "B", "C", "C"],
            "time": [0, 1, 0, 0, 1],
            "value": [5, "x", 6, "y", 8],
            "AGE": [61, 61, 62, 63, 63],
        }
    )
    return ck.read(table)


@pytest.mark.parametrize("mask", [[True, False, True], np.array([True, False, True])])
def test_a_mask_takes_the_profiles_where_it_is_true(cohort, mask):
    assert cohort.take(mask).subject == ("A", "C")


def test_negative_numbers_count_from_the_end_and_keep_their_records(cohort):
    taken = cohort.take([-1, 0])
    assert taken.subject == ("C", "A")
    assert taken.records.row.tolist() == [5, 3]
    assert taken.records.profile.tolist() == [0, 1]


@pytest.mark.parametrize("wrong", [[3], [-4], [True, False], [0.5], [[0, 1]], ["A"]])
def test_a_profile_that_is_not_there_is_a_data_error(cohort, wrong):
    with pytest.raises(DataError, match=r"profile|mask"):
        cohort.take(wrong)


def test_a_cohort_goes_to_another_process_whole(cohort):
    copy = pickle.loads(pickle.dumps(cohort))
    assert copy.subject == cohort.subject
    assert copy.covariates["AGE"].tolist() == [61, 62, 63]
    assert copy.records.row.tolist() == cohort.records.row.tolist()
    assert copy.faults == cohort.faults
    with pytest.raises(ValueError, match="read-only"):
        copy.time[0, 0] = 1.0


def test_nothing_may_be_taken(cohort):
    assert len(cohort.take([])) == 0
    assert len(cohort.take([False] * 3)) == 0


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"value": [[1.0, 2.0]]}, "value"),
        ({"value": [[1.0], [1.0]]}, "value"),
        ({"lloq": [[50.0, 50.0]]}, "lloq"),
        ({"lloq": [[50.0], [50.0]]}, "lloq"),
        ({"censored": [[0, 0], [0, 0]]}, "censored"),
        ({"censored": [[0, 2], [0]]}, "censored"),
        ({"subject": ["A"]}, "subject"),
        ({"subject": "AB"}, "subject"),
        ({"group": ["A", "B", "C"]}, "group"),
        ({"dose": [100.0]}, "dose"),
    ],
)
def test_arrays_of_another_length_are_a_data_error_that_names_them(wrong, name):
    arguments = {"time": [[0.0, 1.0], [0.0]], "value": [[1.0, 2.0], [3.0]], **wrong}
    with pytest.raises(DataError, match=name):
        ck.Cohort.from_arrays(**arguments)


def test_samples_are_put_in_order_of_time_with_all_that_belongs_to_them():
    nan = float("nan")
    cohort = ck.Cohort.from_arrays(
        [[14.0, nan, 0.0, 7.0], [1.0]],
        [[3.0, 9.0, 1.0, 2.0], [5.0]],
        lloq=[[30.0, 90.0, 10.0, 20.0], [50.0]],
        censored=[[-1, 0, 1, 0], [0]],
    )
    first = cohort.profile(0)
    np.testing.assert_array_equal(first.time, [0.0, 7.0, 14.0, nan])
    assert first.value.tolist() == [1.0, 2.0, 3.0, 9.0]
    assert first.lloq.tolist() == [10.0, 20.0, 30.0, 90.0]
    assert first.censored.tolist() == [1, 0, -1, 0]
    assert first.row.tolist() == [4, 5, 2, 3]
    assert cohort.mask.tolist() == [[True] * 4, [True, False, False, False]]
    assert cohort.profile(1).row.tolist() == [6]


def test_the_arrays_of_a_cohort_cannot_be_written_to(cohort):
    arrays = [cohort.time, cohort.value, cohort.lloq, cohort.uloq, cohort.nominal_time, cohort.mask, cohort.dose]
    for array in [*arrays, cohort.covariates["AGE"], cohort.take([0]).covariates["AGE"]]:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_arrays_of_the_caller_stay_the_callers(cohort):
    age, dose = np.array([61.0, 62.0, 63.0]), np.array([100.0])
    replace(cohort, covariates={"AGE": age})
    ck.Cohort.from_arrays([[0.0]], [[1.0]], dose=dose)
    age[0], dose[0] = 60.0, 200.0


def test_lower_ends_of_intervals_follow_their_samples_into_order() -> None:
    cohort = ck.Cohort.from_arrays([[7.0, 3.0]], [[900.0, 0.0]], lloq=50.0, lower=[[np.nan, 5.0]])
    np.testing.assert_equal(cohort.lower, [[5.0, np.nan]])
    np.testing.assert_equal(ck.Cohort.from_arrays([[7.0]], [[900.0]]).lower, [[np.nan]])
