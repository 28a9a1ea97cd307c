"""Models of differential equations at 200 random points each: the contract, and the two-state model's closed form.

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

from cellkinetics.errors import ModelError
from cellkinetics.models.contract import check_model
from cellkinetics.models.ecp import ECP
from cellkinetics.models.registry import DYNAMIC_NAMES, get_model

DAYS = (-30.0, -1.0, 0.0, 0.5, 1.0, 3.0, 7.0, 9.3, 14.0, 28.0, 90.0, 365.0)


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


def main(points: int, names: tuple[str, ...]) -> int:
    """Check the models and return the exit code."""
    failed = 0
    for name in names:
        begin = time.process_time()
        try:
            check_model(get_model(name), points=points, days=DAYS)
            outcome = "kept"
        except ModelError as error:
            outcome, failed = str(error), 1
        print(f"{name}: contract at {points} points, {outcome} ({time.process_time() - begin:.0f} CPU s)", flush=True)
    difference = closed_form_difference(10 * points)
    print(f"effector-memory and ecp: largest relative difference at {10 * points} points {difference:.1e}")
    return int(failed or difference > 1e-8)


if __name__ == "__main__":
    words = sys.argv[1:]
    count = int(words.pop(0)) if words and words[0].isdigit() else 200
    sys.exit(main(count, tuple(words) or DYNAMIC_NAMES))
