"""Do forecasts hold what they promise? Simulated patients are forecast from their first days.

    python validation/forecast_coverage.py [--patients 200] [--until 28] [--long]

Patients of Stein 2019 with samples over a year; the population is known, so that every interval should hold the truth
in 95 of 100 cases. Printed are the shares of parameters in their intervals, of later samples in the band of samples
(one below quantification is held where the band reaches below the LLOQ, so that there are more), of true curves in
the band of curves, and the expected and observed number of later samples below quantification.
"""

from __future__ import annotations

import argparse

import numpy as np

import cellkinetics as ck
from cellkinetics.fitting.virtual.blocks import curves
from cellkinetics.models.published import library

DAYS = (1, 3, 5, 7, 10, 14, 21, 28, 56, 84, 112, 180, 270, 365)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--until", type=float, default=28.0)
    parser.add_argument("--long", action="store_true", help="2000 patients")
    given = parser.parse_args()
    n = 2000 if given.long else given.patients
    trial = ck.simulate_trial("stein2019", n, DAYS, lloq=50, seed=11)
    found = ck.forecast("stein2019", trial.cohort, DAYS, until=given.until, levels=[50])
    model = library["stein2019"].model

    names = list(model.names)
    rows = found.quantities.merge(
        trial.patients.melt("subject", value_vars=names, var_name="quantity", value_name="truth"),
        on=["subject", "quantity"],
    )
    inside = (rows["ci_low"] <= rows["truth"]) & (rows["truth"] <= rows["ci_high"])
    for name, share in inside.groupby(rows["quantity"]).mean()[names].items():
        print(f"{name:<8} in its interval: {100 * share:.1f} %")

    theta = trial.patients[names].to_numpy()
    truth = np.exp(curves(model, theta, np.tile(np.array(DAYS, float), (n, 1)))).ravel()
    table = found.table.assign(truth=truth)
    late = table[table["time"] > given.until]
    print(f"later curves in their band: {100 * late['truth'].between(late['low'], late['high']).mean():.1f} %")
    seen = trial.samples[trial.samples["time"] > given.until].merge(found.table, on=["subject", "time"])
    blq = seen["censored"] == 1
    held = np.where(blq, seen["sample_low"] < 50, seen["value"].between(seen["sample_low"], seen["sample_high"]))
    print(f"later samples in their band: {100 * held.mean():.1f} %")
    expected = found.below[found.below["time"] > given.until]["sample_probability"].sum()
    print(f"later samples below quantification: {blq.sum()} of {len(seen)}, expected {expected:.0f}")


if __name__ == "__main__":
    main()
