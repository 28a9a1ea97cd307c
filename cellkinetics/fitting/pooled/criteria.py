"""Information criteria of a population fit, from its exact -2LL."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cellkinetics.fitting.pooled.problem import PooledProblem


class Criteria(NamedTuple):
    """Criteria of a fit with ``n_parameters`` estimated ones; a lower value is better.

        AIC  = -2LL + 2 k
        BIC  = -2LL + k ln N
        BICc = -2LL + k_R ln N + k_F ln n

    with N patients, n samples, k_R elements that describe how patients differ (typical values and covariate
    coefficients of parameters with a random effect, SDs, correlations, mixtures), and k_F that all samples tell of
    alike (those of parameters without random effect, and the residual's).

    Source: BICc, Delattre M, Lavielle M, Poursat MA. Electron J Stat 2014;8:456-475, doi:10.1214/14-EJS890.
    """

    n_parameters: int
    aic: float
    bic: float
    bicc: float


def criteria(problem: PooledProblem, minus2ll: float) -> Criteria:
    """Return the criteria of a population problem at its maximum.

    Args:
        problem: data and structure; what is fixed does not count.
        minus2ll: by importance sampling, never an approximation of Laplace's type.
    """
    structure = problem.structure
    acting = [*range(len(structure.parameters)), *(one.parameter for one in structure.coefficients)]
    of_samples = np.array([kind == "residual" for kind in structure.kinds])
    of_samples[: len(acting)] = [place not in structure.random for place in acting]
    free = problem.free
    k, of_all = int(free.sum()), int((free & of_samples).sum())
    patients, samples = float(np.log(problem.n_real)), float(np.log(problem.n_observations))
    return Criteria(k, minus2ll + 2 * k, minus2ll + k * patients, minus2ll + (k - of_all) * patients + of_all * samples)
