"""`covariate_search`: which covariates act on which parameters, by likelihood ratios, with the whole way there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.comedication import comedication_of
from cellkinetics.drawing import Drawable
from cellkinetics.engines import ALONE, Crew
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.covariates import Missing, complete, design, parse_terms, remarks
from cellkinetics.fitting.pooled.problem import Blq
from cellkinetics.fitting.pooled.refit import Refit, Request, Setting, check_exact, refit
from cellkinetics.fitting.pooled.stepwise import RatioTest, Stepwise, check_levels, formulas
from cellkinetics.fitting.replicates import Record, Replicates, Task, fingerprint
from cellkinetics.models.base import Model
from cellkinetics.models.registry import get_model

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.data.comedication import Comedication

TRACE_COLUMNS = (
    *("step", "direction", "term", "df", "minus2ll", "mc_se", "delta", "delta_se", "threshold"),
    *("p", "p_low", "p_high", "aic", "bic", "bicc", "outcome", "undecided", "converged", "model", "reason"),
)
MODEL_COLUMNS = (
    *("model", "n_coefficients", "n_parameters", "minus2ll", "mc_se", "aic", "bic", "bicc", "delta_bicc"),
    *("chosen", "converged", "reason"),
)


@dataclass(frozen=True, eq=False)
class CovariateSearch(Drawable):
    """The result of a search for covariates.

    Attributes:
        model: name of the kinetic model.
        method: that the first model was estimated by; the others start from their parents.
        seed: of all draws.
        forward, backward: levels of significance.
        n_subjects: patients in every fit.
        tests: every likelihood ratio in order, and the model that the search began with.
        terms: formulas of the model that it ended with, to be handed to `pool(covariates=...)`.
        fits: each model that was fitted, once.
        chosen: the fit of the last model.
        warnings: what to know of it.
    """

    model: str
    method: str
    seed: int
    forward: float
    backward: float
    n_subjects: int
    tests: tuple[RatioTest, ...]
    terms: tuple[str, ...]
    fits: tuple[Refit, ...]
    chosen: Refit
    warnings: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """What came of it, in one sentence."""
        tested = [test for test in self.tests if test.term]
        steps = max(test.step for test in self.tests)
        found = f"{len(self.terms)} covariate term{'s' if len(self.terms) != 1 else ''} in the model"
        open_ = sum(test.undecided for test in tested)
        sure = f"; {open_} within the Monte-Carlo error, see the warnings" if open_ else ""
        return f"{found} after {len(tested)} likelihood ratios in {steps} steps{sure}"

    @property
    def table(self) -> pd.DataFrame:
        """The trace, one row a likelihood ratio, in order: what ``covariate_search.csv`` holds."""
        import pandas as pd

        rows = [
            {
                **{name: getattr(test, name) for name in TRACE_COLUMNS if hasattr(test, name)},
                **{name: getattr(test.fit, name) for name in ("minus2ll", "mc_se", "aic", "bic", "bicc", "converged")},
                "model": model_name(test.terms),
            }
            for test in self.tests
        ]
        return pd.DataFrame(rows, columns=list(TRACE_COLUMNS))

    @property
    def models(self) -> pd.DataFrame:
        """Each model that was fitted, the least BICc first: what ``covariate_models.csv`` holds."""
        import pandas as pd

        least = min((fit.bicc for fit in self.fits if not fit.failed), default=np.nan)
        names = ("n_coefficients", "n_parameters", "minus2ll", "mc_se", "aic", "bic", "bicc", "converged", "reason")
        rows = [
            {
                **{name: getattr(fit, name) for name in names},
                "model": model_name(fit.terms),
                "delta_bicc": fit.bicc - least,
                "chosen": fit.terms == self.chosen.terms,
            }
            for fit in sorted(self.fits, key=lambda fit: (fit.failed, fit.bicc))
        ]
        return pd.DataFrame(rows, columns=list(MODEL_COLUMNS))

    def __repr__(self) -> str:
        lines = [f"Covariate search, {self.model}, {self.n_subjects} patients: {self.status}"]
        for test in self.tests:
            if test.term:
                open_ = ", undecided" if test.undecided else ""
                number = "" if np.isnan(test.delta) else f"{test.delta:8.2f} (SE {test.delta_se:.2f}), p {test.p:.2g}"
                lines.append(f"  {test.step:2d} {test.direction:8s} {test.term:40s} {number}: {test.outcome}{open_}")
        lines.append(f"  model: {model_name(self.terms)}; BICc {self.chosen.bicc:.2f}")
        return "\n".join(lines)


def covariate_search(
    cohort: Cohort,
    *,
    candidates: Sequence[str],
    model: str | Model = "ecp",
    method: str = "saem",
    forward: float = 0.05,
    backward: float = 0.01,
    covariates: Sequence[str] = (),
    missing: Missing = "error",
    residual: str = "log-constant",
    start: Mapping[str, float] | None = None,
    fix: Mapping[str, float] | None = None,
    omega: str = "diagonal",
    iov: Sequence[str] = (),
    mixture: Sequence[str] = (),
    comedication: Comedication | pd.DataFrame | str | Mapping[str, str] | None = None,
    blq: Blq = "m3",
    seed: int = 0,
    target_se: float = 0.2,
    crew: Crew = ALONE,
    folder: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CovariateSearch:
    """Search for covariates: add what improves -2LL most until nothing does, then take away what is not needed.

        delta = -2LL(without) - (-2LL(with)),   p = P(chi2_df > delta)

    -2LL is the exact marginal likelihood at its maximum, by importance sampling, and every delta has a Monte-Carlo
    error; a decision within two of them is looked at again with 0.4 of the error, and said to be undecided if
    that does not settle it. Each model starts from the estimates of the one it comes from. A p value speaks of one
    test: of many candidates that do nothing, one in twenty enters at 0.05, which the backward step at 0.01 amends.

    Args:
        cohort: as for `pool`.
        candidates: formulas such as ``cmax ~ group + weight``, see
            `cellkinetics.fitting.covariates.parse_terms`; each covariate on each parameter is a candidate. Several
            forms for one pair, in formulas of their own, exclude each other.
        model: as for `pool`, and so are ``residual``, ``fix``, ``omega``, ``iov``, ``mixture`` and ``blq``.
        method: that estimates the first model.
        forward: level at which a term enters.
        backward: level at which it stays.
        covariates: formulas of terms that are in every model.
        missing: rule for patients without a covariate: ``error``, ``reference`` (they count as patients at its
            reference) or ``drop`` (left out of every fit), see `cellkinetics.fitting.covariates.complete`.
        residual: see ``model``.
        start: of the first model.
        fix: see ``model``.
        omega: see ``model``.
        iov: see ``model``.
        mixture: see ``model``.
        comedication: for a model with inputs, as for `pool`.
        blq: see ``model``.
        seed: of all draws.
        target_se: Monte-Carlo error of each -2LL.
        crew: who fits: this process, several, or a Dask cluster.
        folder: where finished fits are kept.
        resume: go on with the search that the folder holds.
        force: remove it and begin anew.
        progress: called as ``progress(done, total)`` with the fits that are known to be needed.

    Raises:
        SettingsError: for a candidate that cannot be, levels that are none, or a method that finds the maximum of an
            approximation (focei, laplace and their like).
        DataError: for missing covariates without a rule.
        FitError: if the model without the candidates cannot be fitted.

    Source: Jonsson EN, Karlsson MO. Pharm Res 1998;15:1463-1468, doi:10.1023/A:1011970125687.
    """
    check_exact(method)
    check_levels(forward, backward)
    chosen = get_model(model)
    base = parse_terms(covariates, chosen, cohort)
    asked = tuple(dict.fromkeys(term for text in candidates for term in parse_terms([text], chosen, cohort)))
    if not asked:
        raise SettingsError("give at least one candidate, such as candidates=['cmax ~ group']")
    cohort, notes = complete(cohort, (*base, *asked), missing)
    usable = [i for i in range(len(cohort)) if cohort.unusable[i] is None]
    for term in asked:
        design((*base, term), chosen, cohort, usable)
    setting = Setting(
        cohort,
        (*base, *asked),
        model,
        method,
        residual,
        dict(start or {}),
        dict(fix or {}),
        omega,
        tuple(iov),
        tuple(mixture),
        None if comedication is None else comedication_of(comedication, cohort),
        blq,
        seed,
        target_se,
    )
    with Replicates(folder, _header(setting, forward, backward), resume=resume, force=force) as replicates:
        fitter = _Fitter(setting, replicates, crew, progress)
        (first,) = fitter([Request(formulas(base), None)])
        if first.failed:
            raise FitError(f"the model without the candidates cannot be fitted: {first.reason}")
        trail = Stepwise(fitter, first, asked, base, forward=forward, backward=backward).run()
    warnings = (*notes, *remarks(asked, cohort, usable), *_open_questions(trail.tests))
    terms = tuple(str(term) for term in trail.terms)
    return CovariateSearch(
        model=chosen.name,
        method=method,
        seed=seed,
        forward=forward,
        backward=backward,
        n_subjects=first.n_subjects,
        tests=trail.tests,
        terms=terms,
        fits=tuple(fitter.fits.values()),
        chosen=trail.fit,
        warnings=warnings,
    )


def model_name(terms: Sequence[str]) -> str:
    """Return a model's covariates in words; ``none`` for none."""
    return "; ".join(terms) or "none"


