"""How often is a half-life within two-fold of the truth? The conventional one and those of two phases.

    python benchmarks/halflives.py [--patients 300] [--seed 1]

Patients are drawn from Stein 2019 (doi:10.1002/psp4.12388), with its random effects and residual, an LLOQ of 50
and actual times off the nominal ones by up to a tenth of the way to the neighbour. The truth of each patient is
ln 2/alpha and ln 2/beta.
"""

from __future__ import annotations

import argparse

import numpy as np

import cellkinetics as ck

SCHEDULES = {
    "to month 6": [0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 56, 84, 112, 180],
    "to month 12": [0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 112, 180, 270, 365],
    "to month 24": [0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 56, 84, 112, 140, 180, 270, 365, 540, 720],
}


def near(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Say which values are within two-fold of the truth; a missing one is not."""
    return np.abs(np.log2(found / truth)) <= 1


def share(hits: np.ndarray, of: np.ndarray) -> str:
    """Write hits of all as numbers and percent."""
    return f"{int((hits & of).sum()):4d} of {int(of.sum()):4d} = {100 * (hits & of).sum() / max(of.sum(), 1):5.1f} %"


def main() -> None:
    """Print the shares for every schedule."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--patients", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    for name, days in SCHEDULES.items():
        drawn = ck.models.library["stein2019"].simulate(given.patients, days, lloq=50, jitter=0.1, seed=given.seed)
        result = ck.noncompartmental(ck.read(drawn.samples), parameters="core,cellular")
        wide = result.wide.set_index("subject")
        truth = drawn.truth.set_index("subject").loc[wide.index]
        alpha, beta = (np.log(2) / truth[rate].to_numpy() for rate in ("alpha", "beta"))
        conventional, contraction, persistence = (wide[code].to_numpy() for code in ("LAMZHL", "ALPHAHL", "BETAHL"))
        has, has_alpha, has_beta = (np.isfinite(a) for a in (conventional, contraction, persistence))
        marked = result.table.query("parameter == 'LAMZHL'").set_index("subject").loc[wide.index, "reason_code"]
        astride = marked.str.contains("straddles_break").to_numpy()
        either = near(conventional, alpha) | near(conventional, beta)
        both = np.concatenate([near(contraction, alpha), near(persistence, beta)])
        print(f"\n{given.patients} patients, {len(days)} samples {name}: within two-fold of the truth")
        print(f"  conventional LAMZHL, of either phase           {share(either, has)}")
        print(f"      of them with a line across the break       {share(either, has & astride)}")
        print(f"      of them with another line                  {share(either, has & ~astride)}")
        print(f"  biphasic, each of its own phase                {share(both, np.concatenate([has_alpha, has_beta]))}")
        print(f"      contraction ALPHAHL                        {share(near(contraction, alpha), has_alpha)}")
        print(f"      persistence BETAHL                         {share(near(persistence, beta), has_beta)}")
        print(f"  patients with at least one right: conventional {share(either, np.full(len(wide), True))}")
        own = near(contraction, alpha) | near(persistence, beta)
        print(f"                                    biphasic     {share(own, np.full(len(wide), True))}")


if __name__ == "__main__":
    main()
