"""SDTM PC and CP: elapsed times, results below quantification, what was not done, specimens, re-infusions."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cdisc_tables import CP, PC, table
from hypothesis import given, settings
from hypothesis import strategies as st

import cellkinetics as ck
from cellkinetics.data.samples import sample_table


def faults(cohort, code):
    return [fault for fault in cohort.faults if fault.code == code]


def test_a_pc_table_is_recognised_with_profiles_by_analyte_infusion_and_specimen():
    cohort = ck.read(table(PC))
    assert cohort.source.dialect == "sdtm-pc"
    assert cohort.subject == ("S1-01",) * 3
    assert cohort.analyte == ("CART",) * 3
    assert cohort.occasion == ("INFUSION 1", "INFUSION 1", "INFUSION 2")
    assert cohort.specimen == ("BLOOD", "BONE MARROW", "BLOOD")
    assert cohort.value_unit == ("copies/ug",) * 3
    assert cohort.covariates["STUDYID"].tolist() == ["S1"] * 3


def test_times_are_days_between_collection_and_reference():
    cohort = ck.read(table(PC))
    # 9:00 against 10:00 is an hour before; 22:00 half a day after 10:00
    assert cohort.profile(0).time.tolist() == [-1 / 24, 3.0, 7.5, 28.0]
    assert cohort.profile(0).nominal_time.tolist() == [0.0, 3.0, 7.0, 28.0]
    assert cohort.profile(2).time.tolist() == [1.0]
    assert cohort.time_unit == "day"


def test_the_unit_of_calculated_times_is_the_one_asked_for():
    cohort = ck.read(table(PC), time_unit="h")
    assert cohort.time_unit == "hour"
    assert cohort.profile(0).time.tolist() == [-1.0, 72.0, 180.0, 672.0]
    with pytest.raises(ck.DataError, match="times cannot be calculated in 'month'"):
        ck.read(table(PC), time_unit="month")


def test_results_below_quantification_stand_in_the_text():
    first = ck.read(table(PC)).profile(0)
    assert first.censored.tolist() == [1, 1, 0, 0]
    assert first.lloq.tolist() == [50.0] * 4
    assert first.value[2:].tolist() == [9000.0, 700.5]


def test_what_was_not_done_is_no_sample_and_keeps_its_whole_reason():
    samples = sample_table(ck.read(table(PC)))
    gone = samples[samples["status"] == "excluded"]
    assert gone["row"].tolist() == [5]
    assert gone["reason"].tolist() == ["not done: Sample lost on the way from the site to the laboratory"]


def test_what_was_not_done_at_all_makes_no_profile_of_its_own():
    frame = table(PC)
    frame.loc[3, ["PCTESTCD", "PCSPEC", "PCTPTREF", "PCRFTDTC"]] = ["PCALL", None, None, None]
    cohort = ck.read(frame)
    assert cohort.analyte == ("CART",) * 3
    assert cohort.specimen == ("BLOOD", "BONE MARROW", "BLOOD")
    assert cohort.unusable == (None,) * 3
    gone = sample_table(cohort).query("status == 'excluded'")
    assert gone[["row", "subject", "specimen"]].to_numpy().tolist() == [[5, "S1-01", "BLOOD"]]


def test_a_subject_of_whom_nothing_was_done_is_told():
    frame = pd.concat([table(PC), table(PC).iloc[[3]].assign(USUBJID="S1-02", PCTESTCD="PCALL")], ignore_index=True)
    cohort = ck.read(frame)
    assert cohort.subject == (*("S1-01",) * 3, "S1-02")
    assert cohort.unusable[3] is not None
    assert cohort.unusable[3].code == "no_usable_sample"


def test_not_done_with_a_result_is_a_fault_of_the_row():
    cohort = ck.read(table(PC, PCSTAT=["NOT DONE"] + [None] * 6, PCSTRESC=["<50", *["70"] * 6]))
    (fault,) = [f for f in faults(cohort, "not_done") if f.row == 2]
    assert (fault.effect, fault.column) == ("row", "PCSTAT")
    assert fault.message == "the status is NOT DONE, but the column PCSTRESC has a result; the row is left out"


def test_a_number_beside_a_text_below_quantification_does_not_count():
    cohort = ck.read(table(PC, PCSTRESN=[25, 25, 9000, None, 700, 60, 300]))
    assert cohort.profile(0).censored.tolist() == [1, 1, 0, 0]
    assert [fault.row for fault in faults(cohort, "value_beside_blq")] == [2, 3]


def test_a_text_that_is_no_result_is_a_fault_of_its_row():
    cohort = ck.read(table(PC, PCSTRESC=["BLQ", "<50", "9000", None, "HEMOLYZED", "60", "300"], PCSTRESN=None))
    (fault,) = faults(cohort, "text_value")
    assert (fault.row, fault.subject, fault.column) == (6, "S1-01", "PCSTRESC")


def test_a_date_without_its_time_gives_whole_days_and_a_note():
    cohort = ck.read(table(PC, PCDTC=["2026-03-01", "2026-03-04T10:00", "2026-03-08", *["2026-05-20T10:00"] * 4]))
    assert cohort.profile(0).time[[0, 1, 2]].tolist() == [0.0, 3.0, 7.0]
    assert [fault.row for fault in faults(cohort, "date_without_time")] == [2, 4]


def test_a_partial_date_is_replaced_by_the_study_day_and_without_one_a_fault():
    dates = ["2026-03-01T10:00", "2026-03", "2026-03-08T10:00", None, "2026---29", "2026-03-08", "2026-05-02T10:00"]
    with_day = ck.read(table(PC, PCDTC=dates))
    assert with_day.profile(0).time.tolist() == [0.0, 3.0, 7.0, 28.0]  # PCDY 4 and 29: CDISC has no day 0
    assert [fault.row for fault in faults(with_day, "time_from_study_day")] == [3, 6]
    without = ck.read(table(PC, PCDTC=dates, PCDY=None))
    assert [(f.row, f.column) for f in faults(without, "partial_date")] == [(3, "PCDTC"), (6, "PCDTC")]
    assert "'2026-03' is no whole date; the row is left out" in faults(without, "partial_date")[0].message
    assert without.profile(0).time.tolist() == [0.0, 7.0]


def test_without_a_reference_date_the_study_day_counts():
    cohort = ck.read(table(PC, PCRFTDTC=None, PCTPTREF=None, PCDY=[-1, 4, 8, None, 29, 8, 62]))
    assert cohort.profile(0).time.tolist() == [-1.0, 3.0, 7.0, 28.0, 61.0]
    (note,) = faults(cohort, "time_from_study_day")
    assert note.effect == "note"
    assert "no date of the reference dose (PCRFTDTC)" in note.message


def test_day_zero_is_a_fault():
    cohort = ck.read(table(PC, PCRFTDTC=None, PCDY=[0, 4, 8, None, 29, 8, 62]))
    (fault,) = faults(cohort, "bad_study_day")
    assert (fault.row, fault.column, fault.effect) == (2, "PCDY", "row")


def test_without_any_reference_the_table_cannot_be_read():
    with pytest.raises(ck.DataError, match=r"no column says from when PCDTC counts.*PCRFTDTC.*PCDY"):
        ck.read(table(PC, PCRFTDTC=None, PCDY=None))


def test_a_missing_date_is_told_once_a_row():
    cohort = ck.read(table(PC, PCDTC=[None, *["2026-05-20T10:00"] * 6], PCDY=None))
    rows = [(f.row, f.code) for f in cohort.faults if f.effect == "row"]
    assert rows == [(2, "missing_time")]


def test_time_zones_are_taken_into_account_where_both_dates_name_one():
    zoned = ["2026-03-01T10:00+01:00", "2026-03-04T10:00Z", *["2026-03-08T22:00Z"] * 5]
    cohort = ck.read(table(PC, PCDTC=zoned, PCRFTDTC=["2026-03-01T10:00Z"] * 7, PCTPTREF=None))
    assert cohort.profile(0).time[:2].tolist() == [-1 / 24, 3.0]
    one = ck.read(table(PC, PCDTC=zoned))
    assert {fault.row for fault in faults(one, "time_zone")} >= {2, 3}


def test_references_without_names_are_numbered_infusions():
    cohort = ck.read(table(PC, PCTPTREF=None))
    assert cohort.occasion == ("1", "1", "2")
    assert len(faults(cohort, "several_references")) == 1


def test_an_analyte_that_was_measured_after_the_second_infusion_only_has_its_number():
    cohort = ck.read(table(PC, PCTPTREF=None, PCTESTCD=["CART"] * 6 + ["CELLS"]))
    assert list(zip(cohort.analyte, cohort.occasion, strict=True))[-1] == ("CELLS", "2")


def test_two_references_of_one_name_are_kept_apart():
    cohort = ck.read(table(PC, PCTPTREF="INFUSION"))
    assert cohort.occasion == ("INFUSION 1", "INFUSION 1", "INFUSION 2")


def test_one_reference_written_in_two_ways_is_one_infusion():
    cohort = ck.read(
        table(PC, PCTPTREF=None, PCRFTDTC=["2026-03-01T10:00", "2026-03-01T10:00:00"] * 3 + ["2026-03-01T10:00"])
    )
    assert cohort.occasion == ("1", "1")
    assert not faults(cohort, "several_references")


def test_the_date_of_the_reference_dose_goes_with_its_profile():
    cohort = ck.read(table(PC))
    assert cohort.covariates["PCRFTDTC"].tolist() == ["2026-03-01T10:00", "2026-03-01T10:00", "2026-05-01T10:00"]


def test_planned_days_of_visits_serve_where_no_elapsed_time_is_planned():
    cohort = ck.read(table(PC, PCELTM=None, VISITDY=[-1, 4, 8, 15, 29, 8, 2]))
    assert cohort.profile(0).nominal_time.tolist() == [-1.0, 3.0, 7.0, 28.0]


def test_the_number_of_a_time_point_is_no_time_unless_it_is_mapped():
    numbered = table(PC, PCELTM=None, PCTPTNUM=[0, 3, 7, 14, 28, 7, 1])
    cohort = ck.read(numbered)
    assert np.isnan(cohort.profile(0).nominal_time).all()
    assert len(faults(cohort, "point_number")) == 1
    mapped = ck.read(numbered, mapping={"nominal_time": "PCTPTNUM"})
    assert mapped.profile(0).nominal_time.tolist() == [0.0, 3.0, 7.0, 28.0]


def test_a_mapped_time_is_read_as_it_stands():
    cohort = ck.read(table(PC, DAY=[0, 3, 7, 14, 28, 7, 1]), mapping={"time": "DAY"})
    assert cohort.profile(0).time.tolist() == [0.0, 3.0, 7.0, 28.0]


def test_units_that_differ_within_a_profile_make_it_unusable():
    cohort = ck.read(table(PC, PCSTRESU=["copies/ug", "cells/uL", *["copies/ug"] * 5]))
    assert cohort.unusable[0] is not None
    assert cohort.unusable[0].code == "several_units"
    assert cohort.unusable[1:] == (None, None)


def test_the_limit_of_detection_is_never_the_limit_of_quantification():
    cohort = ck.read(table(PC, PCLLOQ=None, PCLOD=[10.0] * 7))
    assert np.isnan(cohort.profile(0).lloq[2:]).all()
    assert cohort.covariates["lod"].tolist() == [10.0] * 3
    plain = ck.read(pd.DataFrame({"subject": "A", "time": [0, 7], "value": ["ND", 900], "lloq": 50, "lod": 60}))
    assert plain.profile(0).lloq.tolist() == [50.0, 50.0]
    assert [fault.row for fault in faults(plain, "lod_above_lloq")] == [2, 3]


def test_cell_populations_of_one_code_are_told_apart_by_their_markers():
    cohort = ck.read(table(CP))
    assert cohort.source.dialect == "sdtm-cp"
    assert cohort.analyte == ("TCELL (CAR+CD4+)", "TCELL (CAR+CD8+)", "BCELL (CD19+)")
    assert cohort.time.ravel().tolist() == [7.0, 7.0, 7.0]
    assert cohort.censored.ravel().tolist() == [0, 0, 1]


@given(
    samples=st.lists(
        st.tuples(st.integers(-7 * 1440, 400 * 1440), st.floats(60.0, 1e7), st.booleans()),
        min_size=1,
        max_size=12,
        unique_by=lambda sample: sample[0],
    ),
    start=st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1)).map(lambda date: date.replace(microsecond=0)),
)
@settings(deadline=None, max_examples=40)
def test_a_cohort_written_as_pc_is_read_back_the_same(samples, start):
    plain = pd.DataFrame(
        {
            "subject": "P1",
            "time": [minutes / 1440 for minutes, _, _ in samples],
            "value": ["BLQ" if below else repr(value) for _, value, below in samples],
            "lloq": 50.0,
        }
    )
    written = pd.DataFrame(
        {
            "USUBJID": "P1",
            "PCTESTCD": "CART",
            "PCDTC": [(start + timedelta(minutes=minutes)).isoformat() for minutes, _, _ in samples],
            "PCRFTDTC": start.isoformat(),
            "PCSTRESC": plain["value"],
            "PCSTRESN": [None if below else value for _, value, below in samples],
            "PCLLOQ": 50.0,
        }
    )
    one, other = ck.read(plain), ck.read(written)
    for name in ("time", "value", "censored", "lloq", "row", "mask"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_the_command_reads_a_transport_file_to_the_end(tmp_path: Path):
    pyreadstat = pytest.importorskip("pyreadstat")
    from typer.testing import CliRunner

    from cellkinetics.cli.app import app

    path, out = tmp_path / "pc.xpt", tmp_path / "out"
    pyreadstat.write_xport(table(PC), str(path), table_name="PC", file_format_version=5)
    result = CliRunner().invoke(app, ["nca", str(path), "--out", str(out), "--quiet"])
    assert result.exit_code == 0, result.output
    wide = pd.read_csv(out / "nca_wide.csv")
    assert wide["specimen"].tolist() == ["BLOOD", "BONE MARROW", "BLOOD"]
    assert wide["CMAX"].tolist() == [9000.0, 60.0, 300.0]
