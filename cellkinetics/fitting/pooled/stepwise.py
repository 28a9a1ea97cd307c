"""Which covariates belong in a population model: forward addition and backward deletion by likelihood ratios.

    delta = -2LL(without) - (-2LL(with)),   p = P(chi2_df > delta),   df coefficients
    SE(delta)^2 = SE(without)^2 + SE(with)^2                             of the Monte-Carlo integration

Forward, the candidate with the smallest p is added while p < ``forward``; backward, the term with the largest p is
removed while p >= ``backward``. A delta within two standard errors of what decides is looked at again with more
draws, and is said to be undecided if that does not settle it; the value then counts as it is.

Source: stepwise covariate modelling, Jonsson EN, Karlsson MO. Pharm Res 1998;15:1463-1468,
doi:10.1023/A:1011970125687.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc, chdtri

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.refit import Refit, Request
from cellkinetics.fitting.terms import Term

SURE = 2.0
"""Standard errors that a likelihood ratio must be away from what decides."""

Fitter = Callable[[Sequence[Request]], Sequence[Refit]]


@dataclass(frozen=True)
class RatioTest:
    """One term at one step of the search: with and without it.

    Attributes:
        step: number of the step, 0 for the model that the search begins with.
        direction: ``base``, ``forward`` or ``backward``.
        term: what is added or taken away; empty at the base.
        terms: the covariates of the model that was fitted.
        df: number of coefficients in question.
        fit: of that model.
        delta: by how much -2LL is higher without the term, with its Monte-Carlo error ``delta_se``.
        threshold: the value of ``delta`` that decides.
        p: of the likelihood ratio; ``p_low`` and ``p_high`` are those two standard errors away.
        outcome: ``base``; forward ``added``, ``significant`` (but another is more so) or ``not significant``;
            backward ``removed``, ``removable`` (but another is more so) or ``needed``; ``failed``.
        undecided: whether the threshold lies within two standard errors of ``delta``.
        reason: what is wrong with the fit, empty where nothing is.
    """

    step: int
    direction: str
    term: str
    terms: tuple[str, ...]
    df: int
    fit: Refit
    delta: float = np.nan
    delta_se: float = np.nan
    threshold: float = np.nan
    p: float = np.nan
    p_low: float = np.nan
    p_high: float = np.nan
    outcome: str = "base"
    undecided: bool = False
    reason: str = ""


def likelihood_ratio(delta: float, df: int) -> float:
    """Return the p value of a likelihood ratio, P(chi2_df > delta).

    Example:
        >>> round(likelihood_ratio(3.841459, 1), 4), likelihood_ratio(-0.3, 1)
        (0.05, 1.0)
    """
    return float(chdtrc(df, max(delta, 0.0)))


def critical(alpha: float, df: int) -> float:
    """Return the delta whose p value is alpha.

    Example:
        >>> round(critical(0.01, 2), 3)
        9.21
    """
    return float(chdtri(df, alpha))


def check_levels(forward: float, backward: float) -> None:
    """Refuse levels of significance that are none.

    Raises:
        SettingsError: for such a level.
    """
    for name, level in (("forward", forward), ("backward", backward)):
        if not 0 < level < 1:
            raise SettingsError(f"{name} is {level}; a level of significance lies between 0 and 1, such as 0.05")


@dataclass(frozen=True)
class Trail:
    """The way of a search: every test, and the terms that it ends with."""

    tests: tuple[RatioTest, ...]
    terms: tuple[Term, ...]
    fit: Refit


class Stepwise:
    """A search; ``fit`` does the fits of a step, all of them at once.

    Args:
        fit: takes requests, returns their fits in order.
        first: fit of the model with the base terms.
        candidates: terms to choose among; of several for one parameter and covariate at most one enters.
        base: terms that stay in every model.
        forward, backward: levels of significance.

    Raises:
        SettingsError: for a level that is none, or a candidate that is in the base.
    """

    def __init__(
        self,
        fit: Fitter,
        first: Refit,
        candidates: Sequence[Term],
        base: Sequence[Term] = (),
        *,
        forward: float = 0.05,
        backward: float = 0.01,
    ) -> None:
        check_levels(forward, backward)
        for term in candidates:
            if _pair(term) in {_pair(one) for one in base}:
                raise SettingsError(f"candidate {term}: the base model has a term of this parameter and covariate")
        self._fit, self._first = fit, first
        self._candidates, self._base = tuple(candidates), tuple(base)
        self._forward, self._backward = forward, backward
        self._tests: list[RatioTest] = []
        self._known: dict[tuple[str, ...], Refit] = {formulas(base): first}
        self._step = 0

    def run(self) -> Trail:
        """Search, and return every test and the terms that are left."""
        self._tests.append(RatioTest(0, "base", "", self._first.terms, 0, self._first, reason=self._first.reason))
        terms = self._base
        for direction in ("forward", "backward"):
            while True:
                chosen = self._one_step(direction, terms)
                if chosen is None:
                    break
                terms = chosen
        return Trail(tuple(self._tests), terms, self._known[formulas(terms)])

    def _one_step(self, direction: str, terms: tuple[Term, ...]) -> tuple[Term, ...] | None:
        """Test every term that may go in or out; return the terms of the better model, None for none."""
        present = {_pair(term) for term in terms}
        if direction == "forward":
            asked = [term for term in self._candidates if _pair(term) not in present]
            models = [(*terms, term) for term in asked]
        else:
            asked = [term for term in terms if term not in self._base]
            models = [tuple(one for one in terms if one is not term) for term in asked]
        if not asked:
            return None
        self._step += 1
        here = self._known[formulas(terms)]
        self._fits(models, here)
        tests = [self._test(direction, terms, model, term) for model, term in zip(models, asked, strict=True)]
        near = [k for k, test in enumerate(tests) if test.undecided]
        if near:
            # The model that both are compared with is looked at again too, for its error is in every delta.
            self._fits([terms, *(models[k] for k in near)], here, finer=True)
            tests = [self._test(direction, terms, model, term) for model, term in zip(models, asked, strict=True)]
        best = self._best(direction, tests)
        for k, test in enumerate(tests):
            self._tests.append(replace(test, outcome=_outcome(direction, test, k == best)))
        return None if best is None else models[best]

    def _test(self, direction: str, terms: tuple[Term, ...], model: tuple[Term, ...], term: Term) -> RatioTest:
        here, there = self._known[formulas(terms)], self._known[formulas(model)]
        df = len(term.names)
        test = RatioTest(self._step, direction, str(term), there.terms, df, there, reason=there.reason)
        if there.failed:
            return replace(test, outcome="failed")
        sign = 1.0 if direction == "forward" else -1.0
        delta = sign * (here.minus2ll - there.minus2ll)
        se = float(np.hypot(here.mc_se, there.mc_se))
        threshold = critical(self._forward if direction == "forward" else self._backward, df)
        reason = there.reason
        if delta < -SURE * se and not reason:
            reason = "-2LL is higher with the term than without it: a search missed its optimum"
        return replace(
            test,
            delta=delta,
            delta_se=se,
            threshold=threshold,
            p=likelihood_ratio(delta, df),
            p_low=likelihood_ratio(delta + SURE * se, df),
            p_high=likelihood_ratio(delta - SURE * se, df),
            undecided=abs(delta - threshold) < SURE * se,
            reason=reason,
        )

    def _best(self, direction: str, tests: Sequence[RatioTest]) -> int | None:
        """Return which test changes the model: the smallest p forward, the largest backward."""
        usable = [k for k, test in enumerate(tests) if not test.fit.failed]

        def order(k: int) -> tuple[float, float]:
            # Equal p values, as of two that are nearly 0, are told apart by how far they are beyond the threshold.
            return tests[k].p, tests[k].threshold - tests[k].delta

        if direction == "forward":
            return min((k for k in usable if tests[k].p < self._forward), key=order, default=None)
        return max((k for k in usable if tests[k].p >= self._backward), key=order, default=None)

    def _fits(self, models: Sequence[tuple[Term, ...]], near: Refit, finer: bool = False) -> None:
        """Get the fits of models that are not known, from where ``near`` ended; ``finer`` of those that are."""
        requests = []
        for key in dict.fromkeys(formulas(model) for model in models):
            known = self._known.get(key)
            if known is None:
                requests.append(Request(key, near.x))
            elif finer and not known.finer and not known.failed:
                requests.append(Request(key, known.x, finer=True, evaluate=True))
        for request, found in zip(requests, self._fit(requests) if requests else (), strict=True):
            self._known[request.terms] = found


def _outcome(direction: str, test: RatioTest, chosen: bool) -> str:
    if test.fit.failed:
        return "failed"
    significant = test.delta > test.threshold
    if direction == "backward":
        return "removed" if chosen else "needed" if significant else "removable"
    return "added" if chosen else "significant" if significant else "not significant"


def _pair(term: Term) -> tuple[str, str]:
    return term.parameter, term.covariate


def formulas(terms: Sequence[Term]) -> tuple[str, ...]:
    """Return a model's terms as formulas, whose order does not matter."""
    return tuple(sorted(str(term) for term in terms))
