"""Small awkward profiles: each gives values or reasons, never an exception, never an infinity."""

from decimal import Decimal, getcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.reading import read
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.result import NCAResult

getcontext().prec = 50


@pytest.fixture(scope="module")
def frame(shared: Path) -> pd.DataFrame:
    return pd.read_csv(shared / "reference" / "edge_cases.csv")


@pytest.fixture(scope="module")
def cohort(frame: pd.DataFrame) -> Cohort:
    """The cases without the reader's help: unsorted, with missing and infinite numbers."""
    parts = list(frame.groupby("CASE", sort=False))
    return Cohort.from_arrays(
        [part["TIME"].tolist() for _, part in parts],
        [part["DV"].tolist() for _, part in parts],
        subject=[str(name) for name, _ in parts],
    )


@pytest.fixture(scope="module")
def result(cohort: Cohort) -> NCAResult:
    return noncompartmental(cohort, parameters="all")


def value(result: NCAResult, case: str, column: str) -> float:
    return float(result.wide.set_index("subject").loc[case, column])


def reason(result: NCAResult, case: str, code: str, end: float | None = None) -> str:
    table = result.table
    row = table[(table["subject"] == case) & (table["parameter"] == code)]
    if end is not None:
        row = row[row["interval_end"] == end]
    assert len(row) == 1
    return str(row["reason_code"].iloc[0])


@pytest.mark.parametrize("route", ["cells", "bolus", "infusion", "extravascular"])
@pytest.mark.parametrize("method", ["linear", "linear-up-log-down", "linear-log", "log"])
def test_every_value_is_finite_or_has_a_reason(cohort: Cohort, route: str, method: str) -> None:
    options = NCAOptions(route=route, auc_method=method, infusion_duration=0.1)
    table = noncompartmental(cohort, parameters="all", options=options).table
    assert table["subject"].nunique() == 35
    empty = table["value"].isna()
    assert np.isfinite(table.loc[~empty, "value"]).all()
    assert ((table["status"] == "not_calculated") == empty).all()
    assert ((table["reason_code"] == "") == (table["status"] == "ok")).all()


@pytest.mark.parametrize("blq", ["pknca", "winnonlin", "zero", "drop", {"before": 0.0, "first_after": "zero"}])
@pytest.mark.parametrize("time_zero", ["zero", "none", "first", "c0"])
def test_no_rule_makes_a_number_without_meaning(cohort: Cohort, blq: object, time_zero: str) -> None:
    table = noncompartmental(cohort, options=NCAOptions(blq=blq, time_zero=time_zero)).table
    areas = table[table["parameter"].isin(["AUCLST", "AUCALL", "AUCINT", "AUCINTPE"])]["value"].dropna()
    assert (areas >= 0).all()
    assert np.isfinite(areas).all()


def test_cases_read_from_the_file_lose_only_the_faulty_profiles(frame: pd.DataFrame) -> None:
    wide = noncompartmental(read(frame, mapping={"subject": "CASE"})).wide
    assert len(wide) == 35
    lost = set(wide["subject"][wide["AUCLST"].isna()])
    assert lost == {
        *("dup_times_same", "dup_times_diff", "all_na", "inf_conc", "neg_conc", "neg_conc_tail", "one_point_t0"),
    }


def test_near_equal_concentrations_keep_their_digits(result: NCAResult) -> None:
    points = [(10, "1000"), (20, "999.9999999999"), (30, "999.9999999997"), (40, "500"), (50, "250")]
    area = Decimal(10 * 500)  # 0 to 10: a rise, linear
    for (t1, c1), (t2, c2) in pairwise(points):
        a, b = Decimal(float(c1)), Decimal(float(c2))
        area += (t2 - t1) * (a - b) / (a / b).ln()
    assert value(result, "near_equal", "AUCLST") == pytest.approx(float(area), rel=1e-14)
    assert round(value(result, "near_equal", "AUCLST"), 1) == 35820.2


