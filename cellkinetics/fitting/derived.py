"""What is computed from a model's parameters for many patients: derived quantities with slopes, and curves."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.fitting.batch import CHUNK
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import compiled


class Derivation(NamedTuple):
    """Logarithms of one patient's derived quantities ``(d,)`` in the model's order, and their slopes ``(d, q)``."""

    log_value: FloatArray
    slope: FloatArray


def derive(model: Model, x: FloatArray) -> list[Derivation]:
    """Return the derived quantities at every row of ``x`` (n, q), which begins with the transformed parameters."""
    if not model.derived:
        return [Derivation(np.empty(0), np.empty((0, x.shape[1]))) for _ in x]
    log_value, slope = in_chunks(_log_derived(model), x)
    return [Derivation(*pair) for pair in zip(log_value, slope, strict=True)]


def curves(model: Model, theta: FloatArray, time: FloatArray) -> FloatArray:
    """Return C on the natural scale: ``theta`` (n, p) and ``time`` (n, m) give (n, m)."""
    (log_value,) = in_chunks(_log_curve(model), theta, time)
    with np.errstate(over="ignore"):
        return np.exp(log_value)


@cache
def _log_derived(model: Model) -> Callable[..., tuple[jax.Array, ...]]:
    p = len(model.parameters)

    def log_derived(x: jax.Array) -> jax.Array:
        theta = model.to_natural(x[:p])
        return jnp.log(jnp.stack([quantity.function(theta) for quantity in model.derived]))

    return compiled(jax.vmap(lambda x: (log_derived(x), jax.jacfwd(log_derived)(x))))


@cache
def _log_curve(model: Model) -> Callable[..., tuple[jax.Array, ...]]:
    return compiled(jax.vmap(lambda theta, time: (model.log_curve(theta, time),)))


def in_chunks(function: Callable[..., tuple[jax.Array, ...]], *arrays: FloatArray) -> list[FloatArray]:
    """Call a compiled function on `CHUNK` rows at a time, so that it is compiled for one shape."""
    n, parts = len(arrays[0]), []
    for start in range(0, n, CHUNK):
        index = np.minimum(np.arange(start, start + CHUNK), n - 1)
        found = function(*(jnp.asarray(array[index]) for array in arrays))
        parts.append([np.asarray(array)[: n - start] for array in found])
    return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
