"""Profiles that lost a sample to a fault, or have one quantifiable sample: values stay and are marked."""

import pandas as pd
import pytest

import cellkinetics as ck


def table_of(*samples: tuple[str, object, str]) -> pd.DataFrame:
    cohort = ck.read(pd.DataFrame(samples, columns=["subject", "time", "value"]))
    return ck.noncompartmental(cohort, windows="0-14").table


@pytest.mark.parametrize(("time", "value"), [(7, "4,200 copies"), (7, "lost"), ("day 7", "900"), (7, ">ULOQ")])
def test_a_sample_left_out_because_of_a_fault_marks_every_value_of_its_profile(time: object, value: str) -> None:
    others = [(subject, day, c) for subject in "AB" for day, c in ((0, "<50"), (3, "800"), (10, "500"), (28, "90"))]
    table = table_of(*others, ("A", time, value))
    marked, whole = (table[table["subject"] == subject].reset_index(drop=True) for subject in "AB")
    calculated = marked["value"].notna()
    assert (marked.loc[calculated, "status"] == "flagged").all()
    assert marked.loc[calculated, "reason_code"].str.contains("sample_left_out").all()
    assert marked["reason"].str.contains("left out because of a fault in its row").any()
    pd.testing.assert_series_equal(marked["value"], whole["value"])
    assert not whole["reason_code"].str.contains("sample_left_out").any()


@pytest.mark.parametrize(("time", "value"), [(7, "."), (7, None), (-3, "lost")])
def test_a_missing_result_or_a_fault_before_infusion_marks_nothing(time: float, value: str) -> None:
    table = table_of(("A", 0, "<50"), ("A", 3, "800"), ("A", time, value), ("A", 10, "500"), ("A", 28, "90"))
    assert not table["reason_code"].str.contains("sample_left_out").any()


def test_an_unusable_profile_keeps_its_own_fault() -> None:
    table = table_of(("A", 0, "lost"), ("A", 3, "-5"), ("A", 7, "900"))
    assert set(table["reason_code"]) == {"negative_value"}


def test_areas_and_mean_times_from_one_quantifiable_sample_are_marked() -> None:
    table = table_of(("A", 7, "900"), ("A", 14, "<50")).set_index("parameter")
    # A triangle from the zero that was put at infusion: 7 * 900 / 2.
    assert table.loc["AUCLST", "value"] == 3150.0
    marked = set(table.index[table["reason_code"] == "one_quantifiable_sample"])
    assert {"AUCLST", "AUCALL", "AUCINT", "MRTIBLST"} <= marked
    assert not {"CMAX", "TMAX", "CLST", "NSAMPLE"} & marked
    assert (table.loc[list(marked), "status"] == "flagged").all()


def test_two_quantifiable_samples_are_not_marked_as_one() -> None:
    table = table_of(("A", 7, "900"), ("A", 14, "500"))
    assert not table["reason_code"].str.contains("one_quantifiable_sample").any()
