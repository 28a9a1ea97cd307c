"""The fits of a cohort with a population as prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cellkinetics.data.cohort import NOT_CENSORED, Cohort, FloatArray, IntArray
from cellkinetics.fitting.batch import Ends, advance, join
from cellkinetics.fitting.case import Case
from cellkinetics.fitting.derived import Derivation
from cellkinetics.fitting.engine import Fitting, require_finite
from cellkinetics.fitting.objective import Data, Prior
from cellkinetics.fitting.posterior import judge_posterior, laplace, plan_posterior
from cellkinetics.fitting.precision import between_intervals
from cellkinetics.fitting.prior import PopulationPrior
from cellkinetics.fitting.result import IndividualFit
from cellkinetics.fitting.search import Patient, best_row
from cellkinetics.fitting.settled import Drawn, Mode
from cellkinetics.fitting.start import Plan
from cellkinetics.models.base import Model
from cellkinetics.models.residual import LOG_CONSTANT, Residual


class FittingWithPrior(Fitting):
    """Fits with a population as prior."""

    symmetric = False

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

    def too_few(self, censored: IntArray) -> tuple[str, str] | None:
        """Return why there is nothing that the prior could be held against; None where there is."""
        if not len(censored):
            return "no_sample", "no sample that a likelihood can take; the prior alone is no fit"
        free = [q.name for q, known in zip(self.model.parameters, self.before.known, strict=True) if not known]
        if free and not (censored == NOT_CENSORED).any():
            names = ", ".join(free)
            return "no_quantified_sample", f"no quantified sample, and a prior that is silent about {names}"
        return None

    def plan(self, time: FloatArray, y: FloatArray, censored: IntArray) -> Plan:
        """Plan the search of one patient, see `cellkinetics.fitting.posterior.plan_posterior`."""
        return plan_posterior(self.model, self.before, time, y, censored, starts=self.starts)

    def conclude(self, patients: Sequence[Patient], ends: Ends) -> None:
        """Judge the patients whose search has ended, with the Gauss-Newton curvature at hand."""
        rows = join([best_row(self.objective, patient) for patient in patients])
        still = rows._replace(free=np.zeros_like(rows.free))
        approximate = advance(self.objective, still, self.data, self.prior, 1).curvature
        self.approximate = {patient.number: approximate[k] for k, patient in enumerate(patients)}
        super().conclude(patients, ends)

    def judged(
        self,
        patient: Patient,
        case: Case,
        gradient: FloatArray,
        hessian: FloatArray,
        quantities: Derivation,
        drawn: Drawn,
    ) -> IndividualFit:
        """Turn a patient's mode into rows with statuses."""
        i, best, names = patient.number, patient.best, self.objective.names
        assert best is not None
        require_finite(hessian, gradient, what="the curvature of the posterior is no number")
        estimated = np.array([patient.sigma is None or name in self.model.names for name in names])
        at_bound, at_kink = self.stuck(patient, estimated)
        covar = laplace(hessian, self.approximate[i], estimated, smooth=not at_kink.any())
        others = [(end.value, end.x) for number, end in patient.ends.items() if number != patient.place]
        covar += between_intervals(best.x, best.value, others, estimated, 0, 0)  # as it is: no degrees of freedom
        away = best.x[: len(self.model.names)] - self.before.mean
        interior = estimated & ~at_bound & ~at_kink
        data = Data(*(array[i] for array in self.data))
        mode = Mode(
            names=names,
            x=best.x,
            value=best.value,
            penalty=float(away @ self.before.precision @ away),
            slope=float(np.abs(gradient[interior]).max(initial=0.0)),
            searched=estimated,
            at_bound=at_bound,
            at_kink=at_kink,
            covariance=covar,
            n_quantified=self.n_quantified(i),
            highest=self.highest(i),
            ceiling=self.ceiling(i),
            view=self.view(i, best, data, estimated, covar, at_bound | at_kink),
        )
        return judge_posterior(case, self.before, patient.plan, mode, quantities, drawn)
