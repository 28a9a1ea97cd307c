"""`random_effects`: distributions of the random effects, their shrinkage, pairs, and covariates."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import FloatArray
from cellkinetics.drawing import Drawable

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

COLUMNS = ("kind", "parameter", "beside", "n", "statistic", "value", "p", "reason")
MOST_LEVELS = 12
FEWEST = 5
"""Patients that a comparison needs."""
_CLASS_OPEN = "the conditional variance holds what is open of the patient's class too"


@dataclass(frozen=True, eq=False, repr=False)
class RandomEffects(Drawable):
    """Random effects of the patients of a population fit.

    Attributes:
        table: shrinkage, pairs and covariates, one row a statistic: the file ``population_effects.csv``.
        effects: one row a patient and parameter: ``subject, parameter, eta`` (mode), ``eta_mean, eta_sd``
            (conditional).
        omega: parameter to the SD of its random effect.
        covariates: covariate to its values, one a patient.
    """

    table: pd.DataFrame
    effects: pd.DataFrame
    omega: dict[str, float]
    covariates: dict[str, NDArray[Any]]

    def __repr__(self) -> str:
        shown = self.table[self.table["kind"] == "shrinkage"]
        shown = shown.dropna(subset="value")
        rows = [f"{row['parameter']} {row['statistic']} {row['value']:.0f} %" for row in shown.to_dict("records")]
        return "RandomEffects: shrinkage " + ", ".join(rows)


def random_effects(fit: PopulationFit) -> RandomEffects:
    """Return the random effects of a population fit with their shrinkage, and what they go along with.

    ==============  ========================  =====================================================================
    kind            statistic                 value
    ==============  ========================  =====================================================================
    ``shrinkage``   ``modes``                 100 (1 - SD(modes) / omega)
    ``shrinkage``   ``conditional``           100 (1 - SD(conditional means) / omega)
    ``shrinkage``   ``variance``              100 mean(conditional variance) / omega^2: what the samples leave open
    ``mean``        ``t``                     mean of the modes over its standard error
    ``pair``        ``modes``                 correlation of the modes
    ``pair``        ``conditional``           correlation of (1/n) sum_i (E_i E_i' + V_i): not drawn to 0 by shrinkage,
                                              but to what Omega assumes
    ``covariate``   ``spearman``              rank correlation of conditional means with a number
    ``covariate``   ``kruskal``               H of conditional means over the levels of a covariate of text
    ==============  ========================  =====================================================================

    In a mixture shrinkage, means and pairs are of the effects without the shift of the patient's class (weighted by the
    classes' probabilities at the effects); ``effects`` and the comparison with covariates have it in them. What the
    conditional variance of a shifted parameter says of them is not known, as the class is open too: no value there.

    Source: Savic RM, Karlsson MO. AAPS J 2009;11:558-569, doi:10.1208/s12248-009-9133-0 (shrinkage and what it
    hides).
    """
    import pandas as pd

    from cellkinetics.fitting.pooled.patients import within_class

    problem, cohort = fit.problem, fit.cohort
    structure = problem.structure
    names, q, n = structure.random_names, structure.n_random, problem.n_real
    population = structure.values(fit.x)
    factor = population.factor
    latent, middle = np.asarray(fit.modes.u)[:n, :q], fit.importance.mean[:, :q]
    modes, mean = latent @ factor.T, middle @ factor.T
    own_modes, own_mean = within_class(population, latent) @ factor.T, within_class(population, middle) @ factor.T
    variance = np.einsum("ab,nbc,dc->nad", factor, fit.importance.covariance[:, :q, :q], factor)
    omega = np.sqrt((factor**2).sum(axis=1))
    first = list(problem.index)
    sd = np.sqrt(np.diagonal(variance, axis1=1, axis2=2))
    effects = pd.DataFrame(
        {
            "subject": np.repeat([cohort.subject[i] for i in first], q),
            "parameter": np.tile(names, n),
            "eta": modes.ravel(),
            "eta_mean": mean.ravel(),
            "eta_sd": sd.ravel(),
        }
    )
    beside = _covariates(fit, first)
    rows = [
        *_shrinkage(names, own_modes, own_mean, variance, omega, structure.shifted),
        *_pairs(names, own_modes, own_mean, variance, structure.shifted),
        *_against(names, mean, beside),
    ]
    table = pd.DataFrame.from_records(rows, columns=list(COLUMNS)).astype({"value": float, "p": float})
    return RandomEffects(table, effects, dict(zip(names, omega.tolist(), strict=True)), beside)


def _shrinkage(
    names: tuple[str, ...],
    modes: FloatArray,
    mean: FloatArray,
    variance: FloatArray,
    omega: FloatArray,
    shifted: tuple[int, ...],
) -> list[tuple[object, ...]]:
    from scipy.special import stdtr

    n = len(modes)
    rows: list[tuple[object, ...]] = []
    for k, name in enumerate(names):
        left = variance[:, k, k].mean() / omega[k] ** 2
        for statistic, value in (
            ("modes", 1 - modes[:, k].std(ddof=1) / omega[k]),
            ("conditional", 1 - mean[:, k].std(ddof=1) / omega[k]),
            ("variance", left),
        ):
            if statistic == "variance" and k in shifted:
                rows.append(("shrinkage", name, "", n, statistic, None, None, _CLASS_OPEN))
            else:
                rows.append(("shrinkage", name, "", n, statistic, 100 * float(value), None, ""))
    for k, name in enumerate(names):
        spread = modes[:, k].std(ddof=1)
        if spread > 0:
            t = float(modes[:, k].mean() / (spread / np.sqrt(n)))
            rows.append(("mean", name, "", n, "t", t, float(2 * stdtr(n - 1, -abs(t))), ""))
        else:
            rows.append(("mean", name, "", n, "t", None, None, "the modes do not vary"))
    return rows


def _pairs(
    names: tuple[str, ...], modes: FloatArray, mean: FloatArray, variance: FloatArray, shifted: tuple[int, ...]
) -> list[tuple[object, ...]]:
    from scipy.special import stdtr

    n = len(modes)
    rows: list[tuple[object, ...]] = []
    moment = (np.einsum("na,nb->nab", mean, mean) + variance).mean(axis=0)
    whole = moment / np.sqrt(np.outer(np.diag(moment), np.diag(moment)))
    for i, j in combinations(range(len(names)), 2):
        if not (modes[:, i].std() > 0 and modes[:, j].std() > 0):
            rows.append(("pair", names[i], names[j], n, "modes", None, None, "the modes do not vary"))
        else:
            r = float(np.corrcoef(modes[:, i], modes[:, j])[0, 1])
            t = abs(r) * np.sqrt((n - 2) / max(1 - r**2, 1e-12)) if n > 2 else 0.0
            p = float(2 * stdtr(n - 2, -t)) if n > 2 else None
            rows.append(("pair", names[i], names[j], n, "modes", r, p, ""))
        if i in shifted or j in shifted:
            rows.append(("pair", names[i], names[j], n, "conditional", None, None, _CLASS_OPEN))
        else:
            rows.append(("pair", names[i], names[j], n, "conditional", float(whole[i, j]), None, ""))
    return rows


def _covariates(fit: PopulationFit, first: list[int]) -> dict[str, NDArray[Any]]:
    """Return what patients may differ by: group, dose, and the covariates of the data that vary."""
    cohort = fit.cohort
    found: dict[str, NDArray[Any]] = {
        "group": np.array([cohort.group[i] for i in first], dtype=object),
        "dose": cohort.dose[first],
        **{name: np.asarray(values)[first] for name, values in cohort.covariates.items()},
    }
    return {name: values for name, values in found.items() if len(set(_there(values).tolist())) > 1}


def _there(values: NDArray[Any]) -> NDArray[Any]:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values[values.astype(str) != ""]


def _against(names: tuple[str, ...], mean: FloatArray, beside: dict[str, NDArray[Any]]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for covariate, values in beside.items():
        number = values.dtype.kind == "f"
        known = np.isfinite(values) if number else values.astype(str) != ""
        levels = list(dict.fromkeys(values[known].tolist()))
        statistic = "spearman" if number else "kruskal"
        for k, name in enumerate(names):
            place = ("covariate", name, covariate, int(known.sum()), statistic)
            if known.sum() < FEWEST:
                rows.append((*place, None, None, f"fewer than {FEWEST} patients have a value"))
            elif not number and len(levels) > MOST_LEVELS:
                rows.append((*place, None, None, f"{len(levels)} levels: too many to compare"))
            elif not mean[known, k].std() > 0:
                rows.append((*place, None, None, "the random effect does not vary"))
            else:
                rows.append((*place, *_association(mean[known, k], values[known], levels if not number else None), ""))
    return rows


def _association(effect: FloatArray, values: NDArray[Any], levels: list[Any] | None) -> tuple[float, float]:
    from scipy import stats

    if levels is None:
        found = stats.spearmanr(effect, values)
        return float(found.statistic), float(found.pvalue)
    whole = stats.kruskal(*[effect[values == level] for level in levels])
    return float(whole.statistic), float(whole.pvalue)
