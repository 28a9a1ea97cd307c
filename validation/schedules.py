"""What sampling schedules cost: published findings reproduced, and the linearised information against the exact one.

    python validation/schedules.py [--long] [--patients 600] [--seed 0]

The population is Stein 2019 (doi:10.1002/psp4.12388), 30 patients, LLOQ 50. The finding to reproduce in its direction:
samples on days 7, 14 and 28 tell little, samples on days 2-4, 12-18 and 32-47 much (optimal design for CAR-T trials:
Klima F, Mc Laughlin AM, Michelet R, et al. Development of efficient CAR-T cell clinical study designs, PAGE meeting,
abstract 11783, https://www.page-meeting.org/?abstract=11783; we had its introduction, and the days second hand). Their
model and their numbers are not reproduced.

The short form takes the linearised information (method conditional). The long one adds the exact information of
simulated samples (method simulated), and some minutes. Ends with 1 if the direction is another one.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

import cellkinetics as ck

LLOQ = 50.0
USUAL, PUBLISHED = "7/14/28", "3/15/40"
SCHEDULES = {
    USUAL: (7, 14, 28),
    PUBLISHED: (3, 15, 40),
    "7/14/21/28/56": (7, 14, 21, 28, 56),
    "2/4/12/18/32/47": (2, 4, 12, 18, 32, 47),
    "3/7/10/14/28/40": (3, 7, 10, 14, 28, 40),
}
WINDOWS = [*range(2, 5), *range(12, 19), *range(32, 48)]


def print_search(n: int, admissible: list[int], title: str, seed: int) -> None:
    """Search and print the best schedules."""
    found = ck.search_schedule(n, admissible, lloq=LLOQ, starts=8, best=1, seed=seed)
    print(f"\n{title}: {found.status}")
    print(found.table.head(3).to_string(index=False))


def print_exact(linearised: object, patients: int, seed: int) -> dict[str, float]:
    """Print the exact standard errors beside the linearised ones; return ln det per quantity by schedule."""
    print(f"\nRSE % of the exact information ({patients} simulated patients) / of the linearised one")
    log_det = {}
    for name, days in SCHEDULES.items():
        exact = ck.schedule_information(days, lloq=LLOQ, method="simulated", patients=patients, seed=seed)
        log_det[name] = exact.log_det / len(exact.labels)
        cells = [
            f"{label} {exact[label].rse_percent or np.inf:.0f}/{linearised[name][label].rse_percent or np.inf:.0f}"  # type: ignore[index]
            for label in exact.labels
        ]
        print(f"  {name:<18}" + "  ".join(cells), flush=True)
    return log_det


def main() -> int:
    """Print the comparison, the searches and, in the long form, the exact information."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--long", action="store_true")
    arguments.add_argument("--patients", type=int, default=600)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    compared = ck.compare_schedules(SCHEDULES, lloq=LLOQ, reference=USUAL, seed=given.seed)
    print(compared)
    every = list(range(1, 61))
    print_search(3, every, "3 samples on days 1 to 60", given.seed)
    print_search(3, WINDOWS, "3 samples on days 2-4, 12-18 and 32-47", given.seed)
    print_search(6, every, "6 samples on days 1 to 60", given.seed)
    gain = {"linearised": compared.efficiency(PUBLISHED)}
    if given.long:
        log_det = print_exact(compared, given.patients, given.seed)
        gain["exact"] = 100 * float(np.exp(log_det[PUBLISHED] - log_det[USUAL]))
        print("D-efficiency % relative to 7/14/28, exact: ", end="")
        print(", ".join(f"{name} {100 * np.exp(log_det[name] - log_det[USUAL]):.0f}" for name in SCHEDULES))
    for how, percent in gain.items():
        print(f"days {PUBLISHED} against {USUAL}, as many samples: {percent:.0f} % of the information, {how}")
    return 0 if min(gain.values()) > 100 else 1


if __name__ == "__main__":
    sys.exit(main())
