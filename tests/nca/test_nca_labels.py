"""Label tables: three styles, never a zero in a geometric mean without a word."""

import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.labels import MEDIAN_ONLY, SAMPLE_TIMES, STYLES, label_table
from cellkinetics.nca.parameters import PARAMETERS
from cellkinetics.nca.result import NCAResult


@pytest.fixture
def result() -> NCAResult:
    return noncompartmental(
        Cohort.from_arrays(
            [[0.0, 7.0, 14.0]] * 3 + [[0.0, 7.0]],
            [[0.0, 100.0, 50.0], [0.0, 400.0, 50.0], [0.0, 30.0, 900.0], [0.0, 0.0]],
            lloq=20.0,
            subject=["P01", "P02", "P03", "P04"],
            group=["A", "A", "B", "B"],
        ),
        windows="0-7,0-14",
    )


def test_the_styles_are_those_of_label_tables(result: NCAResult) -> None:
    row = result.summary_text("group", ["CMAX"]).iloc[0]
    # geometric: sqrt(100 * 400), s = ln 4 / sqrt 2; arithmetic: 250, SD 300/sqrt 2
    assert row[["parameter", "unit", "n", *STYLES]].tolist() == [
        *("Cmax", "copies/µg", "2", "200 (127 %)", "250 (212)", "250 [100; 400]"),
    ]


def test_times_have_a_median_only(result: NCAResult) -> None:
    row = result.summary_text(parameters=["TMAX"]).iloc[0]
    assert row[list(STYLES)].tolist() == ["–", "–", "7 [7; 14]"]


LENGTHS = {
    *("LAMZHL", "LAMZHLSE", "ALPHAHL", "BETAHL", "EXPDT", "EFFHL", "TAU", "TABOVE"),
    *(f"MRT{route}{end}" for route in ("EV", "IB", "IC") for end in ("LST", "IFO", "IFP")),
}


def test_every_time_is_one_of_a_sample_or_a_length() -> None:
    times = {row.code for row in PARAMETERS if row.unit_kind == "time"}
    assert times == SAMPLE_TIMES | LENGTHS
    assert not SAMPLE_TIMES & LENGTHS
    assert MEDIAN_ONLY & times == SAMPLE_TIMES


def test_counts_and_parts_have_a_median_only_whatever_their_code() -> None:
    assert {row.code for row in PARAMETERS if row.unit_kind == "count"} <= MEDIAN_ONLY
    parts = {"AUCPEO", "AUCPEP", "AUCINTPE", "AUCTAUPE", "AUMCPEO", "AUMCPEP", "AUCPBEO", "AUCPBEP", "WCOVER"}
    assert {row.code for row in PARAMETERS if row.unit_kind == "percent"} - MEDIAN_ONLY == {"FLUCP", "FLUCPTAU"}
    assert parts <= MEDIAN_ONLY


def test_missing_values_and_flags_are_counted(result: NCAResult) -> None:
    rows = result.summary_text("group", ["CMAX", "AUCLST"]).set_index(["group", "code"])
    assert rows["n"].tolist() == ["2", "1 of 2", "2", "2"]
    assert rows.loc[("B", "CMAX"), "geometric mean (CV %)"] == "900"


def test_a_zero_among_the_values_is_told_with_the_geometric_mean(result: NCAResult) -> None:
    # the areas to day 7 are 350, 1400, 105 and, without a quantifiable sample, 0
    row = result.summary_text(parameters=["AUCINT_0_7"]).iloc[0]
    assert row["n"] == "4"
    assert row["geometric mean (CV %)"].endswith("; n = 3)")
    both = result.summary_text("group", ["AUCINT_0_7"])["geometric mean (CV %)"].tolist()
    assert both == ["700 (127 %)", "105 (n = 1)"]


def test_a_code_with_windows_stands_for_all_of_them_in_the_order_asked_for(result: NCAResult) -> None:
    table = result.summary_text("group", ["AUCINT", "CMAX"])
    assert table[["parameter", "group"]].to_numpy().tolist() == [
        *(["AUC0-7", "A"], ["AUC0-7", "B"], ["AUC0-14", "A"], ["AUC0-14", "B"], ["Cmax", "A"], ["Cmax", "B"]),
    ]


def test_statistics_can_stand_in_rows_with_a_column_a_group(result: NCAResult) -> None:
    table = result.summary_text("group", ["CMAX", "TMAX"], statistics="rows")
    assert table.columns.tolist()[-3:] == ["statistic", "A", "B"]
    assert table[["parameter", "statistic"]].to_numpy().tolist() == [
        *(["Cmax", name] for name in ("n", *STYLES)),
        *(["Tmax", name] for name in ("n", STYLES[2])),
    ]
    assert table["A"].tolist()[:2] == ["2", "200 (127 %)"]
    assert "all" in result.summary_text(parameters=["CMAX"], statistics="rows")


def test_a_summary_read_back_from_its_file_gives_the_same_texts(result: NCAResult, tmp_path) -> None:
    summary = result.summary("group")
    summary.to_csv(tmp_path / "nca_summary.csv", index=False)
    texts = dict.fromkeys(("analyte", "specimen", "group", "unit"), str)
    again = label_table(pd.read_csv(tmp_path / "nca_summary.csv", dtype=texts).fillna(dict.fromkeys(texts, "")))
    pd.testing.assert_frame_equal(again, label_table(summary), check_dtype=False)


def test_an_unknown_parameter_is_told(result: NCAResult) -> None:
    with pytest.raises(SettingsError, match="no parameter 'XYZ'; it has CMAX, TMAX"):
        result.summary_text(parameters=["XYZ"])


@pytest.mark.parametrize("statistics", ["columns", "rows"])
def test_a_table_of_texts_prints_whole_and_without_empty_columns(statistics: str) -> None:
    days = [0.0, 7.0, 14.0]
    values = [[0.0, 90000.0 * k, 41000.0] for k in range(1, 9)]
    cohort = Cohort.from_arrays([days] * 8, values, group=["dose level 1", "dose level 2"] * 4)
    labels = noncompartmental(cohort).summary_text("group", ["CMAX", "TMAX"], statistics=statistics)
    lines = str(labels).splitlines()
    assert len(lines) == 1 + len(labels)
    assert max(map(len, lines)) <= 120
    assert "..." not in str(labels)
    assert not {"analyte", "specimen", "flagged", "code"} & set(lines[0].split())
    assert "[90,000; 630,000]" in str(labels)
