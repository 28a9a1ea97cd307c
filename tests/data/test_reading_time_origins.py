"""Every time of a profile counts from its reference dose: study days, planned days and ADaM's two kinds of times."""

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck


def findings(starts, days=(0, 7, 14, 21), study_day=1, **columns):
    """Return a PC table of one subject: infusions on these days after the first, which is on the study day given."""
    rows = []
    for number, start in enumerate(starts, start=1):
        dose = pd.Timestamp("2026-01-06T10:00") + pd.Timedelta(days=start)
        rows += [
            {
                "USUBJID": "P1",
                "PCTESTCD": "CART",
                "PCSTRESN": 100.0 + day,
                "PCTPTREF": f"DOSE {number}",
                "PCRFTDTC": dose.isoformat(),
                "PCDTC": (dose + pd.Timedelta(days=day)).isoformat(),
                "PCDY": study_day + start + day,
                "VISITDY": study_day + start + day,
            }
            for day in days
        ]
    return pd.DataFrame(rows).assign(**columns)


def faults(cohort, code):
    return [fault for fault in cohort.faults if fault.code == code]


def test_a_study_day_in_a_later_occasion_counts_from_its_own_dose():
    frame = findings([0, 28])
    frame.loc[5, "PCDTC"] = "2026-02"
    cohort = ck.read(frame)
    assert cohort.time.tolist() == [[0.0, 7.0, 14.0, 21.0]] * 2
    (note,) = faults(cohort, "time_from_study_day")
    assert (note.row, note.effect) == (7, "note")
    assert "study day 36 less that of the reference dose" in note.message


def test_an_infusion_that_is_not_on_day_1_of_the_study_is_time_zero_all_the_same():
    frame = findings([0], study_day=6)
    frame.loc[1, "PCDTC"] = "2026-01"
    assert ck.read(frame).time.tolist() == [[0.0, 7.0, 14.0, 21.0]]


def test_study_days_before_the_first_have_no_day_zero_between():
    frame = findings([0], days=(-3, 0, 7), study_day=2, PCDY=[-2, 2, 9])
    frame.loc[0, "PCDTC"] = None
    assert ck.read(frame).time.tolist() == [[-3.0, 0.0, 7.0]]


def test_a_row_without_its_reference_date_takes_that_of_its_dose():
    frame = findings([0, 28])
    frame.loc[6, ["PCRFTDTC", "PCDTC"]] = None
    assert ck.read(frame.assign(PCSPEC="BLOOD"), mapping={"occasion": "PCTPTREF"}).profile(1).time.tolist() == [
        *(0.0, 7.0, 14.0, 21.0)
    ]


def test_other_doses_of_the_subject_tell_the_first_day_of_its_study():
    frame = findings([0, 28])
    frame.loc[4:, "PCDTC"] = "2026-02"  # not one whole date in the second occasion
    assert ck.read(frame).time.tolist() == [[0.0, 7.0, 14.0, 21.0]] * 2


def test_a_study_day_that_cannot_be_placed_among_times_from_dates_is_a_fault_of_its_row():
    frame = findings([0, 28])
    frame.loc[5, "PCDTC"] = "2026-02"
    frame.loc[[0, 1, 2, 3, 4, 6, 7], "PCDY"] = None
    cohort = ck.read(frame)
    assert cohort.profile(1).time.tolist() == [0.0, 14.0, 21.0]
    (fault,) = faults(cohort, "study_day_alone")
    assert (fault.row, fault.effect, fault.column) == (7, "row", "PCDY")
    assert cohort.n_lost.tolist() == [0, 1]


def test_study_days_that_contradict_the_dates_place_nothing():
    frame = findings([0])
    frame.loc[1, "PCDTC"] = "2026-01"
    frame.loc[2, "PCDY"] = 40
    assert [fault.row for fault in faults(ck.read(frame), "study_day_alone")] == [3]


def test_without_one_whole_date_in_the_study_times_count_from_day_1():
    cohort = ck.read(findings([0], study_day=6, PCDTC="2026-01"))
    assert cohort.time.tolist() == [[5.0, 12.0, 19.0, 26.0]]
    assert len(faults(cohort, "time_from_study_day")) == 4
    assert not faults(cohort, "study_day_alone")


def test_planned_days_of_visits_count_from_the_reference_dose_too():
    cohort = ck.read(findings([0, 28], study_day=6))
    assert cohort.nominal_time.tolist() == [[0.0, 7.0, 14.0, 21.0]] * 2
    (note,) = faults(cohort, "planned_day")
    assert "the study day on which the reference dose was given is subtracted" in note.message
    assert not faults(ck.read(findings([0])), "planned_day")


