"""The options are valid by construction, and say what is wrong."""

import numpy as np
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.idle import idle_options
from cellkinetics.nca.options import BLQ_PRESETS, Acceptance, BLQRules, NCAOptions, Slope, parse_windows


def test_defaults_are_the_rules_of_the_house() -> None:
    options = NCAOptions()
    assert options.auc_method == "linear-up-log-down"
    assert options.windows == ((0.0, 28.0), (0.0, 84.0), (0.0, 168.0))
    assert (options.blq.before, options.blq.between, options.blq.first_after, options.blq.later) == (
        "zero",
        "drop",
        "zero",
        "drop",
    )
    assert options.time_zero_rule == "zero"
    assert NCAOptions(route="bolus").time_zero_rule == "c0"


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"auc_method": "trapezoid"}, "auc_method"),
        ({"windows": "0-28,x"}, "'x'"),
        ({"windows": [(28, 28)]}, "28-28"),
        ({"windows": [(-1, 28)]}, "-1-28"),
        ({"windows": [(0, float("inf"))]}, "0-inf"),
        ({"blq": "phoenix"}, "winnonlin"),
        ({"blq": {"before": "half"}}, "before"),
        ({"lambda_z_min_points": 2}, "lambda_z_min_points"),
        ({"lambda_z_weights": "y"}, "lambda_z_weights"),
        ({"slopes": [{"subject": "1"}]}, "first and last, or times"),
        ({"slopes": [{"subject": "1", "first": 7.0}]}, "both first and last"),
        ({"slopes": [{"subject": "1", "first": 7.0, "last": 7.0}]}, "after first"),
        ({"slopes": [{"subject": "1", "exclude": [7.0]}]}, "reason"),
        ({"colour": "red"}, "colour: there is no such option; there are auc_method, windows"),
        ({"tau": -12.0}, "tau: must be above 0, not -12$"),
        ({"acceptance": {"foo": 1}}, "acceptance.foo: there is no such name; there are r2adj_min, span_min"),
        ({"acceptance": {"r2adj_min": float("nan")}}, "acceptance.r2adj_min: must be a finite number"),
        ({"route": "oral"}, "route: takes cells, bolus, infusion or extravascular, not 'oral'"),
        ({"windows": [(1,)]}, "windows: takes pairs of a start and an end"),
        ({"blq": 3}, "blq: takes the name of a preset"),
        ({"lambda_z_min_points": 5, "lambda_z_max_points": 4}, "lambda_z_max_points: 4 is less"),
        ({"lambda_z_not_before": 5, "lambda_z_not_after": 5}, "lambda_z_not_after: 5 is not later"),
    ],
)
def test_a_wrong_option_is_named(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        NCAOptions(**wrong)


@pytest.mark.parametrize(
    ("options", "parameters", "idle"),
    [
        ({}, "core", []),
        ({"tau": 12, "infusion_duration": 1, "steady_state": "all", "time_zero": "c0"}, "core", 4),
        ({"route": "extravascular", "tau": 12, "steady_state": "all"}, "core", []),
        ({"route": "extravascular", "infusion_duration": 1}, "core", ["infusion_duration"]),
        ({"route": "infusion", "infusion_duration": 1}, "CMAX", ["infusion_duration"]),
        ({"route": "infusion", "infusion_duration": 1}, "core,drug", []),
        ({"route": "bolus", "steady_state": "all"}, "core", ["steady_state"]),
        ({"route": "bolus", "time_zero": "c0"}, "core", []),
        ({"route": "extravascular", "time_zero": "c0"}, "core", ["time_zero"]),
        ({"time_zero": "minimum"}, "core", ["time_zero"]),
        ({"dose": 5, "days": "14", "threshold": 9}, "core", ["dose", "days", "threshold"]),
        ({"dose": 5, "days": "14", "threshold": 9}, "core,cellular,drug", []),
    ],
)
def test_options_that_do_nothing_are_told(options: dict[str, object], parameters: str, idle: list[str] | int) -> None:
    found = [sentence.split(":")[0] for sentence in idle_options(NCAOptions(**options), parameters, tau=False)]
    assert (len(found) if isinstance(idle, int) else found) == idle


def test_steady_state_for_all_is_not_idle_where_the_data_have_intervals() -> None:
    assert not idle_options(NCAOptions(route="bolus", steady_state="all"), tau=True)


def test_options_survive_a_round_trip_through_json() -> None:
    options = NCAOptions(
        windows="0-7",
        blq=BLQRules(before=0.25),
        acceptance=Acceptance(span_min=None),
        slopes=[Slope(subject="P01", first=7, last=28), Slope(subject="P02", exclude=[7], reason="haemolysed")],
    )
    assert NCAOptions.model_validate_json(options.model_dump_json()) == options


def test_a_blq_preset_is_its_rules() -> None:
    assert NCAOptions(blq="winnonlin").blq == BLQ_PRESETS["winnonlin"] == BLQRules(first_after="drop")


@pytest.mark.parametrize(
    ("preset", "levels"),
    [
        # 0 before; then two below quantification, one quantified, two more below quantification; LLOQ 20
        ("qpnca-1", [0, None, None, None, None]),
        ("qpnca-2", [0, 0, 0, 0, 0]),
        ("qpnca-3", [0, 10, None, 10, None]),
        ("qpnca-4", [0, 10, 0, 10, 0]),
    ],
)
def test_the_rules_of_qpnca_go_by_the_first_of_each_run(preset: str, levels: list[float | None]) -> None:
    cohort = Cohort.from_arrays([[0, 1, 2, 3, 4, 5, 6]], [[0, 100, 0, 0, 50, 0, 0]], lloq=20.0)
    points = noncompartmental(cohort, options=NCAOptions(blq=preset)).points
    blq = points[points["reason_code"] == "below_quantification"].sort_values("time")
    assert blq["time"].tolist() == [0, 2, 3, 5, 6]
    assert [value if used else None for value, used in zip(blq["value"], blq["used"], strict=True)] == levels


def test_repeated_windows_count_once() -> None:
    assert NCAOptions(windows=[(0, 28), (0.0, 28.0)]).windows == ((0.0, 28.0),)
    assert parse_windows("") == ()


def test_rules_for_blq_may_be_given_by_place_as_text() -> None:
    assert NCAOptions(blq="before=lloq, later=0.25").blq == BLQRules(before="lloq", later=0.25)
    assert NCAOptions(blq="pknca,between=zero").blq == BLQRules(between="zero", later="zero")
    assert NCAOptions(blq="qpnca-3").blq == BLQ_PRESETS["qpnca-3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "no preset 'nobody'"),
        ("pknca,zero", "'zero' is no rule for a place"),
        ("middle=zero", "one of the places before, between"),
        ("before=half", r"blq.before: takes zero, drop, lloq, lloq/2, or a factor of the LLOQ .*, not 'half'"),
        ("before=zero,before=drop", "two rules for before"),
        ("", "no preset ''"),
    ],
)
def test_text_that_is_no_rule_for_blq_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        NCAOptions(blq=text)


