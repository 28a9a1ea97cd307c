"""Models of differential equations: the contract at 200 random points each, a closed form, and a patient's fit.

python validation/dynamic_models.py [POINTS] [NAME ...]

Prints a line a model, and ends with 1 if one fails. Derivatives forward and reverse are compared with each other and
with central differences; ln C and its derivatives must be finite at 256 corners of the bounds.
"""

from __future__ import annotations

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import cellkinetics as ck
from cellkinetics.errors import ModelError
from cellkinetics.models.contract import check_model
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import library
from cellkinetics.models.registry import DYNAMIC_NAMES, get_model

DAYS = (-30.0, -1.0, 0.0, 0.5, 1.0, 3.0, 7.0, 9.3, 14.0, 28.0, 90.0, 365.0)
TOLERANCE = 1e-4
"""Of derivatives: differences of a solution over a step of 1e-5 carry its error, divided by that step."""


def closed_form_difference(points: int) -> float:
    """Return the largest relative difference of C between the two-state model and model (A) within the bounds."""
    with jax.enable_x64(True):
        low = ECP.to_transformed(jnp.asarray([p.lower for p in ECP.parameters]))
        high = ECP.to_transformed(jnp.asarray([p.upper for p in ECP.parameters]))
        theta = ECP.to_natural(low + np.random.default_rng(0).random((points, len(low))) * (high - low))
        curves = [
            jax.vmap(m.log_curve, (0, None))(theta, jnp.asarray(DAYS)) for m in (get_model("effector-memory"), ECP)
        ]
        return float(jnp.abs(curves[0] - curves[1]).max())


def fitted_patient() -> float:
    """Fit the logistic model to its own curve with a residual of 10 %; return the worst error in standard errors."""
    truth = {**library["stein2019"].typical, "filled": 0.9}
    days = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 17, 21, 28, 42, 56, 84, 180, 365]
    noise = 0.1 * np.random.default_rng(2).standard_normal(len(days))
    value = get_model("logistic").predict(truth, days) * np.exp(noise)
    start = {"cmax": 1e4, "tmax": 8.0, "foldx": 1e3, "filled": 0.5, "alpha": 0.2, "fb": 0.02, "beta": 0.01}
    fit = ck.fit(ck.Cohort.from_arrays([days], [value.tolist()]), model="logistic", starts=start)
    patient = next(iter(fit))
    worst = 0.0
    for name, true in truth.items():
        row = patient[name]
        if row.estimate is not None and row.se:
            worst = max(worst, abs(row.estimate - true) / row.se)
    return worst


def main(points: int, names: tuple[str, ...]) -> int:
    """Check the models and return the exit code."""
    failed = 0
    for name in names:
        begin = time.process_time()
        try:
            check_model(get_model(name), points=points, days=DAYS, tolerance=TOLERANCE)
            outcome = "kept"
        except ModelError as error:
            outcome, failed = str(error), 1
        print(f"{name}: contract at {points} points, {outcome} ({time.process_time() - begin:.0f} CPU s)", flush=True)
    difference = closed_form_difference(10 * points)
    print(f"effector-memory and ecp: largest relative difference at {10 * points} points {difference:.1e}")
    worst = fitted_patient()
    print(f"logistic: a patient's fit is at most {worst:.1f} standard errors from the truth")
    return int(failed or difference > 1e-8 or worst > 4.0)


if __name__ == "__main__":
    words = sys.argv[1:]
    count = int(words.pop(0)) if words and words[0].isdigit() else 200
    sys.exit(main(count, tuple(words) or DYNAMIC_NAMES))
