"""One fit per patient: all are searched together, or each by lmfit, and each is judged by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import (
    LEFT_CENSORED,
    NOT_CENSORED,
    RIGHT_CENSORED,
    BoolArray,
    Cohort,
    FloatArray,
    IntArray,
    Profile,
)
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.batch import Ends, advance, join, look, together
from cellkinetics.fitting.curve_grid import curve_times
from cellkinetics.fitting.derived import Derivation, curves, derive
from cellkinetics.fitting.lmfit_fit import LmfitView, one_by_one
from cellkinetics.fitting.objective import Data, Objective, Prior, no_prior, objective
from cellkinetics.fitting.observations import Observations, observations, require_days
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.posterior import Mode, judge_posterior, laplace, plan_posterior
from cellkinetics.fitting.precision import between_intervals, covariance
from cellkinetics.fitting.prior import PopulationPrior, prior_of
from cellkinetics.fitting.profile import Profiled, profile
from cellkinetics.fitting.result import IndividualFit, IndividualFits
from cellkinetics.fitting.search import End, Patient, Progress, best_row, box, search
from cellkinetics.fitting.selection import select
from cellkinetics.fitting.start import Plan, faster_phase_first, plan_fit, spread_of
from cellkinetics.fitting.verdict import Drawn, Search, failed_fit, judge
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import use_compilation_cache
from cellkinetics.models.published import Published
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import LOG_CONSTANT, Residual, get_residual

Method = Literal["batch", "lmfit"]
Intervals = Literal["wald", "profile"]
_MINIMISERS = {"batch": together, "lmfit": one_by_one}
_SIZES = 16  # padded length of a profile, doubled until it fits: few shapes, few compilations
_KINK = 1e-3  # distance from a sampling time, in days, that counts as at it
_AT_BOUND = 1e-4  # the same for a bound, as a fraction of the searched range on the transformed scale
_CHANGE_POINTS = ("tmax", "tlag", "t0")


def fit(
    cohort: Cohort,
    *,
    model: str | Model | Sequence[str | Model] = "ecp",
    method: Method = "batch",
    intervals: Intervals = "wald",
    residual: str | Residual = LOG_CONSTANT,
    prior: str | Path | Published | PopulationFit | PopulationPrior | None = None,
    flat: Sequence[str] = (),
    estimate_sigma: bool = False,
    seed: int = 0,
    starts: Mapping[str, float] | Sequence[Mapping[str, float]] = (),
    progress: Progress | None = None,
) -> IndividualFits:
    """Fit a kinetic model to every profile by itself, by maximum likelihood.

        -2LL(phi, sigma) = 2 sum_j { ln sigma + ln(2 pi)/2 + ((ln y_j - ln C(t_j; phi)) / sigma)^2 / 2   quantified
                                   { -ln Phi((ln LLOQ_j - ln C(t_j; phi)) / sigma)                   below the LLOQ

    Parameters are searched on their transformed scale (log, logit) inside bounds: Cmax within a factor of
    5 of the highest sample, Tmax around its day, sigma from 0.05 to 3. Tmax is a change point, so each
    sampling interval is searched by itself, from several declines. Standard errors come from the exact
    Hessian, corrected for degrees of freedom. A parameter that the samples cannot determine has status
    ``not_identifiable``, no estimate, and the reason.

    Args:
        cohort: n profiles; a profile that cannot be fitted is rows with status ``failed`` and the reason.
        model: name of a model (see `list_models`), or a `Model`; or several, of which each patient's fit is by the
            one with the least AICc, and ``ranking`` holds them all (see `cellkinetics.fitting.selection`).
        method: ``batch`` searches all patients together; ``lmfit`` each one by lmfit, which ends at the same
            optimum and takes a hundred times as long.
        intervals: ``wald`` from the curvature alone; ``profile`` computes those of the profile likelihood
            too, for parameters and half-lives, in the columns ``profile_low`` and ``profile_high``, and a
            parameter without an end on either side is not identifiable.
        residual: ``log-constant`` (the formula above), ``log-student`` (heavy tails, 4 degrees of freedom;
            ``log-student:6`` for 6), ``natural-proportional``, ``natural-combined`` or ``natural-combined-root``;
            see `cellkinetics.models.residual.Residual`.
        prior: a `PopulationFit`, an entry of ``models.library`` or its name, the path of a ``population.json``,
            or a `PopulationPrior`.
        flat: parameters that the prior shall say nothing about, such as ``cmax`` where unit or assay differ.
        estimate_sigma: estimate the residual under a prior, instead of taking the population's.
        seed: recorded with the result; the search itself draws no random numbers.
        starts: one mapping or several, parameter to value on the natural scale, searched from besides
            the starts found in the profile; needed for a model of one's own.
        progress: called as ``progress(done, total)``.

    Raises:
        FitError: if the times are not in days; if the prior says nothing of a parameter, or is in another unit.
        ModelError: for an unknown model, or starts that do not fit it.
        SettingsError: for an unknown method, residual or intervals; if ``starts`` is neither a mapping nor a
            sequence of mappings.

    Source: likelihood of censored samples, Beal SL 2001, doi:10.1023/A:1012299115260 (method M3).

    With a ``prior`` the fit is the mode of the posterior (MAP), the empirical Bayes estimate of that population:

        -2LL(phi, sigma) + (phi - m)^T Omega^-1 (phi - m),   m = h(typical)

    Nothing is held then and no patient is refused for few samples; standard errors are Laplace's posterior SDs.
    A parameter whose posterior SD is more than 90 % of the prior's has status ``prior``: it says what the prior
    says. The residual SD is held at the population's unless ``estimate_sigma``.

    Example:
        >>> from cellkinetics.models.published import library
        >>> from cellkinetics.models.ecp import ECP
        >>> days = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 112, 180]
        >>> truth = ECP.predict(library["stein2019"].typical, days)
        >>> fits = fit(Cohort.from_arrays([days], [truth.tolist()], subject=["P01"]))
        >>> round(fits["P01"]["tmax"].estimate, 2)
        9.3
    """
    if not isinstance(model, (str, Model)):
        return _by_each(
            cohort,
            list(model),
            progress,
            {"method": method, "intervals": intervals, "residual": residual, "seed": seed},
            refused={"prior": prior, "flat": flat, "estimate_sigma": estimate_sigma or None, "starts": starts},
        )
    chosen = get_model(model)
    given = _checked_starts(chosen, starts)
    if method not in _MINIMISERS:
        raise SettingsError(f"method {method!r} does not exist; take {', '.join(_MINIMISERS)}")
    spread, population = get_residual(residual), prior_of(prior, flat)
    if intervals not in ("wald", "profile"):
        raise SettingsError(f"intervals {intervals!r} do not exist; take wald or profile")
    if population is not None and intervals == "profile":
        raise SettingsError("intervals by profile likelihood take no prior: a posterior has Laplace's; leave one out")
    require_days(cohort)
    use_compilation_cache()
    with jax.enable_x64(True):
        fitting = _Fitting(cohort, chosen, spread, given)
        notes: tuple[str, ...] = ()
        if population is not None:
            population.check_units(cohort, chosen)
            fitting = _WithPrior(cohort, chosen, spread, given, population, estimate_sigma)
            notes = population.notes(cohort, fitting.samples)
        fits = fitting.run(method, intervals, progress)
    return IndividualFits(fits, chosen.name, chosen.names, seed, cohort, notes=notes)


def _by_each(
    cohort: Cohort,
    models: Sequence[str | Model],
    progress: Progress | None,
    options: Mapping[str, Any],
    refused: Mapping[str, Any],
) -> IndividualFits:
    """Fit by each of several models and let each patient's AICc choose."""
    chosen = list(dict.fromkeys(get_model(one) for one in models))
    if not chosen:
        raise SettingsError("give at least one model")
    if len(chosen) == 1:
        return fit(cohort, model=chosen[0], progress=progress, **options, **refused)
    for name, value in refused.items():
        if value is not None and len(value if isinstance(value, (Mapping, tuple, list)) else [value]):
            raise SettingsError(
                f"{name} cannot be given with several models: AICc compares likelihoods; take one model"
            )
    results = []
    for k, one in enumerate(chosen):

        def told(done: int, total: int, k: int = k) -> None:
            if progress is not None:
                progress(k * total + done, len(chosen) * total)

        results.append(fit(cohort, model=one, progress=told, **options))
    return select(results)


def _checked_starts(
    model: Model, starts: Mapping[str, float] | Sequence[Mapping[str, float]]
) -> tuple[Mapping[str, float], ...]:
    many = (starts,) if isinstance(starts, Mapping) else tuple(starts)
    if any(not isinstance(start, Mapping) for start in many):
        raise SettingsError("starts takes a mapping such as {'cmax': 1e4, ...}, or a sequence of them")
    for start in many:
        model.theta(start)
        model.check_values(start)
    return many


class _Fitting:
    """The fits of one cohort on their way: what every patient brings, and what came of it."""

    def __init__(
        self, cohort: Cohort, model: Model, residual: Residual, starts: tuple[Mapping[str, float], ...]
    ) -> None:
        self.cohort, self.model, self.residual, self.starts = cohort, model, residual, starts
        self.samples: Observations = observations(cohort)
        self.objective: Objective = objective(model, residual)
        self.data = _padded(cohort, self.samples, residual)
        self.prior = no_prior(len(cohort), len(model.parameters))
        self.sigma: tuple[float, ...] | None = None
        self.fits: dict[int, IndividualFit] = {}
        self.profiled: dict[int, Profiled] = {}

    def run(self, method: Method, intervals: Intervals, progress: Progress | None) -> tuple[IndividualFit, ...]:
        n = len(self.cohort)

        def told(done: int, total: int) -> None:
            if progress is not None:
                progress(n * done // max(total, 1), n)

        patients = [patient for i in range(n) if (patient := self.prepare(i)) is not None]
        search(self.objective, patients, _MINIMISERS[method](self.objective, self.data, self.prior), told)
        found = [patient for patient in patients if patient.best is not None]
        if intervals == "profile":
            self.profiled = profile(self.objective, found, self.data, self.prior)
        rows = [best_row(self.objective, patient) for patient in found]
        for patient in patients:
            if patient.best is None:
                self.fail(patient.number, *self.wild(patient.number, "-2LL is no number wherever it was looked for"))
        if found:
            self.conclude(found, look(self.objective, join(rows), self.data, self.prior))
        told(1, 1)
        return tuple(self.fits[i] for i in range(n))

    def prepare(self, i: int) -> Patient | None:
        """Plan the search of profile ``i``; None, and rows with the reason, where there is none."""
        fault, mask = self.cohort.unusable[i], self.samples.used[i]
        time, censored, y = self.cohort.time[i, mask], self.cohort.censored[i, mask], self.samples.y[i, mask]
        quantified = int((censored == NOT_CENSORED).sum())
        if fault is not None:
            self.fail(i, fault.code, fault.message)
        elif (few := self.too_few(len(time), quantified)) is not None:
            self.fail(i, *few)
        else:
            try:
                with np.errstate(divide="raise", invalid="raise", over="ignore"):
                    plan = replace(self.plan(time, y, censored), spread=spread_of(self.residual, y))
                    patient = Patient(i, plan, len(time), self.sigma)
                    box(self.objective, patient, {})
                    return patient
            except ArithmeticError as error:
                self.fail(i, *self.wild(i, error))
        return None

    def too_few(self, n: int, quantified: int) -> tuple[str, str] | None:
        """Return why so few samples cannot be fitted; None where they can."""
        del n
        if quantified == 0:
            return "no_quantified_sample", "no quantified sample; without a prior there is nothing to fit"
        if quantified == 1:
            return "one_quantified_sample", "one quantified sample; a curve needs at least two, or a prior"
        return None

    def plan(self, time: FloatArray, y: FloatArray, censored: IntArray) -> Plan:
        return plan_fit(self.model, time, y, censored, starts=self.starts)

    def wild(self, i: int, error: object) -> tuple[str, str]:
        """Return code and sentence for one patient's wild value, which must not cost the others."""
        y = self.samples.y[i, self.samples.used[i]]
        return (
            "numerical",
            f"the fit left the range of double-precision numbers ({error}); look for a wild value: "
            f"the samples run from {y.min():.3g} to {y.max():.3g}",
        )

    def fail(self, i: int, code: str, sentence: str) -> None:
        self.fits[i] = failed_fit(
            self.cohort.profile(i),
            self.objective,
            self.units(i),
            self.counts(i),
            self.samples.left_out(i),
            code,
            sentence,
        )

    def units(self, i: int) -> tuple[str, str]:
        return self.cohort.time_unit, self.cohort.value_unit[i]

    def counts(self, i: int) -> tuple[int, int]:
        """Return how many samples enter, and how many of them are below quantification."""
        mask = self.samples.used[i]
        return int(mask.sum()), int((self.cohort.censored[i, mask] == LEFT_CENSORED).sum())

    def conclude(self, patients: Sequence[Patient], ends: Ends) -> None:
        """Judge the patients whose search has ended."""
        numbers, profiles = [patient.number for patient in patients], list(self.cohort)
        theta = np.array([[h.natural(v) for h, v in zip(self.model.parameters, x, strict=False)] for x in ends.x])
        time = np.array([curve_times(self.model, theta[k], profiles[i].time) for k, i in enumerate(numbers)])
        drawn = list(map(Drawn, theta, time, curves(self.model, theta, time)))
        quantities = derive(self.model, ends.x)
        for k, (i, patient) in enumerate(zip(numbers, patients, strict=True)):
            try:
                with np.errstate(divide="raise", invalid="raise", over="ignore"):
                    end = ends.gradient[k], ends.curvature[k]
                    self.fits[i] = self.judged(patient, profiles[i], *end, quantities[k], drawn[k])
            except (ArithmeticError, np.linalg.LinAlgError) as error:
                # What is wrong in the program stays loud.
                self.fail(i, *self.wild(i, error))

    def judged(
        self,
        patient: Patient,
        profile: Profile,
        gradient: FloatArray,
        hessian: FloatArray,
        quantities: Derivation,
        drawn: Drawn,
    ) -> IndividualFit:
        i = patient.number
        return judge(
            profile,
            self.model,
            self.units(i),
            self.counts(i),
            self.samples.left_out(i),
            patient.plan,
            self.settle(patient, gradient, hessian),
            np.unique(self.cohort.time[i, self.samples.used[i]]),
            quantities,
            drawn,
        )

    def settle(self, patient: Patient, gradient: FloatArray, hessian: FloatArray) -> Search:
        """See which parameters are at a bound or a kink, and measure how sure they are."""
        best, plan, names = patient.best, patient.plan, self.objective.names
        assert best is not None
        _require_finite(hessian, what="the curvature of -2LL is no number")
        data, x = Data(*(array[patient.number] for array in self.data)), best.x
        searched = np.array([name not in plan.held for name in names])
        at_bound, at_kink = self.stuck(patient, searched)
        mask, censored = data.mask, data.censored
        quantified = mask & (censored == NOT_CENSORED)
        interior = searched & ~at_bound & ~at_kink
        # What ended at a bound is not known either: its curvature is passed on to the others.
        uncertain, n = searched & ~at_kink, int(quantified.sum())
        k = int(searched[: len(self.model.parameters)].sum())
        others = [
            (end.value, faster_phase_first(self.model, end.x))
            for number, end in patient.ends.items()
            if number != patient.place
        ]
        covar = covariance(hessian, uncertain, n, k, at_bound)
        covar += between_intervals(x, best.value, others, uncertain, n, k)
        return Search(
            names=names,
            x=x,
            minus2ll=best.value,
            slope=float(np.abs(gradient[interior]).max(initial=0.0)),
            searched=searched,
            at_bound=at_bound,
            at_kink=at_kink,
            covariance=covar,
            n=int(mask.sum()),
            highest=self.highest(patient.number),
            last_quantified=float(data.time[quantified].max()),
            lmfit=self.view(patient.number, best, data, searched, covar, at_bound | at_kink),
            profiled=self.profiled.get(patient.number),
        )

    def stuck(self, patient: Patient, searched: BoolArray) -> tuple[BoolArray, BoolArray]:
        """Return which searched elements ended at a bound, and which at a kink."""
        assert patient.best is not None
        x, names = patient.best.x, self.objective.names
        low, high = box(self.objective, patient, {})
        at_bound = searched & ((x - low < _AT_BOUND * (high - low)) | (high - x < _AT_BOUND * (high - low)))
        sampled = self.data.time[patient.number][self.data.mask[patient.number]]
        at_kink = np.zeros_like(searched)
        for name in _CHANGE_POINTS:
            if name in names:
                k = names.index(name)
                near = np.abs(np.exp(x[k]) - sampled) < _KINK
                at_kink[k] = searched[k] and not at_bound[k] and bool(near.any())
        return at_bound, at_kink

    def highest(self, i: int) -> float | None:
        """Return the highest quantified value; None where a sample above the ULOQ may be higher, or without any."""
        used, flag = self.samples.used[i], self.cohort.censored[i]
        y = self.samples.y[i, used & (flag == NOT_CENSORED)]
        return None if (flag[used] == RIGHT_CENSORED).any() or not len(y) else float(y.max())

    def view(
        self,
        number: int,
        best: End,
        data: Data,
        searched: NDArray[np.bool_],
        covar: FloatArray,
        stuck: NDArray[np.bool_],
    ) -> LmfitView:
        before = Prior(*(array[number] for array in self.prior))
        return LmfitView(self.objective, data, best.x, best.lower, best.upper, searched, covar, stuck, before)


class _WithPrior(_Fitting):
    """Fits with a population as prior."""

    def __init__(
        self,
        cohort: Cohort,
        model: Model,
        residual: Residual,
        starts: tuple[Mapping[str, float], ...],
        population: PopulationPrior,
        estimate_sigma: bool,
    ) -> None:
        super().__init__(cohort, model, residual, starts)
        self.before, n = population.on(model), len(cohort)
        self.prior = Prior(np.tile(self.before.mean, (n, 1)), np.tile(self.before.precision, (n, 1, 1)))
        # The population's residual SD is that of a normal one on ln C: another residual is estimated.
        if residual == LOG_CONSTANT and population.sigma is not None and not estimate_sigma:
            self.sigma = (population.sigma,)

    def too_few(self, n: int, quantified: int) -> tuple[str, str] | None:
        if n == 0:
            return "no_sample", "no sample that a likelihood can take; the prior alone is no fit"
        free = [q.name for q, known in zip(self.model.parameters, self.before.known, strict=True) if not known]
        if quantified == 0 and free:
            names = ", ".join(free)
            return "no_quantified_sample", f"no quantified sample, and a prior that is silent about {names}"
        return None

    def plan(self, time: FloatArray, y: FloatArray, censored: IntArray) -> Plan:
        return plan_posterior(self.model, self.before, time, y, censored, starts=self.starts)

    def conclude(self, patients: Sequence[Patient], ends: Ends) -> None:
        rows = join([best_row(self.objective, patient) for patient in patients])
        still = rows._replace(free=np.zeros_like(rows.free))
        approximate = advance(self.objective, still, self.data, self.prior, 1).curvature
        self.approximate = {patient.number: approximate[k] for k, patient in enumerate(patients)}
        super().conclude(patients, ends)

    def judged(
        self,
        patient: Patient,
        profile: Profile,
        gradient: FloatArray,
        hessian: FloatArray,
        quantities: Derivation,
        drawn: Drawn,
    ) -> IndividualFit:
        i, best, names = patient.number, patient.best, self.objective.names
        assert best is not None
        _require_finite(hessian, gradient, what="the curvature of the posterior is no number")
        estimated = np.array([patient.sigma is None or name in self.model.names for name in names])
        at_bound, at_kink = self.stuck(patient, estimated)
        covar = laplace(hessian, self.approximate[i], estimated, smooth=not at_kink.any())
        away = best.x[: len(self.model.names)] - self.before.mean
        interior = estimated & ~at_bound & ~at_kink
        data = Data(*(array[i] for array in self.data))
        mode = Mode(
            names=names,
            x=best.x,
            value=best.value,
            penalty=float(away @ self.before.precision @ away),
            slope=float(np.abs(gradient[interior]).max(initial=0.0)),
            estimated=estimated,
            at_bound=at_bound,
            at_kink=at_kink,
            covariance=covar,
            highest=self.highest(i),
            view=self.view(i, best, data, estimated, covar, at_bound | at_kink),
        )
        counts, left_out = self.counts(i), self.samples.left_out(i)
        return judge_posterior(
            profile, self.model, self.before, self.units(i), counts, left_out, patient.plan, mode, quantities, drawn
        )


def _padded(cohort: Cohort, samples: Observations, residual: Residual) -> Data:
    """Return the samples that enter, closed up and padded to ``(n, m)``."""
    used = samples.used
    size = _SIZES
    while size < used.sum(axis=1).max(initial=0):
        size *= 2
    row, column = np.nonzero(used)
    place = (np.cumsum(used, axis=1) - 1)[row, column]

    def pad(values: NDArray[Any], empty: float = 0) -> NDArray[Any]:
        out = np.full((len(cohort), size), empty, dtype=values.dtype)
        out[row, place] = values[row, column]
        return out

    y = np.where(used, samples.y, 1.0)

    def scaled(values: FloatArray) -> FloatArray:
        return np.asarray(residual.observation(jnp.asarray(values)))

    lower = np.where(np.isnan(samples.lower), -np.inf, scaled(np.where(np.isnan(samples.lower), 1.0, samples.lower)))
    return Data(pad(cohort.time), pad(scaled(y)), pad(cohort.censored), pad(used), pad(lower, -np.inf))


def _require_finite(*numbers: float | FloatArray, what: str) -> None:
    """Raise FloatingPointError unless all numbers are finite."""
    if not all(np.isfinite(number).all() for number in numbers):
        raise FloatingPointError(what)
