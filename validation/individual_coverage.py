"""Bias, RMSE and coverage of per-patient fits, on simulated patients whose parameters are known.

    python validation/individual_coverage.py [--long] [--patients 200] [--seeds 1] [--seed 1]

Patients are drawn from Stein 2019 (doi:10.1002/psp4.12388): its typical values and its random effects, read as
standard deviations. Samples on days 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 180 and 365, residual SD 0.5 on
ln C, LLOQ 50. Each patient is fitted alone. The long form takes 10 seeds of 1,000 patients, the short one 1 of 200.

What is counted, by parameter:

    bias, rmse   of h(estimate) - h(truth), on the log or logit scale, over the rows that are ok
    coverage     of the 95 % interval by profile likelihood, over every patient with a profile, whatever the status;
                 a side without an end reaches as far as the parameter can
    both ends    the same over the intervals with two ends; those without are more often right
    ok           the same over the rows that are ok
    wald         of the interval from the curvature, over the rows that are ok
    no low, no high   intervals without a lower, an upper end
    too low, too high intervals that lie altogether below, above the truth

Ends with 1 if a coverage (over every patient) is not between 92 and 97 %.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import pandas as pd

import cellkinetics as ck
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import library
from cellkinetics.models.simulation import simulate_patients

DAYS = (1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 180, 365)
SIGMA, LLOQ = 0.5, 50.0
RANGE = (0.92, 0.97)
NAMES = (*ECP.names, "sigma")


def one_seed(n: int, seed: int) -> pd.DataFrame:
    """Return one row a patient and parameter: truth, estimate and intervals on the transformed scale."""
    entry = library["stein2019"]
    drawn = simulate_patients(
        ECP, n, DAYS, typical=entry.typical, omega_sd=entry.omega_sd, residual_sd=SIGMA, lloq=LLOQ, seed=seed
    )
    fits = ck.fit(ck.read(drawn.samples), intervals="profile")
    return rows(fits, drawn.truth.set_index("subject").assign(sigma=SIGMA))


def rows(fits: IndividualFits, truth: pd.DataFrame) -> pd.DataFrame:
    """Return one row a patient and parameter."""
    records = []
    for fit in fits:
        for name in NAMES:
            row, profile = fit[name], fit.profiles.get(name)
            records.append(
                {
                    "parameter": name,
                    "truth": scaled(name, truth.loc[fit.subject, name]),
                    "ok": row.status == "ok",
                    "estimate": scaled(name, row.estimate),
                    "wald_low": scaled(name, row.ci_low),
                    "wald_high": scaled(name, row.ci_high),
                    "profiled": profile is not None,
                    "low": scaled(name, profile.low) if profile else np.nan,
                    "high": scaled(name, profile.high) if profile else np.nan,
                }
            )
    return pd.DataFrame.from_records(records)


def scaled(name: str, value: float | None) -> float:
    """Return a value on the log or logit scale; NaN where there is none."""
    if value is None:
        return float("nan")
    return ECP[name].transformed(value) if name in ECP.names else float(np.log(value))


def summary(patients: pd.DataFrame) -> pd.DataFrame:
    """Return one row a parameter."""
    lines = []
    for name in NAMES:
        mine = patients[patients["parameter"] == name]
        counted, ok = mine[mine["profiled"]], mine[mine["ok"]]
        error = ok["estimate"] - ok["truth"]
        two = counted[counted["low"].notna() & counted["high"].notna()]
        wald = ok[ok["wald_low"].notna()]
        lines.append(
            {
                "parameter": name,
                "n": len(counted),
                "n_ok": len(ok),
                "bias": error.mean(),
                "rmse": np.sqrt((error**2).mean()),
                "coverage": holds(counted, "low", "high").mean(),
                "both_ends": holds(two, "low", "high").mean(),
                "ok": holds(ok, "low", "high").mean(),
                "wald": holds(wald, "wald_low", "wald_high").mean(),
                "no_low": counted["low"].isna().mean(),
                "no_high": counted["high"].isna().mean(),
                "too_low": (counted["high"] < counted["truth"]).mean(),
                "too_high": (counted["low"] > counted["truth"]).mean(),
            }
        )
    return pd.DataFrame(lines).set_index("parameter")


def holds(part: pd.DataFrame, low: str, high: str) -> pd.Series:
    """Say whether each interval holds the truth; an open side always does."""
    return ~((part[low] > part["truth"]) | (part[high] < part["truth"]))


def wrong(table: pd.DataFrame) -> list[str]:
    """Return the parameters whose coverage is out of range."""
    return list(table.index[~table["coverage"].between(*RANGE)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="10 seeds of 1,000 patients")
    parser.add_argument("--patients", type=int)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    given = parser.parse_args()
    n = given.patients or (1000 if given.long else 200)
    seeds = given.seeds or (10 if given.long else 1)
    parts, begin = [], time.process_time()
    for seed in range(given.seed, given.seed + seeds):
        parts.append(one_seed(n, seed))
        if seeds > 1:
            print(f"seed {seed}", summary(parts[-1])["coverage"].map("{:.3f}".format).to_dict(), flush=True)
    table = summary(pd.concat(parts))
    print(f"{n} patients, {seeds} seed(s), {time.process_time() - begin:.0f} CPU seconds\n")
    print(table.round(3).to_string())
    for name in wrong(table):
        print(f"\ncoverage of {name} is out of range: {table.loc[name, 'coverage']:.3f}")
    return 1 if wrong(table) else 0


if __name__ == "__main__":
    sys.exit(main())
