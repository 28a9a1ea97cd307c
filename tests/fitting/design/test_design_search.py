"""Schedules side by side, and the search for the best one."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.design.comparison import ScheduleComparison, compare_schedules
from cellkinetics.fitting.design.information import schedule_information
from cellkinetics.fitting.design.population import assume
from cellkinetics.fitting.design.search import ScheduleSearch, search_schedule

STEIN = assume("stein2019")
KNOWN = ("beta", "omega_beta", "fb", "omega_fb")
DAYS = [2, 4, 7, 9, 12, 16, 21, 28, 40, 60]


@pytest.fixture(scope="module")
def found() -> ScheduleSearch:
    return search_schedule(5, DAYS, lloq=50, fixed=KNOWN, starts=3, best=2, patients=48, seed=1)


@pytest.fixture(scope="module")
def compared() -> ScheduleComparison:
    schedules = {"weekly": [7, 14, 28], "rich": [1, 3, 5, 7, 9, 11, 14, 17, 21, 28]}
    return compare_schedules(schedules, lloq=50, patients=300)


def test_search_finds_the_best_of_all_schedules(found: ScheduleSearch) -> None:
    values = {
        days: schedule_information(days, STEIN, lloq=50, fixed=KNOWN, patients=48, seed=1).log_det
        for days in itertools.combinations(DAYS, 5)
    }
    best = max(values, key=lambda days: values[days])
    assert found.schedule == tuple(float(day) for day in best)
    # the criterion is ln det per quantity of one patient, log_det that of 30
    assert found.best[0].value == pytest.approx(values[best] / 9 - np.log(30), abs=1e-8)


def test_every_swap_of_a_search_raises_the_criterion(found: ScheduleSearch) -> None:
    steps = found.steps
    for _, one in steps.groupby("start"):
        assert (np.diff(one["criterion"]) > 0).all()
    assert set(steps["start"]) == {0, 1, 2}
    assert sum(one.starts for one in found.best) == 3
    assert found.table["efficiency_percent"].iloc[0] == 100.0


def test_the_same_seed_gives_the_same_search(found: ScheduleSearch) -> None:
    again = search_schedule(5, DAYS, lloq=50, fixed=KNOWN, starts=3, best=2, patients=48, seed=1)
    assert again.path == found.path


def test_kept_days_stay_and_gaps_hold() -> None:
    found = search_schedule(
        5, range(1, 41), lloq=50, fixed=KNOWN, fixed_days=[14, 28], min_gap=5, starts=2, best=1, patients=24
    )
    for step in found.path:
        assert {14.0, 28.0} <= set(step.schedule)
        assert min(np.diff(step.schedule)) >= 5


def test_what_matters_is_told_better_than_by_the_search_for_everything() -> None:
    options = {"lloq": 50, "fixed": KNOWN, "starts": 3, "best": 1, "patients": 48}
    alpha = [
        search_schedule(5, DAYS, criterion=c, interest=i, **options).comparison["best 1"]["alpha"].se
        for c, i in (("d", []), ("d", ["alpha"]), ("rse", ["alpha"]))
    ]
    assert alpha[1] == pytest.approx(alpha[2], rel=1e-9)
    assert alpha[1] < alpha[0]


def test_weekly_samples_tell_less_than_frequent_ones(compared: ScheduleComparison) -> None:
    table = compared.table.set_index("schedule")
    assert compared.reference == "rich"
    assert table.loc["rich", "d_efficiency_percent"] == 100.0
    assert table.loc["weekly", "d_efficiency_percent"] < 60
    rse = compared.parameters.pivot_table(index="parameter", columns="schedule", values="rse_percent")
    assert (rse["weekly"] > rse["rich"]).all()


def test_nca_misses_the_peak_as_the_schedule_does(compared: ScheduleComparison) -> None:
    # Geometric mean of NCA/true Cmax of noise-free samples of this population, from 20,000 patients: 0.55 for
    # days 7, 14, 28 and 0.83 for the ten days.
    table = compared.table.set_index("schedule")
    assert table.loc["weekly", "nca_cmax_schedule_ratio"] == pytest.approx(0.55, abs=0.03)
    assert table.loc["rich", "nca_cmax_schedule_ratio"] == pytest.approx(0.83, abs=0.03)
    assert table.loc["rich", "nca_cmax_ratio"] > table.loc["rich", "nca_cmax_schedule_ratio"]


def test_days_show_which_parameter_a_sample_tells_of(compared: ScheduleComparison) -> None:
    days = compared.days.pivot_table(index="day", columns="parameter", values="explained_percent")
    assert days["foldx"].idxmax() < 6
    assert 5 <= days["tmax"].idxmax() <= 11
    assert days["alpha"].idxmax() >= 20
    assert days.sum(axis=1).max() < 100


def test_a_comparison_is_plain_values_and_prints(compared: ScheduleComparison) -> None:
    content = compared.to_dict()
    assert list(content["schedules"]) == ["weekly", "rich"]
    assert content["schedules"]["weekly"]["d_efficiency_percent"] == compared.efficiency("weekly")
    assert "NCA/true Cmax" in repr(compared)
    assert "weekly least" in compared.status


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: compare_schedules({}), "at least one schedule"),
        (lambda: compare_schedules({"a": [7]}, reference="b"), "the schedules are a"),
        (lambda: search_schedule(3, ["a", 2]), "admissible must be a list of days"),
        (lambda: search_schedule(3, [1, 2], fixed_days=[2, 2]), "fixed_days must be a list of different days"),
        (lambda: search_schedule(3, [1, 2]), "hold 2 samples"),
        (lambda: search_schedule(3, range(10), min_gap=6), "hold 2 samples with a gap of 6 days"),
        (lambda: search_schedule(2, range(10), fixed_days=[3, 4]), "nothing to search"),
        (lambda: search_schedule(4, range(10), fixed_days=[3, 4], min_gap=2), "closer together than min_gap"),
        (lambda: search_schedule(3, range(10), criterion="e"), "choose one of d, rse"),
        (lambda: search_schedule(3, range(10), interest=["gamma"]), "there is no gamma"),
        (lambda: search_schedule(3, range(10), interest=["beta"], fixed=["beta"]), "leave it out of one of them"),
        (lambda: search_schedule(3, range(10), starts=0), "starts is 0"),
    ],
)
def test_bad_options_are_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        call()
