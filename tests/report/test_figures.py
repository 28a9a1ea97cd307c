from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.data.samples import sample_table
from cellkinetics.errors import DataError, SettingsError
from cellkinetics.report.figures import Profiles, overview_figure, parameter_figure, profile_figure, save_png, svg_text
from cellkinetics.report.figures.profiles import profile_pages
from cellkinetics.report.plotting import plot

COHORT = Cohort.from_arrays(
    [[0, 7, 14, 28], [0, 3, 10]],
    [[0, 900, 400, 0], [0, 20, 500]],
    lloq=[[50, 50, 50, 50], [np.nan, np.nan, np.nan]],
    subject=["P01", "P02"],
    group=["low", "high"],
)
PROFILES = Profiles(sample_table(COHORT), value_unit="copies/µg", breaks={("P01", "", "", ""): {"tmax": 8.5}})


def lines(figure, marker: str = "None", linestyle: str | None = None) -> list:
    return [
        line
        for line in figure.axes[0].get_lines()
        if line.get_marker() == marker and (linestyle is None or line.get_linestyle() == linestyle)
    ]


def test_samples_below_quantification_are_open_triangles_at_their_lloq() -> None:
    figure = profile_figure(PROFILES, ("P01", "", "", ""))
    (triangles,) = lines(figure, "v")
    assert triangles.get_xdata().tolist() == [0, 28]
    assert triangles.get_ydata().tolist() == [50, 50]
    assert triangles.get_markerfacecolor() != triangles.get_markeredgecolor()
    (dots,) = lines(figure, "o")
    assert dots.get_ydata().tolist() == [900, 400]


def test_a_triangle_of_unknown_height_stands_at_the_foot_of_the_axis() -> None:
    figure = profile_figure(PROFILES, ("P02", "", "", ""))
    (triangles,) = lines(figure, "v")
    low, _ = figure.axes[0].get_ylim()
    assert low < triangles.get_ydata()[0] < 1.5 * low


def test_the_axis_is_logarithmic_and_labelled_with_units() -> None:
    ax = profile_figure(PROFILES, ("P01", "", "", "")).axes[0]
    assert ax.get_yscale() == "log"
    assert "copies/µg" in ax.get_ylabel()
    assert "day" in ax.get_xlabel()


def test_the_break_is_a_line_at_tmax() -> None:
    x = [line.get_xdata() for line in lines(profile_figure(PROFILES, ("P01", "", "", "")))]
    assert any(len(set(values)) == 1 and values[0] == 8.5 for values in map(list, x))


def test_a_long_follow_up_has_a_square_root_axis_and_says_so() -> None:
    cohort = Cohort.from_arrays([[0, 7, 700]], [[0, 900, 400]], lloq=50)
    ax = profile_figure(Profiles(sample_table(cohort)), ("1", "", "", "")).axes[0]
    assert "square-root" in ax.get_xlabel()


def test_the_overview_has_a_panel_for_each_group_and_counts_its_patients() -> None:
    titles = [ax.get_title(loc="left") for ax in overview_figure(PROFILES).axes]
    assert titles == ["low (n = 1)", "high (n = 1)"]


def test_boxes_show_every_patient() -> None:
    wide = pd.DataFrame({"group": ["a"] * 4, "CMAX": [1.0, 10.0, 100.0, np.nan], "TMAX": [0.0, 1, 2, 3]})
    figure = parameter_figure(wide, ["CMAX", "TMAX"])
    counts = [len(line.get_ydata()) for ax in figure.axes for line in ax.get_lines() if line.get_marker() == "o"]
    assert counts == [3, 4]
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "linear"]


@pytest.mark.parametrize(
    ("time", "value", "lloq"),
    [
        ([[0.0, 7.0]], [[0.0, 0.0]], 50.0),
        ([[5.0]], [[3.0]], None),
        ([[0.0, 7.0, 14.0]], [[1e308, 1e308, 1e-300]], None),
        ([[-5.0, -1.0]], [[0.0, 4.0]], None),
        ([[]], [[]], None),
    ],
    ids=["all BLQ", "one sample", "huge", "before infusion", "no sample"],
)
def test_an_awkward_profile_can_be_drawn(time: list, value: list, lloq: float | None) -> None:
    profiles = Profiles(sample_table(Cohort.from_arrays(time, value, lloq=lloq)))
    for key in profiles.keys:
        assert save_png(profile_figure(profiles, key), dpi=40).startswith(b"\x89PNG")
    assert save_png(overview_figure(profiles), dpi=40).startswith(b"\x89PNG")


