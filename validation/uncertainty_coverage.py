"""How often 95 % intervals of a population fit hold the truth, by every way to find them; a model quick to fit.

    python validation/uncertainty_coverage.py [--long] [--replicates N] [--bootstrap B] [--jobs 2] [--folder DIR]
        [--seed 1]

Trials of 40 patients, C = 10 exp(-ke t) at days 0.5, 1, 2 and 4 with ke log-normal (0.5, omega 0.4), a residual SD of
0.25 on ln C and an LLOQ of 1.2, are fitted by FOCEI (which is all but exact here), and intervals are made by the
observed information, the sandwich, SIR, and a bootstrap (percentile and BCa). A second set of trials has residuals with
Student's t of 3 degrees of freedom, which the model does not know: there the information is wrong about sigma, and the
sandwich and the bootstrap are not (they are about the sigma that fits best, found from a trial of 1000 patients). The
short form (10 trials of either kind, 40 bootstrap replicates) shows that everything works; --long takes 200 and 200.
With --folder it can be interrupted. The exit code is 1 if in the long form a coverage of the model that holds is beyond
90 to 98 %.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import Cohort
from cellkinetics.engines import Crew
from cellkinetics.fitting.pooled.bootstrap import bootstrap
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.sir import sir
from cellkinetics.fitting.pooled.summary import working_covariance
from cellkinetics.fitting.replicates import Replicates, Task
from cellkinetics.models.base import Model, Parameter

KE, OMEGA, SIGMA, LLOQ = 0.5, 0.4, 0.25, 1.2
DAYS = np.array([0.5, 1.0, 2.0, 4.0])
PATIENTS, MANY = 40, 1000
KINDS = ("information", "sandwich", "SIR", "bootstrap", "BCa")
LABELS = ("ke", "omega_ke", "sigma")


def fall(theta: jax.Array, time: jax.Array) -> jax.Array:
    return jnp.log(10.0) - theta[0] * time


DECLINE = Model("fall", "decline from 10", (Parameter("ke", "log", "rate", 1e-3, 10.0, "elimination rate"),), fall)


def trial(patients: int, seed: tuple[int, ...], heavy: bool) -> Cohort:
    """Simulate one trial; ``heavy`` residuals have the same variance."""
    rng = np.random.default_rng(seed)
    ke = KE * np.exp(OMEGA * rng.standard_normal((patients, 1)))
    shape = (patients, len(DAYS))
    eps = rng.standard_t(3, shape) / np.sqrt(3) if heavy else rng.standard_normal(shape)
    value = np.exp(np.log(10.0) - ke * DAYS + SIGMA * eps)
    return Cohort.from_arrays(
        [DAYS] * patients, np.maximum(value, LLOQ), lloq=LLOQ, censored=(value < LLOQ).astype(int)
    )


def fit_of(cohort: Cohort, seed: int) -> PopulationFit:
    return pool(cohort, model=DECLINE, method="focei", start={"ke": KE}, seed=seed)


@cache
def target(heavy: bool, seed: int) -> dict[str, float]:
    """What estimates tend to: the truth, or what fits best where the model does not hold."""
    if not heavy:
        return {"ke": KE, "omega_ke": OMEGA, "sigma": SIGMA}
    fit = fit_of(trial(MANY, (seed, 999_999), heavy=True), 1)
    return {label: fit[label].estimate for label in LABELS}


def intervals(shared: dict[str, Any], number: int) -> dict[str, Any]:
    """Return whether each interval of one trial holds the target."""
    heavy = bool(shared["heavy"])
    fit = fit_of(trial(PATIENTS, (shared["seed"], int(heavy), number), heavy), number)
    aim = target(heavy, shared["seed"])
    ends: dict[str, dict[str, tuple[float, float]]] = {}
    if fit.covariance is not None:
        searched = np.array([label in fit.labels for label in LABELS])
        for kind in KINDS[:2]:
            half = 1.959964 * np.sqrt(np.diag(working_covariance(fit.importance, searched, kind)))
            # All three are positive, and their working scale is ln.
            x = fit.x[searched]
            ends[kind] = {
                label: (float(np.exp(a - b)), float(np.exp(a + b)))
                for label, a, b in zip(fit.labels, x, half, strict=True)
            }
        table = sir(fit, samples=400, iterations=3, draws=1000, seed=number).table.set_index("parameter")
        ends["SIR"] = {label: (table.loc[label, "ci_low"], table.loc[label, "ci_high"]) for label in fit.labels}
    again = bootstrap(fit, replicates=shared["bootstrap"], seed=number).intervals
    ends["bootstrap"] = {label: (again[label].low, again[label].high) for label in LABELS}
    ends["BCa"] = {label: (again[label].bca_low, again[label].bca_high) for label in LABELS}
    return {
        kind: {label: bool(low <= aim[label] <= high) for label, (low, high) in found.items() if low == low}
        for kind, found in ends.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--replicates", type=int)
    parser.add_argument("--bootstrap", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    replicates = options.replicates or (200 if options.long else 10)
    count = options.bootstrap or (200 if options.long else 40)
    good = True
    for heavy in (False, True):
        shared = {"heavy": heavy, "bootstrap": count, "seed": options.seed}
        tasks = [Task(f"{number:04d}", number) for number in range(replicates)]
        folder = options.folder and f"{options.folder}/{'heavy' if heavy else 'normal'}"
        with Replicates(folder, {"task": "coverage", **shared}, resume=True) as store:
            records = store.run(intervals, tasks, shared=shared, crew=Crew(jobs=options.jobs))
        done = [record.result for record in records if record.status == "done"]
        for record in records:
            if record.status != "done":
                print(f"{record.name} failed: {record.reason}")
        what = "heavier tails than the model has" if heavy else "the model holds"
        print(
            f"\n{what}: {len(done)} trials of {PATIENTS} patients, {count} bootstrap replicates; "
            "coverage of 95 % intervals"
        )
        print(f"{'':<10}" + "".join(f"{kind:>14}" for kind in KINDS))
        for label in LABELS:
            line = f"{label:<10}"
            for kind in KINDS:
                hits = [one[kind][label] for one in done if label in one.get(kind, {})]
                line += f"{100 * np.mean(hits):>12.1f} %" if hits else f"{'–':>14}"
                good &= heavy or not options.long or 0.90 <= np.mean(hits) <= 0.98
            print(line, flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