def test_rules_may_be_given_by_name_and_win_over_the_options() -> None:
    cohort = Cohort.from_arrays([[0, 1, 2, 4]], [[0, 100, 50, 20]])
    options = NCAOptions(route="extravascular", auc_method="linear")
    result = noncompartmental(cohort, options=options, route="bolus", time_zero="c0")
    assert (result.options.route, result.options.auc_method, result.options.time_zero) == ("bolus", "linear", "c0")
    assert noncompartmental(cohort, windows="0-4").options.windows == ((0.0, 4.0),)
    with pytest.raises(SettingsError, match="routes: there is no such option; there are auc_method"):
        noncompartmental(cohort, routes="bolus")
    with pytest.raises(SettingsError, match="route: takes cells, bolus"):
        noncompartmental(cohort, route="oral")


def test_the_whole_area_ends_at_the_last_sample_that_counts() -> None:
    # after 100 at 2: 0 at 4 and later left out; or 10 (the LLOQ) at 4 and at 8
    cohort = Cohort.from_arrays([[0, 2, 4, 8]], [[0, 100, 0, 0]], lloq=10.0)
    areas = {
        blq: float(noncompartmental(cohort, parameters="AUCALL", auc_method="linear", blq=blq).wide["AUCALL"].iloc[0])
        for blq in ("default", "first_after=lloq,later=lloq", "winnonlin")
    }
    assert list(areas.values()) == [100 + 100, 100 + 110 + 40, 100]


def test_a_window_beyond_the_last_sample_has_the_whole_tail_and_says_so() -> None:
    days, values = [0, 7, 14, 21, 28, 35, 42, 60], [0, 100, 1000, 300, 100, 30, 0, 0]
    result = noncompartmental(Cohort.from_arrays([days], [values], lloq=1.0), windows="0-60,0-61")
    wide = result.wide.iloc[0]
    tail = 30 / wide["LAMZ"] * (1 - np.exp(-wide["LAMZ"] * (61 - 35)))
    assert wide["AUCINT_0_60"] == pytest.approx(wide["AUCLST"] + 30 * 7 / 2)  # a triangle to the first of them
    assert wide["AUCINT_0_61"] == pytest.approx(wide["AUCLST"] + tail)
    assert wide["AUCINTPE_0_60"] == 0 < wide["AUCINTPE_0_61"]
