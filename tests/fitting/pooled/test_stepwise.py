"""Stepwise search on -2LL values that are known: what enters, what leaves, and what the trace says."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.refit import Refit, Request
from cellkinetics.fitting.pooled.stepwise import RatioTest, Stepwise, Trail, critical, likelihood_ratio
from cellkinetics.fitting.terms import Term

GROUP = Term("cmax", "group", "categorical", "R", ("NR",))
WEIGHT = Term("tmax", "weight", "power", 70.0)
AGE = Term("alpha", "age", "exponential", 60.0)
ARM = Term("cmax", "arm", "categorical", "a", ("b", "c"))


class Bench:
    """Gives each model a -2LL: 1000 less what its terms gain; remembers what it was asked."""

    def __init__(self, gains: Mapping[Term, float], se: float = 0.05, both: float = 0.0, fails: Term | None = None):
        self.gains, self.se, self.both, self.fails = gains, se, both, fails
        self.asked: list[Request] = []

    def fit(self, requests: Sequence[Request]) -> list[Refit]:
        self.asked += requests
        return [self.one(request) for request in requests]

    def one(self, request: Request) -> Refit:
        if self.fails is not None and str(self.fails) in request.terms:
            return Refit(request.terms, failed=True, reason="no patient can be fitted")
        there = [gain for term, gain in self.gains.items() if str(term) in request.terms]
        overlap = self.both if len(there) > 1 else 0.0
        names = {name: 0.1 for term in self.gains if str(term) in request.terms for name in term.names}
        se = self.se / 4 if request.finer else self.se
        return Refit(request.terms, 1000 - sum(there) + overlap, se, converged=True, x=names, finer=request.finer)

    def search(self, *, base: Sequence[Term] = (), **levels: float) -> Trail:
        first = self.one(Request(tuple(sorted(map(str, base))), {}))
        return Stepwise(self.fit, first, list(self.gains), base, **levels).run()


def outcomes(trail: Trail) -> list[tuple[int, str, str, str]]:
    return [(test.step, test.direction, test.term.split("~")[1].split("(")[1].split(",")[0], test.outcome)
            for test in trail.tests if test.term]  # fmt: skip


def test_the_p_value_is_that_of_the_chi_square_distribution() -> None:
    assert likelihood_ratio(6.0, 2) == pytest.approx(math.exp(-3.0))
    assert likelihood_ratio(5.3, 3) == pytest.approx(stats.chi2.sf(5.3, 3))
    assert critical(0.05, 1) == pytest.approx(1.959963984540054**2)


def test_terms_enter_by_their_p_and_stay_if_they_are_needed() -> None:
    bench = Bench({GROUP: 12.0, WEIGHT: 5.0, AGE: 1.0})
    trail = bench.search()
    assert trail.terms == (GROUP,)
    assert outcomes(trail) == [
        (1, "forward", "group", "added"),
        (1, "forward", "weight", "significant"),
        (1, "forward", "age", "not significant"),
        (2, "forward", "weight", "added"),
        (2, "forward", "age", "not significant"),
        (3, "forward", "age", "not significant"),
        # 5.0 is beyond 3.84 but not beyond 6.63, the value of backward deletion.
        (4, "backward", "group", "needed"),
        (4, "backward", "weight", "removed"),
        (5, "backward", "group", "needed"),
    ]
    assert trail.tests[0].direction == "base"
    assert trail.fit.minus2ll == 988.0


def test_the_numbers_of_a_test_are_those_worked_out_by_hand() -> None:
    trail = Bench({GROUP: 12.0, WEIGHT: 5.0}, se=0.3).search()
    first: RatioTest = trail.tests[2]
    assert first.term == "tmax ~ power(weight, 70)"
    assert first.df == 1
    assert first.delta == pytest.approx(5.0)
    assert first.delta_se == pytest.approx(0.3 * np.sqrt(2))
    assert first.threshold == pytest.approx(3.841459, abs=1e-6)
    assert first.p == pytest.approx(0.0253473, abs=1e-6)
    assert first.p_low == pytest.approx(stats.chi2.sf(5 + 0.6 * np.sqrt(2), 1))
    assert first.p_high == pytest.approx(stats.chi2.sf(5 - 0.6 * np.sqrt(2), 1))
    assert not first.undecided


def test_two_coefficients_need_more_than_one() -> None:
    trail = Bench({ARM: 5.0, AGE: 4.5}).search(forward=0.05, backward=0.05)
    assert [test.outcome for test in trail.tests[1:3]] == ["not significant", "added"]
    assert trail.tests[1].threshold == pytest.approx(5.991465, abs=1e-6)


def test_a_decision_within_the_error_is_looked_at_again() -> None:
    bench = Bench({WEIGHT: 4.2, AGE: 1.0}, se=0.2)  # 0.36 above the threshold, and SE 0.28
    trail = bench.search(backward=0.05)
    again = [request for request in bench.asked if request.finer]
    assert [request.terms for request in again[:2]] == [(), (str(WEIGHT),)]
    assert all(request.evaluate for request in again)
    assert again[1].start == {"beta_tmax_weight": 0.1}
    assert [test.undecided for test in trail.tests[1:3]] == [False, False]
    assert trail.tests[1].delta_se == pytest.approx(0.05 * np.sqrt(2))
    assert trail.tests[1].outcome == "added"


def test_what_more_draws_do_not_settle_is_said_to_be_undecided() -> None:
    bench = Bench({WEIGHT: 3.85}, se=0.2)
    trail = bench.search(backward=0.05)
    assert trail.tests[1].undecided
    assert trail.tests[1].outcome == "added"
    assert sum(request.finer for request in bench.asked) == 2


def test_a_model_is_fitted_once_and_from_where_its_parent_ended() -> None:
    bench = Bench({GROUP: 30.0, WEIGHT: 20.0})
    trail = bench.search()
    assert [len(request.terms) for request in bench.asked] == [1, 1, 2]
    assert bench.asked[2].start == {"beta_cmax_group_NR": 0.1}
    assert trail.terms == (GROUP, WEIGHT)
    assert [test.outcome for test in trail.tests if test.direction == "backward"] == ["needed", "needed"]


def test_forms_of_one_pair_exclude_each_other_and_base_terms_stay() -> None:
    other = Term("tmax", "weight", "exponential", 70.0)
    trail = Bench({WEIGHT: 9.0, other: 11.0}).search()
    assert trail.terms == (other,)
    assert len({test.step for test in trail.tests if test.direction == "forward"}) == 1
    bench = Bench({GROUP: 12.0})
    kept = bench.search(base=[AGE])
    assert kept.terms == (AGE, GROUP)
    assert not [test for test in kept.tests if test.direction == "backward" and test.term == str(AGE)]


def test_a_fit_that_fails_or_gets_worse_is_told_and_does_not_enter() -> None:
    trail = Bench({WEIGHT: 9.0, AGE: -2.0, GROUP: 20.0}, fails=GROUP).search()
    by_term = {test.term: test for test in trail.tests if test.step == 1}
    assert by_term[str(GROUP)].outcome == "failed"
    assert by_term[str(GROUP)].reason == "no patient can be fitted"
    assert by_term[str(AGE)].p == 1.0
    assert "missed its optimum" in by_term[str(AGE)].reason
    assert trail.terms == (WEIGHT,)


def test_wrong_levels_and_doubled_terms_are_refused() -> None:
    with pytest.raises(SettingsError, match="forward is 5"):
        Bench({GROUP: 1.0}).search(forward=5)
    with pytest.raises(SettingsError, match="the base model has a term"):
        Bench({GROUP: 1.0}).search(base=[GROUP])
