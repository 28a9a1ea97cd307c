"""The fits of a cohort on their way: what every patient brings to the search, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

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
)
from cellkinetics.fitting.batch import Ends, join, look, together
from cellkinetics.fitting.case import Case
from cellkinetics.fitting.curve_grid import curve_times
from cellkinetics.fitting.derived import Derivation, curves, derive
from cellkinetics.fitting.lmfit_fit import LmfitView, one_by_one
from cellkinetics.fitting.objective import Data, Objective, Prior, no_prior, objective
from cellkinetics.fitting.observations import Observations, observations
from cellkinetics.fitting.precision import between_intervals, covariance
from cellkinetics.fitting.profile import Profiled, profile
from cellkinetics.fitting.result import IndividualFit
from cellkinetics.fitting.search import End, Patient, Progress, best_row, box, search
from cellkinetics.fitting.settled import Drawn, Search
from cellkinetics.fitting.start import Plan, faster_phase_first, plan_fit, spread_of
from cellkinetics.fitting.verdict import judge
from cellkinetics.models.base import Model
from cellkinetics.models.residual import Residual

Method = Literal["batch", "lmfit"]
Intervals = Literal["wald", "profile"]
MINIMISERS = {"batch": together, "lmfit": one_by_one}
_SIZES = 16  # padded length of a profile, doubled until it fits: few shapes, few compilations
_KINK = 1e-3  # distance from a sampling time, in days, that counts as at it
_AT_BOUND = 1e-4  # the same for a bound, as a fraction of the searched range on the transformed scale
_CHANGE_POINTS = ("tmax", "tlag", "t0")


class Fitting:
    """The fits of one cohort on their way: what every patient brings, and what came of it."""

    symmetric = True
    """Whether what is minimised stays the same when the phases of decline exchange their names."""

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
        """Fit every profile; in the order of the cohort."""
        n = len(self.cohort)

        def told(done: int, total: int) -> None:
            if progress is not None:
                progress(n * done // max(total, 1), n)

        patients = [patient for i in range(n) if (patient := self.prepare(i)) is not None]
        minimise = MINIMISERS[method](self.objective, self.data, self.prior)
        search(self.objective, patients, minimise, told, symmetric=self.symmetric)
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
        if fault is not None:
            self.fail(i, fault.code, fault.message)
        elif (few := self.too_few(censored)) is not None:
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

    def too_few(self, censored: IntArray) -> tuple[str, str] | None:
        """Return why samples with these flags are too few for a fit; None where they are enough."""
        quantified = int((censored == NOT_CENSORED).sum())
        if quantified == 0:
            return "no_quantified_sample", "no quantified sample; without a prior there is nothing to fit"
        if quantified == 1:
            return "one_quantified_sample", "one quantified sample; a curve needs at least two, or a prior"
        return None

    def plan(self, time: FloatArray, y: FloatArray, censored: IntArray) -> Plan:
        """Plan the search of one patient, see `cellkinetics.fitting.start.plan_fit`."""
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
        """Note that a profile was not fitted, and why."""
        self.fits[i] = self.case(i).failed(code, sentence)

    def case(self, i: int) -> Case:
        """Return profile ``i`` as its fit takes it."""
        mask = self.samples.used[i]
        return Case(
            profile=self.cohort.profile(i),
            objective=self.objective,
            units=(self.cohort.time_unit, self.cohort.value_unit[i]),
            counts=(int(mask.sum()), int((self.cohort.censored[i, mask] == LEFT_CENSORED).sum())),
            left_out=self.samples.left_out(i),
        )

    def conclude(self, patients: Sequence[Patient], ends: Ends) -> None:
        """Judge the patients whose search has ended."""
        cases = [self.case(patient.number) for patient in patients]
        theta = np.array([[h.natural(v) for h, v in zip(self.model.parameters, x, strict=False)] for x in ends.x])
        time = np.array([curve_times(self.model, theta[k], case.profile.time) for k, case in enumerate(cases)])
        drawn = list(map(Drawn, theta, time, curves(self.model, theta, time)))
        quantities = derive(self.model, ends.x)
        for k, (case, patient) in enumerate(zip(cases, patients, strict=True)):
            i = patient.number
            try:
                with np.errstate(divide="raise", invalid="raise", over="ignore"):
                    end = ends.gradient[k], ends.curvature[k]
                    self.fits[i] = self.judged(patient, case, *end, quantities[k], drawn[k])
            except (ArithmeticError, np.linalg.LinAlgError) as error:
                # What is wrong in the program stays loud.
                self.fail(i, *self.wild(i, error))

    def judged(
        self,
        patient: Patient,
        case: Case,
        gradient: FloatArray,
        hessian: FloatArray,
        quantities: Derivation,
        drawn: Drawn,
    ) -> IndividualFit:
        """Turn the end of a patient's search into rows with statuses."""
        i = patient.number
        days = np.unique(self.cohort.time[i, self.samples.used[i]])
        return judge(case, patient.plan, self.settle(patient, gradient, hessian), days, quantities, drawn)

    def settle(self, patient: Patient, gradient: FloatArray, hessian: FloatArray) -> Search:
        """See which parameters are at a bound or a kink, and measure how sure they are."""
        best, plan, names = patient.best, patient.plan, self.objective.names
        assert best is not None
        require_finite(hessian, what="the curvature of -2LL is no number")
        data, x = Data(*(array[patient.number] for array in self.data)), best.x
        searched = np.array([name not in plan.held for name in names])
        at_bound, at_kink = self.stuck(patient, searched)
        mask, censored = data.mask, data.censored
        quantified = mask & (censored == NOT_CENSORED)
        interior = searched & ~at_bound & ~at_kink
        # What ended at a bound is not known either: its curvature is passed on to the others.
        uncertain, n = searched & ~at_kink, self.n_quantified(patient.number)
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
            value=best.value,
            slope=float(np.abs(gradient[interior]).max(initial=0.0)),
            searched=searched,
            at_bound=at_bound,
            at_kink=at_kink,
            covariance=covar,
            n=int(mask.sum()),
            n_quantified=n,
            highest=self.highest(patient.number),
            ceiling=self.ceiling(patient.number),
            last_quantified=float(data.time[quantified].max()),
            view=self.view(patient.number, best, data, searched, covar, at_bound | at_kink),
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

    def n_quantified(self, i: int) -> int:
        """Return how many samples enter that are neither below nor above quantification."""
        return int((self.cohort.censored[i, self.samples.used[i]] == NOT_CENSORED).sum())

    def highest(self, i: int) -> float | None:
        """Return the highest quantified value; None where a sample above the ULOQ may be higher, or without any."""
        used, flag = self.samples.used[i], self.cohort.censored[i]
        y = self.samples.y[i, used & (flag == NOT_CENSORED)]
        return None if (flag[used] == RIGHT_CENSORED).any() or not len(y) else float(y.max())

    def ceiling(self, i: int) -> float | None:
        """Return the highest ULOQ that a sample is above; None where none is."""
        y = self.samples.y[i, self.samples.used[i] & (self.cohort.censored[i] == RIGHT_CENSORED)]
        return float(y.max()) if len(y) else None

    def view(
        self,
        number: int,
        best: End,
        data: Data,
        searched: NDArray[np.bool_],
        covar: FloatArray,
        stuck: NDArray[np.bool_],
    ) -> LmfitView:
        """Return what makes lmfit's own result of profile ``number``."""
        before = Prior(*(array[number] for array in self.prior))
        return LmfitView(self.objective, data, best.x, best.lower, best.upper, searched, covar, stuck, before)


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


def require_finite(*numbers: float | FloatArray, what: str) -> None:
    """Raise FloatingPointError unless all numbers are finite."""
    if not all(np.isfinite(number).all() for number in numbers):
        raise FloatingPointError(what)
