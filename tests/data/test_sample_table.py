"""The tables of samples and faults."""

import pandas as pd

import cellkinetics as ck
from cellkinetics.data.provenance import RowRecords
from cellkinetics.data.samples import FAULT_COLUMNS, SAMPLE_COLUMNS, fault_table, sample_table


def trial() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("A", 7, "900"),
            ("A", 0, "<50"),
            ("A", 3, "lost"),
            ("B", 0, "-4"),
            ("B", 1, "5"),
            (None, 1, "5"),
            ("C", None, "5"),
        ],
        columns=["subject", "time", "value"],
    )


def test_every_sample_row_of_the_file_is_in_the_table_once():
    table = sample_table(ck.read(trial()))
    assert tuple(table.columns) == SAMPLE_COLUMNS
    assert table["row"].tolist() == [3, 4, 2, 5, 6, 8, 7]
    assert table["subject"].tolist() == ["A", "A", "A", "B", "B", "C", ""]
    assert table["status"].tolist() == ["used", "excluded", "used", "excluded", "excluded", "excluded", "excluded"]
    assert (table.loc[table["status"] == "used", "reason"] == "").all()
    assert (table.loc[table["status"] == "excluded", "reason"] != "").all()


def test_samples_of_an_unusable_profile_bear_its_fault():
    cohort = ck.read(trial())
    table = sample_table(cohort)
    assert cohort.unusable[1] is not None
    assert set(table.loc[table["subject"] == "B", "reason"]) == {cohort.unusable[1].message}


def test_a_negative_value_that_counts_as_blq_is_changed():
    table = sample_table(ck.read(trial(), negative="blq"))
    assert table.loc[table["row"] == 5, "status"].tolist() == ["changed"]


def test_the_records_follow_their_profiles_into_a_part_of_the_cohort():
    cohort = ck.read(trial())
    part = cohort.take([2, 0, 0])
    assert part.records.profile.tolist() == [0, 1, 2]
    assert part.records.row.tolist() == [8, 4, 4]
    assert sample_table(part)["subject"].tolist() == ["C", *["A"] * 6]
    assert len(RowRecords()) == 0


def test_a_cohort_of_excluded_rows_only_has_its_table():
    table = sample_table(ck.read(trial().assign(value="lost")))
    assert table["status"].tolist() == ["excluded"] * 7


def test_the_table_of_faults_has_the_columns_of_check_csv(tmp_path):
    cohort = ck.read(trial())
    table = fault_table(cohort)
    assert tuple(table.columns) == FAULT_COLUMNS
    assert len(table) == len(cohort.faults)
    table.to_csv(tmp_path / "check.csv", index=False)
    text = (tmp_path / "check.csv").read_text(encoding="utf-8")
    assert "nan" not in text.lower()
    assert "4,A,value,text_value,row," in text


def test_samples_lost_to_a_fault_are_counted_apart_from_missing_results_and_equal_times():
    rows = [("A", 0, "."), ("A", 3, "lost"), ("A", "day 7", "5"), ("A", 9, "5"), ("A", 9, "6"), ("A", -1, "lost")]
    rows += [("B", 1, "5"), (None, 1, "5")]
    cohort = ck.read(pd.DataFrame(rows, columns=["subject", "time", "value"]), duplicates="first")
    assert cohort.n_lost.tolist() == [2, 0]
    assert cohort.take([1, 0]).n_lost.tolist() == [0, 2]
    assert ck.Cohort.from_arrays([[1.0]], [[5.0]]).n_lost.tolist() == [0]
