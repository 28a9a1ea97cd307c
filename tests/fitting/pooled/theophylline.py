"""Theophylline in twelve subjects, with the maximum likelihood estimates of an adaptive quadrature."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from oral_model import ORAL

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.models.residual import Residual


class Published(NamedTuple):
    """A row of the table: the residual, whether samples at time 0 take part, -2LL and the estimates."""

    residual: Residual
    at_zero: bool
    minus2ll: float
    estimates: dict[str, float]


def _row(*numbers: float) -> dict[str, float]:
    names = ["ka", "v", "cl", "omega_ka", "omega_v", "omega_cl"]
    names += ["sigma"] if len(numbers) == 7 else ["sigma_additive", "sigma_proportional"]
    return dict(zip(names, numbers, strict=True))


TABLE = {
    "additive": Published(
        Residual("constant", "natural"), True, 360.7108, _row(1.5826, 31.622, 2.7502, 0.6356, 0.1359, 0.2652, 0.69595)
    ),
    "combined": Published(
        Residual("combined", "natural"),
        True,
        342.2262,
        _row(1.5123, 31.701, 2.7558, 0.6297, 0.1269, 0.2575, 0.25216, 0.09331),
    ),
    "combined-root": Published(
        Residual("combined-root", "natural"),
        True,
        347.1087,
        _row(1.4983, 31.817, 2.7577, 0.6320, 0.1226, 0.2553, 0.26118, 0.13687),
    ),
    "additive, after time 0": Published(
        Residual("constant", "natural"), False, 345.4368, _row(1.5793, 31.626, 2.7480, 0.6280, 0.1337, 0.2660, 0.73799)
    ),
}


def theophylline(shared: Path, *, at_zero: bool = True) -> Cohort:
    """Return the cohort; a zero is a measured zero, and the dose in mg a covariate."""
    table = pd.read_csv(shared / "reference" / "theoph.csv")
    parts = [part for _, part in table[(table["TIME"] > 0) | at_zero].groupby("ID")]
    cohort = Cohort.from_arrays(
        [part["TIME"].tolist() for part in parts],
        [part["DV"].tolist() for part in parts],
        censored=[[0] * len(part) for part in parts],
    )
    return replace(cohort, covariates={"amount": np.array([part["DOSE_ACT"].iloc[0] for part in parts])})


def fit_theophylline(cohort: Cohort, residual: Residual, method: str, seed: int = 1) -> PopulationFit:
    """Fit from a plain start; a fixed power of -1 of volume and clearance makes C proportional to the dose."""
    return pool(
        cohort,
        model=ORAL,
        method=method,
        residual=residual,
        start={"ka": 1.0, "v": 40.0, "cl": 2.0},
        covariates=("v ~ power(amount, 320)", "cl ~ power(amount, 320)"),
        fix={"beta_v_amount": -1.0, "beta_cl_amount": -1.0},
        seed=seed,
    )
