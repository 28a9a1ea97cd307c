"""The intervals add up to the areas of the analysis, and say how each came about."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.reading import read
from cellkinetics.nca import intervals
from cellkinetics.nca.curve import Curve, Samples
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.intervals import INTERVAL_COLUMNS
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.result import NCAResult

AREAS = {"AUCLST", "AUCALL", "AUCIFO", "AUCIFP", "AUCINT", "AUCTAU"}
METHODS = ["linear", "linear-up-log-down", "linear-log", "log"]
DAYS = [7.0, 14.0, 21.0, 28.0, 42.0]
VALUES = [800.0, 400.0, 200.0, 100.0, 0.0]


def sums_of(result: NCAResult) -> pd.Series:
    """Sum the file's areas by subject and value."""
    rows = result.intervals
    apart = rows.assign(areas=rows["areas"].str.split(";")).explode("areas")
    return apart[apart["areas"] != ""].groupby(["subject", "areas"])["area"].sum()


def assert_sums(result: NCAResult) -> int:
    """Compare every area of the analysis with the sum of its rows; return how many there were."""
    sums, compared = sums_of(result), 0
    for key, column in result.columns.items():
        if key.code not in AREAS:
            continue
        for subject, value in zip(result.cohort.subject, column.value, strict=True):
            summed = sums.get((subject, key.column))
            if np.isnan(value):
                assert summed is None, (subject, key)
            else:
                assert (summed or 0.0) == pytest.approx(value, rel=1e-12, abs=0), (subject, key)
                compared += 1
    return compared


