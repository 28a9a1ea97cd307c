"""Forecasts, and bands of a population fit, as figures."""

import numpy as np
import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.samples import sample_table
from cellkinetics.fitting.pooled.forecast import forecast
from cellkinetics.report.figures.forecast import Forecasts, forecast_figure, forecast_grid, forecast_pages
from cellkinetics.report.figures.profiles import Profiles, profile_figure
from cellkinetics.report.plotting import forecasts_of

DAYS = np.array([0.0, 7.0, 14.0, 28.0, 84.0])
CURVE = np.array([5.0, 900.0, 4000.0, 300.0, 20.0])


@pytest.fixture
def profiles() -> Profiles:
    cohort = Cohort.from_arrays([[7, 14, 84]] * 13, [[900, 4000, 0]] * 13, lloq=50.0)
    return Profiles(samples=sample_table(cohort), value_unit="copies/ug")


@pytest.fixture
def table(profiles: Profiles) -> pd.DataFrame:
    rows = {"analyte": "", "occasion": "", "specimen": "", "time": DAYS, "mode": CURVE, "median": CURVE}
    ends = {"low": CURVE / 2, "high": CURVE * 2, "sample_low": CURVE / 4, "sample_high": CURVE * 4, "typical": CURVE}
    return pd.concat([pd.DataFrame({"subject": key[0], **rows, **ends}) for key in profiles.keys], ignore_index=True)


def test_a_forecast_shows_both_bands_and_tells_later_samples_apart(profiles: Profiles, table: pd.DataFrame) -> None:
    key = profiles.keys[0]
    ax = forecast_figure(Forecasts(profiles, table, until=28.0), key).axes[0]
    wide, narrow = (band.get_paths()[0].get_extents() for band in ax.collections)
    # The band of samples lies behind that of the curve: 4 times the curve at its highest, against 2 times.
    assert (wide.y1, narrow.y1) == (16000.0, 8000.0)
    marks = {line.get_markerfacecolor(): line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "o"}
    assert sorted(map(len, marks.values())) == [0, 2]
    assert [28.0, 28.0] in [list(line.get_xdata()) for line in ax.lines]


def test_without_a_last_day_no_sample_is_a_later_one(profiles: Profiles, table: pd.DataFrame) -> None:
    figure = forecast_grid(Forecasts(profiles, table), profiles.keys[:3])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "later, not used" not in labels
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["1", "2", "3"]


def test_pages_hold_twelve_panels(profiles: Profiles, table: pd.DataFrame) -> None:
    pages = list(forecast_pages(Forecasts(profiles, table)))
    assert [sum(ax.get_visible() for ax in page.axes) for page in pages] == [12, 1]


def test_a_curve_with_an_interval_has_a_band(profiles: Profiles, table: pd.DataFrame) -> None:
    curves = table.rename(columns={"mode": "predicted", "low": "predicted_low", "high": "predicted_high"})
    with_band = Profiles(samples=profiles.samples, population=curves)
    without = Profiles(samples=profiles.samples, population=curves.drop(columns=["predicted_low", "predicted_high"]))
    key = profiles.keys[0]
    assert [len(profile_figure(p, key).axes[0].collections) for p in (with_band, without)] == [1, 0]


def test_days_asked_for_are_marks_on_a_curve_through_many(profiles: Profiles, table: pd.DataFrame) -> None:
    marks = table[table["time"].isin([28.0, 84.0])]
    figure = forecast_figure(Forecasts(profiles, table, marks=marks), profiles.keys[0])
    drawn = [line.get_xdata().tolist() for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert drawn == [[28.0, 84.0]]
    assert "asked day" in [text.get_text() for text in figure.legends[0].get_texts()]
    without = forecast_figure(Forecasts(profiles, table), profiles.keys[0])
    assert all(line.get_marker() != "D" for line in without.axes[0].lines)


def test_a_forecast_of_few_days_is_drawn_densely() -> None:
    cohort = Cohort.from_arrays([[3.0, 7.0, 10.0]], [[60.0, 4000.0, 20000.0]], lloq=50.0)
    forecasts = forecasts_of(forecast("stein2019", cohort, [84, 180, 365], n=20))
    assert forecasts.marks is not None
    assert forecasts.marks["time"].tolist() == [84.0, 180.0, 365.0]
    days = forecasts.table["time"]
    assert (len(days), days.min(), days.max()) == (120, 0.0, 365.0)
    dense = forecasts_of(forecast("stein2019", cohort, n=20))
    assert dense.marks is None
    assert len(dense.table) == 120
