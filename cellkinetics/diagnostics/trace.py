"""`search_trace`: the way of a search over its iterations, parameter by parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.drawing import Drawable
from cellkinetics.errors import FitError
from cellkinetics.fitting.pooled.problem import PooledProblem

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

COLUMNS = ("iteration", "phase", "parameter", "value")
OBJECTIVE = "minus2ll"
"""Name of the rows that hold the objective."""


@dataclass(frozen=True, eq=False, repr=False)
class SearchTrace(Drawable):
    """The way of a search.

    Attributes:
        table: one row an iteration and parameter, natural scale: the file ``population_trace.csv``.
        estimates: parameter to the estimate that was reported.
        method: by which it was searched.
    """

    table: pd.DataFrame
    estimates: dict[str, float]
    method: str

    def __repr__(self) -> str:
        last = self.table["iteration"].max() if len(self.table) else 0
        phases = ", ".join(
            f"{name} to {int(rows['iteration'].max())}" for name, rows in self.table.groupby("phase", sort=False)
        )
        return f"SearchTrace of {self.method}: {int(last)} iterations ({phases})"


def search_trace(fit: PopulationFit) -> SearchTrace:
    """Return the parameters at each iteration of a search, and the objective where it was calculated.

    Raises:
        FitError: if the method kept no trace.
    """
    import pandas as pd

    trace = fit.trace
    if trace is None or not len(trace.iteration):
        raise FitError(f"method {fit.method} keeps no trace of its search; saem does")
    labels, values = fit.problem.labels, natural_values(fit.problem, trace.x)
    rows, k = values.shape
    table = pd.DataFrame(
        {
            "iteration": np.repeat(np.asarray(trace.iteration), k),
            "phase": np.repeat(np.array(trace.phase, dtype=object), k),
            "parameter": np.tile(np.array(labels, dtype=object), rows),
            "value": values.ravel(),
        }
    )
    known = np.isfinite(trace.objective)
    if known.any():
        objective = pd.DataFrame(
            {
                "iteration": np.asarray(trace.iteration)[known],
                "phase": np.array(trace.phase, dtype=object)[known],
                "parameter": OBJECTIVE,
                "value": trace.objective[known],
            }
        )
        table = pd.concat([table, objective], ignore_index=True)
    return SearchTrace(table, {row.parameter: row.estimate for row in fit.estimates}, fit.method)


def natural_values(problem: PooledProblem, x: FloatArray) -> FloatArray:
    """Return flat vectors ``(t, k)`` on the scale on which estimates are reported: SDs, correlations, shares."""
    structure, model = problem.structure, problem.model
    with jax.enable_x64(True):
        parts = jax.vmap(structure.unpack)(jnp.asarray(x))
        typical = np.asarray(model.to_natural(parts.mu))
    factor = np.asarray(parts.factor)
    omega = factor @ np.swapaxes(factor, -1, -2)
    sd = np.sqrt(np.diagonal(omega, axis1=-2, axis2=-1))
    pairs = [omega[:, j, i] / (sd[:, j] * sd[:, i]) for j, i in structure.pairs]
    shift = np.asarray(parts.shift)[:, 1:][:, :, list(structure.shifted)].reshape(len(x), -1)
    share = np.exp(np.asarray(parts.log_share))[:, 1:]
    columns = [typical, parts.beta, sd, np.array(pairs).T.reshape(len(x), -1), parts.gamma, shift, share, parts.sigma]
    return np.concatenate([np.asarray(column) for column in columns], axis=1)
