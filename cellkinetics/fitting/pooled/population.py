"""A population as numbers: what simulation, forecasts and exchange with other programs draw on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.structure import Coefficient, Form, Formed, Population, Structure
from cellkinetics.models.base import Model
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import get_residual

if TYPE_CHECKING:
    from cellkinetics.fitting.terms import Term

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PopulationModel(Formed):
    """A population model with its parameters.

        phi_i = mu + X_i beta + shift_c + eta_i,   eta_i ~ N(0, Omega),   theta_i = h^-1(phi_i)

    Attributes:
        form: model, residual and structure.
        x: flat vector of the parameters, see `cellkinetics.fitting.pooled.structure`.
        terms: covariate terms, which make a design from covariates.

    Example:
        >>> from cellkinetics.models.ecp import ECP
        >>> from cellkinetics.models.residual import LOG_CONSTANT
        >>> structure = Structure(ECP.names, tuple(range(6)), LOG_CONSTANT.names)
        >>> mu = np.log([24e3, 9.3, 3900.0, 0.16, 0.0079, 0.0032])
        >>> population = PopulationModel(Form(ECP, LOG_CONSTANT, structure), structure.pack(mu, np.full(6, 0.5), [0.6]))
        >>> population.draw(3, np.random.default_rng(1)).shape
        (3, 6)
    """

    form: Form
    x: FloatArray
    terms: tuple[Term, ...] = ()

    @cached_property
    def parts(self) -> Population:
        """The parts of the flat vector, arrays of numpy on the working scale."""
        return self.structure.values(self.x)

    @property
    def mu(self) -> FloatArray:
        """Typical values on the working scale ``(p,)``."""
        return self.parts.mu

    @property
    def beta(self) -> FloatArray:
        """Covariate coefficients ``(c,)``."""
        return self.parts.beta

    @cached_property
    def omega(self) -> FloatArray:
        """Covariance of the random effects on the working scale ``(p, p)``; zero rows where there is none."""
        p, places = len(self.mu), np.array(self.structure.random, dtype=int)
        out = np.zeros((p, p))
        out[np.ix_(places, places)] = self.parts.factor @ self.parts.factor.T
        return out

    @property
    def sigma(self) -> FloatArray:
        """Residual parameters ``(s,)``."""
        return self.parts.sigma

    @cached_property
    def iov(self) -> FloatArray:
        """Variances between occasions on the working scale ``(p,)``."""
        out = np.zeros(len(self.mu))
        out[list(self.structure.occasion)] = self.parts.gamma**2
        return out

    @property
    def shares(self) -> FloatArray:
        """Share of each class ``(k,)``."""
        return np.exp(self.parts.log_share)

    @cached_property
    def shifts(self) -> FloatArray:
        """Difference of each class's typical values from the first's, working scale ``(k, p)``."""
        out = np.zeros((self.structure.classes, len(self.mu)))
        out[:, list(self.structure.random)] = self.parts.shift
        return out

    @cached_property
    def typical(self) -> dict[str, float]:
        """Typical values on the natural scale by name."""
        theta = self.model.natural_values(self.mu)
        return dict(zip(self.model.names, theta.tolist(), strict=True))

    def at(self, x: FloatArray) -> PopulationModel:
        """Return the same population model with other parameters."""
        return replace(self, x=np.asarray(x, dtype=float))

    def draw(self, n: int, rng: np.random.Generator, design: FloatArray | None = None) -> FloatArray:
        """Draw individual parameters on the working scale, shape ``(n, p)``, of one occasion without its own effects.

        Args:
            n: number of patients.
            rng: of the draws.
            design: covariates as columns ``(n, p, c)``; None puts every patient at the reference.
        """
        phi = np.broadcast_to(self.mu, (n, len(self.mu))).copy()
        if design is not None and len(self.beta):
            phi += design @ self.beta
        if self.structure.classes > 1:
            phi += self.shifts[rng.choice(self.structure.classes, size=n, p=self.shares / self.shares.sum())]
        phi[:, list(self.structure.random)] += rng.standard_normal((n, self.structure.n_random)) @ self.parts.factor.T
        return phi

    def to_dict(self) -> dict[str, Any]:
        """Return the population as plain values, which `from_dict` reads."""
        structure = self.structure
        return {
            "model": self.model.name,
            "residual": self.residual.name,
            "random": list(structure.random_names),
            "blocks": [[structure.random_names[k] for k in block] for block in structure.blocks],
            "coefficients": [
                {"name": c.name, "parameter": structure.parameters[c.parameter]} for c in structure.coefficients
            ],
            "occasion": [structure.parameters[k] for k in structure.occasion],
            "occasions": structure.occasions,
            "shifted": [structure.random_names[k] for k in structure.shifted],
            "classes": structure.classes,
            "labels": list(structure.labels),
            "working": [float(v) for v in self.x],
            "terms": [term.to_dict() for term in self.terms],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], model: Model | None = None) -> PopulationModel:
        """Return the population of a record of `to_dict`; ``model`` is one of your own, not known by its name.

        Raises:
            ModelError: for a model that is not known.
        """
        from cellkinetics.fitting.terms import Term

        model = get_model(record["model"]) if model is None else model
        residual = get_residual(record["residual"])
        random = list(record["random"])
        structure = Structure(
            parameters=model.names,
            random=tuple(model.names.index(name) for name in random),
            residual=residual.names,
            blocks=tuple(tuple(random.index(name) for name in block) for block in record["blocks"]),
            coefficients=tuple(
                Coefficient(c["name"], model.names.index(c["parameter"])) for c in record["coefficients"]
            ),
            occasion=tuple(model.names.index(name) for name in record["occasion"]),
            occasions=int(record["occasions"]),
            shifted=tuple(random.index(name) for name in record["shifted"]),
            classes=int(record["classes"]),
        )
        terms = tuple(Term.from_dict(term) for term in record["terms"])
        return cls(Form(model, residual, structure), np.array(record["working"], dtype=float), terms)
