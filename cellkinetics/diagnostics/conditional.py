"""Draws of patients' random effects given their samples."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.fitting.pooled.problem import Samples
from cellkinetics.fitting.pooled.proposal import Noise, Proposal, draw, log_joint, standard_noise
from cellkinetics.fitting.pooled.structure import Form

if TYPE_CHECKING:
    from cellkinetics.fitting.pooled.result import PopulationFit

CANDIDATES = 500
"""Draws of which one is chosen by its weight."""
_STREAM = 831


def conditional_draw(fit: PopulationFit, seed: int) -> FloatArray:
    """Return one draw of each patient's whitened latent vector given its samples, ``(n, d)``.

    It is chosen among 500 draws of the mixture that importance sampling ended with, by their weights. Such draws
    spread as random effects do, where modes and means are drawn to the middle (shrinkage).

    Source: sampling importance resampling, Rubin DB. In: Bayesian Statistics 3, Oxford 1988, 395-402; for residuals,
    Lavielle M, Ribba B. Pharm Res 2016;33:2979-2988, doi:10.1007/s11095-016-2020-3.
    """
    problem = fit.problem
    n, d = problem.samples.time.shape[0], problem.structure.n_latent
    with jax.enable_x64(True):
        noise = standard_noise((seed, _STREAM), n, CANDIDATES, d)
        u, weight = _weighed(noise, jnp.asarray(fit.x), fit.importance.proposal, problem.samples, problem.form)
        u, weight = np.asarray(u)[: problem.n_real], np.asarray(weight)[: problem.n_real]
    heights = np.cumsum(weight, axis=1)
    chosen = (heights < np.random.default_rng((seed, _STREAM + 1)).random((len(u), 1)) * heights[:, -1:]).sum(axis=1)
    found: FloatArray = u[np.arange(len(u)), np.minimum(chosen, CANDIDATES - 1)]
    return found


@partial(jax.jit, static_argnames=("form",))
def _weighed(
    noise: Noise, x: jax.Array, proposal: Proposal, samples: Samples, form: Form
) -> tuple[jax.Array, jax.Array]:
    population = form.structure.unpack(x)

    def patient(own: Noise, mixture: Proposal, sample: Samples) -> tuple[jax.Array, jax.Array]:
        u, logq, _ = draw(own, mixture, population, form)
        logw = jax.vmap(lambda v: log_joint(v, population, sample, form))(u) - logq
        return u, jax.nn.softmax(jnp.where(jnp.isfinite(logw), logw, -jnp.inf))

    return jax.vmap(patient)(noise, proposal, samples)
