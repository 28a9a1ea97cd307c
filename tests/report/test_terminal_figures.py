"""Figures of terminal lines: every candidate has its mark, and the line says how good it is."""

import re

import numpy as np
import pytest
from matplotlib.axes import Axes

import cellkinetics as ck
from cellkinetics.data.samples import sample_table
from cellkinetics.nca.options import Slope
from cellkinetics.report.figures import Profiles, TerminalLines, save_png, svg_text, terminal_figure, terminal_pages
from cellkinetics.report.figures.terminal import terminal_handles

DAYS = [0.0, 7.0, 10.0, 14.0, 21.0, 28.0, 35.0]
VALUES = [0.0, 900.0, 880.0, 400.0, 200.0, 100.0, 0.0]


def lines_of(cohort: ck.Cohort, **options) -> TerminalLines:
    result = ck.noncompartmental(cohort, options=ck.NCAOptions(**options))
    return TerminalLines(Profiles(sample_table(cohort), value_unit="copies/µg"), result.points, result.table)


def marks(ax: Axes, marker: str, face: str | None = None) -> list[float]:
    return [
        float(x)
        for line in ax.get_lines()
        if line.get_marker() == marker and (face is None or line.get_markerfacecolor() == face)
        for x in line.get_xdata()
    ]


def words(ax: Axes) -> str:
    return "\n".join(text.get_text() for text in ax.texts)


@pytest.fixture
def lines() -> TerminalLines:
    return lines_of(ck.Cohort.from_arrays([DAYS], [VALUES], lloq=50, subject=["P01"]))


def test_points_are_filled_and_candidates_that_are_left_out_open(lines: TerminalLines) -> None:
    ax = terminal_figure(lines, lines.keys[0]).axes[0]
    assert marks(ax, "o", "#2f6fde") == [14, 21, 28]
    assert marks(ax, "o", "#fefefe") == [10]
    assert marks(ax, "o", "#6b7685") == [7]  # Cmax is no candidate
    assert marks(ax, "v") == [0, 35]


def test_the_line_goes_through_its_points_and_on_to_the_end_of_the_axis(lines: TerminalLines) -> None:
    ax = terminal_figure(lines, lines.keys[0]).axes[0]
    drawn = [line for line in ax.get_lines() if line.get_marker() == "None" and line.get_color() == "#2f6fde"]
    fitted, beyond = sorted(drawn, key=lambda line: line.get_xdata()[0])
    assert fitted.get_xdata().tolist() == [14, 28]
    assert fitted.get_ydata() == pytest.approx([400, 100])
    assert beyond.get_linestyle() == "--"
    assert beyond.get_xdata().tolist() == pytest.approx([28, 1.3 * 28])
    assert beyond.get_ydata()[1] == pytest.approx(100 * 2 ** (-0.3 * 4))


def test_the_panel_tells_half_life_fit_and_points(lines: TerminalLines) -> None:
    text = words(terminal_figure(lines, lines.keys[0]).axes[0])
    assert re.fullmatch(r"t½ 7(\.00)? day\nR²adj (1\.000|>0\.999) · 3 points", text)


def test_a_sample_left_out_by_hand_is_crossed() -> None:
    lines = lines_of(
        ck.Cohort.from_arrays([DAYS], [VALUES], lloq=50, subject=["P01"]),
        slopes=(Slope(subject="P01", exclude=(21.0,), reason="haemolysis"),),
    )
    ax = terminal_figure(lines, lines.keys[0]).axes[0]
    assert marks(ax, "x") == [21]
    assert "left out by hand" in [handle.get_label() for handle in terminal_handles(lines)]


def test_a_break_that_the_points_straddle_is_marked_where_the_phases_meet() -> None:
    days = np.array([0.0, 7, 14, 21, 28, 56, 84, 112])
    fall = 8000 * 2.0 ** -np.array([0.0, 0, 1, 2, 3, 4, 5, 6])  # half every 7 days, from day 28 every 28
    lines = lines_of(
        ck.Cohort.from_arrays([days], [np.where(days == 0, 0, fall)], lloq=50, subject=["P01"]),
        slopes=(Slope(subject="P01", first=14, last=112),),
    )
    ax = terminal_figure(lines, lines.keys[0]).axes[0]
    assert "straddles the break" in words(ax)
    broken = [line.get_xdata()[0] for line in ax.get_lines() if line.get_color() == "#d9730d"]
    assert broken == pytest.approx([28.0])


@pytest.mark.parametrize(
    ("value", "says"),
    [([0.0, 0.0, 0.0], "no sample is quantifiable"), ([0.0, 100.0, 900.0], "no line: fewer quantifiable samples")],
    ids=["all BLQ", "rising"],
)
def test_without_a_line_the_panel_says_why(value: list[float], says: str) -> None:
    lines = lines_of(ck.Cohort.from_arrays([[0.0, 7.0, 14.0]], [value], lloq=50))
    figure = terminal_figure(lines, lines.keys[0])
    assert says in words(figure.axes[0]).replace("\n", " ")
    assert save_png(figure, dpi=40).startswith(b"\x89PNG")


def test_pages_hold_twelve_profiles_and_any_name_can_be_drawn() -> None:
    names = [f"P{k}" for k in range(12)] + ["A$\\frac$ <李雷>"]
    lines = lines_of(ck.Cohort.from_arrays([DAYS] * 13, [VALUES] * 13, lloq=50, subject=names))
    pages = list(terminal_pages(lines))
    assert [sum(ax.get_visible() for ax in page.axes) for page in pages] == [12, 1]
    assert "A$\\frac$ &lt;李雷&gt;" in svg_text(pages[1], "p")


def test_samples_below_quantification_long_after_the_last_are_drawn_or_told() -> None:
    days = [0.0, 7.0, 14.0, 21.0, 28.0, 42.0, 68.0]
    near = ck.Cohort.from_arrays([days], [[0.0, 900.0, 400.0, 200.0, 100.0, 0.0, 0.0]], lloq=1.0)
    far = ck.Cohort.from_arrays([[*days, 360.0]], [[0.0, 900.0, 400.0, 200.0, 100.0, 0.0, 0.0, 0.0]], lloq=1.0)
    ends, texts = [], []
    for cohort in (near, far):
        (ax,) = ck.noncompartmental(cohort).plot("lambda_z", subject="1").axes
        ends.append(ax.get_xlim()[1])
        texts.append(" ".join(text.get_text() for text in ax.texts))
    assert ends[0] > 68
    assert "later" not in texts[0]
    assert ends[1] == pytest.approx(84)
    assert "1 later BLQ, to 360 day" in texts[1]
