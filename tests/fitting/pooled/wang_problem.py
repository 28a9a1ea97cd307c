"""The ten-subject problem of Wang 2007: C = 10 exp(-ke t), ke log-normal, two samples each."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.residual import Residual

DECLINE = Model(
    name="wang",
    title="mono-exponential decline from 10",
    parameters=(Parameter("ke", "log", "rate", 1e-3, 10.0, "elimination rate"),),
    log_curve=lambda theta, t: jnp.log(10.0) - theta[0] * t,
)
# Y at times 0 and 1 (Wang 2007, doi:10.1007/s10928-007-9060-6, as in the tests of public FOCEI programs).
VALUES = [
    (10.68, 3.6837),
    (10.402, 6.454),
    (9.8814, 5.8565),
    (9.3408, 5.6209),
    (10.082, 6.7583),
    (9.8938, 6.5049),
    (9.8908, 6.9557),
    (10.234, 6.4488),
    (9.9882, 6.7112),
    (9.6736, 6.6402),
]
OMEGA, SIGMA = 0.2, 0.1**0.5
CONSTANTS = 2 * len(VALUES) * np.log(2 * np.pi)
"""Published objective values leave out ln(2 pi) of every observation."""


def wang_problem(kind: str, values: Sequence[tuple[float, float]] = VALUES) -> PooledProblem:
    cohort = Cohort.from_arrays([[0.0, 1.0]] * len(values), [list(pair) for pair in values])
    residual = Residual("proportional" if kind == "proportional" else "constant", "natural")
    return PooledProblem.from_cohort(cohort, DECLINE, residual=residual)
