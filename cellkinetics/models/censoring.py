"""Likelihood of quantified and censored samples under a normal residual (method M3)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr

LOG_2PI = 1.8378770664093453


def normal_nll(y: jax.Array, prediction: jax.Array, sd: jax.Array, censored: jax.Array) -> jax.Array:
    """Return the negative log likelihood of each sample, elementwise, constants included.

        quantified:      ln sd + ln(2 pi)/2 + ((y - f)/sd)^2 / 2
        below the LLOQ:  -ln Phi((y - f)/sd),   y the LLOQ
        above the ULOQ:  -ln Phi((f - y)/sd),   y the ULOQ

    Args:
        y: observation, or the limit where censored; on the scale of the residual.
        prediction: f, on the same scale.
        sd: residual standard deviation.
        censored: 0 quantified, 1 below the LLOQ, -1 above the ULOQ.

    Source: Beal SL. J Pharmacokinet Pharmacodyn 2001;28:481-504, doi:10.1023/A:1012299115260 (M3).
    """
    z = (y - prediction) / sd
    quantified = jnp.log(sd) + 0.5 * LOG_2PI + 0.5 * z**2
    # The sign of the flag turns the tail round, so one log_ndtr serves both ends.
    limited = -log_ndtr(jnp.where(censored < 0, -z, z))
    return jnp.where(censored == 0, quantified, limited)


def normal_curvature(y: jax.Array, prediction: jax.Array, sd: jax.Array, censored: jax.Array) -> jax.Array:
    """Return the curvature of `normal_nll` in the prediction at constant sd, elementwise, always >= 0.

        quantified:  1 / sd^2
        censored:    lambda * (lambda + z) / sd^2,   lambda = phi(z)/Phi(z)

    The censored term is the exact second derivative, which is positive because ln Phi is concave.
    """
    z = (y - prediction) / sd
    z = jnp.where(censored < 0, -z, z)
    ratio = jnp.exp(-0.5 * z**2 - 0.5 * LOG_2PI - log_ndtr(z))
    limited = jnp.clip(ratio * (ratio + z), 0.0, 1.0)
    return jnp.where(censored == 0, 1.0, limited) / sd**2
