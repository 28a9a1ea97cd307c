"""Naive pooling: the samples of all patients as if they were those of one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.fitting.pooled.descent import descend_to_rest
from cellkinetics.fitting.pooled.estimate import Estimate, Report
from cellkinetics.fitting.pooled.importance import ImportanceResult
from cellkinetics.fitting.pooled.likelihood import data_nll
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.proposal import Proposal
from cellkinetics.fitting.pooled.structure import Form
from cellkinetics.models.compilation import compiled

FloatArray = NDArray[np.float64]

NAIVE = (
    "naive pooling has no variability between patients: its -2LL is that of one patient with all samples, and its "
    "standard errors are not to be relied on, because samples of one patient count as independent (uncertainty "
    "sandwich counts patients instead)"
)


@partial(compiled, static_argnames=("form",))
def naive_objective(x: jax.Array, samples: Samples, form: Form) -> tuple[jax.Array, jax.Array]:
    """Return -2 ln p of all samples at the typical values, on the model's smooth twin, and its gradient."""

    def total(v: jax.Array) -> jax.Array:
        population = form.structure.unpack(v)
        nothing = jnp.zeros(0)
        return 2.0 * jax.vmap(lambda s: data_nll(nothing, population, s, form, True))(samples).sum()

    return jax.value_and_grad(total)(x)


@partial(compiled, static_argnames=("form",))
def _derivatives(x: jax.Array, samples: Samples, form: Form) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return each patient's ln p ``(n,)``, its gradients ``(n, k)``, and the Hessian of their sum ``(k, k)``."""

    def own(v: jax.Array) -> jax.Array:
        population = form.structure.unpack(v)
        return -jax.vmap(lambda s: data_nll(jnp.zeros(0), population, s, form))(samples)

    return own(x), jax.jacfwd(own)(x), jax.hessian(lambda v: own(v).sum())(x)


def naive_likelihood(problem: PooledProblem, x: FloatArray) -> ImportanceResult:
    """Return the likelihood of a problem without random effects, on the model's own curve: exact, by one draw."""
    n, k = problem.n_real, len(x)
    padded = problem.samples.y.shape[0]
    with jax.enable_x64(True):
        parts = _derivatives(jnp.asarray(x), problem.samples, problem.form)
        proposal = Proposal(jnp.ones((padded, 1)), jnp.zeros((padded, 1, 0)), jnp.zeros((padded, 1, 0, 0)))
    log_likelihood, scores, hessian = (np.asarray(part) for part in parts)
    return ImportanceResult(
        x=np.array(x, dtype=float),
        minus2ll=float(-2 * log_likelihood[:n].sum()),
        mc_se=0.0,
        log_likelihood=log_likelihood[:n],
        log_likelihood_se=np.zeros(n),
        effective=np.ones(n),
        mean=np.zeros((n, 0)),
        covariance=np.zeros((n, 0, 0)),
        scores=scores[:n],
        information=-hessian,
        score_noise=np.zeros((k, k)),
        draws=np.ones(n, dtype=np.int64),
        proposal=proposal,
    )


def estimate_naive(problem: PooledProblem, start: FloatArray, *, report: Report | None = None) -> Estimate:
    """Maximise the likelihood of all samples at the typical values.

    Args:
        problem: with a structure without random effects.
        start: flat vector.
        report: called with the share of the work that is done.

    Source: Sheiner LB, Beal SL. J Pharmacokinet Biopharm 1981;9:635-651, doi:10.1007/BF01061030 (what is wrong
    with it).
    """

    def function(flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        return naive_objective(flat, problem.samples, problem.form)

    return replace(descend_to_rest(problem, start, function, "naive", report=report), notes=(NAIVE,))