class _Fitter:
    """Does requests as tasks that leave a record, and remembers the last fit of each model."""

    def __init__(
        self, setting: Setting, replicates: Replicates, crew: Crew, progress: Callable[[int, int], None] | None
    ) -> None:
        self._setting, self._replicates, self._crew, self._progress = setting, replicates, crew, progress
        self._done = 0
        self.fits: dict[tuple[str, ...], Refit] = {}

    def __call__(self, requests: Sequence[Request]) -> list[Refit]:
        tasks = [Task(_task_name(request), request) for request in requests]
        before = self._done

        def told(done: int, total: int) -> None:
            if self._progress is not None:
                self._progress(before + done, before + total)

        records = self._replicates.run(refit, tasks, shared=self._setting, crew=self._crew, progress=told)
        self._done += len(tasks)
        fits = [_fit_of(request, record) for request, record in zip(requests, records, strict=True)]
        self.fits |= {fit.terms: fit for fit in fits}
        return fits


def _fit_of(request: Request, record: Record) -> Refit:
    if record.status == "failed":
        return Refit(request.terms, finer=request.finer, failed=True, reason=record.reason)
    content = {**record.result, "terms": request.terms}
    known: dict[str, Any] = {name: np.nan if value is None else value for name, value in content.items()}
    return Refit(**known)


