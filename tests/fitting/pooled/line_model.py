"""Mono-exponential decline, the cheapest model with two parameters."""

import jax.numpy as jnp

from cellkinetics.models.base import Model, Parameter

LINE = Model(
    name="line",
    title="mono-exponential decline",
    parameters=(
        Parameter("c0", "log", "value", 1e-2, 1e8, "value at infusion"),
        Parameter("k", "log", "rate", 1e-4, 10.0, "decline rate"),
    ),
    log_curve=lambda theta, time: jnp.log(theta[0]) - theta[1] * time,
)
