"""The days on which curves are drawn."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.fitting.curve_grid import POINTS, curve_times
from cellkinetics.models.ecp import ECP


def theta(tmax: float) -> np.ndarray:
    return np.array([24e3, tmax, 3900.0, 0.16, 0.0079, 0.0032])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(1.5, 300.0), min_size=1, max_size=4))
def test_the_peaks_of_all_curves_lie_on_the_grid(peaks: list[float]) -> None:
    days = curve_times(ECP, theta(peaks[0]), np.array([1.0, 365.0]), *map(theta, peaks[1:]))
    assert set(peaks) <= set(days.tolist())
    assert (len(days), days[0], days[-1]) == (POINTS, 1.0, 365.0)
    assert (np.diff(days) >= 0).all()


def test_a_peak_outside_the_samples_moves_no_day() -> None:
    time = np.array([20.0, 365.0])
    assert (curve_times(ECP, theta(9.3), time, theta(400.0)) == curve_times(ECP, theta(9.3), time)).all()
