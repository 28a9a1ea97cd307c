"""Figures of areas: windows shaded, what is extrapolated hatched, time zero marked where it was imputed."""

import numpy as np
import pytest
from matplotlib.axes import Axes

import cellkinetics as ck
from cellkinetics.data.samples import sample_table
from cellkinetics.report.figures import Areas, Profiles, area_figure, area_pages, save_png
from cellkinetics.report.figures.areas import area_handles

DAYS = [7.0, 14.0, 21.0, 28.0]
VALUES = [800.0, 400.0, 200.0, 100.0]


def areas_of(cohort: ck.Cohort, windows: str, **options) -> Areas:
    result = ck.noncompartmental(cohort, windows=windows, options=ck.NCAOptions(**options))
    return Areas(Profiles(sample_table(cohort)), result.intervals)


def spans(ax: Axes, *, hatched: bool) -> list[tuple[float, float]]:
    """First and last time of each filled area."""
    found = []
    for area in ax.collections:
        x = np.concatenate([path.vertices[:, 0] for path in area.get_paths()] or [np.zeros(0)])
        if len(x) and bool(area.get_hatch()) == hatched:
            found.append((float(x.min()), float(x.max())))
    return found


@pytest.fixture
def areas() -> Areas:
    return areas_of(ck.Cohort.from_arrays([DAYS], [VALUES], lloq=50, subject=["P01"]), "0-14,10-35")


def test_a_window_is_shaded_from_its_start_to_its_last_sample(areas: Areas) -> None:
    ax = area_figure(areas, areas.keys[0]).axes[0]
    assert areas.windows == ["AUCINT_0_14", "AUCINT_10_35"]
    assert spans(ax, hatched=False) == [(0, 14), (10, 28)]


def test_what_is_extrapolated_is_hatched_to_the_end_of_the_window_and_beyond(areas: Areas) -> None:
    ax = area_figure(areas, areas.keys[0]).axes[0]
    (first, second) = sorted(spans(ax, hatched=True))
    assert first == (28, 35)
    assert second[0] >= 35
    assert second[1] == pytest.approx(ax.get_xlim()[1])


def test_the_curve_follows_the_rule_of_each_interval(areas: Areas) -> None:
    ax = area_figure(areas, areas.keys[0]).axes[0]
    (curve,) = [line for line in ax.get_lines() if line.get_color() == "#1d2530" and line.get_marker() == "None"]
    x, y = curve.get_xdata(), curve.get_ydata()
    falls = (x >= 7) & (x <= 28)
    assert y[falls] == pytest.approx(800 * 2 ** (-(x[falls] - 7) / 7))
    rises = (x > 1) & (x < 7)
    assert y[rises] == pytest.approx(800 * x[rises] / 7)


def test_an_imputed_time_zero_has_its_own_mark(areas: Areas) -> None:
    ax = area_figure(areas, areas.keys[0]).axes[0]
    assert [line.get_xdata().tolist() for line in ax.get_lines() if line.get_marker() == "D"] == [[0.0]]
    assert "imputed time zero" in [handle.get_label() for handle in area_handles(areas)]
    sampled = areas_of(ck.Cohort.from_arrays([[0.0, *DAYS]], [[0.0, *VALUES]], lloq=50), "0-14")
    assert "imputed time zero" not in [handle.get_label() for handle in area_handles(sampled)]


def test_a_large_figure_names_each_window_with_its_area(areas: Areas) -> None:
    figure = area_figure(areas, areas.keys[0], width=6.5, height=4.2)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    until_14 = 7 * 800 / 2 + 400 * 7 / np.log(2)
    assert f"AUC0-14: {until_14:,.0f}"[:11] in " ".join(texts)
    missing = areas_of(ck.Cohort.from_arrays([[0.0, 7.0]], [[0.0, 900.0]], lloq=50), "0-84")
    assert missing.windows == []


@pytest.mark.parametrize("value", [[0.0, 0.0], [5.0, 900.0]], ids=["all BLQ", "no line"])
def test_an_awkward_profile_can_be_drawn(value: list[float]) -> None:
    areas = areas_of(ck.Cohort.from_arrays([[0.0, 7.0]], [value], lloq=2.0), "0-5")
    for figure in (area_figure(areas, areas.keys[0], width=6.5), *area_pages(areas)):
        assert save_png(figure, dpi=40).startswith(b"\x89PNG")
