"""Published population models: what was printed, with its source, and what was not printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cellkinetics.models.base import Model
from cellkinetics.models.ecp import ECP
from cellkinetics.models.registry import Named
from cellkinetics.models.simulation import VirtualPatients, simulate_patients


@dataclass(frozen=True)
class Published:
    """A population fit as its paper reports it.

    Attributes:
        name: key in the `library`.
        model: the kinetic model, with its equations.
        typical: typical values on the natural scale.
        omega_sd: SD of the random effects on each parameter's transformed scale.
        residual_sd: SD of the residual on ln C.
        citation, doi, population, n_subjects, assay, software: what was fitted, to whom, with what.
        value_unit: unit of the measured value.
        covariate_effects: factors of published covariate effects.
        notes: how printed numbers were read, one sentence each.
        not_published: what a full description would need and the paper does not print.
    """

    name: str
    model: Model
    typical: Mapping[str, float]
    omega_sd: Mapping[str, float]
    residual_sd: float
    citation: str
    doi: str
    population: str
    n_subjects: int
    assay: str
    software: str
    value_unit: str
    covariate_effects: Mapping[str, float]
    notes: tuple[str, ...]
    not_published: tuple[str, ...]

    def simulate(
        self, n: int, times: Sequence[float], *, lloq: float | None = None, jitter: float = 0.0, seed: int = 0
    ) -> VirtualPatients:
        """Simulate ``n`` patients with the published random effects and residual; see `simulate_patients`.

        Random effects are drawn independently of each other.

        Args:
            n: number of patients.
            times: nominal days from infusion, in rising order.
            lloq: lower limit of quantification, or None.
            jitter: largest deviation from a nominal time, as a fraction of the way to its neighbour.
            seed: the same seed gives the same patients.

        Raises:
            SettingsError: for an option out of its range.

        Example:
            >>> drawn = library["stein2019"].simulate(3, [0, 7, 14, 28, 84], lloq=50, seed=7)
            >>> len(drawn.samples), list(drawn.truth.columns[:3])
            (15, ['subject', 'cmax', 'tmax'])
        """
        return simulate_patients(
            self.model,
            n,
            times,
            typical=self.typical,
            omega_sd=self.omega_sd,
            residual_sd=self.residual_sd,
            lloq=lloq,
            jitter=jitter,
            seed=seed,
        )

    def __str__(self) -> str:
        width = max(len(name) for name in self.model.names)
        rows = [f"{name:<{width}}  {self.typical[name]:>9g}  {self.omega_sd[name]:g}" for name in self.model.names]
        return "\n".join(
            [
                f"{self.name}: {self.population}, {self.n_subjects} patients, {self.assay} ({self.value_unit})",
                f"{self.citation} doi:{self.doi}",
                f"{'':<{width}}  {'typical':>9}  SD of the random effect",
                *rows,
                f"residual SD on ln C: {self.residual_sd:g}",
                *(f"note: {note}" for note in self.notes),
                *(f"not published: {item}" for item in self.not_published),
            ]
        )

    def to_dict(self) -> dict[str, object]:
        """Return the entry as plain values, the model by its name."""
        return {
            "name": self.name,
            "model": self.model.name,
            "typical": dict(self.typical),
            "omega_sd": dict(self.omega_sd),
            "residual_sd": self.residual_sd,
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


STEIN_2019 = Published(
    name="stein2019",
    model=ECP,
    typical=MappingProxyType(
        {"cmax": 24000.0, "tmax": 9.3, "foldx": 3900.0, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}
    ),
    omega_sd=MappingProxyType({"cmax": 0.65, "tmax": 0.38, "foldx": 2.4, "alpha": 0.91, "fb": 0.80, "beta": 0.86}),
    residual_sd=0.56,
    citation=(
        "Stein AM, Grupp SA, Levine JE, et al. Tisagenlecleucel model-based cellular kinetic analysis of chimeric "
        "antigen receptor-T cells. CPT Pharmacometrics Syst Pharmacol 2019;8:285-295."
    ),
    doi="10.1002/psp4.12388",
    population="tisagenlecleucel, paediatric and young adult B-cell acute lymphoblastic leukaemia",
    n_subjects=90,
    assay="qPCR of the transgene in blood",
    software="Monolix",
    value_unit="copies/ug",
    covariate_effects=MappingProxyType({"tocilizumab on growth rate": 1.2, "corticosteroids on growth rate": 1.0}),
    notes=(
        "The random-effect column is read as standard deviations: as variances, Tmax of 95 % of patients would "
        "span 2.8 to 31.1 days instead of 4.4 to 19.6 days, which is implausible; at least one public library "
        "reads variances.",
        "Effects of comedication on growth are recorded, and not part of this entry's simulations.",
    ),
    not_published=("correlations between random effects: none known to us",),
)

library: Mapping[str, Published] = Named({STEIN_2019.name: STEIN_2019}, kind="published model")
"""Published population models by name; an unknown name raises `ModelError` and lists those there are."""
