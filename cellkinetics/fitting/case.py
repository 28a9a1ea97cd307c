"""One profile as a fit takes it, and the result that is made of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cellkinetics.data.cohort import Profile
from cellkinetics.fitting.objective import Objective
from cellkinetics.fitting.result import Estimate, FitStatus, IndividualFit
from cellkinetics.fitting.settled import Drawn, Settled
from cellkinetics.fitting.start import Plan
from cellkinetics.models.base import Model
from cellkinetics.units import unit_label

_STATISTIC = "a statistic of the fit: it has no standard error"


@dataclass(frozen=True, eq=False)
class Case:
    """One profile as a fit takes it.

    Attributes:
        profile: the patient's samples.
        objective: the likelihood by a model and its residual.
        units: of time and value.
        counts: samples that entered, and how many of them are below quantification.
        left_out: which samples did not enter, in words.
    """

    profile: Profile
    objective: Objective = field(repr=False)
    units: tuple[str, str]
    counts: tuple[int, int]
    left_out: str

    @property
    def model(self) -> Model:
        """What is fitted."""
        return self.objective.model

    def unit(self, kind: str) -> str:
        """Return the unit of a kind of number, see `cellkinetics.units.unit_label`."""
        return unit_label(kind, time=self.units[0], value=self.units[1])

    @property
    def parameter_units(self) -> list[str]:
        """Units of the model's parameters, then of the residual's."""
        kinds = [*(parameter.unit for parameter in self.model.parameters), *self.objective.residual.units]
        return [self.unit(kind) for kind in kinds]

    def values(self, end: Settled, drawn: Drawn) -> tuple[float, ...]:
        """Return the parameters on the natural scale, the residual's among them."""
        return (*drawn.theta, *np.exp(end.x[len(self.model.parameters) :]).tolist())

    def statistics(self, numbers: Mapping[str, float]) -> list[Estimate]:
        """Return a row for each statistic, and the counts of samples after them."""
        n_samples, n_blq = map(float, self.counts)
        why = {"n_samples": f"{_STATISTIC}; {self.left_out}"} if self.left_out else {}
        return [
            Estimate(name, "", number, reason=why.get(name, _STATISTIC), reason_code="statistic")
            for name, number in {**numbers, "n_samples": n_samples, "n_blq": n_blq}.items()
        ]

    def fitted(
        self,
        end: Settled,
        plan: Plan,
        drawn: Drawn,
        rows: Sequence[Estimate],
        status: FitStatus,
        reason: str,
        **others: Any,
    ) -> IndividualFit:
        """Return the fit of a search that has ended.

        Args:
            end: where it ended.
            plan: how it was searched.
            drawn: parameters and curve there.
            rows: parameters, derived quantities and statistics.
            status: of the fit.
            reason: what is missing.
            others: fields of `IndividualFit` that a search does not tell.
        """
        sigma = self.values(end, drawn)[len(self.model.parameters) :]
        return self._result(
            status,
            reason,
            rows,
            theta=drawn.theta,
            sigma=sigma[0] if len(sigma) == 1 else float("nan"),
            bounds=dict(plan.bounds),
            at_bound=tuple(name for name, hit in zip(end.names, end.at_bound, strict=True) if hit),
            view=end.view,
            curve_time=drawn.time,
            curve=drawn.curve,
            phases=self.model.phases,
            n_searched=int(end.searched.sum()),
            **others,
        )

    def failed(self, code: str, sentence: str) -> IndividualFit:
        """Return the rows of a profile that was not fitted: every value empty, with the reason."""
        (n_samples, n_blq), model, residual = self.counts, self.model, self.objective.residual
        names = [(parameter.name, parameter.unit) for parameter in model.parameters]
        names += [(quantity.name, quantity.unit) for quantity in model.derived]
        names += [*zip(residual.names, residual.units, strict=True)]
        names += [(name, "none") for name in ("minus2ll", "aic", "bic")]
        rows = [
            Estimate(name, self.unit(kind), status="failed", reason=sentence, reason_code=code) for name, kind in names
        ]
        rows.append(Estimate("n_samples", "", float(n_samples), reason=self.left_out))
        rows.append(Estimate("n_blq", "", float(n_blq)))
        return self._result("failed", sentence, rows)

    def _result(self, status: FitStatus, reason: str, rows: Sequence[Estimate], **found: Any) -> IndividualFit:
        return IndividualFit(
            subject=self.profile.subject,
            analyte=self.profile.analyte,
            occasion=self.profile.occasion,
            specimen=self.profile.specimen,
            model=self.model.name,
            status=status,
            reason=reason,
            rows=tuple(rows),
            **found,
        )
