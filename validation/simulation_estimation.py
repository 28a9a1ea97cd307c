"""Simulate trials from a known population, fit each, and compare estimates and intervals with the truth.

    python validation/simulation_estimation.py [--replicates 100] [--patients 91] [--method saem] [--jobs 2]
        [--folder DIR] [--seed 1]

Trials of 91 patients on the days 1 to 730 (visits missed, follow-up of different length), about 14 samples a patient
and a fifth of them below an LLOQ of 50; model (A) with independent log-normal random effects (logit for FB). Prints
bias and RMSE of each estimate on its working scale (ln, logit for FB; times 100, about percent), and how often the 95 %
interval holds the truth: by the observed information, by the sandwich, and by SIR. An interval that the fit does not
give (the likelihood hardly changes with the parameter) counts as none; the last column counts them. With --folder the
run can be interrupted, and goes on where it stopped. ``--replicates 3 --patients 30`` is the short form, which only
shows that everything works; the exit code is 1 if, of 50 replicates or more, a coverage is beyond 90 to 98 %.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

from cellkinetics.data.cohort import Cohort
from cellkinetics.engines import Crew
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.sir import sir
from cellkinetics.fitting.pooled.summary import working_covariance
from cellkinetics.fitting.replicates import Record, Replicates, Task
from cellkinetics.models.ecp import ECP
from cellkinetics.models.simulation import individual_parameters, log_curves, observe

TYPICAL = {"cmax": 24e3, "tmax": 9.3, "foldx": 3900.0, "alpha": 0.1612, "fb": 0.01, "beta": 0.00315}
OMEGA = {"cmax": 1.0, "tmax": 0.3, "foldx": 1.5, "alpha": 0.8, "fb": 1.2, "beta": 0.7}
SIGMA, LLOQ = 0.6, 50.0
DAYS = np.array([1, 3, 5, 7, 9, 11, 14, 18, 22, 28, 56, 90, 180, 365, 545, 730], float)
LAST = {28: 0.07, 56: 0.10, 90: 0.08, 180: 0.12, 365: 0.10, 545: 0.10, 730: 0.43}
MISSED = 0.03
Z = 1.959964
KINDS = ("information", "sandwich", "SIR")


def trial(patients: int, seed: tuple[int, ...]) -> Cohort:
    """Simulate the samples of one trial."""
    rng = np.random.default_rng(seed)
    theta = individual_parameters(ECP, patients, typical=TYPICAL, omega_sd=OMEGA, rng=rng)
    room = np.minimum(np.diff(DAYS, prepend=0.0), np.diff(DAYS, append=760.0))
    room[0] = 0.0
    time_of = DAYS + 0.35 * room.clip(max=20.0) * (2 * rng.random((patients, len(DAYS))) - 1)
    value, censored = observe(log_curves(ECP, theta, time_of), time_of, residual_sd=SIGMA, lloq=LLOQ, rng=rng)
    last = rng.choice(list(LAST), size=patients, p=list(LAST.values()))
    taken = (last[:, None] >= DAYS) & (rng.random(time_of.shape) >= MISSED)
    rows = [np.flatnonzero(one) for one in taken]
    return Cohort.from_arrays(
        [time_of[i, row] for i, row in enumerate(rows)],
        [value[i, row] for i, row in enumerate(rows)],
        lloq=LLOQ,
        censored=[censored[i, row] for i, row in enumerate(rows)],
    )


def truth(fit: PopulationFit) -> np.ndarray:
    return fit.problem.pack(TYPICAL, OMEGA, (SIGMA,))


def estimate(shared: dict[str, Any], number: int) -> dict[str, Any]:
    """Fit one trial; offsets from the truth on the working scale, and whether each interval holds it."""
    begun = time.process_time()
    cohort = trial(shared["patients"], (shared["seed"], number))
    fit = pool(cohort, method=shared["method"], seed=number)
    spent = time.process_time() - begun
    true, labels = truth(fit), fit.problem.labels
    inside: dict[str, dict[str, bool]] = {kind: {} for kind in KINDS}
    if fit.covariance is not None:
        stated = {row.parameter for row in fit.estimates if row.se is not None}
        searched = np.array([label in fit.labels for label in labels])
        for kind in KINDS[:2]:
            se = np.full(len(labels), np.nan)
            se[searched] = np.sqrt(np.diag(working_covariance(fit.importance, searched, kind)))
            hit = np.abs(fit.x - true) <= Z * se
            inside[kind] = {label: bool(hit[k]) for k, label in enumerate(labels) if label in stated}
        drawn = sir(fit, samples=500, iterations=3, draws=1000, seed=number).vectors
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        inside["SIR"] = {
            label: bool(low[k] <= true[k] <= high[k]) for k, label in enumerate(labels) if label in fit.labels
        }
    return {
        "labels": labels,
        "converged": fit.converged,
        "status": fit.status,
        "offset": fit.x - true,
        "inside": inside,
        "below": cohort.n_blq / cohort.n_samples,
        "samples": cohort.n_samples,
        "cpu_seconds": spent,
    }


def show(records: list[Record], wall: float) -> bool:
    """Print the table; return whether every coverage is as it should be."""
    done = [record.result for record in records if record.status == "done"]
    for record in records:
        if record.status != "done":
            print(f"{record.name} failed: {record.reason}")
    converged = [one for one in done if one["converged"]]
    samples, below, spent = (np.array([one[name] for one in done]) for name in ("samples", "below", "cpu_seconds"))
    print(
        f"{len(done)} of {len(records)} fits, {len(converged)} converged; {samples.mean():.0f} samples, "
        f"{100 * below.mean():.0f} % below the LLOQ; median {np.median(spent):.1f} CPU s a fit, {wall:.0f} s in all"
    )
    for one in done:
        if not one["converged"]:
            print(f"  not converged: {one['status']}")
    offset = 100 * np.array([one["offset"] for one in done])
    print(
        f"{'parameter':<12}{'bias':>8}{'(MC SE)':>9}{'median':>8}{'RMSE':>8}"
        + "".join(f"{k:>13}" for k in KINDS)
        + f"{'none':>6}"
    )
    good = True
    for k, label in enumerate(done[0]["labels"]):
        column = offset[:, k]
        line = f"{label:<12}{column.mean():>8.1f}{column.std(ddof=1) / len(column) ** 0.5:>9.1f}"
        line += f"{np.median(column):>8.1f}{np.sqrt((column**2).mean()):>8.1f}"
        for kind in KINDS:
            hits = [one["inside"][kind][label] for one in done if label in one["inside"][kind]]
            line += f"{100 * np.mean(hits):>11.0f} %" if hits else f"{'–':>13}"
            if kind == "information" and len(hits) >= 50:
                good &= 0.90 <= np.mean(hits) <= 0.98
        print(line + f"{sum(label not in one['inside']['information'] for one in done):>6}")
    return bool(good)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--patients", type=int, default=91)
    parser.add_argument("--method", default="saem")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    shared = {"patients": options.patients, "method": options.method, "seed": options.seed}
    tasks = [Task(f"{number:04d}", number) for number in range(options.replicates)]
    begun = time.perf_counter()
    with Replicates(options.folder, {"task": "simulation and estimation", **shared}, resume=True) as replicates:
        records = replicates.run(estimate, tasks, shared=shared, crew=Crew(jobs=options.jobs))
    return 0 if show(records, time.perf_counter() - begun) else 1


if __name__ == "__main__":
    sys.exit(main())
