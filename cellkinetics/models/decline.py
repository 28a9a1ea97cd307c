"""After the peak: contraction and persistence, each of which may be absent.

    C = C(T) * [(1 - F) * exp(-alpha * s) + F * exp(-beta * s)],   s = t - T

Without persistence F is 0, without contraction 1; without both the level stays. Everything is on the
natural-log scale.

Source: Stein AM et al. 2019, doi:10.1002/psp4.12388, Methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellkinetics.models.phases import Phases

_STEPS = 60


class Fall(NamedTuple):
    """The parameters of the curve after the peak; scalars, natural scale, None where a phase is absent."""

    alpha: jax.Array | None = None
    fb: jax.Array | None = None
    beta: jax.Array | None = None

    @property
    def parts(self) -> tuple[tuple[jax.Array, jax.Array], ...]:
        """Ln of the fraction, and the rate, of each phase that is there."""
        zero = jnp.zeros(())
        if self.fb is not None and self.alpha is not None and self.beta is not None:
            return (jnp.log1p(-self.fb), self.alpha), (jnp.log(self.fb), self.beta)
        return tuple((zero, rate) for rate in (self.alpha, self.beta) if rate is not None)


def log_fall(fall: Fall, after: jax.Array) -> jax.Array:
    """Return ln C(T + s)/C(T), shape of ``after`` (days since the peak, at least 0)."""
    lines = [log_fraction - rate * after for log_fraction, rate in fall.parts]
    if not lines:
        return jnp.zeros_like(after)
    return lines[0] if len(lines) == 1 else jnp.logaddexp(lines[0], lines[1])


def decline_lines(phases: Phases, values: Mapping[str, float], time: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Return each phase of the decline as an exponential of its own, by its name; NaN before the peak.

        contraction:  Cmax * (1 - F) * exp(-alpha * (t - T))
        persistence:  Cmax * F * exp(-beta * (t - T))

    Their sum is the curve after the peak. Cmax is the peak without comedication.

    Args:
        phases: of the model.
        values: its parameters on the natural scale.
        time: days, ``(m,)``; each line has this shape.

    Example:
        >>> values = {"cmax": 100.0, "tmax": 10.0, "alpha": 0.2, "fb": 0.1, "beta": 0.01}
        >>> {name: line.tolist() for name, line in decline_lines(Phases(), values, [0.0, 10.0]).items()}
        {'contraction': [nan, 90.0], 'persistence': [nan, 10.0]}
    """
    days = np.asarray(time, dtype=float)
    after = np.where(days < values["tmax"], np.nan, days - values["tmax"])
    slow = values["fb"] if phases.contraction and phases.persistence else float(phases.persistence)
    lines = {}
    if phases.contraction:
        lines["contraction"] = values["cmax"] * (1.0 - slow) * np.exp(-values["alpha"] * after)
    if phases.persistence:
        lines["persistence"] = values["cmax"] * slow * np.exp(-values["beta"] * after)
    return lines


def fall_area(fall: Fall, start: jax.Array, end: jax.Array) -> jax.Array:
    """Return the exact area of C/C(T) between two times after the peak; ``end`` may be infinite.

    fraction * exp(-rate * s1) * (1 - exp(-rate * (s2 - s1))) / rate   summed over the phases
    """
    if not fall.parts:
        return end - start
    # exp(-rate * inf) is 0, but its derivative is 0 * inf: an infinite end is a case of its own.
    endless = jnp.isinf(end)
    span = jnp.where(endless, 0.0, end - start)
    total = jnp.zeros(())
    for log_fraction, rate in fall.parts:
        gone = jnp.where(endless, 1.0, -jnp.expm1(-rate * span))
        total = total + jnp.exp(log_fraction - rate * start) * gone / rate
    return total


def time_to_fall(fall: Fall, log_ratio: jax.Array) -> jax.Array:
    """Return the time after the peak at which ln C(T + s)/C(T) comes down to ``log_ratio``.

    0 for a ratio of 1 or more; infinite where the level stays. ln C is convex in s, so Newton's method
    from the left cannot overshoot; its last step carries the derivatives.
    """
    if not fall.parts:
        return jnp.where(log_ratio >= 0.0, 0.0, jnp.inf)
    target = jnp.minimum(log_ratio, 0.0)

    def step(s: jax.Array) -> jax.Array:
        value, slope = jax.jvp(lambda x: log_fall(fall, x), (s,), (jnp.ones_like(s),))
        return s - (value - target) / slope

    start = jax.lax.stop_gradient(jax.lax.fori_loop(0, _STEPS, lambda _, s: step(s), jnp.zeros_like(target)))
    return jnp.maximum(step(start), 0.0)
