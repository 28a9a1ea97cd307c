"""What is left between samples and fitted curves, sample by sample, and which samples are outliers.

    weighted_j = (y_j - f_j) / sd_j                         quantified, on the residual's scale
    robust_j   = weighted_j / max(1.4826 median |weighted| * sqrt(n/(n - k)), floor)
    probability_j = P(the sample is where it is said to be)  censored

The fitted sd of few samples is inflated by the very outlier that it should show, and a curve with many
parameters bends to it: hence the median, and the degrees of freedom. A quantified sample is an outlier beyond
3.5 robust residuals, a censored one if its probability is below that of as large a residual, 0.00047.

Source: median absolute deviation and the limit 3.5, Iglewicz B, Hoaglin DC. How to Detect and Handle Outliers.
ASQC Quality Press 1993, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from cellkinetics.data.cohort import NOT_CENSORED, BoolArray, FloatArray
from cellkinetics.fitting.derived import in_chunks
from cellkinetics.fitting.objective import Data, Objective
from cellkinetics.fitting.observations import REASONS, Observations, observations
from cellkinetics.fitting.start import SIGMA
from cellkinetics.models.compilation import compiled

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.result import IndividualFit, IndividualFits

OUTLIER = 3.5
"""Robust residuals beyond which a quantified sample is marked."""
UNLIKELY = float(2.0 * ndtr(-OUTLIER))
"""Probability below which a censored sample is marked."""
FEWEST = 5
"""Quantified samples that a median of residuals needs."""
MAD = 1.4826
"""Standard deviation of a normal over its median absolute deviation."""
COLUMNS = (
    *("subject", "analyte", "occasion", "specimen", "model", "row", "time", "value", "censored", "predicted"),
    *("weighted_residual", "robust_residual", "probability", "outlier", "reason"),
)


def residual_table(fits: IndividualFits) -> pd.DataFrame:
    """Return one row a sample: the file ``individual_residuals.csv``.

    ``outlier`` is empty, with the reason, where there is nothing to judge by.
    """
    import pandas as pd

    samples = observations(fits.cohort)
    evaluated = _evaluated(fits, samples)
    records = [record for i, fit, numbers in evaluated for record in _records(fits, samples, i, fit, numbers)]
    table = pd.DataFrame.from_records(records, columns=list(COLUMNS))
    numbers = ["value", "predicted", "weighted_residual", "robust_residual", "probability"]
    return table.astype(dict.fromkeys(numbers, float))


def _evaluated(
    fits: IndividualFits, samples: Observations
) -> Iterator[tuple[int, IndividualFit, tuple[FloatArray, ...] | None]]:
    """Yield each fit with predictions, weighted residuals, floors of their scale and probabilities, each ``(m,)``.

    None stands for the numbers of a failed fit.
    """
    cohort = fits.cohort
    found: dict[int, tuple[FloatArray, ...]] = {}
    groups: dict[Objective, list[int]] = {}
    for i, fit in enumerate(fits):
        if fit.view is not None:
            groups.setdefault(fit.view.objective, []).append(i)
    with jax.enable_x64(True):
        for objective, members in groups.items():
            x = np.array([view.x for i in members if (view := fits.fits[i].view) is not None])
            used = samples.used[members]
            y = np.where(used, samples.y[members], 1.0)
            lower = samples.lower[members]
            observe = objective.residual.observation
            data = Data(
                np.where(np.isfinite(cohort.time[members]), cohort.time[members], 0.0),
                np.asarray(observe(jnp.asarray(y))),
                cohort.censored[members],
                used,
                np.where(np.isnan(lower), -np.inf, np.asarray(observe(jnp.asarray(np.nan_to_num(lower, nan=1.0))))),
            )
            parts = in_chunks(_evaluate(objective), x, *data)
            found |= {i: tuple(part[k] for part in parts) for k, i in enumerate(members)}
    for i, fit in enumerate(fits):
        yield i, fit, found.get(i)


@cache
def _evaluate(objective: Objective) -> Callable[..., tuple[jax.Array, ...]]:
    model, residual, p = objective.model, objective.residual, len(objective.model.parameters)

    def one(x: jax.Array, *arrays: jax.Array) -> tuple[jax.Array, ...]:
        data = Data(*arrays)
        log_value = model.log_curve(model.to_natural(x[:p]), data.time)
        f = residual.prediction(log_value)
        sd = residual.sd(f, jnp.exp(x[p:]))
        nll = residual.nll_of_spread(data.y, f, data.censored, sd, data.lower)
        floor = SIGMA[0] * (jnp.ones_like(f) if residual.scale == "log" else jnp.abs(f)) / sd
        return jnp.exp(log_value), (data.y - f) / sd, floor, jnp.exp(-nll)

    return compiled(jax.vmap(one))


def _records(
    fits: IndividualFits,
    samples: Observations,
    i: int,
    fit: IndividualFit,
    numbers: tuple[FloatArray, ...] | None,
) -> Iterator[tuple[object, ...]]:
    cohort = fits.cohort
    there = np.flatnonzero(cohort.mask[i])
    used, code = samples.used[i], samples.code[i]
    quantified = used & (cohort.censored[i] == NOT_CENSORED)
    scale, why = (None, "") if numbers is None else _scale(fit, numbers, quantified)
    for j in there.tolist():
        place = (fit.subject, fit.analyte, fit.occasion, fit.specimen, fit.model, int(cohort.row[i, j]))
        seen = (float(cohort.time[i, j]), float(cohort.value[i, j]), int(cohort.censored[i, j]))
        predicted = weighted = robust = probability = outlier = None
        reason = REASONS.get(str(code[j]), "")
        if numbers is None:
            reason = fit.reason
        else:
            predicted = float(numbers[0][j]) if seen[0] >= 0 else None
            if quantified[j]:
                weighted, reason = float(numbers[1][j]), why
                if scale is not None:
                    robust = weighted / max(scale, float(numbers[2][j]))
                    outlier = abs(robust) > OUTLIER
            elif used[j]:
                probability = float(numbers[3][j])
                outlier = probability < UNLIKELY
        yield (*place, *seen, predicted, weighted, robust, probability, outlier, reason)


def _scale(fit: IndividualFit, numbers: tuple[FloatArray, ...], quantified: BoolArray) -> tuple[float | None, str]:
    """Return the robust scale of a patient's weighted residuals, or why there is none."""
    n, k = int(quantified.sum()), fit.n_effective
    if n < FEWEST or n <= k:
        return None, f"{n} quantified samples for {k:.2g} parameters: too few to tell an outlier"
    return MAD * float(np.median(np.abs(numbers[1][quantified]))) * float(np.sqrt(n / (n - k))), ""
