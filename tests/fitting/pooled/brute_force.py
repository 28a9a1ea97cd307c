"""The likelihood of a population by draws from the population itself: slow, and hard to get wrong."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from cellkinetics.fitting.pooled.problem import PooledProblem

CHUNK = 50_000


def brute_force(problem: PooledProblem, x: np.ndarray, draws: int, seed: int) -> tuple[float, float]:
    """Return -2 ln L and its Monte-Carlo error: p(y) is the mean of p(y | phi) over draws of phi."""
    structure, model, residual = problem.structure, problem.model, problem.residual
    population = structure.values(x)
    rng = np.random.default_rng(seed)
    n, r, rounds = problem.n_real, len(structure.occasion), structure.occasions
    samples = jax.tree.map(np.asarray, problem.samples)

    @jax.jit
    def density(phi, time, y, censored, lower, occasion):
        """ln p(y | phi) of draws (k, occasions, p)."""

        def one(own):
            curves = jax.vmap(lambda theta: model.log_curve(theta, time))(model.to_natural(own))
            f = residual.prediction(jnp.take_along_axis(curves, occasion[None], axis=0)[0])
            return -residual.nll(y, f, censored, jnp.asarray(population.sigma), lower).sum()

        return jax.vmap(one)(phi)

    total, variance = 0.0, 0.0
    with jax.enable_x64(True):
        for i in range(n):
            use = samples.mask[i]
            lower = np.full(use.sum(), -np.inf) if samples.lower is None else samples.lower[i, use]
            occasion = np.zeros(use.sum(), int) if samples.occasion is None else samples.occasion[i, use]
            values = []
            for _ in range(draws // CHUNK):
                phi = np.tile(population.mu + samples.design[i] @ population.beta, (CHUNK, 1))
                eta = rng.standard_normal((CHUNK, structure.n_random)) @ population.factor.T
                classes = rng.choice(structure.classes, size=CHUNK, p=np.exp(population.log_share))
                phi[:, list(structure.random)] += eta + population.shift[classes]
                phi = np.repeat(phi[:, None], rounds, axis=1)
                phi[:, :, list(structure.occasion)] += rng.standard_normal((CHUNK, rounds, r)) * population.gamma
                parts = (samples.time[i, use], samples.y[i, use], samples.censored[i, use], lower, occasion)
                values.append(np.asarray(density(jnp.asarray(phi), *map(jnp.asarray, parts))))
            logs = np.concatenate(values)
            logs = np.where(np.isfinite(logs), logs, -np.inf)
            mean, square = logsumexp(logs) - np.log(logs.size), logsumexp(2 * logs) - np.log(logs.size)
            total += mean
            variance += np.expm1(square - 2 * mean) / logs.size
    return -2 * total, 2 * float(np.sqrt(variance))