def assert_well_formed(table: pd.DataFrame) -> None:
    assert tuple(table.columns) == INTERVAL_COLUMNS
    finite = table["end"].notna()
    assert (finite == (table["end_point"] != "infinity")).all()
    assert (table["start"] < table["end"])[finite].all()
    assert np.isfinite(table[["start", "start_value", "end_value", "area", "cumulative_area"]].to_numpy(float)).all()
    for side in ("start", "end"):
        sample = table[f"{side}_point"].isin(["quantified", "below_quantification"])
        assert (table[f"{side}_row"].notna() == sample).all()
    whole = table[table["interval"] == "whole"]
    running = whole.groupby("subject")["area"].cumsum()
    assert np.allclose(running, whole["cumulative_area"], rtol=1e-12, atol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", ["cells", "bolus", "extravascular"])
@pytest.mark.parametrize("name", ["theoph", "indometh", "edge_cases", "ball32"])
def test_intervals_of_the_reference_data_add_up_to_every_area(shared: Path, name: str, route: str, method: str) -> None:
    path = shared / ("data" if name == "ball32" else "reference") / f"{name}.csv"
    mapping = {"edge_cases": {"subject": "CASE"}}.get(name)
    cohort = read(path, mapping=mapping, duplicates="first")
    windows = "0-28,28-84,5-300" if name == "ball32" else "0-1,1-6.5,3-30"
    options = NCAOptions(route=route, auc_method=method)
    result = noncompartmental(cohort, windows=windows, options=options)
    assert assert_sums(result) > len(cohort)
    assert_well_formed(result.intervals)


@settings(deadline=None, max_examples=60)
@given(
    profiles=st.lists(
        st.tuples(st.lists(st.one_of(st.just(0.0), st.floats(20.0, 1e5)), max_size=9), st.floats(0.3, 40.0)), max_size=4
    ),
    window_end=st.sampled_from(["observed", "predicted", "zero", "missing"]),
    method=st.sampled_from(METHODS),
)
def test_the_intervals_of_any_profile_add_up_to_the_area_over_its_own_dosing_interval(
    profiles: list[tuple[list[float], float]], window_end: str, method: str
) -> None:
    cohort = Cohort.from_arrays(
        [[1.5 + 3.0 * i for i in range(len(levels))] for levels, _ in profiles],
        [levels for levels, _ in profiles],
        tau=[tau for _, tau in profiles],
    )
    options = NCAOptions(route="extravascular", window_end=window_end, auc_method=method, acceptance={"span_min": None})
    result = noncompartmental(cohort, options=options, parameters="AUCTAU,AUCLST")
    assert_sums(result)
    assert_well_formed(result.intervals)


times = st.integers(0, 400).map(lambda quarter_days: quarter_days / 4)
values = st.one_of(st.just(0.0), st.floats(20.0, 1e5), st.sampled_from([50.0, 500.0]))


@settings(deadline=None, max_examples=150)
@given(
    profiles=st.lists(st.lists(st.tuples(times, values), max_size=12, unique_by=lambda row: row[0]), max_size=4),
    method=st.sampled_from(METHODS),
    route=st.sampled_from(["cells", "bolus"]),
    blq=st.sampled_from(["default", "pknca", "winnonlin", "half-lloq"]),
    time_zero=st.sampled_from(["auto", "none", "first"]),
    window_end=st.sampled_from(["observed", "predicted", "zero", "missing"]),
    cuts=st.lists(st.floats(0.0, 250.0), min_size=2, max_size=4, unique=True).map(sorted),
)
def test_intervals_of_any_profile_add_up_to_every_area(
    profiles: list[list[tuple[float, float]]],
    method: str,
    route: str,
    blq: str,
    time_zero: str,
    window_end: str,
    cuts: list[float],
) -> None:
    cohort = Cohort.from_arrays(
        [[time for time, _ in rows] for rows in profiles],
        [[value for _, value in rows] for rows in profiles],
        lloq=20.0,
    )
    options = NCAOptions(
        auc_method=method,
        route=route,
        blq=blq,
        time_zero=time_zero,
        window_end=window_end,
        windows=[(a, b) for a, b in pairwise(cuts) if b - a > 1e-6],
        acceptance={"r2adj_min": None, "span_min": None, "straddle": False},
    )
    result = noncompartmental(cohort, options=options)
    assert_sums(result)
    assert_well_formed(result.intervals)


@pytest.fixture
def table() -> pd.DataFrame:
    cohort = Cohort.from_arrays([DAYS], [VALUES], lloq=20.0, subject=["P01"])
    return noncompartmental(cohort, windows="0-24,10-35").intervals


def test_the_intervals_tell_rule_points_and_rows(table: pd.DataFrame) -> None:
    whole = table[table["interval"] == "whole"].set_index("start")
    assert whole["rule"].tolist() == ["linear", "log", "log", "log", "linear"]
    assert whole["start_point"].tolist() == ["imputed", *["quantified"] * 4]
    assert whole["end_point"].tolist() == [*["quantified"] * 4, "below_quantification"]
    assert whole["start_row"].tolist() == [pd.NA, 2, 3, 4, 5]
    assert whole["end_row"].tolist() == [2, 3, 4, 5, 6]
    assert whole["areas"].loc[28.0] == "AUCALL"
    assert whole["areas"].loc[14.0] == "AUCLST;AUCALL;AUCINT_0_24;AUCINT_10_35;AUCIFO;AUCIFP"
    assert whole["area"].loc[0.0] == 2800
    assert whole["area"].loc[7.0] == pytest.approx(7 * 400 / np.log(2))


def test_parts_stand_where_a_window_cuts_an_interval(table: pd.DataFrame) -> None:
    parts = table[table["interval"] == "part"]
    assert parts[["start", "end", "areas"]].to_numpy().tolist() == [
        [21.0, 24.0, "AUCINT_0_24"],
        [10.0, 14.0, "AUCINT_10_35"],
        [28.0, 35.0, "AUCINT_10_35"],
    ]
    assert parts["end_value"].iloc[0] == pytest.approx(200 * 2 ** (-3 / 7))
    assert parts[["start_point", "end_point"]].iloc[1].tolist() == ["interpolated", "quantified"]
    until_24 = 2800 + (800 - 200 * 2 ** (-3 / 7)) * 7 / np.log(2)
    assert parts["cumulative_area"].iloc[0] == pytest.approx(until_24)


def test_a_tail_to_infinity_stands_for_each_kind_of_last_value(table: pd.DataFrame) -> None:
    tails = table[table["interval"] == "tail"]
    assert tails["areas"].tolist() == ["AUCIFO", "AUCIFP"]
    assert (tails["rule"] == "lambda_z").all()
    assert tails["area"].to_numpy() == pytest.approx(np.full(2, 100 * 7 / np.log(2)))
    assert tails["start_row"].tolist() == [5, pd.NA]


def test_the_tail_of_a_window_goes_on_from_the_last_sample() -> None:
    result = noncompartmental(
        Cohort.from_arrays([[0.0, *DAYS[:4]]], [[0.0, *VALUES[:4]]], lloq=20.0), windows="0-35,30-42"
    )
    tails = result.intervals.query("areas.str.startswith('AUCINT')")
    tails = tails[tails["interval"] == "tail"]
    assert tails[["start", "end"]].to_numpy().tolist() == [[28.0, 35.0], [30.0, 42.0]]
    assert tails["end_value"].to_numpy() == pytest.approx([50.0, 25.0])
    assert tails["start_point"].tolist() == ["quantified", "line"]


def test_a_profile_with_a_fault_or_without_a_quantifiable_sample_is_part_of_nothing() -> None:
    cohort = Cohort.from_arrays([[0.0, 7.0], [0.0, 7.0, 7.0]], [[0.0, 0.0], [0.0, 900.0, 800.0]], lloq=20.0)
    table = noncompartmental(cohort, options=NCAOptions(blq="half-lloq")).intervals
    assert table["subject"].tolist() == ["1"]
    assert table["areas"].tolist() == [""]


def test_an_empty_cohort_has_an_empty_table() -> None:
    table = noncompartmental(Cohort.from_arrays([], [])).intervals
    assert tuple(table.columns) == INTERVAL_COLUMNS
    assert table.empty


def test_intervals_are_made_in_blocks_and_the_table_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = Cohort.from_arrays([[0.0, 7, 14, 28]] * 5, [[0.0, 900 + i, 400, 100] for i in range(5)])
    whole = noncompartmental(cohort, windows="0-10,0-35").intervals
    sizes: list[int] = []
    arranged = intervals.arrange

    def counted(samples: Samples, rules: NCAOptions) -> Curve:
        sizes.append(len(samples))
        return arranged(samples, rules)

    monkeypatch.setattr(intervals, "BLOCK", 2)
    monkeypatch.setattr(intervals, "arrange", counted)
    pd.testing.assert_frame_equal(noncompartmental(cohort, windows="0-10,0-35").intervals, whole)
    assert sizes == [2, 2, 1]
