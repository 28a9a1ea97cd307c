"""The leaves: areas, moments and interpolation of one segment."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.nca.integrate import interpolate, linear_area, linear_moment, log_area, log_moment, log_segments

getcontext().prec = 60


def exact(t1: float, c1: float, t2: float, c2: float) -> tuple[Decimal, Decimal]:
    """Area and moment of the exponential through two points, in 60 digits."""
    a1, a2, b1, b2 = Decimal(t1), Decimal(t2), Decimal(c1), Decimal(c2)
    k = (b1.ln() - b2.ln()) / (a2 - a1)
    return (b1 - b2) / k, (a1 * b1 - a2 * b2) / k + (b1 - b2) / k**2


@pytest.mark.parametrize(
    ("c1", "c2"),
    [
        (1000.0, 999.9999999997),
        (1000.0, 999.0),
        (1000.0, 951.0),  # either side of the switch to the series of the moment
        (1000.0, 952.0),
        (1000.0, 300.0),
        (1000.0, 1.01),  # either side of the switch to ln(c2) - ln(c1)
        (1000.0, 0.99),
        (1e300, 1e-300),
        (3.0, 5000.0),  # a rise, under the rule log
    ],
)
def test_logarithmic_segment_keeps_its_digits(c1: float, c2: float) -> None:
    area, moment = exact(5.0, c1, 12.0, c2)
    arguments = [np.array([x]) for x in (5.0, c1, 12.0, c2)]
    assert float(log_area(*arguments)[0]) == pytest.approx(float(area), rel=2e-13)
    assert float(log_moment(*arguments)[0]) == pytest.approx(float(moment), rel=2e-13)


def test_linear_segment_of_the_largest_numbers_does_not_overflow() -> None:
    assert linear_area(0.0, 1.7e308, 1.0, 1.7e308) == 1.7e308


def test_linear_moment_is_the_trapezoid_of_t_times_c() -> None:
    assert linear_moment(2.0, 10.0, 6.0, 5.0) == 4.0 * (20.0 + 30.0) / 2.0


@settings(deadline=None, max_examples=100)
@given(
    c1=st.floats(1e-6, 1e6),
    fall=st.floats(1e-3, 0.9999),
    f=st.floats(0.01, 0.99),
)
def test_cutting_a_segment_leaves_its_area_unchanged(c1: float, fall: float, f: float) -> None:
    for log in (True, False):
        t1, t2, t = np.array([3.0]), np.array([10.0]), np.array([3.0 + 7.0 * f])
        first, last = np.array([c1]), np.array([c1 * fall])
        middle = interpolate(t, t1, first, t2, last, np.array([log]))
        area = log_area if log else linear_area
        parts = area(t1, first, t, middle) + area(t, middle, t2, last)
        assert float(parts[0]) == pytest.approx(float(area(t1, first, t2, last)[0]), rel=1e-11)


def test_methods_choose_their_segments() -> None:
    t1 = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    c1 = np.array([0.0, 5.0, 9.0, 9.0, 4.0, 6.0])
    c2 = np.array([5.0, 9.0, 9.0, 4.0, 6.0, 0.0])
    tmax = np.full(6, 2.0)
    expected = {
        "linear": [False] * 6,
        "linear-up-log-down": [False, False, False, True, False, False],
        "linear-log": [False, False, False, True, True, False],
        "log": [False, True, False, True, True, False],
    }
    for method, chosen in expected.items():
        assert log_segments(method, t1, c1, c2, tmax).tolist() == chosen, method
