"""Tables, summaries and the record of what was done."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.result import NCAResult
from cellkinetics.nca.summary import STATISTICS, describe, gaps

DAYS = [0.0, 2.0, 7.0, 14.0, 21.0, 28.0, 42.0, 56.0]
VALUES = [0.0, 100.0, 800.0, 400.0, 200.0, 100.0, 0.0, 0.0]


@pytest.fixture
def result() -> NCAResult:
    return noncompartmental(
        Cohort.from_arrays(
            [DAYS, DAYS, [0.0, 7.0]],
            [VALUES, [2 * value for value in VALUES], [0.0, 0.0]],
            lloq=20.0,
            subject=["P01", "P02", "P03"],
            group=["A", "A", "B"],
        ),
        windows=[(0, 28)],
    )


def test_the_long_table_keeps_its_schema(result: NCAResult) -> None:
    assert result.table.columns.tolist() == [
        *("subject", "analyte", "interval_start", "interval_end", "parameter", "value", "unit"),
        *("status", "reason_code", "reason", "occasion", "group", "specimen"),
    ]
    assert result.table["subject"].drop_duplicates().tolist() == ["P01", "P02", "P03"]
    windows = result.table[result.table["parameter"] == "AUCINT"]
    assert (windows["interval_start"] == 0).all()
    assert (windows["interval_end"] == 28).all()
    units = result.table.drop_duplicates("parameter").set_index("parameter")["unit"]
    assert units[["CMAX", "TMAX", "AUCINT", "AUMCLST", "LAMZ", "AUCPEO", "LAMZNPT"]].tolist() == [
        *("copies/ug", "day", "day*copies/ug", "day2*copies/ug", "1/day", "%", ""),
    ]


def test_wide_and_long_tables_hold_the_same_numbers(result: NCAResult) -> None:
    assert result.wide["subject"].tolist() == ["P01", "P02", "P03"]
    long = result.table[result.table["parameter"] == "AUCINT"]["value"].to_numpy()
    assert np.array_equal(result.wide["AUCINT_0_28"].to_numpy(), long, equal_nan=True)


def test_points_tell_which_samples_make_the_terminal_line(result: NCAResult) -> None:
    points = result.points[result.points["subject"] == "P01"]
    line = points[points["role"] == "lambda_z"]
    assert line["time"].tolist() == [14, 21, 28]
    assert line["used"].all()
    assert line["row"].tolist() == [5, 6, 7]
    others = points[points["role"] != "lambda_z"].set_index("time")["role"].to_dict()
    assert others == {0.0: "substituted", 42.0: "substituted", 56.0: "dropped"}


def test_points_that_the_line_leaves_out_are_named() -> None:
    days, values = [0.0, 7.0, 10.0, 14.0, 21.0, 28.0], [0.0, 900.0, 880.0, 400.0, 200.0, 100.0]
    points = noncompartmental(Cohort.from_arrays([days], [values])).points
    left_out = points[(points["role"] == "lambda_z") & ~points["used"]]
    assert left_out["time"].tolist() == [10.0]
    assert left_out["reason_code"].tolist() == ["not_best_fit"]


def test_a_row_number_follows_its_sample_through_sorting() -> None:
    days = [28.0, -1.0, 7.0, 14.0, 21.0, 0.0, float("nan")]
    values = [100.0, 5.0, 800.0, 400.0, 200.0, 0.0, 3.0]
    points = noncompartmental(Cohort.from_arrays([days], [values])).points
    found = points[["row", "time", "role", "value"]].to_numpy().tolist()
    assert found[:-1] == [
        [3, -1.0, "excluded", 5.0],
        [7, 0.0, "substituted", 0.0],
        [5, 14.0, "lambda_z", 400.0],
        [6, 21.0, "lambda_z", 200.0],
        [2, 28.0, "lambda_z", 100.0],
    ]
    assert found[-1][0] == 8
    assert math.isnan(found[-1][1])


def test_summary_statistics_worked_out_by_hand() -> None:
    numbers = describe(np.array([1.0, 2.0, 4.0, 8.0, np.nan]))
    s = math.log(2) * math.sqrt(5 / 3)
    sd = math.sqrt((2.75**2 + 1.75**2 + 0.25**2 + 4.25**2) / 3)
    expected = {
        "n": 4,
        "n_missing": 1,
        "mean": 3.75,
        "sd": sd,
        "cv_percent": 100 * sd / 3.75,
        "n_geometric": 4,
        "geometric_mean": 2**1.5,
        "geometric_sd": math.exp(s),
        "geometric_cv_percent": 100 * math.sqrt(math.exp(s * s) - 1),
        "median": 3.0,
        "q1": 1.75,
        "q3": 5.0,
        "min": 1.0,
        "max": 8.0,
        "ci_low": 3.75 - 3.182446305284263 * sd / 2,  # t(3), two-sided 95 %, from tables
        "ci_high": 3.75 + 3.182446305284263 * sd / 2,
    }
    assert numbers == pytest.approx(expected, rel=1e-12)


def test_several_occasions_of_a_subject_are_never_pooled() -> None:
    cohort = Cohort.from_arrays(
        [[0, 7, 14]] * 3, [[0, 900, 400], [0, 100, 40], [0, 700, 300]], subject=["A", "A", "B"], group=["x"] * 3
    )
    result = noncompartmental(replace(cohort, occasion=("1", "2", "1")), parameters="CMAX")
    for by in (None, "group", ["occasion", "group"], ["group", "occasion"]):
        summary = result.summary(by)
        assert summary[["occasion", "n", "mean"]].to_numpy().tolist() == [["1", 2, 800.0], ["2", 1, 100.0]]
    assert list(result.summary("group").columns[:4]) == ["analyte", "specimen", "occasion", "group"]
    rows = result.summary_text("group", statistics="rows")
    assert rows[rows["statistic"] == "n"][["occasion", "x"]].to_numpy().tolist() == [["1", "2"], ["2", "1"]]
    single = noncompartmental(replace(cohort, subject=("A", "C", "B"), occasion=("1", "2", "1")), parameters="CMAX")
    assert "occasion" not in single.summary("group")
    unnamed = noncompartmental(replace(cohort, occasion=("1", "1", "2")), parameters="CMAX")
    assert "occasion" not in unnamed.summary("group")


def test_a_zero_never_enters_a_geometric_mean_silently() -> None:
    numbers = describe(np.array([0.0, 10.0, 1000.0]))
    assert (numbers["n"], numbers["n_geometric"]) == (3, 2)
    assert numbers["geometric_mean"] == pytest.approx(100.0)
    assert math.isnan(describe(np.array([0.0]))["geometric_mean"])


def test_summary_by_group_counts_what_is_missing_and_why(result: NCAResult) -> None:
    summary = result.summary(by="group").set_index(["group", "parameter"])
    assert summary.loc[("A", "CMAX"), "geometric_mean"] == pytest.approx(800 * math.sqrt(2))
    assert summary.loc[("B", "CMAX"), "n"] == 0
    assert summary.loc[("B", "CMAX"), "n_missing"] == 1
    assert summary.loc[("B", "CMAX"), "missing_reasons"] == "no_quantifiable: 1"
    assert math.isnan(summary.loc[("A", "LAMZ"), "sd"]) is False
    overall = result.summary().set_index("parameter")
    assert overall.loc["CMAX", "n"] == 2
    assert pd.api.types.is_numeric_dtype(overall["geometric_mean"])


def test_summary_groups_by_covariates_and_refuses_what_it_does_not_know(result: NCAResult) -> None:
    cohort = replace(result.cohort, covariates={"response": np.array(["CR", "PD", "PD"])})
    result = replace(result, cohort=cohort)
    summary = result.summary(by=["response", "group"])
    assert summary[["response", "group"]].drop_duplicates().to_numpy().tolist() == [
        ["CR", "A"],
        ["PD", "A"],
        ["PD", "B"],
    ]
    with pytest.raises(SettingsError, match="response"):
        result.summary(by="age")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1.0, 2.0], ""),
        ([], "no value"),
        ([5.0], "one value: no spread and no interval"),
        ([0.0], "one value: no spread and no interval; no value above zero: no geometric mean"),
        ([0.0, 0.0], "the mean is zero: no CV; no value above zero: no geometric mean"),
        ([0.0, 5.0], "one value above zero: no geometric spread"),
        ([-1.0, -2.0], "no value above zero: no geometric mean"),
        (
            [1e308, 1.5e308],
            "mean, sd, cv_percent, ci_low, ci_high: beyond the range of double-precision numbers",
        ),
        (
            [1e300, 1e-300],
            "sd, cv_percent, geometric_cv_percent, geometric_sd, ci_low, ci_high: "
            "beyond the range of double-precision numbers",
        ),
    ],
)
def test_an_empty_statistic_has_its_reason(values: list[float], reason: str) -> None:
    numbers = describe(np.array(values))
    assert gaps(numbers) == reason
    assert any(math.isnan(value) for value in numbers.values()) == bool(reason)


def test_every_row_of_a_summary_with_an_empty_statistic_has_a_reason(result: NCAResult) -> None:
    summary = result.summary(by="group")
    assert summary.columns[-1] == "reason"
    empty = summary[list(STATISTICS)].isna().any(axis=1)
    assert empty.any()
    assert ((summary["reason"] != "") == empty).all()


def test_flagged_values_stay_and_are_counted() -> None:
    result = noncompartmental(Cohort.from_arrays([[0.0, 0.5, 7.0]], [[0.0, 900.0, 400.0]]), parameters="CMAX")
    assert result.table[["value", "status"]].to_numpy().tolist() == [[900.0, "flagged"]]
    assert result.summary()["n_flagged"].tolist() == [1]
    assert result.n_flagged == 1
    assert "1 of them flagged" in result.status


def test_a_result_becomes_plain_python(result: NCAResult) -> None:
    plain = result.to_dict()
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again["options"]["windows"] == [[0.0, 28.0]]
    assert len(again["table"]) == len(result.table)
    assert any(row["value"] is None and row["reason_code"] for row in again["table"])


def test_a_result_prints_as_a_table(result: NCAResult) -> None:
    text = repr(result)
    assert text.startswith("NCAResult: 3 profiles")
    assert "P02 1600.0" in text
    assert "reason" in result.status


def test_csv_has_empty_cells_and_no_text_nan(result: NCAResult) -> None:
    csv = result.table.to_csv(index=False)
    assert "nan" not in csv.lower()
    assert ",inf" not in csv.lower()


def test_public_names() -> None:
    assert ck.noncompartmental is noncompartmental
    assert ck.NCAResult is NCAResult
    assert ck.NCAOptions().route == "cells"


def test_importing_the_analysis_loads_no_scipy() -> None:
    script = "import sys, cellkinetics.nca.engine; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_analysis_loads_nothing_heavy() -> None:
    script = (
        "import sys; from cellkinetics import Cohort, noncompartmental;"
        "r = noncompartmental(Cohort.from_arrays([[0., 7., 14.]], [[0., 900., 400.]]));"
        "r.table, r.wide, r.points, r.summary();"
        "print(sorted({'jax', 'lmfit', 'matplotlib', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
