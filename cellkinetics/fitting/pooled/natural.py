"""Flat vectors of a population as numbers on the natural scale, many at once."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.structure import Form
from cellkinetics.models.compilation import compiled

FloatArray = NDArray[np.float64]


def natural_values(form: Form, x: FloatArray) -> FloatArray:
    """Return flat vectors ``(b, k)`` on the natural scale, in the order of `Structure.labels`.

    Typical values by the inverse of their transform, SDs and residual parameters as such, correlations of the random
    effects themselves, shares of the later classes; coefficients and shifts stay on the working scale.

    Example:
        >>> from cellkinetics.fitting.pooled.structure import Structure
        >>> from cellkinetics.models.ecp import ECP
        >>> from cellkinetics.models.residual import LOG_CONSTANT
        >>> form = Form(ECP, LOG_CONSTANT, Structure(ECP.names, (0, 1), ("sigma",), blocks=((0, 1),)))
        >>> mu = np.zeros(6)
        >>> x = form.structure.pack(mu, np.array([[4.0, 0.6], [0.6, 1.0]]), [0.5])
        >>> natural_values(form, x[None])[0, 6:].round(6).tolist()
        [2.0, 1.0, 0.3, 0.5]
    """
    with jax.enable_x64(True):
        return np.asarray(_natural(jnp.asarray(x), form))


@partial(compiled, static_argnames=("form",))
def _natural(x: jax.Array, form: Form) -> jax.Array:
    structure = form.structure

    def one(v: jax.Array) -> jax.Array:
        population = structure.unpack(v)
        omega = population.factor @ population.factor.T
        sd = jnp.sqrt(jnp.diagonal(omega))
        pairs = [omega[j, i] / (sd[j] * sd[i]) for j, i in structure.pairs]
        return jnp.concatenate(
            [
                form.model.to_natural(population.mu),
                population.beta,
                sd,
                jnp.array(pairs),
                population.gamma,
                population.shift[1:, jnp.array(structure.shifted, dtype=int)].ravel(),
                jnp.exp(population.log_share[1:]),
                population.sigma,
            ]
        )

    return jax.vmap(one)(x)
