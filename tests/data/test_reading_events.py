"""NONMEM and Monolix data sets: comments, dose records, censoring."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck


def read_text(folder: Path, text: str, **options: object) -> ck.Cohort:
    path = folder / "trial.csv"
    path.write_text(text, encoding="utf-8")
    return ck.read(path, **options)  # type: ignore[arg-type]


NONMEM = """ID,TIME,DV,CENS,EVID,MDV,AMT,RATE,WT
C this line is a comment, with a comma
1,0,.,.,1,1,150,0,70
1,0,50,1,0,0,.,.,70
C1,3,999,0,0,0,.,.,70
1,7,1200,0,0,0,.,.,70
#1,8,999,0,0,0,.,.,70
@1,9,999,0,0,0,.,.,70
1,14,.,.,2,1,.,.,70
1,21,300,0,0,1,.,.,70
1,28,>1e6,.,0,0,.,.,70
2,0,.,.,1,1,300,0,80
2,7,5,0,0,0,.,.,80
"""


def test_a_nonmem_data_set_is_recognised_and_its_records_told_apart(tmp_path):
    cohort = read_text(tmp_path, NONMEM)
    assert cohort.source.dialect == "nonmem"
    assert cohort.subject == ("1", "2")
    first = cohort.profile(0)
    assert first.time.tolist() == [0.0, 7.0, 28.0]
    assert first.censored.tolist() == [1, 0, -1]
    assert first.lloq[0] == 50.0
    assert first.uloq[2] == 1e6
    assert first.row.tolist() == [4, 6, 11]
    assert cohort.dose.tolist() == [150.0, 300.0]
    assert set(cohort.covariates) == {"WT"}
    codes = {fault.code for fault in cohort.faults if fault.effect == "note"}
    assert {"not_observed", "event_rows"} <= codes


def test_a_c_in_front_of_named_subjects_is_no_comment(tmp_path):
    text = "ID,TIME,DV,MDV\nCAR-01,0,1,0\nC,0,9,0\nDE-01,0,2,0\n"
    assert read_text(tmp_path, text).subject == ("CAR-01", "DE-01")


def test_plain_tables_know_no_c_comments(tmp_path):
    assert read_text(tmp_path, "subject,time,value\nC,0,1\nC1,0,2\n").subject == ("C", "C1")


def test_a_header_behind_a_comment_mark_is_found(tmp_path):
    cohort = read_text(tmp_path, "#ID,TIME,DV,MDV\n1,0,5,0\n1,1,6,0\n")
    assert cohort.value.tolist() == [[5.0, 6.0]]
    assert cohort.row.tolist() == [[2, 3]]


def test_doses_of_one_subject_are_summed_and_noted(tmp_path):
    text = "ID,TIME,DV,AMT\n1,0,.,100\n1,2,.,50\n1,3,7,.\n1,5,6,.\n"
    cohort = read_text(tmp_path, text)
    assert cohort.dose.tolist() == [150.0]
    assert [fault.row for fault in cohort.faults if fault.code == "several_doses"] == [2]


def test_doses_belong_to_their_occasion(tmp_path):
    text = "ID,TIME,DV,AMT,OCC\n1,0,.,100,1\n1,3,7,.,1\n1,0,.,50,2\n1,3,6,.,2\n"
    assert read_text(tmp_path, text).dose.tolist() == [100.0, 50.0]


def test_a_dose_away_from_time_zero_is_noted(tmp_path):
    cohort = read_text(tmp_path, "ID,TIME,DV,AMT\n1,5,.,100\n1,8,7,.\n")
    assert [fault.row for fault in cohort.faults if fault.code == "dose_not_at_zero"] == [2]


def test_amounts_beside_values_in_every_row_are_a_column_of_doses(tmp_path):
    cohort = read_text(tmp_path, "ID,TIME,DV,AMT\n1,0,0,320\n1,1,5,320\n2,0,0,300\n2,1,4,300\n")
    assert cohort.dose.tolist() == [320.0, 300.0]
    assert cohort.n_samples == 4


def test_an_unknown_event_is_a_fault_of_its_row(tmp_path):
    cohort = read_text(tmp_path, "ID,TIME,DV,EVID\n1,0,5,0\n1,1,6,7\n")
    assert [(fault.row, fault.effect) for fault in cohort.faults if fault.code == "unknown_event"] == [(3, "row")]
    assert cohort.n_samples == 1


def test_subjects_with_doses_only_are_named(tmp_path):
    cohort = read_text(tmp_path, "ID,TIME,DV,EVID,AMT\n1,0,.,1,5\n2,0,.,1,5\n2,1,6,0,.\n")
    assert cohort.subject == ("2",)
    assert [fault.subject for fault in cohort.faults if fault.code == "no_sample_rows"] == ["1"]


def test_compartments_of_samples_are_analytes_where_there_are_several(tmp_path):
    several = read_text(tmp_path, "ID,TIME,DV,CMT\n1,0,5,2\n1,0,6,3\n")
    assert several.analyte == ("2", "3")
    one = read_text(tmp_path, "ID,TIME,DV,CMT,EVID,AMT\n1,0,.,1,1,5\n1,0,5,2,0,.\n")
    assert one.analyte == ("",)


def test_monolix_flags_left_and_right_censoring(tmp_path):
    cohort = read_text(tmp_path, "ID,TIME,Y,CENS,LIMIT\n1,0,50,1,0\n1,7,900,0,.\n1,9,100000,-1,.\n")
    assert cohort.source.dialect == "monolix"
    assert cohort.censored.tolist() == [[1, 0, -1]]
    assert cohort.lloq[0, 0] == 50.0
    assert cohort.uloq[0, 2] == 100000.0


def test_a_monolix_interval_below_quantification_keeps_its_lower_end(tmp_path):
    rows = "1,9,50,1,10\n1,0,50,1,0\n1,5,50,1,.\n1,7,900,0,3\n"
    cohort = read_text(tmp_path, f"ID,TIME,Y,CENS,LIMIT\n{rows}")
    np.testing.assert_equal(cohort.lower, [[0.0, np.nan, np.nan, 10.0]])
    assert cohort.lloq[0, [0, 1, 3]].tolist() == [50.0] * 3
    assert [fault.row for fault in cohort.faults if fault.code == "interval_in_fits"] == [2]
    np.testing.assert_equal(cohort.take([0]).lower, cohort.lower)


def test_an_end_of_a_monolix_interval_that_is_not_used_is_noted(tmp_path):
    rows = "1,3,50,1,60\n1,7,900,0,.\n1,8,50,1,x\n1,9,100000,-1,200000\n"
    cohort = read_text(tmp_path, f"ID,TIME,Y,CENS,LIMIT\n{rows}")
    noted = [fault for fault in cohort.faults if fault.code == "limit_not_used"]
    assert [(fault.row, fault.effect, fault.column) for fault in noted] == [(row, "note", "LIMIT") for row in (2, 4, 5)]
    assert np.isnan(cohort.lower).all()


def test_a_dialect_can_be_given(tmp_path):
    text = "ID,TIME,DV,MDV\n1,0,5,1\n1,1,6,0\n"
    assert read_text(tmp_path, text).n_samples == 1
    assert read_text(tmp_path, text, dialect="plain").n_samples == 2


def test_the_simulated_trial_is_read_whole(shared):
    cohort = ck.read(shared / "data" / "cart_n91.csv")
    assert (len(cohort), cohort.n_samples, cohort.n_blq) == (91, 1239, 251)
    below = cohort.mask & (cohort.censored == 1)
    assert np.unique(cohort.lloq[below]).tolist() == [50.0]
    assert set(cohort.covariates) == {"WT", "SEX"}
    assert all(fault.effect == "note" for fault in cohort.faults)


def test_the_published_patients_are_read_whole(shared):
    cohort = ck.read(shared / "data" / "ball32.csv")
    assert (len(cohort), cohort.n_samples) == (32, 327)
    assert pd.Series(cohort.group).value_counts().tolist() == [14, 7, 7, 4]
    assert all(fault.effect == "note" for fault in cohort.faults)


@pytest.mark.parametrize("name", ["theoph.csv", "indometh.csv", "wang2007.csv"])
def test_the_reference_tables_have_no_fault(shared, name):
    cohort = ck.read(shared / "reference" / name)
    assert all(fault.effect == "note" for fault in cohort.faults)
    assert cohort.source.rows == cohort.n_samples
