"""Data sets like the one that was fitted: its subjects drawn anew, or its samples simulated from the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import LEFT_CENSORED, NOT_CENSORED, RIGHT_CENSORED, Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.observations import observations
from cellkinetics.fitting.pooled.likelihood import predict
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.random_effects import draw_effects, parameters
from cellkinetics.models.simulation import standard_noise

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Limits(NamedTuple):
    """Limits of quantification on the residual's scale, NaN where there is none ``(n_real, m)``."""

    lloq: FloatArray
    uloq: FloatArray


def drawn_subjects(strata: Sequence[str], rng: np.random.Generator) -> IntArray:
    """Draw as many subjects as there are, with replacement, within strata of a fixed size; numbers ``(n,)``.

    Args:
        strata: the stratum of each subject.
        rng: of the draws.

    Source: Efron B. Ann Stat 1979;7:1-26, doi:10.1214/aos/1176344552.

    Example:
        >>> drawn = drawn_subjects(["a", "b", "a"], np.random.default_rng(1))
        >>> len(drawn), [k for k in drawn.tolist() if k == 1]
        (3, [1])
    """
    label = np.asarray(strata)
    out = np.empty(len(label), dtype=np.int64)
    for stratum in dict.fromkeys(strata):
        places = np.flatnonzero(label == stratum)
        out[places] = rng.choice(places, size=len(places))
    return out


def with_subjects(problem: PooledProblem, chosen: IntArray) -> PooledProblem:
    """Return the problem of some of its subjects, of the same shape: one that is drawn twice counts as two.

    Args:
        problem: of ``n`` subjects.
        chosen: numbers of subjects ``(n,)``.
    """
    n = problem.n_real
    assert len(chosen) == n, "another number of subjects would be another compiled shape"
    rows = np.concatenate([chosen, np.arange(n, problem.samples.y.shape[0])])
    names = [problem.subjects[k] for k in chosen]
    return _changed(
        problem,
        jax.tree.map(lambda array: np.asarray(array)[rows], problem.samples),
        subjects=tuple(f"{number}: {name}" for number, name in enumerate(names, 1)),
        profiles=tuple(problem.profiles[k] for k in chosen),
    )


def limits(problem: PooledProblem, cohort: Cohort) -> Limits:
    """Return the limits of quantification of a problem's samples.

    Raises:
        SettingsError: if the problem does not hold the censored samples of the cohort as such.
    """
    used = observations(cohort, natural=problem.residual.scale == "natural").used
    mask, censored = np.asarray(problem.samples.mask), np.asarray(problem.samples.censored)
    n, m = problem.n_real, mask.shape[1]
    found = np.full((2, n, m), np.nan)
    for u, members in enumerate(problem.profiles):
        i, j = np.array([(i, j) for i in members for j in np.flatnonzero(used[i])]).T
        if len(i) != mask[u].sum() or (cohort.censored[i, j] != censored[u, : len(i)]).any():
            raise SettingsError(
                "samples cannot be simulated for a fit that takes those below quantification for something else; "
                "take blq m3, or resample subjects"
            )
        found[:, u, : len(i)] = cohort.lloq[i, j], cohort.uloq[i, j]
    with np.errstate(all="ignore"):
        return Limits(*(np.log(found) if problem.residual.scale == "log" else found))


def simulated(problem: PooledProblem, x: FloatArray, limit: Limits, rng: np.random.Generator) -> PooledProblem:
    """Return the problem with samples simulated at its days, covariates and limits from the population ``x``."""
    structure, residual, n = problem.structure, problem.residual, problem.n_real
    population = structure.values(x)
    samples: Samples = jax.tree.map(np.asarray, problem.samples)
    effects = draw_effects(structure, population, (n,), rng)
    phi = parameters(structure, population, samples.design[:n], effects)
    own: Samples = jax.tree.map(lambda array: array[:n], samples)
    with jax.enable_x64(True):
        sigma = jnp.asarray(population.sigma)
        f = jax.vmap(lambda one, sample: predict(one, sample, problem.form, False))(jnp.asarray(phi), own)
        predicted, spread = np.asarray(f), np.asarray(residual.sd(f, sigma))
    y = predicted + spread * standard_noise(residual, predicted.shape, rng)
    below, above = y < limit.lloq, y > limit.uloq
    flags = np.select([below, above], [LEFT_CENSORED, RIGHT_CENSORED], NOT_CENSORED)
    y = np.select([below, above], [limit.lloq, limit.uloq], y)
    values, censored = np.array(samples.y), np.array(samples.censored)
    here = samples.mask[:n]
    values[:n][here], censored[:n][here] = y[here], flags[here]
    # A simulated sample that is censored lies anywhere below the limit.
    return _changed(problem, samples._replace(y=values, censored=censored, lower=_open(samples.lower)))


def _open(lower: FloatArray | None) -> FloatArray | None:
    return None if lower is None else np.full_like(lower, -np.inf)


def _changed(problem: PooledProblem, samples: Samples, **others: object) -> PooledProblem:
    with jax.enable_x64(True):
        arrays = jax.tree.map(jnp.asarray, samples)
    return replace(
        problem,
        samples=arrays,
        n_observations=int(samples.mask.sum()),
        n_censored=int((samples.mask & (samples.censored == LEFT_CENSORED)).sum()),
        **others,  # type: ignore[arg-type]
    )
