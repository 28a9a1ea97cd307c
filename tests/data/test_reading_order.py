"""The order of rows and columns never matters."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cellkinetics as ck
from cellkinetics.data.samples import sample_table
from cellkinetics.errors import CellKineticsError

CELL = st.one_of(
    st.floats(min_value=0.0, max_value=1e9).map(repr),
    st.sampled_from(["<50", "BLQ", "ND", ">1e6", "", "lost", "-3", "inf", "0", "1e308"]),
)
ROW = st.tuples(
    st.sampled_from(["1", "2", "03", ""]),
    st.sampled_from(["-1", "0", "0.5", "7", "7.0", "14", "", "later"]),
    CELL,
    st.sampled_from(["", "0", "1", "-1"]),
    st.sampled_from(["", "50", "20"]),
    st.sampled_from(["qPCR", "flow"]),
)
COLUMNS = ["subject", "time", "value", "censored", "lloq", "analyte"]


def numbers(frame: pd.DataFrame, rule: str) -> dict[object, object]:
    """What a cohort says of each profile, apart from lines."""
    cohort = ck.read(frame, duplicates=rule)  # type: ignore[arg-type]
    found: dict[object, object] = {}
    for k, profile in enumerate(cohort):
        fault = cohort.unusable[k]
        samples = np.column_stack([profile.time, profile.value, profile.censored, profile.lloq, profile.uloq])
        if fault is not None:  # samples at one time have no order of their own
            samples = samples[np.lexsort(samples.T[::-1])]
        found[profile.subject, profile.analyte] = (fault is None, [repr(row) for row in samples.tolist()])
    return found


@settings(deadline=None, max_examples=60)
@given(
    st.lists(ROW, min_size=1, max_size=25), st.randoms(use_true_random=False), st.sampled_from(["error", "mean", "max"])
)
def test_shuffled_rows_give_the_same_numbers(rows, random, rule):
    frame = pd.DataFrame([("9", "0", "5", "", "", "qPCR"), *rows], columns=COLUMNS)
    order = list(range(len(frame)))
    random.shuffle(order)
    assert numbers(frame.iloc[order], rule) == numbers(frame, rule)


@settings(deadline=None, max_examples=60)
@given(st.lists(ROW, min_size=1, max_size=25))
def test_every_row_is_a_sample_or_has_a_reason(rows):
    frame = pd.DataFrame([("9", "0", "5", "", "", "qPCR"), *rows], columns=COLUMNS)
    cohort = ck.read(frame)
    table = sample_table(cohort)
    filled = [k + 2 for k, row in enumerate(frame.itertuples(index=False)) if any(row)]
    assert sorted(table["row"]) == filled
    assert ((table["status"] == "used") == (table["reason"] == "")).all()
    assert np.all(np.diff(cohort.time, axis=1)[cohort.mask[:, 1:]] >= 0)


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
        st.text(alphabet='IDTMEV,;\t\n\r"C#@ 01.<-', max_size=200).map(
            lambda text: ("ID,TIME,DV,MDV\n" + text).encode()
        ),
    )
)
@example(b'ID,TIME,DV\n1,0,!,\n\t","')
@example(b"\xa0")
def test_no_bytes_give_anything_but_a_cohort_or_our_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "anything.csv"
    path.write_bytes(data)
    try:
        cohort = ck.read(path)
    except CellKineticsError:
        return
    assert len(cohort) > 0


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_lines_and_numbers_survive_any_text_in_other_columns(tmp_path, separator):
    remarks = ["plain", 'with "quotes"', "a; b, c\td", "two\nlines", "", "O'Neil"]
    frame = pd.DataFrame({"subject": "A", "time": range(6), "value": range(1, 7), "remark": remarks})
    frame.to_csv(tmp_path / "t.csv", index=False, sep=separator)
    cohort = ck.read(tmp_path / "t.csv")
    assert cohort.value.tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]
    assert cohort.row.tolist() == [[2, 3, 4, 5, 7, 8]]
