"""Every fault of a table is found, with its line, column and subject, and costs no more than it must."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.data.faultlog import LISTED
from cellkinetics.errors import DataError, Fault, SettingsError


def read_text(folder: Path, text: str, **options: object) -> ck.Cohort:
    path = folder / "trial.csv"
    path.write_text(text, encoding="utf-8")
    return ck.read(path, **options)  # type: ignore[arg-type]


def only(cohort: ck.Cohort, code: str) -> Fault:
    (found,) = [fault for fault in cohort.faults if fault.code == code]
    return found


@pytest.mark.parametrize(
    ("row", "code", "effect", "column"),
    [
        ("A,2,hemolysed,,", "text_value", "row", "value"),
        ("A,2,1.2.3,,", "text_value", "row", "value"),
        ("A,day 2,5,,", "text_time", "row", "time"),
        ("A,,5,,", "missing_time", "row", "time"),
        ("A,inf,5,,", "infinite_time", "row", "time"),
        (",2,5,,", "missing_subject", "row", "subject"),
        ("A,2,5,maybe,", "unknown_flag", "row", "censored"),
        ("A,2,<50,-1,", "flag_contradicts", "row", "censored"),
        ("A,2,>1e6,1,", "flag_contradicts", "row", "censored"),
        ("A,2,,-1,", "no_uloq", "row", "value"),
        ("A,2,,,", "missing_value", "note", "value"),
        ("A,2,NA,,", "missing_value", "note", "value"),
    ],
)
def test_a_faulty_row_is_left_out_with_its_line_and_the_others_are_read(tmp_path, row, code, effect, column):
    text = f"subject,time,value,censored,lloq\nA,0,9,0,\nA,1,8,0,\n\n{row}\nA,3,7,0,\n"
    cohort = read_text(tmp_path, text)
    fault = only(cohort, code)
    assert (fault.effect, fault.row, fault.column) == (effect, 5, column)
    assert fault.subject == (None if code == "missing_subject" else "A")
    assert fault.action
    assert cohort.time[0][cohort.mask[0]].tolist() == [0.0, 1.0, 3.0]
    assert cohort.unusable == (None,)


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        ("A,2,-5,ug", "negative_value", "value"),
        ("A,2,inf,ug", "infinite_value", "value"),
        ("A,2,1e400,ug", "infinite_value", "value"),
        ("A,1,8,ug", "duplicate_time", "time"),
        ("A,1,9,ug", "duplicate_time", "time"),
        ("A,2,7,uL", "several_units", "unit"),
    ],
)
def test_a_fault_of_a_profile_leaves_the_other_profiles_alone(tmp_path, row, code, column):
    text = f"subject,time,value,unit\nA,0,9,ug\nA,1,8,ug\n{row}\nB,0,5,ug\nB,1,4,ug\n"
    cohort = read_text(tmp_path, text)
    fault = only(cohort, code)
    assert (fault.effect, fault.row, fault.subject, fault.column) == ("profile", 4, "A", column)
    assert cohort.unusable[0] is not None
    assert cohort.unusable[0].code == code
    assert cohort.unusable[1] is None
    assert cohort.profile(1).value.tolist() == [5.0, 4.0]


def test_all_faults_of_a_table_are_found_at_once(tmp_path):
    cohort = read_text(tmp_path, "subject,time,value\nA,x,5\nA,1,text\n,2,5\nA,y,text\nB,0,-1\nB,1,3\n")
    errors = [(fault.row, fault.code) for fault in cohort.faults if fault.effect != "note"]
    assert errors == [
        (2, "no_usable_sample"),
        (2, "text_time"),
        (3, "text_value"),
        (4, "missing_subject"),
        (5, "text_time"),
        (5, "text_value"),
        (6, "negative_value"),
    ]


def test_a_subject_without_a_usable_sample_stays_in_the_cohort(tmp_path):
    cohort = read_text(tmp_path, "subject,time,value\nA,0,QNS\nB,0,1\n")
    assert cohort.subject == ("A", "B")
    assert only(cohort, "no_usable_sample").subject == "A"
    assert len(cohort.profile(0)) == 0


@pytest.mark.parametrize(
    ("rows", "code", "line"),
    [
        ("A,1,5,\nA,2,6,\n", "no_time_zero", 2),
        ("A,0,5,\n", "one_sample", 2),
        ("A,0,<50,\nA,1,BLQ,50\n", "all_blq", 2),
        ("A,0,BLQ,\nA,1,5,\n", "blq_without_lloq", 2),
        ("A,0,5,0\nA,1,6,10\n", "bad_lloq", 2),
        ("A,0,5,-3\nA,1,6,10\n", "bad_lloq", 2),
        ("A,0,5,fifty\nA,1,6,10\n", "text_limit", 2),
    ],
)
def test_what_is_worth_knowing_is_a_note(tmp_path, rows, code, line):
    cohort = read_text(tmp_path, "subject,time,value,lloq\n" + rows)
    assert only(cohort, code).effect == "note"
    assert only(cohort, code).row == line
    assert not [fault for fault in cohort.faults if fault.effect != "note"]


def test_negative_times_and_huge_values_are_data(tmp_path):
    cohort = read_text(tmp_path, "subject,time,value\nA,-1,2\nA,0,1e308\nA,1,5e-324\n")
    assert cohort.faults == ()
    assert cohort.value.tolist() == [[2.0, 1e308, 5e-324]]


def test_a_missing_column_names_what_is_there_and_what_looks_alike(tmp_path):
    with pytest.raises(DataError) as caught:
        read_text(tmp_path, "PATNO,STUDY_DAY,CONCENTR\n1,0,1\n")
    assert [fault.code for fault in caught.value.faults] == ["missing_column"] * 3
    message = str(caught.value)
    assert "the columns are PATNO, STUDY_DAY, CONCENTR" in message
    assert "time=STUDY_DAY" in message
    assert "value=CONCENTR" in message


def test_a_map_names_columns_that_nobody_could_guess(tmp_path):
    text = "WHO,WHEN,HOW_MUCH,value\nA,0,5,1\nA,1,6,1\n"
    cohort = read_text(tmp_path, text, mapping={"subject": "who", "time": "WHEN", "value": "HOW_MUCH"})
    assert cohort.value.tolist() == [[5.0, 6.0]]
    assert cohort.covariates["value"].tolist() == [1.0]


def test_a_map_to_a_column_that_is_not_there_says_what_may_be_meant(tmp_path):
    with pytest.raises(DataError, match="did you mean patient"):
        read_text(tmp_path, "PATIENT,time,value\nA,0,1\n", mapping={"subject": "PATIEN"})


@pytest.mark.parametrize(
    "options",
    [
        {"dialect": "sdtm9"},
        {"mapping": {"weight": "WT"}},
        {"duplicates": "last"},
        {"negative": "zero"},
        {"lloq": 0.0},
        {"lloq": float("nan")},
    ],
)
def test_an_option_without_sense_is_a_settings_error(tmp_path, options):
    with pytest.raises(SettingsError):
        read_text(tmp_path, "subject,time,value\nA,0,1\n", **options)


def test_negative_values_can_count_as_below_quantification(tmp_path):
    cohort = read_text(tmp_path, "subject,time,value\nA,0,-5\nA,1,7\n", negative="blq", lloq=2.0)
    assert cohort.unusable == (None,)
    assert cohort.censored.tolist() == [[1, 0]]
    assert cohort.lloq.tolist() == [[2.0, 2.0]]
    assert only(cohort, "negative_as_blq").row == 2


def test_a_negative_value_that_is_flagged_below_quantification_is_no_fault(tmp_path):
    cohort = read_text(tmp_path, "subject,time,value,censored,lloq\nA,0,-5,1,50\nA,1,70,0,50\n")
    assert cohort.faults == ()
    assert cohort.censored.tolist() == [[1, 0]]


def test_a_row_with_more_cells_than_the_header_is_left_out(tmp_path):
    cohort = read_text(tmp_path, "subject,time,value\nA,0,1\nA,1,2,5\nA,2,3,\nA,3,4\n")
    assert cohort.time.tolist() == [[0.0, 2.0, 3.0]]
    assert only(cohort, "too_many_cells").row == 3


def test_many_faults_of_one_kind_are_listed_up_to_a_number_and_then_counted():
    n = LISTED + 23
    frame = pd.DataFrame({"subject": np.arange(n), "time": 0.0, "value": "text"})
    cohort = ck.read(frame)
    texts = [fault for fault in cohort.faults if fault.code == "text_value"]
    assert len(texts) == LISTED + 1
    assert texts[-1].message.startswith("23 more")
    assert all(fault is not None for fault in cohort.unusable)


def test_a_contradicting_dose_or_group_is_left_unknown_and_noted(tmp_path):
    text = "subject,time,value,dose,group\nA,0,1,150,x\nA,1,2,300,y\nB,0,1,150,x\nB,1,1,,\n"
    cohort = read_text(tmp_path, text)
    assert np.isnan(cohort.dose[0])
    assert cohort.dose[1] == 150.0
    assert cohort.group == ("", "x")
    assert only(cohort, "several_doses").row == 3
    assert only(cohort, "several_groups").row == 3


def test_several_units_of_one_analyte_are_noted_of_two_analytes_are_not(tmp_path):
    text = "subject,time,value,unit,analyte\nA,0,1,copies/ug,qPCR\nA,0,1,cells/uL,flow\nB,0,1,copies/uL,qPCR\n"
    cohort = read_text(tmp_path, text)
    assert cohort.value_unit == ("copies/ug", "cells/uL", "copies/uL")
    assert "qPCR" in only(cohort, "several_units").message


def test_units_come_from_the_argument_or_the_column_name(tmp_path):
    text = "subject,time (h),value [cells/uL]\nA,0,1\n"
    assert read_text(tmp_path, text).value_unit == ("cells/uL",)
    assert read_text(tmp_path, text, value_unit="x").value_unit == ("x",)


@pytest.mark.parametrize(
    ("name", "given", "unit", "noted"),
    [
        ("time (h)", None, "h", True),
        ("TIME [Hours]", None, "Hours", True),
        ("time (days)", None, "day", False),
        ("time (from infusion)", None, "day", False),
        ("time", None, "day", False),
        ("time (h)", "hour", "hour", False),
        ("time (h)", "day", "day", True),
        ("time (min)", "month", "month", True),
        ("time", "h", "h", False),
    ],
)
def test_the_time_unit_is_the_one_given_or_the_one_in_the_column_name(tmp_path, name, given, unit, noted):
    cohort = read_text(tmp_path, f"subject,{name},value\nA,0,1\n", time_unit=given)
    assert cohort.time_unit == unit
    assert [fault.column for fault in cohort.faults if fault.code == "time_unit"] == [name] * noted


def test_a_value_unit_that_is_given_holds_against_the_column_and_that_is_noted(tmp_path):
    text = "subject,time,value,unit\nA,0,1,copies/mL\nB,0,1,\n"
    cohort = read_text(tmp_path, text, value_unit="copies/ug")
    assert cohort.value_unit == ("copies/ug", "copies/ug")
    assert "says copies/mL, the results will say copies/ug" in only(cohort, "value_unit").message
    same = read_text(tmp_path, text, value_unit="copies/mL")
    assert same.value_unit == ("copies/mL", "copies/mL")
    assert "value_unit" not in [fault.code for fault in same.faults]


@pytest.mark.parametrize("lloq", ["5", [5.0], 0, -1.0, float("inf")])
def test_an_lloq_that_is_no_positive_number_is_a_settings_error(tmp_path, lloq):
    with pytest.raises(SettingsError, match="LLOQ must be a positive number"):
        read_text(tmp_path, "subject,time,value\nA,0,1\n", lloq=lloq)


def test_covariates_are_numbers_or_text_and_constant_within_a_subject(tmp_path):
    text = (
        "subject,time,value,AGE,response,weight,note,empty\n"
        "A,0,1,61,CR,70,,\nA,1,2,61,CR,71,,\nB,0,1,,PR,80,.,\nB,1,1,55.5,,80,seen,\n"
    )
    cohort = read_text(tmp_path, text)
    assert cohort.covariates["AGE"].tolist() == [61.0, 55.5]
    assert cohort.covariates["response"].tolist() == ["CR", "PR"]
    assert cohort.covariates["note"].tolist() == ["", "seen"]
    assert only(cohort, "varying_column").column == "weight"
    assert only(cohort, "empty_column").column == "empty"
    assert set(cohort.covariates) == {"AGE", "response", "note"}


def test_doses_that_are_names_are_a_covariate(tmp_path):
    cohort = read_text(tmp_path, "subject,time,value,dose\nA,0,1,DL1\nB,0,2,DL2\n")
    assert np.isnan(cohort.dose).all()
    assert cohort.covariates["dose"].tolist() == ["DL1", "DL2"]


def test_analytes_and_occasions_make_profiles_in_order_of_appearance(tmp_path):
    text = "subject,time,value,analyte,occasion\nB,0,1,qPCR,1\nA,0,2,flow,1\nB,0,3,flow,1\nB,0,4,qPCR,2\nA,1,5,flow,1\n"
    cohort = read_text(tmp_path, text)
    assert cohort.subject == ("B", "A", "B", "B")
    assert cohort.analyte == ("qPCR", "flow", "flow", "qPCR")
    assert cohort.occasion == ("1", "1", "1", "2")
    assert cohort.profile(1).value.tolist() == [2.0, 5.0]
