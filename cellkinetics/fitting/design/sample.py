"""The expected information of one sample that may fall below the limit of quantification."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr, ndtr

from cellkinetics.models.censoring import LOG_2PI

_FARTHEST = 38.0  # SDs from the limit beyond which a density is 0 in double precision


class SampleInformation(NamedTuple):
    """Expected information of samples, elementwise.

    Attributes:
        prediction: about the prediction f, in units of 1/sd^2: 1 for a sample that is surely quantified.
        cross: about f and ln sd together, in units of 1/sd: 0 for a sample that is surely quantified.
        log_sd: about ln sd; 2 for a sample that is surely quantified.
        quantified: the probability of being quantified.
    """

    prediction: jax.Array
    cross: jax.Array
    log_sd: jax.Array
    quantified: jax.Array


def sample_information(prediction: jax.Array, sd: jax.Array, limit: jax.Array) -> SampleInformation:
    """Return the expected information of normal samples left-censored at a limit, with z = (limit - f)/sd.

        I_ff * sd^2 = (1 - Phi) + z phi + phi^2/Phi
        I_fs * sd   = (z^2 + 1) phi + z phi^2/Phi
        I_ss        = 2 (1 - Phi) + (z^3 + z) phi + z^2 phi^2/Phi

    s is ln sd; phi and Phi are the standard normal density and distribution at z. A quantified sample has
    the scores r/sd and r^2 - 1 with r = (y - f)/sd > z, a censored one those of ln Phi(z), which are
    -phi/(Phi sd) and -z phi/Phi; the formulas are the expected products of the scores, by the partial
    moments of the normal distribution.

    Args:
        prediction: f.
        sd: standard deviation of the residual.
        limit: the limit on the scale of f; -inf where there is none.

    Source: Amemiya T. Econometrica 1973;41:997-1016, doi:10.2307/1914031 (the same matrix in beta and sigma^2).

    Example:
        >>> half = sample_information(jnp.array(0.0), jnp.array(1.0), jnp.array(0.0))
        >>> round(float(half.prediction), 4)  # 1/2 + 1/pi
        0.8183
    """
    z = jnp.clip((limit - prediction) / sd, -_FARTHEST, _FARTHEST)
    log_density = -0.5 * z**2 - 0.5 * LOG_2PI
    density = jnp.exp(log_density)
    ratio = jnp.exp(2.0 * log_density - log_ndtr(z))
    above = ndtr(-z)
    return SampleInformation(
        prediction=above + z * density + ratio,
        cross=(z**2 + 1.0) * density + z * ratio,
        log_sd=2.0 * above + (z**3 + z) * density + z**2 * ratio,
        quantified=above,
    )
