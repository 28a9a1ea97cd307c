"""Areas of nearly equal values against arithmetic in 50 digits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.data.cohort import Cohort
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import NCAOptions


def exact_area(times: list[float], values: list[float], method: str) -> Decimal:
    """Area and rule of every segment, in 50 digits."""
    with localcontext() as context:
        context.prec = 50
        total = Decimal(0)
        for t1, t2, c1, c2 in zip(times, times[1:], values, values[1:], strict=False):
            width, a, b = Decimal(t2) - Decimal(t1), Decimal(c1), Decimal(c2)
            falls = c2 < c1 if method == "linear-up-log-down" else c1 != c2
            total += width * (a - b) / (a / b).ln() if falls else width * (a + b) / 2
        return total


@settings(deadline=None, max_examples=150)
@given(
    level=st.floats(1e-3, 1e7),
    steps=st.lists(st.tuples(st.floats(-16.0, -1.0), st.sampled_from([-1.0, 1.0])), min_size=1, max_size=20),
    gaps=st.lists(st.floats(0.01, 60.0), min_size=20, max_size=20),
    method=st.sampled_from(["linear-up-log-down", "log"]),
)
def test_nearly_equal_values_keep_thirteen_digits(
    level: float, steps: list[tuple[float, float]], gaps: list[float], method: str
) -> None:
    values, times = [level], [0.0]
    for (exponent, sign), gap in zip(steps, gaps, strict=False):
        values.append(values[-1] * (1.0 + sign * 10.0**exponent))
        times.append(times[-1] + gap)
    options = NCAOptions(auc_method=method, windows="0-1")
    wide = noncompartmental(Cohort.from_arrays([times], [values]), options=options, parameters="AUCLST").wide
    expected = exact_area(times, values, method)
    error = abs(Decimal(float(wide["AUCLST"].iloc[0])) / expected - 1)
    assert error < Decimal("1e-13")


def test_the_last_digit_apart_is_not_a_division_by_zero() -> None:
    c1 = 1000.0
    c2 = float(np.nextafter(c1, 0.0))
    wide = noncompartmental(Cohort.from_arrays([[0.0, 7.0]], [[c1, c2]]), parameters="AUCLST").wide
    assert wide["AUCLST"].iloc[0] == pytest.approx(7000.0, rel=1e-15)
