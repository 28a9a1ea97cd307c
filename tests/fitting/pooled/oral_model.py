"""One compartment with first-order absorption, with and without a lag: models with published population fits."""

import jax
import jax.numpy as jnp

from cellkinetics.models.base import Model, Parameter

DOSE = 320.0
_EMPTY = -700.0
"""ln C where nothing has been absorbed: C is 0 to double precision, and its derivatives are 0 too."""


def _log_curve(theta: jax.Array, time: jax.Array, amount: float = DOSE) -> jax.Array:
    ka, v, cl = theta[0], theta[1], theta[2]
    lag = theta[3] if theta.shape[0] > 3 else 0.0
    ke, after = cl / v, time - lag
    t = jnp.where(after > 0, after, 1.0)
    # ka > ke or not: (exp(-ke t) - exp(-ka t))/(ka - ke), which is positive either way.
    high, low = jnp.maximum(ka, ke), jnp.minimum(ka, ke)
    log_difference = -low * t + jnp.log(-jnp.expm1(-(high - low) * t)) - jnp.log(high - low)
    return jnp.where(after > 0, jnp.log(amount * ka / v) + log_difference, _EMPTY)


_PARAMETERS = (
    Parameter("ka", "log", "rate", 1e-2, 50.0, "absorption rate"),
    Parameter("v", "log", "none", 1e-1, 1e4, "volume"),
    Parameter("cl", "log", "none", 1e-3, 1e3, "clearance"),
)
ORAL = Model(name="oral", title="one compartment, oral", parameters=_PARAMETERS, log_curve=_log_curve)
ORAL_LAG = Model(
    name="oral-lag",
    title="one compartment, oral, with a lag",
    parameters=(*_PARAMETERS, Parameter("tlag", "log", "time", 1e-2, 10.0, "lag time")),
    log_curve=_log_curve,
)
