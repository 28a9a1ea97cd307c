"""A population that is known from elsewhere: a fit, its ``population.json``, the library, or values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.design.population import AssumedPopulation, assume
from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.population import FloatArray, PopulationModel
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.structure import Form, Structure
from cellkinetics.fitting.precision import WEAK_SE
from cellkinetics.models.base import Model
from cellkinetics.models.published import Published, library
from cellkinetics.models.residual import LOG_CONSTANT

POPULATION_FILE = "population.json"
_FLAT_SE = 3.5
"""Half the standard error that a fit gives to a direction without information."""


@dataclass(frozen=True, eq=False)
class KnownPopulation:
    """A population model with what is known of how well it is known, and of whom.

    Attributes:
        population: the model and its parameters.
        name: what it is called.
        value_unit: of what is measured, "" where it is not known.
        labels: the estimated elements of the flat vector, in the order of ``covariance``.
        covariance: of their estimates on the working scale ``(k, k)``, or None.
        reason: why there is none.
        covariates: of the patients who were fitted: name to values, one a patient; those of the covariate terms.
    """

    population: PopulationModel
    name: str
    value_unit: str = ""
    labels: tuple[str, ...] = ()
    covariance: FloatArray | None = None
    reason: str = "it is no population fit"
    covariates: Mapping[str, Any] = field(default_factory=dict)

    def require_covariance(self) -> FloatArray:
        """Return the covariance of the estimates.

        Raises:
            SettingsError: if there is none, with the reason.
            FitError: if the data do not determine some of them, with their names.
        """
        if self.covariance is None:
            raise SettingsError(
                f"the uncertainty of the population parameters of {self.name} is not known ({self.reason}); "
                "leave the uncertainty out"
            )
        if self.undetermined:
            raise FitError(
                f"the data of {self.name} do not determine {', '.join(self.undetermined)}: without a standard error "
                "there is no uncertainty to draw from; fix a value (--fix) and fit again, or leave the uncertainty out"
            )
        return self.covariance

    @cached_property
    def undetermined(self) -> tuple[str, ...]:
        """Labels of estimates without a standard error: of ln, logit or atanh above `WEAK_SE`, or in a flat direction.

        A typical value that is not transformed has a unit of its own, and any standard error.
        """
        if self.covariance is None:
            return ()
        structure = self.population.structure
        limit = {"coefficient": _FLAT_SE, "shift": _FLAT_SE}
        kinds = zip(structure.labels, structure.kinds, strict=True)
        limits = {label: limit.get(kind, WEAK_SE) for label, kind in kinds}
        limits |= {p.name: np.inf for p in self.population.model.parameters if p.transform == "identity"}
        errors = np.sqrt(np.diag(self.covariance))
        return tuple(label for label, se in zip(self.labels, errors, strict=True) if not se <= limits[label])

    def drawn(self, rng: np.random.Generator) -> PopulationModel:
        """Draw population parameters from N(estimate, covariance) on the working scale, within the bounds of a search.

        Raises:
            SettingsError: if there is no covariance.
            FitError: if the data do not determine some parameters.
        """
        covariance = self.require_covariance()
        values, vectors = np.linalg.eigh(covariance)
        step = vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.standard_normal(len(values)))
        x = np.array(self.population.x, dtype=float)
        places = [self.population.structure.labels.index(label) for label in self.labels]
        lower, upper = (ends[places] for ends in bounds(self.population))
        here = x[places]
        x[places] = np.clip(here + step, np.minimum(lower, here), np.maximum(upper, here))
        return self.population.at(x)

    @staticmethod
    def natural(population: PopulationModel) -> dict[str, float]:
        """Return every population parameter on the natural scale by its label, correlations and shares among them."""
        structure, parts = population.structure, population.parts
        omega = parts.factor @ parts.factor.T
        sd = np.sqrt(np.diag(omega))
        later = range(1, structure.classes)
        values = [
            *population.typical.values(),
            *parts.beta,
            *sd,
            *(omega[j, i] / (sd[j] * sd[i]) for j, i in structure.pairs),
            *parts.gamma,
            *(parts.shift[number, k] for number in later for k in structure.shifted),
            *np.exp(parts.log_share[1:]),
            *parts.sigma,
        ]
        return dict(zip(structure.labels, map(float, values), strict=True))

    @classmethod
    def given(
        cls,
        model: Model,
        typical: Mapping[str, float],
        omega_sd: Mapping[str, float],
        residual_sd: float,
        name: str,
        value_unit: str = "",
    ) -> KnownPopulation:
        """Return the population of named values: independent random effects, a constant residual on ln C.

        Raises:
            ModelError: if ``typical`` does not hold the model's parameters.
        """
        random = tuple(k for k, one in enumerate(model.names) if omega_sd.get(one, 0.0) > 0)
        structure = Structure(model.names, random, LOG_CONSTANT.names)
        model.check_values(typical)
        theta = model.theta(typical)
        mu = np.array([p.transformed(value) for p, value in zip(model.parameters, theta.tolist(), strict=True)])
        sd = np.array([float(omega_sd[model.names[k]]) for k in random])
        with np.errstate(divide="ignore"):  # a residual of 0 stands as -inf
            x = structure.pack(mu, sd, [residual_sd])
        return cls(PopulationModel(Form(model, LOG_CONSTANT, structure), x), name, value_unit)


Known = str | Path | Published | PopulationFit | PopulationModel | AssumedPopulation | KnownPopulation
"""What `know` takes."""


def know(source: Any) -> KnownPopulation:
    """Return the population of a fit, of its folder or ``population.json``, of the library, or of values.

    Args:
        source: a `PopulationFit`; the path of a ``population.json`` or of a folder with one; an entry of the library
            or its name; an `AssumedPopulation`; a `PopulationModel`; or a `KnownPopulation`, handed through.

    Raises:
        ModelError: for a name that is neither in the library nor a path.
        SettingsError: for a file that cannot be read, or an entry of the library without published variability.

    Example:
        >>> know("stein2019").population.typical["tmax"].__round__(6)
        9.3
    """
    if isinstance(source, KnownPopulation):
        return source
    if isinstance(source, PopulationModel):
        return KnownPopulation(source, source.model.name)
    if isinstance(source, PopulationFit):
        return _of_record(source.to_dict(), f"the fit of {source.model}", source.population.model)
    if isinstance(source, (str, Path)) and str(source) not in library:
        path = Path(source)
        if path.is_dir() or path.suffix.lower() == ".json":
            return read_population(path)
    if not isinstance(source, (str, Published, AssumedPopulation)):
        raise SettingsError(
            "a population is a fit, the folder or population.json of one, a name or entry of the library, or "
            f"ck.AssumedPopulation(...), not a {type(source).__name__}"
        )
    entry = library[source] if isinstance(source, str) else source
    found = assume(entry)
    unit = entry.value_unit if isinstance(entry, Published) else ""
    name = found.name or found.model.name
    return KnownPopulation.given(found.model, found.typical, found.omega_sd, found.residual_sd, name, unit)


def read_population(path: str | Path, model: Model | None = None) -> KnownPopulation:
    """Read the population of a fit from its ``population.json``, or from the folder of the fit.

    Args:
        path: of the file or the folder.
        model: the model, where it is one of your own that is not known by its name.

    Raises:
        SettingsError: for a file that cannot be read, or is none of a population fit.
        ModelError: for a model that is not known.

    Example:
        >>> read_population("nowhere")
        Traceback (most recent call last):
        ...
        cellkinetics.errors.SettingsError: there is no nowhere/population.json; give the folder of a population fit
    """
    path = Path(path)
    path = path if path.suffix.lower() == ".json" else path / POPULATION_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"there is no {path.as_posix()}; give the folder of a population fit") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read ({error})") from None
    try:
        _check_record(record)
        return _of_record(record, str(path), model)
    except KeyError as error:
        what = f"it has no {error.args[0]!r}"
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        what = str(error)
    raise SettingsError(f"{path} is not a usable {POPULATION_FILE}: {what}; write it anew with cellkinetics pool")


def _check_record(record: Any) -> None:
    """Refuse, with a ValueError or KeyError, a record without the numbers that a population consists of."""
    found = record["population"] if isinstance(record, dict) else None
    if not isinstance(found, dict):
        raise ValueError("it holds no population")  # noqa: TRY004 - of the file, not of an argument
    working, labels = found["working"], found["labels"]
    if not isinstance(working, list) or not isinstance(labels, list) or len(working) != len(labels):
        raise ValueError("working and labels are not lists of one length")
    _check_numbers("working", working)
    covariance = record["covariance"]
    if covariance is not None:
        k = len(covariance["names"])
        if len(covariance["working"]) != k or any(len(row) != k for row in covariance["working"]):
            raise ValueError(f"covariance.working is not a table of {k} by {k} numbers")
        for i, row in enumerate(covariance["working"]):
            _check_numbers(f"covariance.working[{i}]", row)


def _check_numbers(name: str, values: list[Any]) -> None:
    for k, value in enumerate(values):
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not np.isfinite(value):
            raise ValueError(f"{name}[{k}] is not a number")


def _of_record(record: Mapping[str, Any], name: str, model: Model | None = None) -> KnownPopulation:
    """Return the population of what `PopulationFit.to_dict` returns."""
    population = PopulationModel.from_dict(record["population"], model)
    if len(population.x) != len(population.structure.labels):
        raise ValueError(f"working holds {len(population.x)} numbers for {len(population.structure.labels)} parameters")
    covariance = record["covariance"]
    units = {row["name"]: str(row["unit"]) for row in record["parameters"]}
    measured = [units[p.name] for p in population.model.parameters if p.unit == "value"]
    return KnownPopulation(
        population,
        name,
        measured[0] if measured else "",
        () if covariance is None else tuple(covariance["names"]),
        None if covariance is None else np.array(covariance["working"], dtype=float),
        str(record["uncertainty"]),
        dict(record.get("covariates", {})),
    )
