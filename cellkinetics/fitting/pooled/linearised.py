"""FO and FOCE at fixed parameters: the oldest approximations, for comparison with published objective values."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from numpy.typing import NDArray

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.likelihood import individual, predict
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.structure import Form
from cellkinetics.models.censoring import LOG_2PI
from cellkinetics.models.compilation import compiled

FloatArray = NDArray[np.float64]

_STEPS, _HALVINGS = 60, 30


def fo_objective(problem: PooledProblem, x: FloatArray) -> float:
    """Return the FO objective at a flat vector, -2 ln L with constants.

        y_i ~ N(f(0), J J' + S(0))       J = df/du at u = 0,  S the residual's variance there

    Raises:
        SettingsError: for censored samples, a mixture, or a residual that is not normal.

    Example:
        >>> from cellkinetics.data.cohort import Cohort
        >>> from cellkinetics.models.ecp import ECP
        >>> problem = PooledProblem.from_cohort(Cohort.from_arrays([[7.0, 14.0]], [[900.0, 700.0]]), ECP)
        >>> typical = {"cmax": 900.0, "tmax": 8.0, "foldx": 100.0, "alpha": 0.1, "fb": 0.01, "beta": 0.01}
        >>> round(fo_objective(problem, problem.pack(typical, {}, (0.5,))), 3)
        5.125

    Source: Beal SL, Sheiner LB. Crit Rev Biomed Eng 1982;8:195-222 (FO); Wang Y. J Pharmacokinet Pharmacodyn
    2007;34:575-593, doi:10.1007/s10928-007-9060-6.
    """
    _check(problem)
    with jax.enable_x64(True):
        return float(_fo(jnp.asarray(x), problem.samples, problem.form))


def foce_objective(problem: PooledProblem, x: FloatArray) -> float:
    """Return the FOCE objective without interaction at a flat vector, -2 ln L with constants.

    It is that of FOCEI with the residual's variance of each sample held at its value for u = 0, in the search of the
    mode as in the curvature there.

    Raises:
        SettingsError: for censored samples, a mixture, or a residual that is not normal.

    Source: Wang Y. J Pharmacokinet Pharmacodyn 2007;34:575-593, doi:10.1007/s10928-007-9060-6.
    """
    _check(problem)
    with jax.enable_x64(True):
        return float(_foce(jnp.asarray(x), problem.samples, problem.form))


def _check(problem: PooledProblem) -> None:
    if (np.asarray(problem.samples.censored) != 0).any():
        raise SettingsError("FO and FOCE have no censored samples: take focei, or drop them (blq drop)")
    if problem.structure.classes > 1 or problem.residual.kind == "student":
        raise SettingsError("FO and FOCE take one class and a normal residual: take focei")


@partial(compiled, static_argnames=("form",))
def _fo(x: jax.Array, samples: Samples, form: Form) -> jax.Array:
    population = form.structure.unpack(x)

    def patient(sample: Samples) -> jax.Array:
        def f(u: jax.Array) -> jax.Array:
            return predict(individual(u, population, sample, form), sample, form, True)

        centre = jnp.zeros(form.structure.n_latent)
        jacobian = jnp.where(sample.mask[:, None], jax.jacfwd(f)(centre), 0.0)
        sd = jnp.where(sample.mask, form.residual.sd(f(centre), population.sigma), 1.0)
        factor = jnp.linalg.cholesky(jacobian @ jacobian.T + jnp.diag(sd**2))
        away = jnp.where(sample.mask, sample.y - f(centre), 0.0)
        logdet = 2.0 * jnp.log(jnp.diagonal(factor)).sum()
        return away @ cho_solve((factor, True), away) + logdet + LOG_2PI * sample.mask.sum()

    return jax.vmap(patient)(samples).sum()


@partial(compiled, static_argnames=("form",))
def _foce(x: jax.Array, samples: Samples, form: Form) -> jax.Array:
    population = form.structure.unpack(x)

    def patient(sample: Samples) -> jax.Array:
        def f(u: jax.Array) -> jax.Array:
            return predict(individual(u, population, sample, form), sample, form, True)

        centre = jnp.zeros(form.structure.n_latent)
        sd = jnp.where(sample.mask, form.residual.sd(f(centre), population.sigma), 1.0)

        def scaled(u: jax.Array) -> jax.Array:
            return jnp.where(sample.mask, (sample.y - f(u)) / sd, 0.0)

        def joint(u: jax.Array) -> jax.Array:
            return 0.5 * (scaled(u) ** 2).sum() + 0.5 * u @ u

        def curvature(u: jax.Array) -> jax.Array:
            jacobian = jax.jacfwd(scaled)(u)
            return jnp.eye(len(u)) + jacobian.T @ jacobian

        def step(u: jax.Array, _: None) -> tuple[jax.Array, None]:
            move = jnp.linalg.solve(curvature(u), jax.grad(joint)(u))
            sizes = 0.5 ** jnp.arange(_HALVINGS)
            values = jax.vmap(lambda size: joint(u - size * move))(sizes)
            best = jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf))
            return jnp.where(values[best] <= joint(u), u - sizes[best] * move, u), None

        mode, _ = jax.lax.scan(step, centre, None, length=_STEPS)
        logdet = jnp.linalg.slogdet(curvature(mode))[1]
        constants = jnp.where(sample.mask, 2.0 * jnp.log(sd) + LOG_2PI, 0.0).sum()
        return 2.0 * joint(mode) + logdet + constants

    return jax.vmap(patient)(samples).sum()
