"""Persistence as time to event: the numbers of the curve, and what the figures show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.report.figures import persistence_figure, svg_text, swimmer_figure
from cellkinetics.report.figures.persistence import MOST_LANES, kaplan_meier

NAN = float("nan")
WIDE = pd.DataFrame(
    {
        "subject": ["A", "B", "C", "D", "E"],
        "group": ["low", "low", "high", "high", "high"],
        "PERSLO": [10.0, 50.0, 28.0, 300.0, NAN],
        "PERSUP": [14.0, NAN, 56.0, NAN, NAN],
    }
)


def test_the_curve_is_that_of_kaplan_and_meier_worked_by_hand() -> None:
    # losses at 6 (of 5 at risk) and 12 (of 3, one of them censored at 8 before); the last two go on
    seen, lost = np.array([5.0, 8.0, 10.0, 20.0, 30.0]), np.array([6.0, NAN, 12.0, NAN, NAN])
    curve = kaplan_meier(seen, lost)
    steps = dict(zip(curve.time, curve.share, strict=True))
    assert steps[0.0] == 1
    assert steps[6.0] == pytest.approx(4 / 5)
    assert steps[12.0] == pytest.approx(4 / 5 * 2 / 3)
    assert steps[30.0] == steps[12.0]
    inside = np.isfinite(curve.low)
    assert inside.any()
    assert (curve.low[inside] <= curve.share[inside]).all()
    assert (curve.share[inside] <= curve.high[inside]).all()


def test_without_a_loss_the_curve_stays_at_one() -> None:
    curve = kaplan_meier(np.array([10.0, 40.0, NAN]), np.full(3, NAN))
    assert curve.time.tolist() == [0, 40]
    assert curve.share.tolist() == [1, 1]


def test_groups_are_named_with_their_losses_and_censored_patients_ticked() -> None:
    ax = persistence_figure(WIDE).axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["low (n = 2, 1 lost)", "high (n = 2, 1 lost)"]
    ticks = [line.get_xdata().tolist() for line in ax.get_lines() if line.get_marker() == "|"]
    assert ticks == [[50], [300]]


def test_lanes_end_in_a_cross_or_an_arrow() -> None:
    ax = swimmer_figure(WIDE).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A", "B", "C", "D"]
    assert [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "x"] == [14, 56]
    assert [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == ">"] == [50, 300]


def test_many_patients_are_thinned_out() -> None:
    many = pd.DataFrame({"subject": [str(k) for k in range(500)], "PERSLO": np.arange(1.0, 501.0), "PERSUP": NAN})
    assert 0 < len(swimmer_figure(many).axes[0].get_yticks()) <= MOST_LANES


@pytest.mark.parametrize("figure", [persistence_figure, swimmer_figure])
def test_figures_of_a_trial_and_of_nobody_can_be_saved(figure) -> None:
    cohort = ck.Cohort.from_arrays([[0, 7, 14, 28]] * 2, [[0, 900, 400, 0], [0, 900, 400, 90]], lloq=50)
    wide = ck.noncompartmental(cohort, parameters="cellular").wide
    assert "<svg" in svg_text(figure(wide), "a")
    assert "<svg" in svg_text(figure(wide.iloc[:0]), "b")


@pytest.mark.parametrize(("parameters", "there"), [("core,cellular", True), ("core", False)])
def test_the_report_has_the_section_where_persistence_was_asked_for(
    cli: Callable, tmp_path: Path, parameters: str, there: bool
) -> None:
    trial = tmp_path / "trial.csv"
    rows = [f"{name},{day},{value},50" for name in "AB" for day, value in ((0, 0), (7, 900), (14, 400), (28, 0))]
    trial.write_text("\n".join(["subject,time,value,lloq", *rows]) + "\n")
    done = cli("nca", trial, "--parameters", parameters)
    assert done.code == 0, done.err
    assert cli("report", done.folder).code == 0
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert ('id="persistence"' in page) == there
    assert ("t½ contraction" in page) == there
