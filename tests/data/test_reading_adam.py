"""ADaM ADNCA and ADPPK: reference doses, units of time, exclusions, derived copies, flags of BLQ."""

import numpy as np
import pandas as pd
import pytest
from cdisc_tables import ADNCA, ADPPK, table

import cellkinetics as ck
from cellkinetics.data.samples import sample_table
from cellkinetics.errors import SettingsError


def faults(cohort, code):
    return [fault for fault in cohort.faults if fault.code == code]


def test_each_reference_dose_is_an_occasion_with_its_own_time_dose_and_duration():
    cohort = ck.read(table(ADNCA))
    assert cohort.source.dialect == "adnca"
    assert cohort.occasion == ("DOSE 1", "DOSE 2")
    assert cohort.specimen == ("BLOOD", "BLOOD")
    assert cohort.group == ("A", "A")
    assert cohort.profile(0).time.tolist() == [0.0, 180.0, 672.0]
    assert cohort.profile(0).nominal_time.tolist() == [0.0, 168.0, 672.0]
    assert cohort.profile(1).time.tolist() == [168.0]
    assert cohort.dose.tolist() == [100.0, 300.0]
    assert cohort.infusion_duration[0] == 2.0
    assert np.isnan(cohort.infusion_duration[1])  # a duration of zero is none
    assert not faults(cohort, "bad_infusion_duration")


def test_the_unit_of_time_is_the_columns_unless_another_is_asked_for():
    as_it_is = ck.read(table(ADNCA))
    assert as_it_is.time_unit == "hour"
    assert [f.column for f in faults(as_it_is, "time_unit")] == ["RRLTU"]
    in_days = ck.read(table(ADNCA), time_unit="day")
    assert in_days.time_unit == "day"
    assert in_days.profile(0).time.tolist() == [0.0, 7.5, 28.0]
    assert in_days.profile(0).nominal_time.tolist() == [0.0, 7.0, 28.0]
    assert in_days.infusion_duration[0] == pytest.approx(2 / 24, rel=1e-15)
    assert len(faults(in_days, "times_converted")) == 1


def test_a_duration_in_its_own_unit_is_brought_to_that_of_the_times():
    cohort = ck.read(table(ADNCA, DOSEDUR=30, DOSEDURU="MINUTES"))
    assert cohort.infusion_duration.tolist() == [0.5, 0.5]


def test_several_units_of_time_need_one_to_be_asked_for():
    mixed = table(ADNCA, RRLTU=["HOURS"] * 7 + ["DAYS"], ARRLT=[0, 0, 0, 180, 336, 672, -1, 7])
    with pytest.raises(ck.DataError, match=r"times are in several units: hour, day; take time_unit=\"day\""):
        ck.read(mixed)
    assert ck.read(mixed, time_unit="day").profile(1).time.tolist() == [7.0]


def test_a_unit_without_a_fixed_length_is_not_converted():
    with pytest.raises(ck.DataError, match="times in month cannot be converted to day"):
        ck.read(table(ADNCA, RRLTU="MONTHS"), time_unit="day")


def test_dose_records_are_no_samples():
    cohort = ck.read(table(ADNCA))
    assert "DOSE" not in cohort.analyte
    assert [fault.message for fault in faults(cohort, "event_rows")] == ["1 rows are dose records, not samples"]


def test_a_category_says_that_a_sample_is_below_quantification_and_never_gives_its_number():
    first = ck.read(table(ADNCA)).profile(0)
    assert first.censored.tolist() == [1, 0, 0]
    assert first.lloq.tolist() == [50.0] * 3
    assert first.value[1] == 9012.0  # not 9010, as the category prints it


def test_excluded_rows_keep_their_reasons():
    samples = sample_table(ck.read(table(ADNCA)))
    row = samples[samples["row"] == 6].iloc[0]
    assert (row["status"], row["value"]) == ("excluded", 99999.0)
    assert row["reason"] == "excluded from analysis in the table: Haemolysed; Wrong tube"


def test_a_reason_excludes_a_row_where_there_is_no_flag_and_not_against_one():
    without = ck.read(table(ADNCA, NCAXFL=None))
    assert 6 not in without.row
    against = ck.read(table(ADNCA, NCAXFL="N"))
    assert 6 in against.row
    assert [fault.row for fault in faults(against, "exclusion_contradicts")] == [6]


def test_copies_are_never_counted_twice():
    cohort = ck.read(table(ADNCA))
    samples = sample_table(cohort)
    copies = samples[samples["reason"].str.contains("derived")]
    assert copies["row"].tolist() == [4, 8]
    assert copies["reason"].tolist() == [
        "derived from another row (DTYPE HALFLLOQ), which is taken",
        "derived from another row (DTYPE COPY), which is taken",
    ]
    assert cohort.n_samples == 4


