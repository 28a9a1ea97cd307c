"""The figure of sampling schedules."""

import pandas as pd

from cellkinetics.fitting.design.comparison import compare_schedules
from cellkinetics.report.figures import save_png, schedule_figure
from cellkinetics.report.plotting import plot

DAYS = pd.DataFrame(
    {
        "day": [1.0, 1.0, 7.0, 7.0],
        "parameter": ["a", "b"] * 2,
        "explained_percent": [10.0, 20.0, 30.0, 40.0],
        "quantified_percent": [50.0, 50.0, 90.0, 90.0],
    }
)
PARAMETERS = pd.DataFrame(
    {
        "schedule": ["x", "x", "x", "y", "y", "y"],
        "parameter": ["a", "b", "c"] * 2,
        "rse_percent": [10.0, 2000.0, None, 30.0, None, None],
        "reason_code": ["", "", "fixed", "", "not_estimable", "fixed"],
    }
)


def test_each_schedule_has_a_lane_and_a_mark_for_each_error() -> None:
    figure = schedule_figure(DAYS, PARAMETERS, {"x": [1, 7], "y": [3]})
    _, lanes, below = figure.axes
    assert [text.get_text() for text in lanes.get_yticklabels()] == ["x", "y"]
    dots = [line.get_xdata().tolist() for line in lanes.get_lines() if line.get_marker() != "None"]
    assert dots == [[1, 7], [3]]
    marks = {line.get_marker(): list(line.get_xdata()) for line in below.get_lines() if line.get_marker() != "None"}
    assert marks["o"] == [10.0]
    assert marks["s"] == [30.0]
    arrows = [len(line.get_xdata()) for line in below.get_lines() if line.get_marker() == ">"]
    assert arrows == [1, 1]  # beyond the axis, and not estimable; what is known has no mark


def test_a_comparison_draws_itself() -> None:
    compared = compare_schedules({"few": [7, 14, 28], "long": [7, 14, 180]}, lloq=50, patients=8)
    figure = plot(compared)
    assert len(figure.axes) == 3
    assert figure.axes[0].get_xscale() == "function"
    assert len(save_png(figure, dpi=40)) > 5000
