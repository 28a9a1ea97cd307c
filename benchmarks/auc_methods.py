"""How far from the truth are areas by each rule for segments and for samples below quantification, and Cmax?

    python benchmarks/auc_methods.py [--patients 300] [--seed 1]

Patients are drawn from Stein 2019 (doi:10.1002/psp4.12388), with its random effects and residual (SD 0.56 of ln C),
an LLOQ of 50 and actual times off the nominal ones by up to a tenth of the way to the neighbour. The truth of each
patient is the exact area under the noise-free curve, and its peak. A cell is the geometric mean of calculated/true
and its geometric CV; rules for BLQ that give the same numbers stand in one row.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import cellkinetics as ck
from cellkinetics.models.base import Model
from cellkinetics.models.simulation import simulate_patients
from cellkinetics.nca.options import BLQ_PRESETS, NCAOptions

METHODS = ("linear", "linear-up-log-down", "linear-log", "log")
SCHEDULES = {
    "16 samples to month 6": ([0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 112, 180], (28.0, 84.0)),
    "10 samples to month 3": ([0, 1, 4, 7, 10, 14, 21, 28, 56, 84], (28.0,)),
    "5 samples to month 2": ([0, 7, 14, 28, 56], (28.0,)),
}
LAST_VISITS = {
    "10 samples to month 3": ([0, 1, 4, 7, 10, 14, 21, 28, 56, 84], 84.0),
    "7 samples to day 28": ([0, 4, 7, 10, 14, 21, 28], 28.0),
}
ENDS = {
    "window_end observed (default)": {},
    "window_end predicted": {"window_end": "predicted"},
    "window_end zero": {"window_end": "zero"},
    "window_end missing": {"window_end": "missing"},
    "lines are accepted whatever their fit": {
        "acceptance": {"r2adj_min": None, "span_min": None, "straddle": False, "extrapolated_max": None}
    },
    "nominal times": {"time": "nominal"},
}
PEAK_SCHEDULES = {
    "1, 3, 5, 7, 9, 11, 14, 17, 21, 28": [1, 3, 5, 7, 9, 11, 14, 17, 21, 28],
    "1, 4, 7, 10, 14, 21, 28": [1, 4, 7, 10, 14, 21, 28],
    "7, 14, 28": [7, 14, 28],
}
LLOQ = 50.0


def true_area(model: Model, theta: np.ndarray, start: float, end: float) -> np.ndarray:
    """Return the exact areas under the curves of ``theta``, shape (n, p)."""
    assert model.area is not None
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(lambda one: model.area(one, jnp.asarray(start), jnp.asarray(end)))(theta))


def ratio(found: np.ndarray, truth: np.ndarray) -> str:
    """Write the geometric mean of found/true with its CV, and how many are missing."""
    log = np.log(found / truth)
    lost = int((~np.isfinite(log)).sum())
    log = log[np.isfinite(log)]
    cv = 100 * np.sqrt(np.expm1(log.var(ddof=1)))
    return f"{np.exp(log.mean()):5.3f} ({cv:3.0f} %)" + (f" -{lost}" if lost else "")


def areas(cohort: ck.Cohort, truth: np.ndarray, window: tuple[float, float]) -> None:
    """Print a table of the methods by the rules for BLQ."""
    table: dict[tuple[str, ...], list[str]] = {}
    for preset in BLQ_PRESETS:
        cells = []
        for method in METHODS:
            rules = NCAOptions(auc_method=method, blq=preset, windows=[window])
            wide = ck.noncompartmental(cohort, options=rules, parameters="AUCINT").wide
            cells.append(ratio(wide.iloc[:, -1].to_numpy(), truth))
        table.setdefault(tuple(cells), []).append(preset)
    print("  " + "".join(f"{method:>22}" for method in METHODS) + "  BLQ")
    for cells, presets in table.items():
        print("  " + "".join(f"{cell:>22}" for cell in cells) + "  " + ", ".join(presets))


def draw(patients: int, days: list[int], seed: int) -> tuple[ck.Cohort, np.ndarray, float]:
    """Return the samples of patients, their true parameters (n, p), and how many percent are BLQ."""
    stein = ck.models.library["stein2019"]
    drawn = stein.simulate(patients, days, lloq=LLOQ, jitter=0.1, seed=seed)
    theta = drawn.truth[list(stein.model.names)].to_numpy()
    return ck.read(drawn.samples), theta, 100 * drawn.samples["censored"].mean()


def main() -> None:
    """Print areas by schedule and window, then Cmax by schedule."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--patients", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    stein = ck.models.library["stein2019"]
    print(f"{given.patients} patients; geometric mean of calculated/true (geometric CV), -k: k of them not calculated")
    for name, (days, window_ends) in SCHEDULES.items():
        cohort, theta, below = draw(given.patients, days, given.seed)
        for end in window_ends:
            print(f"\n{name}, {below:.0f} % BLQ: AUC 0-{end:g}")
            areas(cohort, true_area(stein.model, theta, 0.0, end), (0.0, end))
    for name, (days, end) in LAST_VISITS.items():
        print(f"\n{name}: AUC 0-{end:g}, a window that ends with the last visit, whose actual day is earlier or later")
        cohort, theta, _ = draw(given.patients, days, given.seed)
        truth = true_area(stein.model, theta, 0.0, end)
        for words, options in ENDS.items():
            wide = ck.noncompartmental(
                cohort, options=NCAOptions(windows=[(0.0, end)], **options), parameters="AUCINT"
            ).wide
            print(f"  {ratio(wide.iloc[:, -1].to_numpy(), truth):>22}  {words}")
    print("\nCmax of samples without and with residual error, by schedule (days)")
    for name, days in PEAK_SCHEDULES.items():
        cells = []
        for residual_sd in (0.0, stein.residual_sd):
            drawn = simulate_patients(
                stein.model,
                given.patients,
                days,
                typical=stein.typical,
                omega_sd=stein.omega_sd,
                residual_sd=residual_sd,
                lloq=LLOQ,
                seed=given.seed,
            )
            wide = ck.noncompartmental(ck.read(drawn.samples), parameters="CMAX").wide
            cells.append(ratio(wide["CMAX"].to_numpy(), drawn.truth["cmax"].to_numpy()))
        print("  " + "".join(f"{cell:>22}" for cell in cells) + f"  {name}")


if __name__ == "__main__":
    main()