def test_an_imputed_value_without_its_sample_is_below_quantification():
    alone = table(ADNCA).drop(index=1)  # the sample of which HALFLLOQ is derived
    cohort = ck.read(alone.assign(AVALCAT1=None))
    first = cohort.profile(0)
    assert first.censored.tolist() == [1, 0, 0]
    assert first.lloq[0] == 50.0
    assert [fault.row for fault in faults(cohort, "imputed_value")] == [3]


def test_a_copy_without_its_sample_is_taken():
    cohort = ck.read(table(ADNCA).drop(index=5))
    assert cohort.profile(1).time.tolist() == [-1.0, 168.0]


def test_times_from_the_first_dose_make_one_profile_of_all_doses():
    cohort = ck.read(table(ADNCA, ARRLT=None, NRRLT=None, DTYPE=[None] * 8, NCAXFL=None).drop(index=[2, 6]))
    assert cohort.occasion == ("",)
    assert cohort.profile(0).time.tolist() == [0.0, 180.0, 672.0, 840.0]
    assert len(faults(cohort, "from_first_dose")) == 1


def test_without_a_name_of_the_doses_times_count_from_the_first():
    cohort = ck.read(table(ADNCA, ATPTREF=None))
    assert cohort.profile(0).time.tolist() == [0.0, 180.0, 672.0, 840.0]
    assert len(faults(cohort, "from_first_dose")) == 1


def test_only_subjects_with_several_doses_are_counted_from_the_first():
    frame = table(ADNCA, ATPTREF=None)
    once = frame.iloc[[3, 5]].assign(USUBJID="P2", ARRLT=[180.05, 672.0])
    cohort = ck.read(pd.concat([frame, once], ignore_index=True))
    assert cohort.profile(0).time.tolist() == [0.0, 180.0, 672.0, 840.0]
    assert np.isnan(cohort.profile(0).nominal_time).all()
    assert cohort.subject == ("P1", "P2")
    assert cohort.profile(1).time.tolist() == [180.05, 672.0]
    assert cohort.profile(1).nominal_time.tolist() == [168.0, 672.0]


def test_doses_without_a_name_are_told_apart_by_their_dates():
    dates = ["2026-03-01T10:00"] * 6 + ["2026-03-29T10:00"] * 2
    cohort = ck.read(table(ADNCA, ATPTREF=None, PCRFTDTC=dates))
    assert cohort.occasion == ("1", "2")
    assert cohort.profile(1).time.tolist() == [168.0]


def test_an_exclusion_from_summaries_is_told_and_costs_nothing():
    cohort = ck.read(table(ADNCA, PKSUMXF=["Y"] * 8))
    assert len(faults(cohort, "summary_exclusion")) == 1
    assert cohort.n_samples == 4


def test_adppk_is_read_as_nonmem_with_its_own_names():
    cohort = ck.read(table(ADPPK))
    assert cohort.source.dialect == "adppk"
    assert cohort.subject == ("P1",)
    assert cohort.analyte == ("CAR",)
    assert cohort.dose.tolist() == [100.0]
    assert cohort.infusion_duration.tolist() == [0.5]
    assert cohort.value_unit == ("copies/ug",)
    assert cohort.covariates["AGE"].tolist() == [60.0]
    first = cohort.profile(0)
    assert first.time.tolist() == [1.0, 7.5]
    assert first.nominal_time.tolist() == [1.0, 7.0]


def test_a_flagged_row_of_adppk_is_below_quantification_whatever_its_mdv():
    first = ck.read(table(ADPPK)).profile(0)
    assert first.censored.tolist() == [1, 0]
    assert first.lloq.tolist() == [50.0, 50.0]


def test_adppk_in_hours_is_read_in_days_on_request():
    hours = table(ADPPK, FRLTU="HOURS", AFRLT=[0, 24, 180, 336])
    assert ck.read(hours).time_unit == "hour"
    assert ck.read(hours, time_unit="day").profile(0).time.tolist() == [1.0, 7.5]


def test_a_dialect_that_is_named_is_not_guessed():
    plain = table(ADPPK)[["USUBJID", "AFRLT", "DV"]].dropna()
    cohort = ck.read(plain, dialect="plain", mapping={"time": "AFRLT"})
    assert cohort.source.dialect == "plain"
    with pytest.raises(SettingsError, match="sdtm-pc, sdtm-cp, nonmem"):
        ck.read(pd.DataFrame(), dialect="sdtm")
