"""A published model as its paper reports it, and simulation from what was printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import jax.numpy as jnp

from cellkinetics.errors import ModelError, SettingsError
from cellkinetics.models.base import Intervals, Model
from cellkinetics.models.registry import get_model, trajectories
from cellkinetics.models.simulation import VirtualPatients, simulate_patients

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Published:
    """A published model: whom it describes, what was printed, and what was not.

    Attributes:
        name: key in the `library`.
        citation, doi, population, n_subjects, assay, software, value_unit: what was modelled, in whom, measured
            and fitted how; what we have not seen says so, and a number that we have not seen is None.
        structure: the model in one sentence.
        model_name: the model of this package with those equations, or None where it has none.
        typical: typical values on the natural scale, as far as they were printed.
        omega_sd: SD of the random effects on each parameter's transformed scale; empty where none were published.
        residual_sd: SD of the residual on ln C, or None where none was published.
        beside: values that do not act on what is measured, such as those of a tumour.
        covariate_effects: factors of published covariate effects.
        notes: how printed numbers were read, one sentence each.
        not_published: what a full description would need and we have not seen in print.
    """

    name: str
    citation: str
    doi: str
    population: str
    n_subjects: int | None
    assay: str
    software: str
    value_unit: str
    structure: str
    model_name: str | None = None
    typical: Mapping[str, float] = field(default_factory=dict)
    omega_sd: Mapping[str, float] = field(default_factory=dict)
    residual_sd: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    covariate_effects: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    not_published: tuple[str, ...] = ()

    @property
    def model(self) -> Model:
        """The model of this package.

        Raises:
            ModelError: if there is none with these equations, or its extra is missing.
        """
        if self.model_name is None:
            raise ModelError(
                f"{self.name} is described, and has no model here ({self.structure}); not published: "
                + "; ".join(self.not_published)
            )
        return get_model(self.model_name)

    def simulate(
        self,
        n: int,
        times: Sequence[float],
        *,
        typical: Mapping[str, float] | None = None,
        omega_sd: Mapping[str, float] | None = None,
        residual_sd: float | None = None,
        given: Intervals | None = None,
        lloq: float | None = None,
        jitter: float = 0.0,
        seed: int = 0,
    ) -> VirtualPatients:
        """Simulate ``n`` patients with the published random effects and residual; see `simulate_patients`.

        Random effects are drawn independently of each other. What was not published is asked for.

        Args:
            n: number of patients.
            times: nominal days from infusion, in rising order.
            typical: values that replace printed ones, or stand for those that were not printed.
            omega_sd: random effects in place of the published ones; ``{}`` for patients that are all alike.
            residual_sd: residual in place of the published one; 0 for none.
            given: from and to which day comedication is given to everybody, see `Model.intervals`.
            lloq: lower limit of quantification, or None.
            jitter: largest deviation from a nominal time, as a fraction of the way to its neighbour.
            seed: the same seed gives the same patients.

        Raises:
            ModelError: if the package has no model with these equations.
            SettingsError: if something that was not published is needed, naming it, or an option is out of range.

        Example:
            >>> from cellkinetics.models.published import library
            >>> drawn = library["stein2019"].simulate(3, [0, 7, 14, 28, 84], lloq=50, seed=7)
            >>> len(drawn.samples), list(drawn.truth.columns[:3])
            (15, ['subject', 'cmax', 'tmax'])
        """
        model = self.model
        values = {**self.typical, **(typical or {})}
        missing = [name for name in model.names if name not in values]
        needed = [f"typical={{{', '.join(f'{name!r}: ...' for name in missing)}}}"] if missing else []
        if omega_sd is None and not self.omega_sd:
            needed.append("omega_sd={...} (or {} for patients that are all alike)")
        if residual_sd is None and self.residual_sd is None:
            needed.append("residual_sd=... (or 0)")
        if needed:
            raise SettingsError(f"{self.name}: not everything was published; give {', '.join(needed)}")
        windows = model.intervals(given)
        if windows is not None:
            curve = model.log_curve
            model = replace(model, inputs=(), log_curve=lambda theta, t: curve(theta, t, jnp.asarray(windows)))
        return simulate_patients(
            model,
            n,
            times,
            typical=values,
            omega_sd=self.omega_sd if omega_sd is None else omega_sd,
            residual_sd=(self.residual_sd or 0.0) if residual_sd is None else residual_sd,
            lloq=lloq,
            jitter=jitter,
            seed=seed,
        )

    def trajectories(self, time: Sequence[float], **values: float) -> dict[str, NDArray[np.float64]]:
        """Return all quantities of a model of differential equations for the typical patient, see `trajectories`.

        Args:
            time: days, 0 or later.
            values: values in place of the printed ones.

        Raises:
            ModelError: if the model is none of differential equations, or a value is missing.
        """
        return trajectories(str(self.model_name), {**self.typical, **self.beside, **values}, time)

    def __str__(self) -> str:
        who = "number of patients not seen" if self.n_subjects is None else f"{self.n_subjects} patients"
        lines = [
            f"{self.name}: {self.population}, {who}, {self.assay} ({self.value_unit})",
            f"{self.citation} doi:{self.doi}",
            f"model: {self.model_name or 'none here'}; {self.structure}",
        ]
        names = [*self.typical, *self.beside]
        if names:
            width = max(len(name) for name in names)
            omega = "SD of the random effect" if self.omega_sd else ""
            lines.append(f"{'':<{width}}  {'typical':>9}  {omega}".rstrip())
            for name, value in {**self.typical, **self.beside}.items():
                sd = f"{self.omega_sd[name]:g}" if name in self.omega_sd else ""
                lines.append(f"{name:<{width}}  {value:>9.5g}  {sd}".rstrip())
        if self.residual_sd is not None:
            lines.append(f"residual SD on ln C: {self.residual_sd:g}")
        return "\n".join(
            [
                *lines,
                *(f"note: {note}" for note in self.notes),
                *(f"not published: {item}" for item in self.not_published),
            ]
        )

    def to_dict(self) -> dict[str, object]:
        """Return the entry as plain values, the model by its name."""
        return {
            "name": self.name,
            "model": self.model_name,
            "structure": self.structure,
            "typical": dict(self.typical),
            "omega_sd": dict(self.omega_sd),
            "residual_sd": self.residual_sd,
            "beside": dict(self.beside),
            "citation": self.citation,
            "doi": self.doi,
            "population": self.population,
            "n_subjects": self.n_subjects,
            "assay": self.assay,
            "software": self.software,
            "value_unit": self.value_unit,
            "covariate_effects": dict(self.covariate_effects),
            "notes": list(self.notes),
            "not_published": list(self.not_published),
        }
