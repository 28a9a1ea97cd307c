"""One fit a patient, and what a fit cannot know. Run: python examples/fit_patients.py [trial.csv]."""

import sys
from importlib.resources import files

import cellkinetics as ck

BUNDLED = files("cellkinetics.data") / "bundled" / "dose_exploration.csv"  # simulated


def main(path: str = str(BUNDLED)) -> None:
    cohort = ck.read(path).take(range(3))
    fits = ck.fit(cohort, model="ecp")

    for one in fits:
        print(one)
        tmax = one["tmax"]
        if tmax.status == "ok":
            print(f"  peak on day {tmax.estimate:.1f} (95 % CI {tmax.ci_low:.1f} to {tmax.ci_high:.1f})")

    # Parameters that a patient's samples cannot determine have no estimate, and say why.
    table = fits.table
    open_ones = table[table["status"] == "not_identifiable"]
    print(open_ones[["subject", "parameter", "reason"]].to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:2])
