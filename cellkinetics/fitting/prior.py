"""What a population says of a patient before the samples do: a normal prior on the transformed parameters.

    h(theta) ~ N(h(typical), Omega)

A prior may be flat in some parameters: they are integrated out, so that the others keep their own variances and
correlations, and the samples alone decide about them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cellkinetics.data.cohort import NOT_CENSORED, Cohort, FloatArray
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.observations import Observations
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.models.base import Model
from cellkinetics.models.published import Published, library
from cellkinetics.models.registry import get_model

FEW = 3
"""Patients that a comparison of their peaks with the population's needs."""


@dataclass(frozen=True, eq=False)
class PopulationPrior:
    """A population as a prior for single patients; arrays in the order of ``names``.

    Attributes:
        names: parameters that it says something about.
        typical: typical values on the natural scale, ``(p,)``.
        covariance: of the random effects on the transformed scale, ``(p, p)``; positive definite.
        sigma: residual SD on ln C; None where it is not known or of another scale.
        value_unit: unit of the measured value, "" where it is not known.
        source: where it comes from, for people.
        flat: parameters that it was made to say nothing about.

    Example:
        >>> prior = PopulationPrior.of("stein2019").without("cmax")
        >>> prior.names, round(prior.sd("tmax"), 2), prior.sigma
        (('tmax', 'foldx', 'alpha', 'fb', 'beta'), 0.38, 0.56)
    """

    names: tuple[str, ...]
    typical: FloatArray
    covariance: FloatArray
    sigma: float | None = None
    value_unit: str = ""
    source: str = "given"
    flat: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        p, c = len(self.names), self.covariance
        if len(self.typical) != p or c.shape != (p, p):
            raise SettingsError(f"a prior of {p} parameters needs {p} typical values and a covariance of {p} by {p}")
        if not (np.isfinite(c).all() and np.allclose(c, c.T) and (not p or np.linalg.eigvalsh(c)[0] > 0)):
            raise SettingsError(
                "the covariance of a prior must be symmetric and positive definite: each SD above 0, no correlation "
                "of 1; leave a parameter without variability between patients to flat="
            )
        if self.sigma is not None and not 0 < self.sigma < np.inf:
            raise SettingsError(f"the residual SD of a prior must be a positive number, not {self.sigma!r}")

    @classmethod
    def of(cls, given: str | Path | Published | PopulationFit | PopulationPrior) -> PopulationPrior:
        """Return the prior that a population fit, an entry of the library, its name, or a file describes.

        Args:
            given: a `PopulationFit`; an entry of `library` or its name; the path of a ``population.json``; or a
                prior, which is returned as it is.

        Raises:
            ModelError: for a name that is neither in the library nor a file.
            SettingsError: if the entry or fit has no random effects to make a prior from, or the file cannot be read.
        """
        if isinstance(given, PopulationPrior):
            return given
        if isinstance(given, PopulationFit):
            return cls._from_values(given.to_dict(), f"population fit of {given.n_subjects} patients")
        if isinstance(given, Published):
            return cls._from_library(given)
        path = Path(given)
        if str(given) in library or path.suffix.lower() != ".json":
            return cls._from_library(library[str(given)])
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError(f"prior {path}: not a population.json that can be read ({error})") from None
        return cls._from_values(values, str(given))

    @classmethod
    def given(
        cls,
        typical: Mapping[str, float],
        omega: Mapping[str, float] | FloatArray,
        sigma: float | None = None,
        *,
        model: str | Model = "ecp",
        value_unit: str = "",
    ) -> PopulationPrior:
        """Return a prior of one's own.

        Args:
            typical: parameter to typical value, natural scale.
            omega: parameter to SD of its random effect, or the covariance in the order of ``typical``.
            sigma: residual SD on ln C; None to estimate it for each patient.
            model: whose parameters they are.
            value_unit: unit of the measured value; "" leaves it unchecked.

        Raises:
            ModelError: for a name or value that the model does not have.
            SettingsError: if the numbers make no covariance.

        Example:
            >>> PopulationPrior.given({"tmax": 9.0, "alpha": 0.2}, {"tmax": 0.3, "alpha": 0.5}).covariance.tolist()
            [[0.09, 0.0], [0.0, 0.25]]
        """
        get_model(model).check_values(typical)
        names = tuple(typical)
        if isinstance(omega, Mapping):
            if set(omega) != set(names):
                raise SettingsError(f"typical values are of {', '.join(names)}, SDs of {', '.join(omega)}: give both")
            covariance = np.diag([float(omega[name]) ** 2 for name in names])
        else:
            covariance = np.array(omega, float)
        return cls(names, np.array([float(typical[name]) for name in names]), covariance, sigma, value_unit)

    @classmethod
    def _from_library(cls, entry: Published) -> PopulationPrior:
        names = tuple(name for name in entry.typical if entry.omega_sd.get(name))
        if not names:
            raise SettingsError(
                f"{entry.name} has no published random effects, so it says nothing about how patients differ; "
                "take another entry, or give PopulationPrior.given(typical, omega, sigma)"
            )
        return cls(
            names,
            np.array([entry.typical[name] for name in names]),
            np.diag([entry.omega_sd[name] ** 2 for name in names]),
            entry.residual_sd,
            entry.value_unit,
            f"{entry.name}, doi:{entry.doi}",
        )

    @classmethod
    def _from_values(cls, values: Mapping[str, Any], source: str) -> PopulationPrior:
        """Return the prior of what stands in a ``population.json``."""
        try:
            model = get_model(str(values["model"]))
            typical = {row["name"]: float(row["estimate"]) for row in values["parameters"]}
            units = {row["name"]: str(row["unit"]) for row in values["parameters"]}
            names = tuple(values["omega"]["names"])
            covariance = np.array(values["omega"]["covariance"], float)
            residual = values["residual"]
            sigma = float(residual["sd"]) if residual["scale"] == "log" else None
            center = np.array([typical[name] for name in names])
        except (KeyError, TypeError, ValueError) as error:
            raise SettingsError(f"prior {source}: not a population.json of this program ({error})") from None
        model.check_values(typical)
        # A variance that went to 0 stands at its floor: that parameter is then the same for everybody.
        measured = [model[name].unit == "value" for name in names]
        unit = next((units[name] for name, yes in zip(names, measured, strict=True) if yes), "")
        return cls(names, center, covariance, sigma, unit, source)

    def without(self, *flat: str) -> PopulationPrior:
        """Return the prior that says nothing about some parameters; those it does not know count as well.

        Example:
            >>> PopulationPrior.of("stein2019").without("cmax", "tlag").flat
            ('cmax', 'tlag')
        """
        keep = [k for k, name in enumerate(self.names) if name not in flat]
        return replace(
            self,
            names=tuple(self.names[k] for k in keep),
            typical=self.typical[keep],
            covariance=self.covariance[np.ix_(keep, keep)],
            flat=tuple(dict.fromkeys((*self.flat, *flat))),
        )

    def sd(self, name: str) -> float:
        """Return the SD of a parameter's random effect; NaN for one that the prior says nothing about."""
        if name not in self.names:
            return float("nan")
        k = self.names.index(name)
        return float(np.sqrt(self.covariance[k, k]))

    def on(self, model: Model) -> ModelPrior:
        """Return the prior in the order of a model's parameters.

        Raises:
            ModelError: if a flat one is no parameter.
            SettingsError: if it says nothing about one of them that is not flat.
        """
        for name in self.flat:
            model[name]
        silent = [name for name in model.names if name not in self.names and name not in self.flat]
        if silent:
            raise SettingsError(
                f"the prior ({self.source}) says nothing about {', '.join(silent)} of model {model.name}; give "
                f"flat={silent!r} (--flat {','.join(silent)}) to leave them to the samples, or take another model"
            )
        index = [k for k, name in enumerate(self.names) if name in model.names]
        place = [model.names.index(self.names[k]) for k in index]
        p = len(model.names)
        mean, precision, covariance = np.zeros(p), np.zeros((p, p)), np.full((p, p), np.nan)
        block = self.covariance[np.ix_(index, index)]
        mean[place] = [model[self.names[k]].transformed(float(self.typical[k])) for k in index]
        precision[np.ix_(place, place)] = np.linalg.inv(block)
        covariance[np.ix_(place, place)] = block
        known = np.zeros(p, bool)
        known[place] = True
        typical = {self.names[k]: float(self.typical[k]) for k in index}
        return ModelPrior(mean, precision, covariance, known, typical)

    def check_units(self, cohort: Cohort, model: Model) -> None:
        """Refuse a prior whose values are in another unit than the data's.

        Raises:
            FitError: for two known units that differ, unless the prior is flat in what has that unit.
        """
        measured = [p.name for p in model.parameters if p.unit == "value" and p.name in self.names]
        if not measured or not self.value_unit:
            return
        for i, unit in enumerate(cohort.value_unit):
            if cohort.unusable[i] is None and unit and plain_unit(unit) != plain_unit(self.value_unit):
                names = ", ".join(measured)
                raise FitError(
                    f"the prior ({self.source}) has {names} in {self.value_unit}, the values of "
                    f"{cohort.subject[i]} are in {unit}: leave {names} to the samples with flat={measured!r} "
                    f"(--flat {','.join(measured)}), or convert the values"
                )

    def notes(self, cohort: Cohort, samples: Observations) -> tuple[str, ...]:
        """Return what a reader should know of how the prior fits the cohort: how far the peaks are from it.

        The unit of a table is often not stated, and assays differ: the patients' highest samples together are
        compared with the typical Cmax.
        """
        notes = [f"the prior says nothing about {', '.join(self.flat)}"] if self.flat else []
        if "cmax" not in self.names:
            return tuple(notes)
        quantified = samples.used & (cohort.censored == NOT_CENSORED)
        highest = np.where(quantified, samples.y, 0.0).max(axis=1, initial=0.0)
        highest = highest[highest > 0]
        if len(highest) < FEW:
            return tuple(notes)
        typical = float(self.typical[self.names.index("cmax")])
        apart = float(np.log(highest).mean() - np.log(typical))
        if abs(apart) > self.sd("cmax"):
            notes.append(
                f"the patients' highest samples (geometric mean {np.exp(apart) * typical:.4g}) are "
                f"{np.exp(abs(apart)):.3g} times {'above' if apart > 0 else 'below'} the prior's typical Cmax of "
                f"{typical:.4g} {self.value_unit}".rstrip()
                + ": if unit or assay differ, leave cmax to the samples with flat=['cmax'] (--flat cmax)"
            )
        return tuple(notes)


