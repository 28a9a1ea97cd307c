"""Residual error models: the scale, the standard deviation, and what the likelihood needs of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from cellkinetics.models.censoring import normal_curvature, normal_nll


@dataclass(frozen=True)
class Residual:
    """A normal residual on the log or the natural scale.

        constant:      sd = sigma                 (on ln C when scale is "log")
        proportional:  sd = sigma * |f|           (natural scale)

    Attributes:
        kind: ``constant`` or ``proportional``.
        scale: ``log`` (the prediction is ln C) or ``natural`` (the prediction is C).
    """

    kind: Literal["constant", "proportional"] = "constant"
    scale: Literal["log", "natural"] = "log"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the residual's parameters, each positive."""
        return ("sigma",)

    def prediction(self, log_value: jax.Array) -> jax.Array:
        """Map ln C to the scale of the residual."""
        return log_value if self.scale == "log" else jnp.exp(log_value)

    def observation(self, value: jax.Array) -> jax.Array:
        """Map measured values (or limits) to the scale of the residual."""
        return jnp.log(value) if self.scale == "log" else value

    def sd(self, prediction: jax.Array, values: jax.Array) -> jax.Array:
        """Return the standard deviation at each prediction; ``values`` (1,) as in `names`."""
        if self.kind == "constant":
            return values[0] * jnp.ones_like(prediction)
        return values[0] * jnp.abs(prediction)

    def nll(self, y: jax.Array, prediction: jax.Array, censored: jax.Array, values: jax.Array) -> jax.Array:
        """Return the negative log likelihood of each sample, elementwise (see `normal_nll`)."""
        return normal_nll(y, prediction, self.sd(prediction, values), censored)

    def curvature(self, y: jax.Array, prediction: jax.Array, censored: jax.Array, values: jax.Array) -> jax.Array:
        """Return the Gauss-Newton curvature of the likelihood in the prediction, elementwise, >= 0.

            w = 1/sd^2 + (1/2) * (v'/v)^2,   v = sd^2

        The second term (the "interaction" of FOCEI) is zero for a constant residual.

        Source: Wang Y. J Pharmacokinet Pharmacodyn 2007;34:575-593, doi:10.1007/s10928-007-9060-6.
        """
        sd = self.sd(prediction, values)
        weight = normal_curvature(y, prediction, sd, censored)
        if self.kind == "proportional":
            weight = weight + jnp.where(censored == 0, 2.0 / prediction**2, 0.0)
        return weight


LOG_CONSTANT = Residual("constant", "log")
