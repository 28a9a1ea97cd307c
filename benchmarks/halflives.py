"""How often is a half-life within two-fold of the truth? The conventional one and those of two phases.

    python benchmarks/halflives.py [--patients 300] [--seed 1]

Patients are drawn from Stein 2019 (doi:10.1002/psp4.12388), with its random effects and residual, an LLOQ of 50
and actual times off the nominal ones by up to a tenth of the way to the neighbour. The truth of each patient is
ln 2/alpha and ln 2/beta. Each schedule is analysed with both methods for the terminal line. A last table has declines
of one phase that end below quantification, with a single true half-life.
"""

from __future__ import annotations

import argparse

import numpy as np

import cellkinetics as ck
from cellkinetics.nca.options import NCAOptions

SCHEDULES = {
    "to month 3": [0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84],
    "to month 6": [0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 56, 84, 112, 180],
    "to month 12": [0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 112, 180, 270, 365],
    "to month 12, sparse": [0, 7, 14, 21, 28, 56, 84, 112, 180, 270, 365],
    "to month 24": [0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 56, 84, 112, 140, 180, 270, 365, 540, 720],
}
METHODS = ("best-fit", "tobit")
# Days, half-life, residual SD, median of the level on the first day over the LLOQ
TAILS = (
    ([10, 14, 17, 21, 28, 35, 42, 56, 70, 84], 8.0, 0.4, 400.0),
    ([10, 14, 17, 21, 28, 42, 56, 84, 112, 180], 15.0, 0.56, 20.0),
    ([10, 14, 21, 28, 42, 56, 84, 112, 180], 8.0, 0.56, 20.0),
    ([10, 14, 21, 28, 56, 84, 112, 180, 270, 365], 40.0, 0.56, 12.0),
)


def near(found: np.ndarray, truth: np.ndarray | float) -> np.ndarray:
    """Say which values are within two-fold of the truth; a missing one is not."""
    return np.abs(np.log2(found / truth)) <= 1


def share(hits: np.ndarray, of: np.ndarray) -> str:
    """Write hits of all in percent, with the number of all."""
    return f"{100 * (hits & of).sum() / max(of.sum(), 1):3.0f} % ({int(of.sum())})"


def phases(patients: int, seed: int) -> None:
    """Print the shares for every schedule and method."""
    columns = ("LAMZHL", "across the break", "other", "ALPHAHL", "BETAHL", "ALPHAHL, BETAHL")
    print(f"Within two-fold of the truth, of {patients} patients, in brackets of how many; LAMZHL of either phase:")
    print(f"{'':32}" + "".join(f"{name:>18}" for name in columns))
    for name, days in SCHEDULES.items():
        drawn = ck.models.library["stein2019"].simulate(patients, days, lloq=50, jitter=0.1, seed=seed)
        cohort = ck.read(drawn.samples)
        alpha, beta = (np.log(2) / drawn.truth[rate].to_numpy() for rate in ("alpha", "beta"))
        for method in METHODS:
            rules = NCAOptions(lambda_z_method=method)
            result = ck.noncompartmental(cohort, options=rules, parameters="core,cellular")
            line, first, second = (result.wide[code].to_numpy() for code in ("LAMZHL", "ALPHAHL", "BETAHL"))
            has, has_alpha, has_beta = (np.isfinite(found) for found in (line, first, second))
            marked = result.table.query("parameter == 'LAMZHL'")["reason_code"]
            astride = marked.str.contains("straddles_break").to_numpy()
            either = near(line, alpha) | near(line, beta)
            cells = (
                share(either, has),
                share(either, has & astride),
                share(either, has & ~astride),
                share(near(first, alpha), has_alpha),
                share(near(second, beta), has_beta),
                share(np.concatenate([near(first, alpha), near(second, beta)]), np.concatenate([has_alpha, has_beta])),
            )
            title = f"{len(days)} {name}" if method == METHODS[0] else ""
            print(f"{title:22}{method:>10}" + "".join(f"{cell:>18}" for cell in cells))


def tails(patients: int, seed: int) -> None:
    """Print bias and shares for declines of one phase that end below quantification."""
    print(f"\nDeclines of one phase, {patients} each: calculated/true (geometric mean), within two-fold of the truth")
    print(f"{'half-life, samples, BLQ':32}" + "".join(f"{method:>26}" for method in METHODS))
    for days, half_life, residual_sd, height in TAILS:
        rng = np.random.default_rng(seed)
        top = np.log(50.0 * height) + rng.standard_normal((patients, 1))
        fall = np.log(2) / half_life * (np.array(days, float) - days[0])
        level = np.exp(top - fall + residual_sd * rng.standard_normal((patients, len(days))))
        cohort = ck.Cohort.from_arrays([days] * patients, level.tolist(), lloq=50.0)
        cells = []
        for method in METHODS:
            rules = NCAOptions(lambda_z_method=method)
            found = ck.noncompartmental(cohort, options=rules, parameters="LAMZHL").wide["LAMZHL"].to_numpy()
            bias = np.exp(np.nanmean(np.log(found / half_life)))
            cells.append(f"{bias:.2f}, {100 * near(found, half_life).mean():.0f} % ({np.isfinite(found).sum()})")
        title = f"{half_life:g} d, {len(days)}, {100 * (level < 50).mean():.0f} %"
        print(f"{title:32}" + "".join(f"{cell:>26}" for cell in cells))


def main() -> None:
    """Print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--patients", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    phases(given.patients, given.seed)
    tails(10 * given.patients, given.seed)


if __name__ == "__main__":
    main()