def test_all_blq_has_area_zero_and_no_peak(result: NCAResult) -> None:
    assert [value(result, "all_blq", column) for column in ("AUCLST", "AUCALL", "AUCINT_0_84")] == [0.0, 0.0, 0.0]
    for code in ("CMAX", "TMAX", "CLST", "TLST", "TFQ", "LAMZ", "AUCIFO"):
        assert reason(result, "all_blq", code) == "no_quantifiable"
    assert reason(result, "all_blq", "MRTIBLST") == "zero_area"


def test_a_window_that_ends_between_two_blq_samples_has_a_value(result: NCAResult) -> None:
    # 750 up to the only value, 500 at day 10; then a triangle to the first BLQ sample, day 14
    assert value(result, "single_positive", "AUCINT_0_84") == 750 + 500 * 4 / 2
    assert value(result, "single_positive", "AUCINTPE_0_84") == 0


def test_a_blq_sample_between_two_values_is_left_out(result: NCAResult) -> None:
    # 5000 at day 10, BLQ at day 14, 800 at day 28
    before = 150 + 3 * 500 + 3 * 2950  # the rise from day 1 to day 10
    assert value(result, "zeros_middle", "AUCINT_0_28") == pytest.approx(
        before + 18 * 4200 / np.log(5000 / 800), rel=1e-14
    )


def test_faults_are_named(result: NCAResult) -> None:
    assert reason(result, "dup_times_diff", "AUCLST") == "duplicate_time"
    assert reason(result, "inf_conc", "CMAX") == "infinite_value"
    assert reason(result, "all_na", "CMAX") == "no_samples"
    assert value(result, "all_na", "NSAMPLE") == 0
    assert reason(result, "one_point_t0", "AUCLST") == "no_interval"
    assert reason(result, "two_points", "LAMZ") == "too_few_points"
    assert reason(result, "increasing_terminal", "LAMZ") == "slope_not_negative"
    assert reason(result, "cmax_last", "AUCINT", 84.0) == "window_not_covered"


def test_a_constant_profile_is_no_error(result: NCAResult) -> None:
    assert value(result, "constant", "AUCLST") == 16800
    assert reason(result, "constant", "LAMZ") == "slope_not_negative"


def test_missing_time_zero_costs_nothing(result: NCAResult) -> None:
    for column in ("AUCLST", "AUCINT_0_28", "LAMZHL", "MRTIBIFO"):
        assert value(result, "no_time_zero", column) == value(result, "unsorted", column)
        assert value(result, "predose_negative_t", column) == value(result, "unsorted", column)


def test_predose_and_imputed_samples_are_recorded(result: NCAResult) -> None:
    points = result.points[result.points["subject"] == "predose_negative_t"]
    assert points.iloc[0][["time", "role", "used", "reason_code"]].tolist() == [
        -0.5,
        "excluded",
        False,
        "before_infusion",
    ]
    imputed = points[points["role"] == "imputed"].iloc[0]
    assert (imputed["time"], imputed["value"], imputed["reason_code"]) == (0.0, 0.0, "no_time_zero")
    assert pd.isna(imputed["row"])


def test_tiny_and_huge_values_scale(result: NCAResult) -> None:
    for case, scale in (("tiny_values", 1e-300), ("huge_values", 1e300)):
        for column in ("AUCLST", "AUCIFO", "AUMCIFO", "AUCINT_0_28"):
            expected = value(result, "unsorted", column) * scale
            assert value(result, case, column) == pytest.approx(expected, rel=1e-10)
        assert value(result, case, "LAMZHL") == pytest.approx(value(result, "unsorted", "LAMZHL"), rel=1e-12)


def test_an_area_beyond_the_largest_number_is_a_reason() -> None:
    cohort = Cohort.from_arrays([[0.0, 10.0, 20.0, 30.0, 40.0]], [[0.0, 1e308, 9e307, 5e307, 1e307]])
    result = noncompartmental(cohort)
    assert value(result, "1", "CMAX") == 1e308
    assert reason(result, "1", "AUCLST") == "overflow"
    assert reason(result, "1", "MRTIBLST") == "overflow"
    assert value(result, "1", "LAMZNPT") == 3
