"""Which points the terminal line has: by the rules, and by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.picks import read_slopes
from cellkinetics.nca.result import NCAResult

# after a peak of 1024 at day 7, half every week without any scatter
DAYS = [0.0, 7.0, 14.0, 21.0, 28.0, 35.0, 42.0, 49.0]
VALUES = [0.0, 1024.0, 512.0, 256.0, 128.0, 64.0, 32.0, 16.0]


def analyse(days: list[float] = DAYS, values: list[float] = VALUES, **options: Any) -> NCAResult:
    cohort = Cohort.from_arrays([days], [values], subject=["P01"])
    return noncompartmental(cohort, options=NCAOptions(windows="0-28", **options), parameters="core")


def line(result: NCAResult) -> tuple[float, float, float]:
    return tuple(result.wide[["LAMZLL", "LAMZUL", "LAMZNPT"]].iloc[0])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (14, 49, 6)),
        ({"lambda_z_max_points": 4}, (28, 49, 4)),
        ({"lambda_z_not_before": 21}, (21, 49, 5)),
        ({"lambda_z_not_after": 42}, (14, 42, 5)),
        ({"lambda_z_not_before": 21, "lambda_z_not_after": 35}, (21, 35, 3)),
        ({"lambda_z_min_span": 5.0}, (14, 49, 6)),
        ({"slopes": [{"subject": "P01", "first": 7, "last": 28}]}, (7, 28, 4)),
        ({"slopes": [{"subject": "P01", "exclude": [14], "reason": "late"}]}, (21, 49, 5)),
    ],
)
def test_a_restriction_moves_the_points(options: dict[str, Any], expected: tuple[float, ...]) -> None:
    result = analyse(**options)
    assert line(result) == expected
    assert result.wide["LAMZHL"].iloc[0] == pytest.approx(7.0, rel=1e-13)


def test_a_span_that_no_line_has_leaves_none() -> None:
    row = analyse(lambda_z_min_span=5.5).table.set_index("parameter").loc["LAMZ"]
    assert row["reason_code"] == "slope_not_negative"


def test_weights_are_those_of_numpy() -> None:
    values = [0.0, 1000.0, 500.0, 270.0, 110.0, 70.0, 29.0, 17.0]
    for weights, power in (("1", 0.0), ("1/y", 1.0), ("1/y2", 2.0)):
        result = analyse(values=values, lambda_z_weights=weights, slopes=[{"subject": "P01", "first": 14, "last": 49}])
        x, c = np.array(DAYS[2:]), np.array(values[2:])
        # polyfit multiplies the residual, so that its weight is the square root of ours
        slope, intercept = np.polyfit(x, np.log(c), 1, w=c ** (-power / 2.0))
        wide = result.wide.iloc[0]
        assert wide["LAMZ"] == pytest.approx(-slope, rel=1e-12)
        assert wide["LAMZICPT"] == pytest.approx(intercept, rel=1e-12)
        w = c**-power
        mx, my = np.average(x, weights=w), np.average(np.log(c), weights=w)
        r2 = np.sum(w * (x - mx) * (np.log(c) - my)) ** 2 / (
            np.sum(w * (x - mx) ** 2) * np.sum(w * (np.log(c) - my) ** 2)
        )
        assert wide["R2"] == pytest.approx(r2, rel=1e-12)


def test_the_order_of_pknca_loses_a_profile_whose_best_line_rises() -> None:
    # the last three points rise on a line without scatter, whose adjusted R2 is 1
    days, values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 900.0, 300.0, 10.0, 20.0, 40.0]
    assert line(analyse(days, values)) == (2, 5, 4)
    row = analyse(days, values, lambda_z_order="pknca").table.set_index("parameter").loc["LAMZ"]
    assert row["reason_code"] == "slope_not_negative"
    assert line(analyse(lambda_z_order="pknca")) == (14, 49, 6)


def test_times_chosen_by_hand_may_hold_the_peak_and_need_three_points() -> None:
    row = analyse(slopes=[{"subject": "P01", "first": 35, "last": 42}]).table.set_index("parameter").loc["LAMZ"]
    assert row["reason_code"] == "too_few_points"


def test_what_was_left_out_by_hand_is_told_with_its_reason() -> None:
    points = analyse(slopes=[{"subject": "P01", "exclude": [21], "reason": "haemolysed"}]).points
    row = points[(points["role"] == "lambda_z") & (points["time"] == 21)].iloc[0]
    assert not row["used"]
    assert (row["reason_code"], row["reason"]) == ("excluded_by_hand", "left out by hand: haemolysed")


def test_a_choice_for_nobody_is_refused() -> None:
    with pytest.raises(SettingsError, match="no profile of subject 'P09'"):
        analyse(slopes=[{"subject": "P09", "first": 7, "last": 28}])
    with pytest.raises(SettingsError, match="two choices"):
        analyse(slopes=[{"subject": "P01", "first": 7, "last": 28}] * 2)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"exclude": [14, 22], "reason": "haemolysed"},
            r"subject 'P01' has no sample at time 22 \(exclude\); the nearest samples are at 21 and 28;",
        ),
        ({"first": 6.9, "last": 28}, r"time 6.9 \(first\); the nearest samples are at 0 and 7;"),
        ({"first": 7, "last": 50}, r"time 50 \(last\); the nearest samples are at 49;"),
    ],
)
def test_a_chosen_time_without_a_sample_is_refused_with_the_nearest(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        analyse(slopes=[{"subject": "P01", **choice}])


def test_a_chosen_time_need_be_that_of_one_of_the_profiles_only() -> None:
    cohort = Cohort.from_arrays(
        [DAYS, [day + 0.25 for day in DAYS]], [VALUES, VALUES], subject=["P01"] * 2, specimen=["A", "B"]
    )
    options = NCAOptions(slopes=[{"subject": "P01", "exclude": [14.25], "reason": "haemolysed"}])
    assert noncompartmental(cohort, options=options).wide["LAMZNPT"].tolist() == [6, 5]


def test_a_chosen_time_is_that_of_its_sample_but_for_rounding() -> None:
    days = [0.0, 0.1 + 0.2, 1.0, 2.0, 3.0]
    options = {"slopes": [{"subject": "P01", "first": 0.3, "last": 2.0}]}
    assert line(analyse(days, [0.0, 8.0, 4.0, 2.0, 1.5], **options))[2] == 3  # 0.1 + 0.2 is above 0.3
    days[1] = 0.3
    options = {"slopes": [{"subject": "P01", "first": 0.1 + 0.2, "last": 2.0}]}
    assert line(analyse(days, [0.0, 8.0, 4.0, 2.0, 1.5], **options))[2] == 3


def test_a_table_of_choices_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--slopes nope.csv: there is no such file$"):
        read_slopes(Path("nope.csv"))
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory\)"):
        read_slopes(tmp_path)


def test_choices_reach_only_the_profiles_that_they_name() -> None:
    cohort = Cohort.from_arrays([DAYS, DAYS], [VALUES, VALUES], subject=["P01", "P02"])
    options = NCAOptions(slopes=[{"subject": "P02", "first": 7, "last": 28}])
    assert noncompartmental(cohort, options=options).wide["LAMZUL"].tolist() == [49, 28]


def test_nominal_times_stand_for_the_actual_ones() -> None:
    cohort = Cohort.from_arrays([DAYS], [VALUES])
    with pytest.raises(SettingsError, match="nominal"):
        noncompartmental(cohort, options=NCAOptions(time="nominal"))
    planned = replace(cohort, nominal_time=2.0 * cohort.time)
    wide = noncompartmental(planned, options=NCAOptions(time="nominal")).wide.iloc[0]
    assert (wide["TMAX"], wide["TLST"]) == (14, 98)
    assert wide["LAMZHL"] == pytest.approx(14.0, rel=1e-13)


def test_a_table_of_choices_goes_through_the_command_and_into_the_manifest(
    tmp_path: Path, cli: Callable[..., Any]
) -> None:
    pd.DataFrame({"subject": "P01", "time": DAYS, "value": VALUES}).to_csv(tmp_path / "trial.csv", index=False)
    (tmp_path / "slopes.csv").write_text("subject,first,last,exclude,reason\nP01,7,35,21;28,haemolysed\n")
    done = cli("nca", "trial.csv", "--slopes", "slopes.csv", "--lambda-z-weights", "1/y", "--quiet")
    assert done.code == 0, done.err
    wide = pd.read_csv(done.folder / "nca_wide.csv").iloc[0]
    assert (wide["LAMZLL"], wide["LAMZUL"], wide["LAMZNPT"]) == (7, 35, 3)
    manifest = (done.folder / "manifest.json").read_text()
    assert "haemolysed" in manifest
    assert '"lambda_z_weights": "1/y"' in manifest


def test_thresholds_go_through_the_command(tmp_path: Path, cli: Callable[..., Any]) -> None:
    pd.DataFrame({"subject": "P01", "time": DAYS, "value": VALUES}).to_csv(tmp_path / "trial.csv", index=False)
    done = cli("nca", "trial.csv", "--accept", "span_min=5.5", "--accept", "r2adj_min=none", "--quiet")
    assert done.code == 0, done.err
    table = pd.read_csv(done.folder / "nca.csv").set_index("parameter")
    assert table.loc["LAMZ", "reason_code"] == "span_short"
    assert '"r2adj_min": null' in (done.folder / "manifest.json").read_text()
    assert cli("nca", "trial.csv", "--accept", "r2=0.8", "--force").code == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("subject,start\nP01,7\n", "'start'"),
        ("first,last\n7,9\n", "no column 'subject'"),
        ("subject,first,last\nP01,seven,9\n", "line 2"),
        ("subject,first,last\nP01,7,9\nP02,7,\n", "line 3"),
    ],
)
def test_a_faulty_table_of_choices_is_told_with_its_line(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "slopes.csv").write_text(text)
    with pytest.raises(SettingsError, match=word):
        read_slopes(tmp_path / "slopes.csv")
