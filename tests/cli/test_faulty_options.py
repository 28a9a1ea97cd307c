"""Options of `nca` that contradict each other, do nothing, or are mistyped: the terminal says it as they are typed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TABLE = "subject,time,value\nP1,0,0\nP1,7,900\nP1,14,400\nP1,21,190\nP1,28,100\n"


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    path = tmp_path / "trial.csv"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--tau -12", "error: --tau: must be above 0, not -12"),
        ("--blq before=foo", "error: --blq before: takes zero, drop, lloq, lloq/2, or a factor of the LLOQ"),
        ("--blq before=zero,before=drop", "error: --blq: there are two rules for before"),
        ("--accept foo=1", "error: --accept foo: there is no such name; there are r2adj_min, span_min,"),
        ("--accept r2adj_min=high", "error: --accept r2adj_min: must be a number, not 'high'"),
        ("--slopes nope.csv", "error: --slopes nope.csv: there is no such file"),
        (
            "--lambda-z-min-points 5 --lambda-z-max-points 4",
            "error: --lambda-z-max-points: 4 is less than --lambda-z-min-points, 5",
        ),
        (
            "--lambda-z-not-before 20 --lambda-z-not-after 10",
            "error: --lambda-z-not-after: 10 is not later than --lambda-z-not-before, 20",
        ),
        ("--auc-method trapezoid", "error: --auc-method: takes linear, linear-up-log-down, linear-log or log"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_what_is_allowed(
    cli: Callable[..., Any], trial: Path, words: str, message: str
) -> None:
    done = cli("nca", trial, *words.split())
    assert done.code == 2
    assert message in done.err


def test_a_factor_of_the_lloq_is_taken(cli: Callable[..., Any], trial: Path) -> None:
    assert cli("nca", trial, "--lloq", "10", "--blq", "before=0.25").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--tau 12", "note: --tau: does nothing for the route cells"),
        ("--infusion-duration 1", "note: --infusion-duration: does nothing for the route cells"),
        ("--time-zero c0", "note: --time-zero: extrapolates back"),
        ("--route bolus --steady-state all", "note: --steady-state: no profile has a dosing interval"),
        ("--dose 5", "note: --dose: none of the parameters asked for needs it"),
    ],
)
def test_what_does_nothing_is_said(cli: Callable[..., Any], trial: Path, words: str, message: str) -> None:
    done = cli("nca", trial, *words.split())
    assert done.code == 0
    assert message in done.err
    assert "note:" not in cli("nca", trial, "--force").err


def test_a_batch_says_what_does_nothing(cli: Callable[..., Any], trial: Path) -> None:
    assert "note: --tau: does nothing for the route cells" in cli("nca", trial, "--tau", "12", "--piece-rows", "2").err


def test_help_lists_the_thresholds(cli: Callable[..., Any]) -> None:
    text = cli("nca", "--help").out
    assert "r2adj_min, span_min, extrapolated_max, tmax_min or straddle" in " ".join(text.split())
