"""Simulated samples of the patients of a population fit: their days and covariates, new effects and residuals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.diagnostics.observed import Observed
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.likelihood import predict
from cellkinetics.fitting.pooled.padding import PATIENT_BLOCK
from cellkinetics.fitting.pooled.problem import Samples
from cellkinetics.fitting.pooled.random_effects import Effects, draw_effects, parameters
from cellkinetics.fitting.pooled.structure import Form
from cellkinetics.models.compilation import compiled
from cellkinetics.models.simulation import standard_noise

AT_ONCE = 2_000_000
"""Simulated samples that are held at one time, roughly."""
_STREAM = 811
"""Keeps these draws apart from those of a fit with the same seed."""


def replicates(observed: Observed, count: int, seed: int) -> Iterator[FloatArray]:
    """Yield blocks of simulated data sets ``(b, n, m)`` on the residual's scale, ``count`` in all, none censored.

    Raises:
        SettingsError: for fewer than one simulation, or a negative seed.
    """
    check_simulations(count, seed)
    n, m = observed.samples.time.shape
    size = max(1, min(count, AT_ONCE // (n * m)))
    for k, first in enumerate(range(0, count, size)):
        rng = np.random.default_rng((seed, _STREAM, k))
        yield _simulated(observed, observed.samples, size, rng)[: count - first, : observed.n]


def patients(observed: Observed, count: int, seed: int) -> Iterator[tuple[int, FloatArray]]:
    """Yield the number of each patient with its ``count`` simulations ``(count, m)``, padding included.

    Raises:
        SettingsError: as `replicates`.
    """
    check_simulations(count, seed)
    n, m = observed.samples.time.shape
    size = max(1, AT_ONCE // (count * m * PATIENT_BLOCK)) * PATIENT_BLOCK
    size = min(size, n)
    for first in range(0, observed.n, size):
        # The last block reaches back, so that all are of one shape.
        begin = min(first, n - size)
        part = jax.tree.map(lambda array, begin=begin: array[begin : begin + size], observed.samples)
        rng = np.random.default_rng((seed, _STREAM + 1, first))
        block = _simulated(observed, part, count, rng)
        for i in range(first, min(first + size, observed.n)):
            yield i, block[:, i - begin]


def check_simulations(count: int, seed: int) -> None:
    """Refuse a number of simulations below 1, or a negative seed, with a SettingsError."""
    if count < 1:
        raise SettingsError(f"simulations is {count}; give a whole number of at least 1")
    if seed < 0:
        raise SettingsError(f"seed {seed} is negative; give a whole number from 0")


def typical_predictions(observed: Observed) -> FloatArray:
    """Return the predictions at no random effect ``(n, m)`` on the residual's scale, the classes' mean in a mixture."""
    structure, population = observed.problem.structure, observed.population
    share = np.exp(population.log_share)
    parts = []
    for shift in population.shift:
        effect = np.broadcast_to(shift, (1, len(observed.samples.time), structure.n_random))
        parts.append(predictions(observed, observed.samples, Effects(effect))[0][0])
    return np.asarray(np.tensordot(share, np.array(parts), 1)[: observed.n])


def predictions(observed: Observed, samples: Samples, effects: Effects) -> tuple[FloatArray, FloatArray]:
    """Return predictions and residual spreads ``(b, n, m)`` on the residual's scale, of given random effects.

    Args:
        observed: the fit's samples.
        samples: those of the patients that the effects are of.
        effects: random effects of the patients ``(b, n)``.
    """
    phi = parameters(observed.problem.structure, observed.population, np.asarray(samples.design), effects)
    with jax.enable_x64(True):
        sigma = jnp.asarray(observed.population.sigma)
        f, sd = _predicted(jnp.asarray(phi), samples, sigma, observed.problem.form)
        return np.asarray(f), np.asarray(sd)


@partial(compiled, static_argnames=("form",))
def _predicted(phi: jax.Array, samples: Samples, sigma: jax.Array, form: Form) -> tuple[jax.Array, jax.Array]:
    def one(own: jax.Array, sample: Samples) -> tuple[jax.Array, jax.Array]:
        f = predict(own, sample, form, False)
        return f, form.residual.sd(f, sigma)

    return jax.vmap(jax.vmap(one), in_axes=(0, None))(phi, samples)


def _simulated(observed: Observed, samples: Samples, count: int, rng: np.random.Generator) -> FloatArray:
    problem = observed.problem
    effects = draw_effects(problem.structure, observed.population, (count, len(samples.time)), rng)
    f, sd = predictions(observed, samples, effects)
    return f + sd * standard_noise(problem.residual, f.shape, rng)
