"""A population problem: padded data, a model, a residual, and the layout of its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import LEFT_CENSORED, NOT_CENSORED, Cohort
from cellkinetics.errors import FitError
from cellkinetics.fitting.observations import observations, require_days
from cellkinetics.models.base import Model
from cellkinetics.models.residual import LOG_CONSTANT, Residual

FloatArray = NDArray[np.float64]

PATIENT_BLOCK = 16
SAMPLE_BLOCK = 8
"""Arrays are padded to whole blocks, so that cohorts of similar size share one compiled program."""


class Samples(NamedTuple):
    """Observations as JAX takes them: ``(n, m)`` each; ``y`` is the limit where a sample is censored."""

    time: jax.Array
    y: jax.Array
    censored: jax.Array
    mask: jax.Array


class Population(NamedTuple):
    """Population parameters on their working scales: ``mu`` (p,), ``omega`` (p,) SDs, ``sigma`` (r,)."""

    mu: jax.Array
    omega: jax.Array
    sigma: jax.Array


@dataclass(frozen=True, eq=False)
class PooledProblem:
    """All that a likelihood needs, and the map between a flat vector and named parameters.

    The flat vector is ``x = (mu, ln omega, ln sigma)``: typical values on the scale ``h`` of the
    random effects, their standard deviations, and the residual's parameters.

    Attributes:
        subjects: profiles that take part, in the cohort's order.
        index: their places in the cohort.
        left_out: place of a profile in the cohort to the reason why it cannot take part.
        left_out_samples: subject to a count with reasons, where some samples cannot enter.
        n_real: number of real patients; the arrays are padded beyond it with empty ones.
        fixed: names of typical values that are not estimated.
    """

    model: Model
    residual: Residual
    samples: Samples
    subjects: tuple[str, ...]
    index: tuple[int, ...]
    left_out: Mapping[int, str]
    n_real: int
    n_observations: int
    n_censored: int
    left_out_samples: Mapping[str, str]
    fixed: Mapping[str, float]

    @classmethod
    def from_cohort(
        cls,
        cohort: Cohort,
        model: Model,
        *,
        residual: Residual = LOG_CONSTANT,
        fix: Mapping[str, float] | None = None,
    ) -> PooledProblem:
        """Arrange a cohort of one analyte for fitting.

        Which samples enter, and as what, is decided by `cellkinetics.fitting.observations.observations`.

        Raises:
            FitError: if the cohort holds several analytes, specimens, units or occasions, times that are not
                days, or no patient with a usable sample.
            ModelError: if ``fix`` holds a parameter that the model does not have, or a value off its scale.
        """
        if len(cohort.analytes) > 1:
            raise FitError(
                f"a population fit takes one analyte, the cohort has {_listed(cohort.analytes)}; "
                "choose one with cohort.select(analyte=...) or --analyte"
            )
        if len(cohort.specimens) > 1:
            raise FitError(
                f"a population fit takes one specimen, the cohort has {_listed(cohort.specimens)}; "
                "choose one with cohort.select(specimen=...) or --specimen"
            )
        fixed = dict(fix or {})
        model.check_values(fixed)
        require_days(cohort)
        chosen = observations(cohort)
        subjects, index, left_out = [], [], {}
        for i, subject in enumerate(cohort.subject):
            fault = cohort.unusable[i]
            if fault is not None:
                left_out[i] = fault.message
            elif not (chosen.used[i] & (cohort.censored[i] == NOT_CENSORED)).any():
                left_out[i] = "no quantified sample that a likelihood can take"
            else:
                subjects.append(subject)
                index.append(i)
        if not index:
            raise FitError("no patient has a quantified sample; there is nothing to fit")
        repeated = sorted({subject for subject in subjects if subjects.count(subject) > 1})
        if repeated:
            raise FitError(
                f"subject {repeated[0]} has several occasions; a population fit takes one profile a subject: "
                "keep one occasion of each"
            )

        units = sorted({cohort.value_unit[i] for i in index})
        if len(units) > 1:
            raise FitError(
                f"the patients' values are in different units ({', '.join(units)}), which one fit cannot take: "
                "keep the profiles of one unit, or give one of them as an analyte of its own"
            )

        rows = [np.flatnonzero(chosen.used[i]) for i in index]
        n = -(-len(index) // PATIENT_BLOCK) * PATIENT_BLOCK
        m = -(-max(len(row) for row in rows) // SAMPLE_BLOCK) * SAMPLE_BLOCK
        time, y = np.zeros((n, m)), np.zeros((n, m))
        censored, mask = np.zeros((n, m), dtype=np.int64), np.zeros((n, m), dtype=bool)
        for k, (i, row) in enumerate(zip(index, rows, strict=True)):
            time[k, : len(row)] = cohort.time[i, row]
            y[k, : len(row)] = np.log(chosen.y[i, row]) if residual.scale == "log" else chosen.y[i, row]
            censored[k, : len(row)] = cohort.censored[i, row]
            mask[k, : len(row)] = True
        with jax.enable_x64(True):
            samples = Samples(jnp.asarray(time), jnp.asarray(y), jnp.asarray(censored), jnp.asarray(mask))
        return cls(
            model=model,
            residual=residual,
            samples=samples,
            subjects=tuple(subjects),
            index=tuple(index),
            left_out=left_out,
            n_real=len(index),
            n_observations=int(mask.sum()),
            n_censored=int((mask & (censored == LEFT_CENSORED)).sum()),
            left_out_samples={
                s: chosen.left_out(i) for s, i in zip(subjects, index, strict=True) if chosen.left_out(i)
            },
            fixed=fixed,
        )

    @property
    def n_parameters(self) -> int:
        """Number of model parameters ``p``."""
        return len(self.model.parameters)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the elements of the flat vector."""
        names = self.model.names
        return (*names, *(f"omega_{name}" for name in names), *self.residual.names)

    @property
    def free(self) -> NDArray[np.bool_]:
        """Mask of the elements of the flat vector that are estimated."""
        return np.array([label not in self.fixed for label in self.labels])

    def pack(self, typical: Mapping[str, float], omega: Mapping[str, float], sigma: tuple[float, ...]) -> FloatArray:
        """Return the flat vector of named values on the natural scale (fixed values win)."""
        theta = self.model.theta({**typical, **self.fixed})
        with jax.enable_x64(True):
            mu = np.asarray(self.model.to_transformed(jnp.asarray(theta)))
        return np.concatenate([mu, np.log([omega[name] for name in self.model.names]), np.log(sigma)])

    def typical(self, x: FloatArray) -> FloatArray:
        """Return the typical values on the natural scale, shape ``(p,)``."""
        with jax.enable_x64(True):
            return np.asarray(self.model.to_natural(jnp.asarray(x[: self.n_parameters])))


def unpack(x: jax.Array, p: int) -> Population:
    """Split a flat vector ``(mu, ln omega, ln sigma)`` of a model with ``p`` parameters."""
    return Population(x[:p], jnp.exp(x[p : 2 * p]), jnp.exp(x[2 * p :]))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "samples without one" for name in names)
