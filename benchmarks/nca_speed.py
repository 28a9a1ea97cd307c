"""How many profiles does the noncompartmental engine analyse in one CPU second, from arrays?

    python benchmarks/nca_speed.py [--profiles 100000] [--seed 1]

Twenty samples a profile to day 168, log-normal scatter, an LLOQ of 50; one process, the best of three runs.
Run it with OMP_NUM_THREADS=1 for the CPU time of one thread.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from cellkinetics.nca.curve import Samples
from cellkinetics.nca.engine import BLOCK, compute
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.parameters import select

DAYS = np.array([0, 1, 2, 3, 5, 7, 10, 14, 18, 21, 28, 35, 42, 56, 70, 84, 112, 140, 154, 168], float)
LLOQ = 50.0
WINDOWS = "0-28,0-84,0-168,28-84"


def cohort(n: int, seed: int) -> Samples:
    """Draw profiles that rise to day 10 and fall in two phases."""
    rng = np.random.default_rng(seed)
    fall = 0.8 * np.exp(-0.15 * (DAYS - 10)) + 0.2 * np.exp(-0.01 * (DAYS - 10))
    curve = np.where(DAYS < 10, np.exp(0.6 * (DAYS - 10)), fall)
    value = rng.lognormal(9.0, 1.0, (n, 1)) * curve * rng.lognormal(0.0, 0.3, (n, len(DAYS)))
    value[:, 0] = 0.0
    shape = value.shape
    return Samples(
        time=np.tile(DAYS, (n, 1)),
        value=value,
        censored=(value < LLOQ).astype(np.int64),
        lloq=np.full(shape, LLOQ),
        uloq=np.full(shape, np.nan),
        mask=np.ones(shape, bool),
        dose=np.full(n, 100.0),
    )


def rate(samples: Samples, options: NCAOptions, parameters: str) -> float:
    """Return profiles per CPU second, the best of three."""
    keys = select(parameters, options)
    best = 0.0
    for _ in range(3):
        begin = time.process_time()
        for start in range(0, len(samples), BLOCK):
            compute(samples.block(start, min(start + BLOCK, len(samples))), options, keys)
        best = max(best, len(samples) / (time.process_time() - begin))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    samples = cohort(given.profiles, given.seed)
    print(f"{given.profiles} profiles of {len(DAYS)} samples, windows {WINDOWS}")
    for name, parameters, options in (
        ("core", "core", {}),
        ("core, bolus", "core", {"route": "bolus"}),
        ("core and drug, bolus", "core,drug", {"route": "bolus"}),
        ("core and cellular", "core,cellular", {}),
        ("Cmax and Tmax only", "CMAX,TMAX", {}),
    ):
        rules = NCAOptions(windows=WINDOWS, **options)
        count = len(select(parameters, rules))
        print(f"{name:>22}  {count:3d} values  {rate(samples, rules, parameters):10,.0f} profiles per CPU second")


if __name__ == "__main__":
    main()
