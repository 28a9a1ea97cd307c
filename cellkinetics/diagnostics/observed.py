"""The samples of a population fit as its diagnostics take them: with their limits, and where each came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED, RIGHT_CENSORED, BoolArray, Cohort, FloatArray, IntArray
from cellkinetics.fitting.observations import observations
from cellkinetics.fitting.pooled.padding import SAMPLE_BLOCK
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.structure import Population

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

PLACE = (
    *("subject", "analyte", "occasion", "specimen", "group"),
    *("row", "time", "nominal_time", "value", "censored", "lloq"),
)
"""Columns that say of a row which sample it is about."""


@dataclass(frozen=True, eq=False)
class Observed:
    """The samples that a population fit could use, those below quantification always as censored.

    Arrays are ``(n, m)``, patients by samples, padded where ``mask`` is False; ``y``, ``lloq``, ``uloq`` and
    ``lower`` are on the scale of the residual.

    Attributes:
        problem: what was fitted.
        population: its parameters on their working scales.
        cohort: where the samples are from.
        samples: the same as JAX takes them, padded to whole blocks of patients.
        y: observation, or the limit where a sample is censored.
        lloq: LLOQ of the sample; where the row has none that of the patient's or the cohort's others (their median).
        uloq: likewise.
        lower: lower end of an interval, NaN where there is none.
        profile, column: where the sample stands in the cohort.
    """

    problem: PooledProblem
    population: Population
    cohort: Cohort
    samples: Samples
    mask: BoolArray
    time: FloatArray
    nominal_time: FloatArray
    y: FloatArray
    censored: IntArray
    lloq: FloatArray
    uloq: FloatArray
    lower: FloatArray
    profile: IntArray
    column: IntArray

    @property
    def n(self) -> int:
        """Number of patients."""
        return len(self.mask)

    def natural(self, values: FloatArray) -> FloatArray:
        """Return values on the scale of the residual as they are measured."""
        return np.exp(values) if self.problem.residual.scale == "log" else values

    @cached_property
    def places(self) -> pd.DataFrame:
        """One row a sample, in order of patients and time, with the columns `PLACE`."""
        import pandas as pd

        i, j = self.profile[self.mask], self.column[self.mask]
        cohort = self.cohort
        names = {name: np.array(getattr(cohort, name), dtype=object)[i] for name in PLACE[:5]}
        numbers = {name: getattr(cohort, name)[i, j] for name in PLACE[5:]}
        return pd.DataFrame({**names, **numbers})


def observed(fit: PopulationFit) -> Observed:
    """Return the samples of a population fit, with their limits.

    A fit that dropped samples below quantification, or put LLOQ/2 for them, is judged with them as censored.
    """
    problem, cohort = fit.problem, fit.cohort
    log = problem.residual.scale == "log"
    chosen, flags = observations(cohort, natural=not log), cohort.censored
    rows = [[(k, i, j) for k, i in enumerate(own) for j in np.flatnonzero(chosen.used[i])] for own in problem.profiles]
    n, padded = len(rows), problem.samples.time.shape[0]
    m = -(-max(len(row) for row in rows) // SAMPLE_BLOCK) * SAMPLE_BLOCK
    mask = np.zeros((n, m), bool)
    occasion, profile, column = (np.zeros((n, m), np.int64) for _ in range(3))
    for u, row in enumerate(rows):
        occasion[u, : len(row)], profile[u, : len(row)], column[u, : len(row)] = np.array(row).T
        mask[u, : len(row)] = True

    def picked(values: FloatArray, fill: float = np.nan) -> FloatArray:
        return np.where(mask, values[profile, column], fill)

    def scaled(values: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            return np.where(mask, np.log(values) if log else values, np.nan)

    censored = np.where(mask, flags[profile, column], 0)
    time = picked(cohort.time, 0.0)
    with jax.enable_x64(True):
        arrays = {
            "time": time,
            "y": np.nan_to_num(scaled(picked(chosen.y, 1.0))),
            "censored": censored,
            "mask": mask,
        }
        given: Any = {name: jnp.asarray(_padded(array, padded)) for name, array in arrays.items()}
        if problem.samples.occasion is not None:
            given["occasion"] = jnp.asarray(_padded(occasion, padded))
        samples = Samples(design=problem.samples.design, given=problem.samples.given, **given)
    return Observed(
        problem=problem,
        population=problem.structure.values(fit.x),
        cohort=cohort,
        samples=samples,
        mask=mask,
        time=time,
        nominal_time=picked(cohort.nominal_time),
        y=scaled(picked(chosen.y)),
        censored=censored,
        lloq=scaled(_limits(picked(cohort.lloq), mask, picked(chosen.y), censored == LEFT_CENSORED)),
        uloq=scaled(_limits(picked(cohort.uloq), mask, picked(chosen.y), censored == RIGHT_CENSORED)),
        lower=scaled(picked(chosen.lower)),
        profile=profile,
        column=column,
    )


def _padded(array: Any, n: int) -> Any:
    return np.concatenate([array, np.zeros((n - len(array), *array.shape[1:]), array.dtype)])


def _limits(limit: FloatArray, mask: BoolArray, y: FloatArray, here: BoolArray) -> FloatArray:
    """Return the limit of each sample: its own, else the median of the patient's, else of all others."""
    limit = np.where(here, y, limit)
    known = np.isfinite(limit) & mask
    if not known.any():
        return limit
    everybody = float(np.median(limit[known]))
    own = np.array(
        [np.median(row[there]) if there.any() else everybody for row, there in zip(limit, known, strict=True)]
    )
    return np.where(mask & ~known, own[:, None], limit)