def _task_name(request: Request) -> str:
    import hashlib

    digest = hashlib.sha256("\n".join(request.terms).encode()).hexdigest()[:16]
    return f"{len(request.terms):02d}-{digest}{'-finer' if request.finer else ''}"


def _header(setting: Setting, forward: float, backward: float) -> dict[str, Any]:
    """Return what decides the fits."""
    drugs = setting.comedication
    windows = None if drugs is None else [drugs.subject, drugs.drug, drugs.occasion, drugs.start, drugs.end]
    plain = ("method", "residual", "start", "fix", "omega", "iov", "mixture", "blq", "seed", "target_se")
    return {
        "task": "covariate search",
        "input": fingerprint(setting.cohort),
        "model": get_model(setting.model).name,
        "terms": [str(term) for term in setting.terms],
        **{name: getattr(setting, name) for name in plain},
        "comedication": windows,
        "forward": forward,
        "backward": backward,
    }


def _open_questions(tests: Sequence[RatioTest]) -> tuple[str, ...]:
    found = [
        f"step {test.step}, {test.term}: delta {test.delta:.2f} lies within the Monte-Carlo error of what decides "
        f"({test.threshold:.2f}), so that it counts as {test.outcome} is undecided: lower target_se"
        for test in tests
        if test.undecided
    ]
    found += [f"step {test.step}, {test.term}: {test.reason}" for test in tests if test.reason]
    return tuple(found)
