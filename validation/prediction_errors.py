"""Prediction distribution errors (NPDE) of right and wrong models, with a fifth of the samples below the LLOQ.

    python validation/prediction_errors.py [--long] [--cohorts 20] [--simulations 500]

Cohorts of 91 patients are drawn from model (A): cmax 24,000, tmax 9.3, foldx 3,900, alpha 0.16, fb 0.01, beta 0.0032,
SDs 1, 0.3, 1.5, 0.7, 1, 0.5, residual SD 0.6 on ln C, LLOQ 100 (20 % below), 11 samples a patient. They are judged by
the truth, and by populations that are wrong in one thing. The long form takes 200 cohorts, the short one 20.

What is counted over the cohorts, of each population:

    mean, variance   of npde, averaged, with the standard error of the average
    sd mean          spread of the mean over the cohorts, times the root of the number of samples: 1 if they are
                     independent
    ks, global       share of cohorts with p below 0.05, of the test of Kolmogorov and Smirnov and of the three tests
    outside          share of percentiles of the predictive check outside their 95 % intervals

Ends with 1 if, at the truth, mean and variance are further from 0 and 1 than 4 standard errors and 0.01, or if more
than 12 % of the cohorts (5 % and what dependence within patients and chance add) are refused by a test; or if a wrong
population neither is refused in 8 of 10 cohorts nor has a fifth of its percentiles outside.
"""

from __future__ import annotations

import argparse
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import cellkinetics as ck
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.registry import get_model
from cellkinetics.models.simulation import simulate_patients

DAYS = (1, 4, 7, 9, 11, 14, 21, 28, 56, 112, 250)
TYPICAL = {"cmax": 24e3, "tmax": 9.3, "foldx": 3900.0, "alpha": 0.16, "fb": 0.01, "beta": 0.0032}
OMEGA = {"cmax": 1.0, "tmax": 0.3, "foldx": 1.5, "alpha": 0.7, "fb": 1.0, "beta": 0.5}
SIGMA, LLOQ, PATIENTS = 0.6, 100.0, 91
WRONG: dict[str, dict[str, float]] = {
    "the truth": {},
    "sigma 0.9": {"sigma": 0.9},
    "omega_cmax 0.4": {"omega_cmax": 0.4},
    "cmax 10,000": {"cmax": 1e4},
    "alpha 0.5": {"alpha": 0.5},
}


def cohort(seed: int) -> ck.Cohort:
    """Return one simulated cohort."""
    drawn = simulate_patients(
        get_model("ecp"), PATIENTS, DAYS, typical=TYPICAL, omega_sd=OMEGA, residual_sd=SIGMA, lloq=LLOQ, jitter=0.2,
        seed=seed,
    )  # fmt: skip
    return ck.read(drawn.samples)


def judged(one: ck.Cohort, changed: dict[str, float]) -> Any:
    """Return a stand-in for a fit that ended at the truth, but for what is changed."""
    problem = PooledProblem.from_cohort(one, get_model("ecp"))
    typical = {name: changed.get(name, value) for name, value in TYPICAL.items()}
    omega = {name: changed.get(f"omega_{name}", value) for name, value in OMEGA.items()}
    x = problem.pack(typical, omega, (changed.get("sigma", SIGMA),))
    return SimpleNamespace(problem=problem, cohort=one, x=x, seed=0)


def run(cohorts: int, simulations: int, seed: int) -> pd.DataFrame:
    """Return one row a population and cohort."""
    rows = []
    for k in range(cohorts):
        one = cohort(seed + k)
        for name, changed in WRONG.items():
            fit = judged(one, changed)
            found = ck.npde(fit, simulations=simulations, seed=k).summary
            checks = ck.vpc(fit, simulations=simulations, seed=k).table
            outside = checks.loc[checks["check"] == "vpc", "outside"].mean()
            share = fit.problem.n_censored / fit.problem.n_observations
            rows.append((name, k, found.n, share, found.mean, found.variance, found.p_ks, found.p_global, outside))
    columns = ["population", "cohort", "n", "below", "mean", "variance", "p_ks", "p_global", "outside"]
    return pd.DataFrame.from_records(rows, columns=columns)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a population."""
    found = []
    for name, part in rows.groupby("population", sort=False):
        many = len(part)
        found.append(
            {
                "population": name, "below": part["below"].mean(),
                "mean": part["mean"].mean(), "se": part["mean"].std() / np.sqrt(many),
                "variance": part["variance"].mean(), "se_variance": part["variance"].std() / np.sqrt(many),
                "sd_mean": part["mean"].std() * np.sqrt(part["n"].mean()),
                "ks": (part["p_ks"] < 0.05).mean(), "global": (part["p_global"] < 0.05).mean(),
                "outside": part["outside"].mean(),
            }
        )  # fmt: skip
    return pd.DataFrame(found)


def main() -> int:
    """Run the study, print its table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--cohorts", type=int)
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    cohorts = given.cohorts or (200 if given.long else 20)
    table = summary(run(cohorts, given.simulations, given.seed))
    print(table.round(3).to_string(index=False))
    truth, wrong = table.iloc[0], table.iloc[1:]
    allowed = 0.12 + 2 * np.sqrt(0.05 / cohorts)
    sound = (
        abs(truth["mean"]) < 4 * truth["se"] + 0.01
        and abs(truth["variance"] - 1) < 4 * truth["se_variance"] + 0.01
        and max(truth["ks"], truth["global"]) < allowed
        and ((wrong[["ks", "global"]].max(axis=1) >= 0.8) | (wrong["outside"] >= 0.2)).all()
    )
    print("sound" if sound else "NOT sound")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
