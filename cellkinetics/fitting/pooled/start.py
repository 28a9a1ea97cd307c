"""Where a population fit starts: medians and spread of what each profile suggests."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import FitError
from cellkinetics.fitting.observations import observations
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.start import plan_fit

FloatArray = NDArray[np.float64]

OMEGA_RANGE = (0.3, 1.5)
"""Starting SDs are kept inside: too small a start freezes a random effect, too large a one flattens the modes."""
SIGMA_START = 0.6
_MAD_TO_SD = 1.4826


def population_start(problem: PooledProblem, cohort: Cohort, given: Mapping[str, float] | None = None) -> FloatArray:
    """Return a flat start vector: given typical values, else the median over patients of their own starts.

    A parameter that a patient's samples cannot determine takes no part in the median. The spread is
    1.4826 times the median absolute deviation on the transformed scale, kept inside `OMEGA_RANGE`.

    Args:
        problem: the problem to start.
        cohort: the cohort it was made from.
        given: typical values on the natural scale by parameter; all of them for a model other than (A).

    Raises:
        ModelError: for a given value that is unknown or off its scale, or if a model without a rule for its
            starts is not given all typical values.
        FitError: if no patient says anything about a parameter and none was given.
    """
    model = problem.model
    known = {**(given or {}), **problem.fixed}
    model.check_values(known)
    omega = dict.fromkeys(model.names, 0.5)
    if set(known) == set(model.names):
        return problem.pack(known, omega, (SIGMA_START,) * len(problem.residual.names))

    chosen = observations(cohort)
    suggested: dict[str, list[float]] = {name: [] for name in model.names}
    with jax.enable_x64(True):
        for i in problem.index:
            row = chosen.used[i]
            plan = plan_fit(model, cohort.time[i, row], chosen.y[i, row], cohort.censored[i, row])
            near = plan.segments[slice(*plan.central)]
            theta = np.array([model.theta(start.values) for segment in near for start in segment.starts if start.usual])
            centre = np.median(np.asarray(model.to_transformed(jnp.asarray(theta))), axis=0)
            for k, name in enumerate(model.names):
                if name not in plan.unidentified:
                    suggested[name].append(float(centre[k]))
        empty = [name for name in model.names if not suggested[name] and name not in known]
        if empty:
            raise FitError(
                f"no patient has the samples that {', '.join(empty)} need; give a starting value "
                f"(start={{{empty[0]!r}: ...}}) or fix it (fix={{{empty[0]!r}: ...}}, --fix {empty[0]}=...)"
            )
        middle = np.array([np.median(suggested[name]) if suggested[name] else 0.0 for name in model.names])
        natural = np.asarray(model.to_natural(jnp.asarray(middle)))
    for k, name in enumerate(model.names):
        if suggested[name]:
            spread = _MAD_TO_SD * np.median(np.abs(np.array(suggested[name]) - middle[k]))
            omega[name] = float(np.clip(spread, *OMEGA_RANGE))
    typical = {**dict(zip(model.names, natural.tolist(), strict=True)), **known}
    return problem.pack(typical, omega, (SIGMA_START,) * len(problem.residual.names))
