"""How long do fits per patient take, all together and one by one?

    python benchmarks/individual_speed.py [--patients 10000] [--compared 200] [--profile] [--seed 1]

Patients are drawn from Stein 2019 (doi:10.1002/psp4.12388), 15 samples to day 365, residual SD 0.5 on ln C, LLOQ 50.
Every sampling interval around the peak is searched from 3 starts; standard errors are among the results. Times are
CPU seconds of the whole process, all threads. The first number holds everything from the first call, compilation
included (the folder of compiled programs is switched off); the ratio is that of the engine, compiled by then, to the
loop of lmfit on the same patients in the same run.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

DAYS = (1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 180, 365)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--compared", type=int, default=200, help="patients that lmfit fits too; 0 for none")
    parser.add_argument("--profile", action="store_true", help="time the intervals by profile likelihood too")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    os.environ["CELLKINETICS_CACHE_DIR"] = "off"
    measure(given.patients, given.compared, given.seed, profile=given.profile)


def measure(n: int, compared: int, seed: int, *, profile: bool) -> None:
    """Print the times."""
    import cellkinetics as ck
    from cellkinetics.models.ecp import ECP
    from cellkinetics.models.published import library
    from cellkinetics.models.simulation import simulate_patients

    entry = library["stein2019"]
    drawn = simulate_patients(
        ECP, n, DAYS, typical=entry.typical, omega_sd=entry.omega_sd, residual_sd=0.5, lloq=50.0, seed=seed
    )
    cohort = ck.read(drawn.samples)

    def timed(few: ck.Cohort, **settings: str) -> tuple[float, np.ndarray]:
        begin = time.process_time()
        fits = ck.fit(few, **settings)
        spent = time.process_time() - begin
        rows = fits.table.query("parameter == 'minus2ll'")
        return spent, rows["estimate"].to_numpy()

    spent, _ = timed(cohort)
    print(f"{n} patients together, compilation included: {spent:.1f} CPU s, {1e3 * spent / n:.2f} ms a patient")
    spent, _ = timed(cohort)
    print(f"the same, compiled: {spent:.1f} CPU s, {1e3 * spent / n:.2f} ms a patient")
    if profile:
        spent, _ = timed(cohort, intervals="profile")
        print(f"with intervals by profile likelihood: {spent:.1f} CPU s, {1e3 * spent / n:.2f} ms a patient")
    if compared:
        few = cohort.take(range(min(compared, n)))
        together, ours = timed(few)
        loop, theirs = timed(few, method="lmfit")
        print(
            f"{len(few)} patients: together {together:.2f} CPU s, lmfit one by one {loop:.1f} CPU s, "
            f"ratio {loop / together:.0f}"
        )
        lower, higher = (ours < theirs - 1e-3).sum(), (ours > theirs + 1e-3).sum()
        print(f"-2LL is lower together in {lower} of them, lower by lmfit in {higher}, else equal to 0.001")


if __name__ == "__main__":
    main()
