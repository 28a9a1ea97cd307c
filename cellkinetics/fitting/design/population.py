"""What a design takes as true: a model, its typical values, the variability between patients, the residual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.errors import ModelError, SettingsError
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.models.base import Model
from cellkinetics.models.published import Published, library
from cellkinetics.models.registry import get_model


@dataclass(frozen=True, eq=False)
class AssumedPopulation:
    """A population that a design is judged for.

        h(phi_i) = h(theta) + eta_i,  eta_i ~ N(0, diag(omega_sd^2)),  ln y_ij = ln C(t_ij; phi_i) + N(0, residual_sd^2)

    Attributes:
        model: a kinetic model, or its name.
        typical: typical value of every parameter, natural scale.
        omega_sd: SD of the random effect on the parameter's transformed scale; a name left out has none.
        residual_sd: SD of the residual on ln C.
        name: what the tables call it.

    Raises:
        ModelError: for an unknown model, or values that are not its parameters.
        SettingsError: for a standard deviation out of its range.

    Example:
        >>> decline = AssumedPopulation(
        ...     "ecp-persistence", {"cmax": 2e4, "tmax": 9, "foldx": 1e3, "alpha": 0.15}, {"cmax": 0.8}, 0.5)
        >>> decline.random
        ('cmax',)
    """

    model: Model
    typical: Mapping[str, float]
    omega_sd: Mapping[str, float]
    residual_sd: float
    name: str = field(default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", get_model(self.model))
        self.model.theta(self.typical)
        self.model.check_values(self.typical)
        for name, sd in self.omega_sd.items():
            self.model[name]
            if not 0 <= sd < np.inf:
                raise SettingsError(f"omega_sd of {name} is {sd}; a standard deviation is at least 0")
        if not 0 < self.residual_sd < np.inf:
            raise SettingsError(f"residual_sd is {self.residual_sd}; a residual is a number above 0")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> AssumedPopulation:
        """Return the population of a fit as `PopulationFit.to_dict` and ``population.json`` hold it.

        Raises:
            KeyError: if ``content`` is no such record.
            SettingsError: for a residual that is not constant on the log scale.
        """
        residual = content["residual"]
        if residual["scale"] != "log":
            raise SettingsError("a design needs a residual on the log scale, and this fit's is on the natural one")
        return cls(
            get_model(content["model"]),
            {row["name"]: float(row["estimate"]) for row in content["parameters"]},
            dict(zip(content["omega"]["names"], content["omega"]["sd"], strict=True)),
            float(residual["sd"]),
            f"fit of {content['model']}",
        )

    @property
    def omega(self) -> FloatArray:
        """SDs of the random effects in the model's order, 0 where there is none; shape ``(p,)``."""
        return np.array([float(self.omega_sd.get(name, 0.0)) for name in self.model.names])

    @property
    def mu(self) -> FloatArray:
        """Typical values on the transformed scale, shape ``(p,)``."""
        with jax.enable_x64(True):
            return np.asarray(self.model.to_transformed(jnp.asarray(self.model.theta(self.typical))))

    def parameters(self, effects: FloatArray) -> FloatArray:
        """Return parameters on the natural scale of patients with these random effects, both ``(n, p)``."""
        with jax.enable_x64(True):
            return np.array(self.model.to_natural(jnp.asarray(self.mu + effects)))

    @property
    def random(self) -> tuple[str, ...]:
        """Names of the parameters that vary between patients."""
        return tuple(name for name, sd in zip(self.model.names, self.omega, strict=True) if sd > 0)

    @property
    def labels(self) -> tuple[str, ...]:
        """What a population fit estimates: typical values, SDs of the random effects, the residual's SD."""
        return (*self.model.names, *(f"omega_{name}" for name in self.random), "sigma")

    def value(self, label: str) -> float:
        """Return the assumed value of one of the `labels`."""
        if label == "sigma":
            return float(self.residual_sd)
        values = self.omega_sd if label.startswith("omega_") else self.typical
        return float(values[label.removeprefix("omega_")])

    def estimated(self, fixed: Sequence[str]) -> tuple[str, ...]:
        """Return the labels that are estimated when those ``fixed`` are known.

        Raises:
            SettingsError: for a name that is no label, or when nothing is left.
        """
        self.check_labels(fixed, "fixed")
        left = tuple(label for label in self.labels if label not in fixed)
        if not left:
            raise SettingsError("fixed names every parameter; leave at least one to estimate")
        return left

    def check_labels(self, names: Sequence[str], option: str) -> None:
        """Raise SettingsError for a name that is no label, naming the option that it was given to."""
        if isinstance(names, str):
            raise SettingsError(f"{option} takes a list of names, such as [{names!r}]")
        unknown = [name for name in names if name not in self.labels]
        if unknown:
            raise SettingsError(f"{option}: there is no {', '.join(unknown)}; there is {', '.join(self.labels)}")

    def to_dict(self) -> dict[str, object]:
        """Return the population as plain values, the model by its name."""
        return {
            "name": self.name,
            "model": self.model.name,
            "typical": {name: float(self.typical[name]) for name in self.model.names},
            "omega_sd": {name: float(self.omega_sd[name]) for name in self.random},
            "residual_sd": float(self.residual_sd),
        }


Assumed = str | Published | PopulationFit | AssumedPopulation
"""What a design takes for its population: a library entry or its name, a population fit, or values."""


def assume(source: Assumed) -> AssumedPopulation:
    """Return the population that a library entry, a population fit, or values describe.

    Args:
        source: name of a library entry, the entry, what `pool` returned, or an `AssumedPopulation`.

    Raises:
        ModelError: for an unknown name, or an entry whose typical values or variability were not published.
        SettingsError: for a fit whose residual is not constant on the log scale.

    Example:
        >>> assume("stein2019").typical["tmax"]
        9.3
    """
    if isinstance(source, AssumedPopulation):
        return source
    if isinstance(source, str):
        source = library[source]
    if isinstance(source, Published):
        missing = [name for name in source.model.names if name not in source.typical]
        missing += [] if source.omega_sd else ["the variability between patients"]
        residual = source.residual_sd
        missing += [] if residual else ["the residual"]
        if missing or residual is None:
            what = ", ".join(missing)
            raise ModelError(
                f"{source.name} does not say {what} (not published); give values with ck.AssumedPopulation(...)"
            )
        return AssumedPopulation(source.model, source.typical, source.omega_sd, residual, source.name)
    if isinstance(source, PopulationFit):
        return AssumedPopulation.from_dict(source.to_dict())
    raise SettingsError(
        f"a population is the name of a library entry, an entry, a population fit or an AssumedPopulation, "
        f"not a {type(source).__name__}"
    )
