"""The options are valid by construction, and say what is wrong."""

import pytest

from cellkinetics.errors import SettingsError
from cellkinetics.nca.options import BLQ_PRESETS, Acceptance, BLQRules, NCAOptions, parse_windows


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
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_option_is_named(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        NCAOptions(**wrong)


def test_options_survive_a_round_trip_through_json() -> None:
    options = NCAOptions(windows="0-7", blq=BLQRules(before=0.25), acceptance=Acceptance(span_min=None))
    assert NCAOptions.model_validate_json(options.model_dump_json()) == options


def test_a_blq_preset_is_its_rules() -> None:
    assert NCAOptions(blq="winnonlin").blq == BLQ_PRESETS["winnonlin"] == BLQRules(first_after="drop")


def test_repeated_windows_count_once() -> None:
    assert NCAOptions(windows=[(0, 28), (0.0, 28.0)]).windows == ((0.0, 28.0),)
    assert parse_windows("") == ()
