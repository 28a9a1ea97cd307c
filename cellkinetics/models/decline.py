"""After the peak: contraction and persistence, each of which may be absent.

    C = C(T) * [(1 - F) * exp(-alpha * s) + F * exp(-beta * s)],   s = t - T

Without persistence F is 0, without contraction 1; without both the level stays. Everything is on the
natural-log scale.

Source: Stein AM et al. 2019, doi:10.1002/psp4.12388, Methods.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

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
