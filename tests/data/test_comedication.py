"""Tables of comedication: what is read, what is refused, and the windows of each patient."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.comedication import (
    STILL_GIVEN,
    Comedication,
    comedication_of,
    never_given,
    read_comedication,
    union,
)
from cellkinetics.data.reading import read
from cellkinetics.errors import DataError, SettingsError

DRUGS = ("toci", "ster")


def cohort(*subjects: str) -> Cohort:
    n = len(subjects)
    return Cohort.from_arrays([[7.0]] * n, [[100.0]] * n, subject=subjects)


def test_a_file_becomes_windows_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    path = tmp_path / "drugs.csv"
    path.write_text("subject,drug,start,end\nA,STER,5,12\nA,toci,4,\n\nB,ster,2,3\nB,ster,8,9\n")
    array, notes = read_comedication(path).windows(cohort("A", "B", "C"), DRUGS)
    assert array.shape == (3, 2, 2, 2)
    assert array[0].tolist() == [[[4, STILL_GIVEN], [0, 0]], [[5, 12], [0, 0]]]
    assert array[1].tolist() == [[[0, 0], [0, 0]], [[2, 3], [8, 9]]]
    assert not array[2].any()
    assert notes == ()


@pytest.mark.parametrize(
    "text", ["subject;input;start;end\nA;toci;4,5;6\n", "Subject\tDrug\tStart\tEnd\nA\ttoci\t4.5\t6.0\n"]
)
def test_other_separators_and_decimal_commas_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "drugs.csv"
    path.write_text(text)
    assert read_comedication(path).windows(cohort("A"), DRUGS[:1])[0].tolist() == [[[[4.5, 6.0]]]]


def test_a_frame_is_read_like_a_file() -> None:
    frame = pd.DataFrame({"subject": [1.0, 2.0], "input": ["toci", "toci"], "start": [4, 5], "end": [np.nan, 7.5]})
    array, _ = comedication_of(frame, cohort("1", "2")).windows(cohort("1", "2"), ["toci"])
    assert array[:, 0, 0].tolist() == [[4, STILL_GIVEN], [5, 7.5]]


def test_overlapping_intervals_are_one_and_noted() -> None:
    frame = pd.DataFrame({"subject": ["A"] * 3, "drug": ["toci"] * 3, "start": [1, 2, 8], "end": [3, 5, 9]})
    array, notes = read_comedication(frame).windows(cohort("A"), ["toci"])
    assert array[0, 0].tolist() == [[1, 5], [8, 9]]
    assert notes == ("intervals of comedication that overlap or touch were joined: A (toci)",)


def test_days_count_from_the_infusion_that_is_named() -> None:
    rows = {"subject": ["A", "A"], "drug": ["toci", "toci"], "occasion": ["1", "2"], "start": [3, 6]}
    table = pd.DataFrame({"subject": ["A", "A"], "occasion": [1, 2], "time": [7, 7], "value": [90, 80]})
    array, _ = read_comedication(pd.DataFrame(rows)).windows(read(table), ["toci"])
    assert array[:, 0, 0, 0].tolist() == [3, 6]


def test_a_column_of_first_days_is_enough() -> None:
    data = read(
        pd.DataFrame({"subject": list("AABC"), "time": [1, 2, 1, 1], "value": 9.0, "toci_day": [3, 3, np.nan, 5]})
    )
    found = comedication_of({"toci": "toci_day"}, data)
    assert repr(found) == "Comedication: 2 intervals of toci, 2 patients"
    assert found.windows(data, ["toci"])[0][:, 0, 0, 0].tolist() == [3, 0, 5]
    with pytest.raises(SettingsError, match="no such covariate; there is toci_day"):
        comedication_of({"toci": "toci"}, data)


def test_every_fault_of_a_table_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "drugs.csv"
    path.write_text("subject,drug,start,end\nA,toci,9,4\n,toci,1,2\nB,,1,2\nC,toci,soon,\n")
    with pytest.raises(DataError) as caught:
        read_comedication(path)
    assert [(fault.code, fault.row) for fault in caught.value.faults] == [
        ("end_before_start", 2),
        ("no_subject", 3),
        ("no_drug", 4),
        ("no_time", 5),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject,drug\nA,toci\n", "no column 'start'"),
        ("subject,drug,start,dose\nA,toci,1,8\n", "the column 'dose'"),
        ("", "no table of text"),
        ("subject,drug,start,Drug\nA,toci,1,ster\n", "the column 'drug' twice"),
        ("subject,drug,start\nA,toci,1,2,3,4\nA,toci,1,2\n", "line 2 has 6 cells, and the header 3"),
    ],
)
def test_another_table_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "drugs.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_comedication(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_comedication(tmp_path / "none.csv")


def test_subjects_are_compared_with_the_samples() -> None:
    def frame(*subjects: str) -> Comedication:
        return read_comedication(pd.DataFrame({"subject": subjects, "drug": "toci", "start": 4}))

    with pytest.raises(DataError, match="'1' \\(in the samples '01'\\)"):
        frame("1").windows(cohort("01", "02"), ["toci"])
    with pytest.raises(DataError, match="no subject is among those of the samples"):
        frame("X").windows(cohort("01", "02"), ["toci"])
    _, notes = frame("01", "X").windows(cohort("01", "02"), ["toci"])
    assert notes == ("comedication of subjects without samples is not used: X",)


def test_a_drug_that_the_model_does_not_have_is_an_error_and_one_never_given_is_found() -> None:
    found = read_comedication(pd.DataFrame({"subject": ["A"], "drug": ["dexa"], "start": [4]}))
    with pytest.raises(SettingsError, match=r"no input 'dexa'; it takes toci, ster.*ecp\+comedication=dexa"):
        found.windows(cohort("A"), DRUGS)
    assert never_given(found.windows(cohort("A", "B"), ["dexa", "toci"])[0], ["dexa", "toci"]) == ("toci",)


def test_an_interval_without_length_is_noted() -> None:
    found = read_comedication(pd.DataFrame({"subject": ["A"], "drug": ["toci"], "start": [4], "end": [4]}))
    assert found.windows(cohort("A"), ["toci"])[1] == (
        "toci of subject A starts and ends on day 4, so it has no effect",
    )


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=8))
def test_a_union_covers_the_same_days(pairs: list[tuple[int, int]]) -> None:
    spans = [(float(start), float(start + length)) for start, length in pairs]
    joined = union(spans)
    for day in np.arange(0.25, 40, 0.5):
        assert any(a <= day < b for a, b in spans) == any(a <= day < b for a, b in joined)
    assert all(one[1] < two[0] for one, two in pairwise(joined))
