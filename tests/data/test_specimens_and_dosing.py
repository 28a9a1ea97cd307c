"""Specimen, infusion duration and dosing interval: from the columns into the cohort."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck

TWO_SPECIMENS = """subject,time,value,matrix,tau
A,0,1,BLOOD,28
A,7,900,BLOOD,28
A,7,40,MARROW,28
A,28,30,MARROW,28
B,7,800,BLOOD,
"""

DOSES = """ID,TIME,DV,EVID,AMT,RATE,II,OCC
1,0,.,1,100,50,0,1
1,7,900,0,.,.,.,1
1,28,.,1,300,0,14,2
1,35,700,0,.,.,.,2
2,0,.,1,100,-2,0,1
2,7,900,0,.,.,.,1
"""


def read_text(folder, text, **options):
    path = folder / "trial.csv"
    path.write_text(text, encoding="utf-8")
    return ck.read(path, **options)


def codes(cohort, column=None):
    return [fault.code for fault in cohort.faults if column is None or fault.column == column]


def test_two_specimens_of_one_subject_are_two_profiles(tmp_path):
    cohort = read_text(tmp_path, TWO_SPECIMENS)
    assert cohort.subject == ("A", "A", "B")
    assert cohort.specimen == ("BLOOD", "MARROW", "BLOOD")
    assert [profile.value.tolist() for profile in cohort] == [[1.0, 900.0], [40.0, 30.0], [800.0]]
    assert [profile.specimen for profile in cohort] == ["BLOOD", "MARROW", "BLOOD"]
    assert "duplicate_time" not in codes(cohort)
    assert cohort.specimens == ("BLOOD", "MARROW")


def test_profiles_of_one_specimen_are_selected():
    cohort = ck.Cohort.from_arrays([[0.0]] * 3, [[1.0]] * 3, specimen=["blood", "marrow", "blood"], tau=[1, 2, np.nan])
    blood = cohort.select(specimen="blood")
    assert blood.subject == ("1", "3")
    assert blood.tau.tolist()[:1] == [1.0]
    with pytest.raises(ck.DataError, match=r"no profile of specimen 'csf'; the cohort has blood, marrow"):
        cohort.select(specimen="csf")


def test_analyte_and_specimen_are_selected_together():
    table = pd.DataFrame(
        {"subject": "A", "time": 1, "value": [1, 2], "analyte": ["qPCR", "flow"], "specimen": ["blood", "marrow"]}
    )
    cohort = ck.read(table)
    assert cohort.select(analyte="flow", specimen="marrow").profile(0).value.tolist() == [2.0]
    with pytest.raises(ck.DataError, match="no profile of analyte 'flow' has the specimen 'blood'"):
        cohort.select(analyte="flow", specimen="blood")


def test_an_interval_that_a_subject_states_once_holds_for_its_profiles(tmp_path):
    cohort = read_text(tmp_path, TWO_SPECIMENS)
    assert cohort.tau.tolist()[:2] == [28.0, 28.0]
    assert np.isnan(cohort.tau[2])
    assert np.isnan(cohort.infusion_duration).all()
    assert cohort.profile(1).tau == 28.0


def test_dose_records_state_duration_and_interval_of_their_occasion(tmp_path):
    cohort = read_text(tmp_path, DOSES)
    assert cohort.infusion_duration.tolist()[0] == 2.0  # AMT 100 / RATE 50
    assert np.isnan(cohort.infusion_duration[1:]).all()  # a bolus, and a rate that a model would estimate
    assert cohort.tau.tolist()[1] == 14.0
    assert np.isnan(cohort.tau[[0, 2]]).all()


@pytest.mark.parametrize("name", ["TINF", "DUR"])
def test_a_duration_in_a_dose_record_is_taken_as_it_stands(tmp_path, name):
    cohort = read_text(tmp_path, f"ID,TIME,DV,EVID,AMT,{name}\n1,0,.,1,100,0.25\n1,7,9,0,.,0\n")
    assert cohort.infusion_duration.tolist() == [0.25]


def test_dose_records_that_contradict_each_other_leave_the_duration_unknown(tmp_path):
    cohort = read_text(tmp_path, "ID,TIME,DV,EVID,AMT,TINF\n1,0,.,1,100,1\n1,3,.,1,100,2\n1,7,9,0,.,.\n")
    assert np.isnan(cohort.infusion_duration[0])
    fault = next(fault for fault in cohort.faults if fault.code == "several_infusion_durations")
    assert (fault.row, fault.subject, fault.column) == (3, "1", "TINF")


@pytest.mark.parametrize("cell", ["0", "-1", "inf", "long"])
def test_a_length_that_is_no_positive_number_is_noted_and_not_used(tmp_path, cell):
    cohort = read_text(tmp_path, f"subject,time,value,tau\nA,0,1,{cell}\n")
    assert np.isnan(cohort.tau[0])
    fault = next(fault for fault in cohort.faults if fault.code == "bad_dosing_interval")
    assert (fault.row, fault.column, fault.effect) == (2, "tau", "note")
    assert repr(cell) in fault.message


def test_another_unit_in_the_name_of_a_length_is_noted(tmp_path):
    cohort = read_text(tmp_path, "subject,time [day],value,infusion_duration [h]\nA,0,1,0.5\n")
    fault = next(fault for fault in cohort.faults if fault.code == "time_unit")
    assert fault.column == "infusion_duration [h]"
    assert "says hour, times are in day; nothing is converted" in fault.message
    assert cohort.infusion_duration.tolist() == [0.5]


@pytest.mark.parametrize("name", ["tau", "infusion_duration"])
def test_arrays_refuse_a_length_that_is_not_positive(name):
    with pytest.raises(ck.DataError, match=rf"{name} must be a positive number; profile 1 \(counted from 0\) has 0"):
        ck.Cohort.from_arrays([[0.0]] * 2, [[1.0]] * 2, **{name: [1.0, 0.0]})


def test_units_are_compared_within_a_specimen(tmp_path):
    text = "subject,time,value,specimen,unit\nA,0,1,blood,copies/ug\nA,0,1,marrow,cells/uL\nB,0,1,marrow,copies/ug\n"
    notes = [fault for fault in read_text(tmp_path, text).faults if fault.code == "several_units"]
    assert [note.message.split(";")[0] for note in notes] == ["specimen marrow has several units: cells/uL, copies/ug"]


def test_a_dosing_interval_taken_from_another_occasion_is_told(tmp_path: Path) -> None:
    path = tmp_path / "trial.csv"
    path.write_text("subject,occasion,time,value,tau\nP1,1,1,5,12\nP1,1,2,4,12\nP1,2,1,6,\nP1,2,2,5,\n")
    cohort = ck.read(path)
    assert cohort.tau.tolist() == [12, 12]
    (note,) = (fault for fault in cohort.faults if fault.code == "dosing_interval_of_subject")
    assert (note.row, note.subject, note.effect) == (4, "P1", "note")
    assert "that of the subject's other rows, 12, is taken" in note.message
