"""Bins of time: nominal times, natural breaks, given edges, and what is too small."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.diagnostics.binning import time_bins
from cellkinetics.errors import SettingsError

NONE = np.array([np.nan])


def unknown(time: np.ndarray) -> np.ndarray:
    return np.full(len(time), np.nan)


def test_a_rare_nominal_time_joins_its_nearer_neighbour() -> None:
    nominal = np.repeat([1.0, 7.0, 9.0, 28.0], [20, 20, 1, 20])
    bins = time_bins(nominal, nominal, np.full(20, 3))
    assert bins.middle.tolist() == [1, 7, 28]
    assert bins.end.tolist() == [1, 9, 28]
    assert np.bincount(bins.index).tolist() == [20, 21, 20]


def test_natural_breaks_find_the_visits_behind_scattered_times() -> None:
    rng = np.random.default_rng(0)
    visits = np.array([1.0, 4.0, 9.0, 16.0, 36.0, 100.0])
    time = (np.sqrt(visits) + 0.1 * (rng.random((40, 6)) - 0.5)) ** 2
    bins = time_bins(time.ravel(), unknown(time.ravel()), np.full(40, 6))
    assert bins.rule == "natural breaks"
    assert bins.index.tolist() == np.tile(np.arange(6), 40).tolist()


def test_of_many_different_times_the_bins_still_end_at_the_gaps() -> None:
    rng = np.random.default_rng(1)
    visits = np.array([4.0, 16.0, 36.0, 64.0, 100.0])
    time = (np.sqrt(visits) + 0.9 * (rng.random((400, 5)) - 0.5)) ** 2
    bins = time_bins(time.ravel(), unknown(time.ravel()), np.full(400, 5))
    assert bins.index.tolist() == np.tile(np.arange(5), 400).tolist()


def test_given_edges_hold_and_must_cover_the_samples() -> None:
    time = np.array([0.0, 3.0, 5.0, 9.0, 10.0])
    bins = time_bins(time, unknown(time), np.array([5]), edges=np.array([0.0, 5.0, 8.0, 10.0]))
    assert bins.index.tolist() == [0, 0, 1, 2, 2]
    with pytest.raises(SettingsError, match="widen the bins"):
        time_bins(time, unknown(time), np.array([5]), edges=np.array([0.0, 5.0]))
    with pytest.raises(SettingsError, match="rising order"):
        time_bins(time, unknown(time), np.array([5]), edges=np.array([5.0, 0.0]))
    with pytest.raises(SettingsError, match="no sample"):
        time_bins(np.empty(0), np.empty(0), np.empty(0, int))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 500), min_size=1, max_size=80), st.integers(1, 30))
def test_bins_part_time_without_overlap_and_none_is_empty(times: list[float], patients: int) -> None:
    time = np.array(times)
    bins = time_bins(time, unknown(time), np.full(patients, len(time)))
    assert set(bins.index) == set(range(len(bins)))
    assert (bins.start[1:] >= bins.end[:-1]).all()
    assert ((bins.start <= bins.middle) & (bins.middle <= bins.end)).all()