def test_planned_days_are_no_planned_times_where_nothing_tells_the_day_of_the_dose():
    for frame, mapping in (
        (findings([0]).drop(columns="PCDY"), {}),
        (findings([0], DAY=[0, 7, 14, 21]), {"time": "DAY"}),
    ):
        cohort = ck.read(frame, mapping=mapping)
        assert np.isnan(cohort.nominal_time).all()
        (note,) = faults(cohort, "planned_day")
        assert "not taken as a planned time" in note.message


ADNCA = pd.DataFrame(
    {
        "USUBJID": "P1",
        "PARAMCD": "CART",
        "AVAL": [100.0, 900.0, 300.0, 100.0, 700.0, 200.0],
        "ATPTREF": ["DOSE 1"] * 3 + ["DOSE 2"] * 3,
        "ARRLT": [0, 7, 14] * 2,
        "NRRLT": [0, 7, 14] * 2,
        "AFRLT": [0, 7, 14, 28, 35, 42],
        "NFRLT": [0, 7, 14, 28, 35, 42],
        "RRLTU": "DAYS",
    }
)


def test_planned_times_of_adnca_count_from_where_its_times_do():
    assert ck.read(ADNCA).nominal_time.tolist() == [[0.0, 7.0, 14.0]] * 2
    from_first = ck.read(ADNCA.drop(columns="ARRLT"))
    assert from_first.time.tolist() == from_first.nominal_time.tolist() == [[0.0, 7.0, 14.0, 28.0, 35.0, 42.0]]
    unnamed = ck.read(ADNCA.drop(columns="ATPTREF"))
    assert unnamed.time.tolist() == unnamed.nominal_time.tolist() == [[0.0, 7.0, 14.0, 28.0, 35.0, 42.0]]


@pytest.mark.parametrize(
    ("gone", "note"),
    [
        (["NRRLT"], "ARRLT counts from the reference dose, NFRLT from the first one"),
        (["ARRLT", "NFRLT"], "AFRLT counts from the first dose, NRRLT from the reference one"),
    ],
)
def test_planned_times_from_another_dose_are_not_taken_and_told(gone, note):
    cohort = ck.read(ADNCA.drop(columns=gone))
    assert np.isnan(cohort.nominal_time).all()
    (found,) = faults(cohort, "nominal_time")
    assert note in found.message
    mapped = ck.read(ADNCA.drop(columns=["NRRLT"]), mapping={"nominal_time": "NFRLT"})
    assert mapped.nominal_time[1].tolist() == [28.0, 35.0, 42.0]
    assert not faults(mapped, "nominal_time")


def test_planned_times_of_adppk_from_the_last_dose_go_with_times_from_it():
    frame = pd.DataFrame(
        {
            "USUBJID": "P1",
            "EVID": 0,
            "DV": [5.0, 4.0],
            "AFRLT": [28, 35],
            "APRLT": [0, 7.1],
            "NFRLT": [28, 35],
            "NPRLT": [0, 7],
            "FRLTU": "DAYS",
        }
    )
    assert ck.read(frame).nominal_time.tolist() == [[28.0, 35.0]]
    assert ck.read(frame.drop(columns="AFRLT")).nominal_time.tolist() == [[0.0, 7.0]]
    assert ck.read(frame, mapping={"time": "APRLT"}).nominal_time.tolist() == [[0.0, 7.0]]


def test_rows_that_were_not_done_find_their_profile_whatever_they_name():
    done = [("P1", "CART", "DOSE 1", "BLOOD"), ("P1", "CELL", "DOSE 2", "MARROW"), ("P2", "CELL", "DOSE 1", "BLOOD")]
    lost = [
        ("P1", "CELL", "", ""),  # the first profile of its analyte
        ("P1", "PCALL", "", ""),  # the first profile of its subject
        ("P2", "CELL", "DOSE 1", "BLOOD"),  # a profile that is there
        ("P3", "CELL", "", ""),  # a subject of whom nothing was done
    ]
    frame = pd.DataFrame([*done, *lost], columns=["USUBJID", "PCTESTCD", "PCTPTREF", "PCSPEC"])
    frame = frame.assign(PCSTRESN=[1.0] * 3 + [np.nan] * 4, PCDY=[1] * 7, PCSTAT=[None] * 3 + ["NOT DONE"] * 4)
    cohort = ck.read(frame)
    profiles = list(zip(cohort.subject, cohort.analyte, cohort.occasion, cohort.specimen, strict=True))
    assert profiles == [*done, ("P3", "CELL", "", "")]
    assert cohort.records.profile.tolist() == [1, 0, 2, 3]