@dataclass(frozen=True, eq=False)
class ModelPrior:
    """A prior in the order of a model's parameters.

    Attributes:
        mean: ``(p,)`` on the transformed scale, 0 where it says nothing.
        precision: ``(p, p)``, 0 there.
        covariance: ``(p, p)``, NaN there.
        known: ``(p,)``, False there.
        typical: parameter to typical value where it says something.
    """

    mean: FloatArray
    precision: FloatArray
    covariance: FloatArray
    known: np.ndarray[Any, np.dtype[np.bool_]]
    typical: Mapping[str, float]

    @property
    def sd(self) -> FloatArray:
        """SD of each parameter, NaN where it says nothing."""
        return np.sqrt(np.diag(self.covariance))


def prior_of(
    given: str | Path | Published | PopulationFit | PopulationPrior | None, flat: Sequence[str]
) -> PopulationPrior | None:
    """Return the prior of a fit, None for none.

    Raises:
        SettingsError: for flat parameters without a prior.
    """
    names = (flat,) if isinstance(flat, str) else tuple(flat)
    if given is None:
        if names:
            raise SettingsError("flat says in which parameters a prior is silent; give the prior as well")
        return None
    return PopulationPrior.of(given).without(*names)


def plain_unit(unit: str) -> str:
    """Return a unit in one spelling: case, blanks, the two signs for micro, and what the DNA is called.

    Example:
        >>> plain_unit("Copies/µg gDNA") == plain_unit("copies/ug")
        True
    """
    text = "".join(unit.lower().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u").split())
    for word in ("genomicdna", "gdna", "dna"):
        text = text.removesuffix(word)
    return text
