"""Below, above or a number: the value's text, the flag and the limits together."""

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck

NAN = float("nan")


def read_one(lloq_for_all: float | None = None, **cells: object) -> ck.Profile:
    """Read one sample, beside a second one that fixes nothing."""
    frame = pd.DataFrame({"subject": "A", "time": [0.0, 1.0], "value": [cells.pop("value"), "7"]}, dtype=object)
    for name, cell in cells.items():
        frame[name] = pd.Series([cell, None], dtype=object)
    return ck.read(frame, lloq=lloq_for_all).profile(0)


@pytest.mark.parametrize(
    ("text", "censored", "lloq", "uloq"),
    [
        ("<50", 1, 50.0, NAN),
        ("< 50", 1, 50.0, NAN),
        ("<=50", 1, 50.0, NAN),
        ("≤50", 1, 50.0, NAN),
        ("<5e1", 1, 50.0, NAN),
        ("BLQ", 1, NAN, NAN),
        ("blq", 1, NAN, NAN),
        ("BLOQ", 1, NAN, NAN),
        ("BQL", 1, NAN, NAN),
        ("LLOQ", 1, NAN, NAN),
        ("<LLOQ", 1, NAN, NAN),
        ("< LLOQ", 1, NAN, NAN),
        ("ND", 1, NAN, NAN),
        ("not detected", 1, NAN, NAN),
        (">1e6", -1, NAN, 1e6),
        ("> 1000000", -1, NAN, 1e6),
        ("0", 1, NAN, NAN),
        ("0.0", 1, NAN, NAN),
        ("-0", 1, NAN, NAN),
        ("12", 0, NAN, NAN),
    ],
)
def test_the_text_of_a_value_tells_its_side_and_limit(text, censored, lloq, uloq):
    sample = read_one(value=text)
    assert sample.censored[0] == censored
    np.testing.assert_array_equal([sample.lloq[0], sample.uloq[0]], [lloq, uloq])


@pytest.mark.parametrize(
    ("cells", "lloq_for_all", "censored", "lloq"),
    [
        ({"value": "<50", "lloq": "20"}, 10.0, 1, 50.0),
        ({"value": "BLQ", "lloq": "20"}, 10.0, 1, 20.0),
        ({"value": "BLQ", "lloq": None}, 10.0, 1, 10.0),
        ({"value": "50", "censored": "1"}, None, 1, 50.0),
        ({"value": "50", "censored": "1"}, 10.0, 1, 10.0),
        ({"value": "50", "censored": "1", "lloq": "20"}, None, 1, 20.0),
        ({"value": "0", "censored": "1", "lloq": "20"}, None, 1, 20.0),
        ({"value": None, "censored": "1", "lloq": "20"}, None, 1, 20.0),
        ({"value": "15", "lloq": "20"}, None, 1, 20.0),
        ({"value": "20", "lloq": "20"}, None, 0, 20.0),
        ({"value": "15"}, 20.0, 1, 20.0),
        ({"value": "15", "censored": "0", "lloq": "20"}, None, 0, 20.0),
        ({"value": "0", "censored": "0", "lloq": "20"}, None, 1, 20.0),
        ({"value": "15", "censored": "Y", "lloq": "20"}, None, 1, 20.0),
        ({"value": "30", "censored": "N", "lloq": "20"}, None, 0, 20.0),
        ({"value": "<50", "censored": "0"}, None, 1, 50.0),
    ],
)
def test_flag_and_lloq_follow_their_order_of_precedence(cells, lloq_for_all, censored, lloq):
    sample = read_one(lloq_for_all, **cells)
    assert sample.censored[0] == censored
    np.testing.assert_array_equal(sample.lloq[0], lloq)


@pytest.mark.parametrize(
    ("cells", "censored", "uloq"),
    [
        ({"value": "90", "uloq": "80"}, -1, 80.0),
        ({"value": "80", "uloq": "80"}, 0, 80.0),
        ({"value": "90", "censored": "-1"}, -1, 90.0),
        ({"value": None, "censored": "-1", "uloq": "80"}, -1, 80.0),
        ({"value": ">ULOQ", "uloq": "80"}, -1, 80.0),
    ],
)
def test_above_the_uloq_is_right_censored_at_its_limit(cells, censored, uloq):
    sample = read_one(**cells)
    assert (sample.censored[0], sample.uloq[0]) == (censored, uloq)


def test_the_ways_to_write_blq_give_the_same_flags_and_limits():
    ways = [
        {"value": ["<50", "90"], "lloq": [None, 50]},
        {"value": ["BLQ", "90"], "lloq": [50, 50]},
        {"value": [0, 90], "lloq": [50, 50]},
        {"value": [50, 90], "lloq": [50, 50], "censored": [1, 0]},
        {"value": [None, 90], "lloq": [50, 50], "censored": [1, 0]},
        {"value": ["<50", "90"], "lloq": [50, 50], "censored": [1, 0]},
    ]
    for way in ways:
        cohort = ck.read(pd.DataFrame({"subject": "A", "time": [0, 1], **way}))
        assert cohort.censored.tolist() == [[1, 0]]
        assert cohort.lloq.tolist() == [[50.0, 50.0]]
        assert cohort.faults == ()
