"""From a table to noncompartmental parameters. Run: python examples/read_and_nca.py [trial.csv]."""

import sys
from importlib.resources import files

import cellkinetics as ck

BUNDLED = files("cellkinetics.data") / "bundled" / "dose_exploration.csv"  # simulated


def main(path: str = str(BUNDLED)) -> None:
    cohort = ck.read(path)
    print(cohort)
    for fault in cohort.faults:
        print(" ", fault)

    result = ck.noncompartmental(cohort, windows=[(0, 28)])
    print(result.wide[["subject", "CMAX", "TMAX", "TLST", "AUCINT_0_28", "LAMZHL"]].to_string(index=False))

    # An empty cell always has its reason in the long table.
    missing = result.table[result.table["status"] == "not_calculated"]
    print(missing[["subject", "parameter", "reason_code", "reason"]].head().to_string(index=False))

    print(result.summary(by="group").query("parameter == 'CMAX'").to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:2])
