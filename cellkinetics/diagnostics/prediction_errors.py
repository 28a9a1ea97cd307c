"""Prediction discrepancies and normalised prediction distribution errors of one patient, from simulations.

    pd_j   = P(y_sim,j < y_j)                              prediction discrepancy, the patient's samples one by one
    npd_j  = Phi^-1(pd_j)
    z      = L^-1 (y - E),  L L' = V                       E, V mean and covariance over the simulations
    npde_j = Phi^-1(P(z_sim,j < z_j))                      the same once the samples are decorrelated

Both are standard normal if the model is right, npde uncorrelated within a patient. A sample that is known to lie
in a range (below an LLOQ, in an interval, above a ULOQ) gets a value drawn from that part of its predictive
distribution. The simulated samples are treated alike: those in the range exchange their values at random, so that
observed and simulated values have lost the same.

Sources: Brendel K et al. Pharm Res 2006;23:2036-2049, doi:10.1007/s11095-006-9067-5; decorrelation, Comets E,
Brendel K, Mentre F. Comput Methods Programs Biomed 2008;90:154-166, doi:10.1016/j.cmpb.2007.12.002; censored
samples, Nguyen THT, Comets E, Mentre F. J Pharmacokinet Pharmacodyn 2012;39:499-518,
doi:10.1007/s10928-012-9264-2. That the observed values enter E and V, so that ranks are uniform for any number of
simulations, is ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from cellkinetics.data.cohort import LEFT_CENSORED, NOT_CENSORED, FloatArray, IntArray
from cellkinetics.errors import SettingsError

LEAST_SIMULATIONS = 100
"""Fewest simulations that a distribution is judged by."""


class PatientErrors(NamedTuple):
    """Prediction errors of one patient's samples, each ``(m,)``; npde is NaN where V is singular.

    ``imputed`` is the observation, or the value drawn for one that is only known to lie in a range; ``weighted`` is
    z, the population weighted residual.
    """

    imputed: FloatArray
    weighted: FloatArray
    pd: FloatArray
    npd: FloatArray
    npde: FloatArray


def patient_errors(
    y: FloatArray,
    censored: IntArray,
    simulated: FloatArray,
    rng: np.random.Generator,
    *,
    lloq: FloatArray | None = None,
    uloq: FloatArray | None = None,
    lower: FloatArray | None = None,
) -> PatientErrors:
    """Return the prediction errors of one patient's samples.

    Ranks are made continuous at random: pd = (r + U)/(K + 1) with r of the K simulations below.

    Args:
        y: observations on the scale of the residual ``(m,)``; of censored ones any number.
        censored: 0 quantified, 1 below the LLOQ, -1 above the ULOQ, ``(m,)``.
        simulated: simulations of the same samples ``(K, m)``, on the same scale, without censoring.
        rng: of the values that are drawn.
        lloq: limit below which a sample is censored ``(m,)``, NaN where there is none.
        uloq: limit above which a sample is censored, likewise.
        lower: lower end of the interval of a sample below the LLOQ, likewise.

    Raises:
        SettingsError: for fewer than 100 simulations, or no more than the patient has samples.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> errors = patient_errors(np.array([0.0, 5.0]), np.array([0, 0]), rng.standard_normal((2000, 2)), rng)
        >>> bool(abs(errors.npd[0]) < 0.1), bool(errors.npde[1] > 3)
        (True, True)
    """
    count, m = simulated.shape
    if count < LEAST_SIMULATIONS or count <= m:
        raise SettingsError(
            f"{count} simulations are too few for a patient of {m} samples; "
            f"give at least {max(LEAST_SIMULATIONS, m + 1)}"
        )
    none = np.full(m, np.nan)
    cuts = np.stack([none if given is None else given for given in (lower, lloq, uloq)])
    values, drawn = np.array(y, dtype=float), np.array(simulated, dtype=float)
    below = np.empty(m)
    for j in range(m):
        below[j] = _complete(j, values, int(censored[j]), drawn, cuts[:, j], rng)
    pd = (below + rng.random(m)) / (count + 1)
    together = np.vstack([drawn, values])
    centred = together - together.mean(axis=0)
    npde, weighted = np.full(m, np.nan), np.full(m, np.nan)
    spread = np.sqrt((centred**2).mean(axis=0))
    if (spread > 0).all():
        try:
            factor = np.linalg.cholesky(np.corrcoef(centred.T).reshape(m, m))
        except np.linalg.LinAlgError:
            return PatientErrors(values, weighted, pd, ndtri(pd), npde)
        z = np.linalg.solve(factor, (centred / spread).T)
        weighted = z[:, -1]
        rank = (z[:, :-1] < weighted[:, None]).sum(axis=1)
        npde = ndtri((rank + rng.random(m)) / (count + 1))
    return PatientErrors(values, weighted, pd, ndtri(pd), npde)


def _complete(
    j: int, values: FloatArray, flag: int, drawn: FloatArray, cuts: FloatArray, rng: np.random.Generator
) -> float:
    """Complete sample ``j`` in place, observed and simulated; return how many simulations lie below it.

    ``cuts`` are the lower end of an interval, the LLOQ and the ULOQ. They part the line into ranges, the one
    between LLOQ and ULOQ being that of quantified samples.
    """
    lower, lloq, uloq = cuts
    column = drawn[:, j]
    ranges = _ranges(lower, lloq, uloq)
    inside = [(column >= low) & (column < high) for low, high in ranges]
    for mask in inside:
        column[mask] = rng.permutation(column[mask])
    if flag == NOT_CENSORED:
        return float((column < values[j]).sum())
    k = len(ranges) - 1 if flag != LEFT_CENSORED else (1 if np.isfinite(lower) and lower < lloq else 0)
    (low, high), there = ranges[k], np.sort(column[inside[k]])
    place = int(rng.integers(len(there) + 1))
    ends = np.concatenate([[low], there, [high]])
    # Between its neighbours; where the range is open to a side, at the outermost simulation.
    left, right = ends[place], ends[place + 1]
    share = rng.random()
    if np.isinf(left) or np.isinf(right):
        values[j] = right if np.isfinite(right) else left
    else:
        values[j] = left + share * (right - left)
    return float((column < low).sum() + place)


def _ranges(lower: float, lloq: float, uloq: float) -> list[tuple[float, float]]:
    """Return the ranges in which a sample is not quantified, from below."""
    found: list[tuple[float, float]] = []
    if np.isfinite(lloq):
        between = np.isfinite(lower) and lower < lloq
        found += [(-np.inf, lower), (lower, lloq)] if between else [(-np.inf, lloq)]
    if np.isfinite(uloq):
        found.append((uloq, np.inf))
    return found


class NormalitySummary(NamedTuple):
    """What a sample of errors that should be standard normal looks like.

    ``kurtosis`` is the excess (0 for a normal). ``p_mean`` is that of a t-test of mean 0, ``p_variance`` of a
    chi-squared test of variance 1, ``p_normal`` of Shapiro and Wilk (NaN beyond 5,000 values), ``p_ks`` of
    Kolmogorov and Smirnov against N(0, 1). ``p_global`` is three times the least of the first three, at most 1.
    """

    n: int
    mean: float
    variance: float
    skewness: float
    kurtosis: float
    p_mean: float
    p_variance: float
    p_normal: float
    p_ks: float
    p_global: float


MOST_FOR_SHAPIRO = 5000
FEWEST_FOR_TESTS = 8


def normality(errors: NDArray[np.float64]) -> NormalitySummary:
    """Compare errors with the standard normal distribution; NaN among them are left out.

    The tests take the errors as independent. Those of one patient are uncorrelated, not independent, so p is
    approximate. With fewer than 8 values all but ``n`` is NaN.

    Source: Brendel K et al. Clin Pharmacokinet 2010;49:495-504 (the three tests and their correction).

    Example:
        >>> from scipy.special import ndtri
        >>> summary = normality(ndtri((np.arange(200) + 0.5) / 200))
        >>> abs(summary.mean) < 1e-9, 0.97 < summary.variance < 1, summary.p_global > 0.9
        (True, True, True)
    """
    from scipy import stats

    x = np.asarray(errors, dtype=float)
    x = x[np.isfinite(x)]
    n = len(x)
    if n < FEWEST_FOR_TESTS or not x.std() > 0:
        return NormalitySummary(n, *(np.nan,) * 9)
    mean, variance = float(x.mean()), float(x.var(ddof=1))
    z = (x - mean) / x.std()
    p_mean = float(2 * stats.t.sf(abs(mean) / np.sqrt(variance / n), n - 1))
    ratio = (n - 1) * variance
    p_variance = float(min(1.0, 2 * min(stats.chi2.sf(ratio, n - 1), stats.chi2.cdf(ratio, n - 1))))
    p_normal = float(stats.shapiro(x).pvalue) if n <= MOST_FOR_SHAPIRO else np.nan
    p_ks = float(stats.kstest(x, "norm").pvalue)
    least = float(np.nanmin([p_mean, p_variance, p_normal if np.isfinite(p_normal) else p_ks]))
    skewness, kurtosis = float((z**3).mean()), float((z**4).mean() - 3.0)
    return NormalitySummary(
        n, mean, variance, skewness, kurtosis, p_mean, p_variance, p_normal, p_ks, min(1.0, 3 * least)
    )