def test_pages_hold_twelve_profiles() -> None:
    cohort = Cohort.from_arrays([[0, 7]] * 14, [[5, 9]] * 14)
    pages = list(profile_pages(Profiles(sample_table(cohort))))
    assert [sum(ax.get_visible() for ax in page.axes) for page in pages] == [12, 2]
    assert save_png(pages[0], dpi=40).startswith(b"\x89PNG")


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(mpl.rcParams)
    svg_text(profile_figure(PROFILES, ("P01", "", "", "")), "x")
    assert dict(mpl.rcParams) == before


def test_an_svg_follows_the_colours_of_the_page_and_its_ids_have_the_prefix() -> None:
    text = svg_text(profile_figure(PROFILES, ("P01", "", "", "")), "one")
    assert text.startswith("<svg")
    assert "var(--ink)" in text
    assert 'id="one-' in text
    assert "<style" not in text


@pytest.mark.parametrize(
    ("make", "panels"),
    [
        (lambda: plot(COHORT), 2),
        (lambda: plot(COHORT, subject="P02"), 1),
        (lambda: plot(ck.noncompartmental(COHORT, windows=[(0, 28)])), 6),
    ],
)
def test_a_result_can_be_plotted(make: Callable, panels: int) -> None:
    figure = make()
    assert len([ax for ax in figure.axes if ax.get_visible()]) <= panels
    assert save_png(figure, dpi=40).startswith(b"\x89PNG")


HARD_NAMES = ["A$\\frac$", "$x^2$", "李雷", '#1d2530 id="q" url(#x)']


@pytest.mark.parametrize("name", HARD_NAMES)
def test_any_name_can_be_drawn_and_stands_in_the_figure_as_it_is(name: str) -> None:
    cohort = Cohort.from_arrays([[0, 7, 14]] * 2, [[0, 900, 400]] * 2, lloq=50, subject=[name, "b"], group=[name, "b"])
    profiles = Profiles(sample_table(cohort).assign(analyte=name), value_unit=name)
    wide = pd.DataFrame({"group": [name, "b"], "CMAX": [1.0, 2.0]})
    for figure in (
        profile_figure(profiles, profiles.keys[0]),
        overview_figure(profiles),
        parameter_figure(wide, ["CMAX"], labels={"CMAX": name}),
    ):
        assert f">{name}" in svg_text(figure, "p")
        assert save_png(figure, dpi=40).startswith(b"\x89PNG")


def test_results_draw_themselves() -> None:
    fits = ck.fit(COHORT)
    assert len(fits.plot().axes) == 2
    assert fits.plot(subject="P02").axes[0].get_title(loc="left").startswith("P02")
    assert len(COHORT.plot().axes) == len(plot(COHORT).axes)
    assert ck.noncompartmental(COHORT, windows=[(0, 28)]).plot().axes


def test_plotting_an_unknown_subject_or_thing_is_told() -> None:
    with pytest.raises(SettingsError, match="P01, P02"):
        plot(COHORT, subject="P09")
    for result in (COHORT, ck.noncompartmental(COHORT)):
        with pytest.raises(DataError, match="no profile of analyte 'zzz'"):
            plot(result, analyte="zzz")
    with pytest.raises(SettingsError, match="no profile"):
        plot(ck.noncompartmental(COHORT.take([])))
    with pytest.raises(SettingsError, match="no figure of a int"):
        plot(3)  # type: ignore[arg-type]


def test_one_specimen_is_drawn_the_first_unless_another_is_named() -> None:
    cohort = Cohort.from_arrays([[0.0, 7.0]] * 2, [[60.0, 900.0], [70.0, 80.0]], specimen=["BLOOD", "MARROW"])
    for named, drawn, values in ((None, "BLOOD", [60, 900]), ("MARROW", "MARROW", [70, 80])):
        figure = plot(cohort, specimen=named)
        assert figure.get_supylabel() == f"{drawn} (copies/µg)"
        assert lines(figure, "o")[0].get_ydata().tolist() == values
    assert len(plot(ck.noncompartmental(cohort), specimen="MARROW").axes) > 0
    with pytest.raises(DataError, match="no profile of specimen 'CSF'; the cohort has BLOOD, MARROW"):
        plot(cohort, specimen="CSF")


def test_lines_of_many_profiles_are_thin_and_transparent() -> None:
    def looks(n: int) -> set[tuple[float, float | None]]:
        cohort = Cohort.from_arrays([[1.0, 7.0, 14.0]] * n, [[100.0, 900.0, 400.0]] * n, lloq=50.0)
        lines = overview_figure(Profiles(samples=sample_table(cohort))).axes[0].get_lines()
        return {(line.get_linewidth(), line.get_alpha()) for line in lines if line.get_linestyle() == "-"}

    assert looks(40) == {(0.9, 0.75)}
    assert looks(41) == {(0.5, 0.35)}
