"""A population whose truth is known, and a stand-in for its fit that needs no search."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import get_residual
from cellkinetics.models.simulation import simulate_patients

DAYS = (1, 4, 7, 9, 11, 14, 21, 28, 56, 112, 250)
TYPICAL = {"cmax": 24e3, "tmax": 9.3, "foldx": 3900.0, "alpha": 0.16, "fb": 0.01, "beta": 0.0032}
OMEGA = {"cmax": 1.0, "tmax": 0.3, "foldx": 1.5, "alpha": 0.7, "fb": 1.0, "beta": 0.5}
SIGMA = 0.6
LLOQ = 100.0


def samples(n: int, *, seed: int = 1, nominal: bool = True) -> pd.DataFrame:
    """Simulated samples of the truth, a fifth of them below quantification, in two groups that do not differ."""
    drawn = simulate_patients(
        get_model("ecp"), n, DAYS, typical=TYPICAL, omega_sd=OMEGA, residual_sd=SIGMA, lloq=LLOQ, jitter=0.2, seed=seed
    ).samples
    odd = drawn["subject"].str[1:].astype(int) % 2 == 1
    table = drawn.assign(group=np.where(odd, "one", "two"), weight=np.where(odd, 60.0, 80.0))
    return table if nominal else table.drop(columns="nominal_time")


def at(cohort: Cohort, *, residual: str = "log-constant", sigma: tuple[float, ...] = (SIGMA,), **typical: float) -> Any:
    """A stand-in for a fit that ended at the truth, but for the given typical values."""
    problem = PooledProblem.from_cohort(cohort, get_model("ecp"), residual=get_residual(residual))
    x = problem.pack({**TYPICAL, **typical}, OMEGA, sigma)
    return SimpleNamespace(problem=problem, cohort=cohort, x=x, seed=0, method="none", trace=None, estimates=())


def cohort(n: int, **options: Any) -> Cohort:
    return ck.read(samples(n, **options))
