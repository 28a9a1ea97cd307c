"""Starting values, intervals of Tmax and what the number of samples rules out."""

import numpy as np
import pytest

from cellkinetics.errors import ModelError
from cellkinetics.fitting.start import DEFAULT, ONE_PHASE, Plan, faster_phase_first, plan_fit
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.ecp import ECP


def plan(time: list[float], y: list[float], censored: list[int] | None = None) -> Plan:
    flags = np.zeros(len(time), dtype=np.int64) if censored is None else np.array(censored)
    return plan_fit(ECP, np.array(time), np.array(y), flags)


def test_a_rich_profile_has_every_parameter_and_reaches_two_samples_to_either_side() -> None:
    days = [1.0, 4.0, 7.0, 9.0, 11.0, 14.0, 21.0, 28.0, 60.0]
    got = plan(days, [1, 50, 600, 9000, 5000, 3000, 900, 300, 100])
    assert not got.unidentified
    assert not got.held
    assert got.bounds["cmax"] == (1800.0, 45000.0)
    # Half and twice day 9 are within two samples to the left; the sample on day 14 is the last before 18.
    assert [s.interval for s in got.segments] == [(4, 7), (7, 9), (9, 11), (11, 14)]
    assert got.central == (0, 4)
    for segment in got.segments:
        for start in segment.starts:
            assert segment.interval is not None
            assert segment.interval[0] <= start.values["tmax"] <= segment.interval[1]
            assert start.limits == {"tmax": segment.interval}
            assert set(start.values) == set(ECP.names)


def test_growth_starts_from_the_slope_before_the_peak_and_decline_from_those_after_it() -> None:
    # ln 10 a day up to day 4, then -0.5 a day: foldx = 10^tmax at the middle of each interval.
    days = np.arange(1.0, 13.0)
    y = np.where(days <= 4, 10.0**days, 1e4 * np.exp(-0.5 * (days - 4)))
    got = plan(days.tolist(), y.tolist())
    start = next(s for s in got.segments if s.interval == (3.0, 4.0)).starts[0].values
    assert start["foldx"] == pytest.approx(10**3.5, rel=1e-9)
    assert start["alpha"] == pytest.approx(0.5, rel=1e-9)


def test_fewer_than_two_quantifiable_samples_before_the_peak_rule_growth_out() -> None:
    got = plan([3, 7, 10, 14, 21, 28, 42], [0.2, 0.2, 100, 40, 10, 3, 1], [1, 1, 0, 0, 0, 0, 0])
    assert set(got.unidentified) == {"cmax", "tmax", "foldx"}
    assert got.unidentified["foldx"].code == "few_samples_before_peak"
    assert got.held == {"tmax": 10.0}
    # Without any sample before the peak nothing pulls at foldx.
    assert plan([10, 14, 21, 28, 42], [100, 40, 10, 3, 1]).held == {"tmax": 10.0, "foldx": DEFAULT["foldx"]}


def test_few_samples_after_the_peak_rule_out_persistence_first_then_contraction() -> None:
    before = ([3.0, 7.0, 10.0], [1.0, 20.0, 100.0])
    three = plan([*before[0], 14, 21, 28], [*before[1], 50, 10, 3])
    assert set(three.unidentified) == {"fb", "beta"}
    assert three.held == ONE_PHASE
    one = plan([*before[0], 14], [*before[1], 50])
    assert set(one.unidentified) == {"alpha", "fb", "beta"}
    none = plan(*before)
    assert none.unidentified["tmax"].code == "peak_not_passed"
    assert set(none.held) == {"tmax", "alpha", "fb", "beta"}


def test_another_model_needs_starts() -> None:
    model = Model(
        "flat", "constant", (Parameter("c", "log", "value", 1, 2, "level"),), lambda theta, t: 0 * t + theta[0]
    )
    with pytest.raises(ModelError, match="no rule for its starting values"):
        plan_fit(model, np.array([1.0]), np.array([1.0]), np.array([0]))


def test_the_faster_phase_is_contraction_whatever_the_search_called_it() -> None:
    x = np.array([9.0, 2.0, 8.0, np.log(0.01), 2.0, np.log(0.2), -0.5])
    np.testing.assert_array_equal(faster_phase_first(ECP, x), [9.0, 2.0, 8.0, np.log(0.2), -2.0, np.log(0.01), -0.5])
    np.testing.assert_array_equal(faster_phase_first(ECP, faster_phase_first(ECP, x)), faster_phase_first(ECP, x))


def test_a_peak_above_the_uloq_counts_as_at_least_its_limit_and_opens_cmax_upwards() -> None:
    days, y = [1.0, 4.0, 7.0, 9.0, 11.0, 14.0, 21.0, 28.0], [1.0, 50, 600, 1000, 1000, 700, 200, 50]
    got = plan(days, y, [0, 0, 0, -1, -1, 0, 0, 0])
    # Among the quantified ones day 14 is highest, which would leave out (7, 9), where the peak may lie.
    assert [s.interval for s in got.segments] == [(4, 7), (7, 9), (9, 11), (11, 14)]
    assert got.bounds["cmax"] == (200.0, ECP["cmax"].upper)
    assert not got.unidentified
    assert plan([1, 4, 7], [1.0, 50, 1000], [0, 0, -1]).unidentified["cmax"].code == "peak_not_passed"
