"""Several samples at one time."""

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.data.samples import sample_table


def trial(values: list[object], lloq: list[float] | None = None) -> pd.DataFrame:
    """Samples at day 5 with these values, between two others."""
    n = len(values)
    return pd.DataFrame(
        {
            "subject": "A",
            "time": [0.0, *[5.0] * n, 9.0],
            "value": pd.Series([1, *values, 2], dtype=object),
            "lloq": [np.nan, *(lloq or [np.nan] * n), np.nan],
        }
    )


@pytest.mark.parametrize(
    ("values", "rule", "expected", "censored"),
    [
        ([40, 20, 30], "first", 40.0, 0),
        ([40, 20, 30], "mean", 30.0, 0),
        ([40, 20, 30], "max", 40.0, 0),
        (["<10", 20], "mean", 20.0, 0),
        (["<10", 20], "max", 20.0, 0),
        (["<10", 20], "first", 10.0, 1),
        ([20, ">90"], "mean", 20.0, 0),
        ([20, ">90"], "max", 90.0, -1),
        (["<10", "<12"], "mean", 12.0, 1),
        ([1e308, 1e308], "mean", 1e308, 0),
    ],
)
def test_a_rule_makes_one_sample_of_several(values, rule, expected, censored):
    cohort = ck.read(trial(values), duplicates=rule)
    sample = cohort.profile(0)
    assert sample.time.tolist() == [0.0, 5.0, 9.0]
    assert (sample.value[1], sample.censored[1]) == (expected, censored)
    assert cohort.unusable == (None,)


def test_the_greatest_lloq_of_samples_below_it_counts():
    assert ck.read(trial(["BLQ", "BLQ"], [10.0, 30.0]), duplicates="mean").lloq[0, 1] == 30.0


def test_what_became_of_the_samples_is_recorded():
    cohort = ck.read(trial([40, 20]), duplicates="mean")
    table = sample_table(cohort)
    rows = table[table["time"] == 5.0]
    assert rows["status"].tolist() == ["excluded", "changed"]
    assert rows["value"].tolist() == [40.0, 30.0]
    assert rows["reason"].tolist() == [
        "one of 2 samples at this time; their mean stands on line 4",
        "mean of 2 samples at this time",
    ]
    assert [fault.code for fault in cohort.faults] == ["duplicate_time"]
    assert cohort.faults[0].effect == "note"


def test_a_missing_value_beside_a_number_is_no_duplicate():
    cohort = ck.read(trial([None, 20]))
    assert cohort.unusable == (None,)
    assert cohort.value.tolist() == [[1.0, 20.0, 2.0]]


def test_equal_times_of_other_analytes_are_no_duplicates():
    cohort = ck.read(trial([40, 20]).assign(analyte=["x", "x", "y", "y"]))
    assert len(cohort) == 2
    assert cohort.unusable == (None, None)
