"""Whatever stands in a cell of a CDISC table, reading ends with a cohort or with faults that say what to do."""

import pandas as pd
import pytest
from cdisc_tables import ADNCA, ADPPK, CP, PC, table
from hypothesis import given, settings
from hypothesis import strategies as st

import cellkinetics as ck
from cellkinetics.data.samples import sample_table
from cellkinetics.errors import DataError

JUNK = (
    *("", ".", "NOT DONE", "Y", "N", "BLQ", "<50", ">1e6", "-1", "0", "1e400", "nan", "text", "2026", "2026-13-40"),
    *(
        "2026-03-01",
        "2026-03-01T25:00",
        "2026-03-01T10:00+99:99",
        "P7D",
        "PT",
        "P1M",
        "HOURS",
        "month",
        "0.5",
        "{cell}",
    ),
    *("COPY", "HALFLLOQ", "DOSE", "µ"),
)
TABLES = {"pc": PC, "cp": CP, "adnca": ADNCA, "adppk": ADPPK}


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_no_cell_ends_in_anything_but_a_cohort_or_faults(name, data):
    frame = table(TABLES[name]).astype(object)
    for _ in range(data.draw(st.integers(1, 6))):
        column = data.draw(st.sampled_from(list(frame.columns)))
        row = data.draw(st.integers(0, len(frame) - 1))
        frame.loc[row, column] = data.draw(st.sampled_from(JUNK))
    gone = data.draw(st.lists(st.sampled_from(list(frame.columns)), max_size=3))
    frame = frame.drop(columns=gone)
    unit = data.draw(st.sampled_from([None, "day", "hour"]))
    cohort, faults = None, ()
    try:
        cohort = ck.read(frame, time_unit=unit, duplicates="first")
    except DataError as error:
        faults = error.faults
    faults = faults if cohort is None else cohort.faults
    assert all(fault.message and fault.action for fault in faults)
    if cohort is None:
        assert faults
        return
    samples = sample_table(cohort)
    assert (samples.loc[samples["status"] == "excluded", "reason"] != "").all()
    assert samples["row"].is_unique


def test_every_excluded_row_is_in_the_table_of_samples():
    for text, rows in ((PC, 7), (CP, 3)):
        samples = sample_table(ck.read(table(text)))
        assert sorted(samples["row"]) == list(range(2, rows + 2))


def test_braces_in_a_reason_stay_as_they_are():
    frame = table(PC, PCREASND=["", "", "", "tube {lost} by {cell}", "", "", ""])
    samples = sample_table(ck.read(frame.astype(object)))
    assert "not done: tube {lost} by {cell}" in samples["reason"].tolist()


def test_an_empty_table_is_told():
    with pytest.raises(DataError, match="there is a header, but no row below it"):
        ck.read(pd.DataFrame(columns=table(PC).columns))
