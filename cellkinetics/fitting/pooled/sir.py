"""Uncertainty of a population fit by sampling importance resampling (SIR) on its exact likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.natural import natural_values
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.reweighting import DRAWS, Reweighted

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]

SAMPLES = 1000
ITERATIONS = 4
INFLATION = 1.2
"""Of the covariance that is proposed from: tails that are too light cannot be weighted up."""
FEW = 100.0
"""Effective vectors below this leave the ends of an interval in doubt."""
_STREAM = 5077


@dataclass(frozen=True)
class Iteration:
    """One round of SIR.

    Attributes:
        samples: vectors proposed.
        effective: effective number of them, (sum w)^2 / sum w^2.
        mean_rise: weighted mean of -2LL less that of the fit; about the number of parameters where the covariance
            describes the likelihood.
        outside: vectors outside the bounds of the search, whose weight is zero.
    """

    samples: int
    effective: float
    mean_rise: float
    outside: int


@dataclass(frozen=True, eq=False)
class SIR:
    """Vectors of population parameters, as plausible as the likelihood says.

    Attributes:
        fit: the fit.
        seed: of the draws.
        iterations: how the rounds went.
        vectors: flat vectors ``(m, k)``, equally weighted; some may stand twice.
    """

    fit: PopulationFit
    seed: int
    iterations: tuple[Iteration, ...]
    vectors: FloatArray

    @cached_property
    def natural(self) -> dict[str, FloatArray]:
        """Each parameter on the natural scale at every vector ``(m,)``, by label."""
        values = natural_values(self.fit.problem.form, self.vectors)
        return dict(zip(self.fit.problem.labels, values.T, strict=True))

    @property
    def status(self) -> str:
        """How it went, in one sentence."""
        last = self.iterations[-1]
        said = f"{last.effective:.0f} of {last.samples} proposed vectors are effective in the last round"
        if last.outside:
            said += f", {last.outside} lay outside the bounds of the search and were rejected"
        return said if last.effective >= FEW else f"{said}, too few for the ends of intervals: take more samples"

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a population parameter: estimate, standard error and 95 % interval (percentiles)."""
        import pandas as pd

        rows = []
        for row in self.fit.estimates:
            values = self.natural[row.parameter]
            moved = row.parameter in self.fit.labels
            low, high = np.quantile(values, [0.025, 0.975]) if moved else (np.nan, np.nan)
            se = float(values.std(ddof=1)) if moved else np.nan
            rows.append(
                {
                    "parameter": row.parameter,
                    "kind": row.kind,
                    "unit": row.unit,
                    "estimate": row.estimate,
                    "se": se,
                    "rse_percent": 100 * se / abs(row.estimate) if row.estimate else np.nan,
                    "ci_low": float(low),
                    "ci_high": float(high),
                    "uncertainty": "SIR",
                    "reason": "" if moved else "not estimated",
                }
            )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        lines = [
            f"SIR of the fit of {self.fit.model} by {self.fit.method}: {self.status}",
            f"  {'parameter':<14}{'estimate':>12}{'SE':>12}{'95 % interval':>26}",
        ]
        for row in self.table.to_dict("records"):
            ends = f"{row['ci_low']:.4g} to {row['ci_high']:.4g}" if row["reason"] == "" else ""
            lines.append(f"  {row['parameter']:<14}{row['estimate']:>12.4g}{row['se']:>12.3g}{ends:>26}".rstrip())
        return "\n".join(lines)


def sir(
    fit: PopulationFit,
    *,
    samples: int = SAMPLES,
    resamples: int = 1000,
    iterations: int = ITERATIONS,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> SIR:
    """Describe the uncertainty of a fit by vectors that are resampled in proportion to its exact likelihood.

        x_m ~ N(center, 1.2 C),   w_m ~ L(x_m) p(x_m) / N(x_m; center, 1.2 C)

    on the working scale, first with the estimates and their covariance, then with mean and covariance of the
    weighted vectors of the round before; the last round, of twice as many, is resampled. All likelihoods come from
    the same draws of individual parameters (`cellkinetics.fitting.pooled.reweighting`), so that the ratios are
    nearly free of Monte-Carlo noise. The prior p is zero outside the bounds of the search (how many vectors were
    rejected there is said with each round) and flat within them, on the working scale, but in
    an SD between patients or occasions itself: flat in its logarithm it would pile up at zero.

    Args:
        fit: a fit with standard errors.
        samples: vectors proposed in a round.
        resamples: vectors returned.
        iterations: rounds.
        draws: of the individual parameters of each patient.
        seed: of all draws.
        progress: called as ``progress(done, total)``.

    Raises:
        FitError: if the fit has no covariance to propose from, has no random effects, or is one by ``bayes``, or if
            every proposed vector is outside the bounds.
        SettingsError: for a number out of range.

    Source: Dosne AG, Bergstrand M, Harling K, Karlsson MO. J Pharmacokinet Pharmacodyn 2016;43:583-596,
    doi:10.1007/s10928-016-9487-8; Dosne AG, Bergstrand M, Karlsson MO. J Pharmacokinet Pharmacodyn 2017;44:509-520,
    doi:10.1007/s10928-017-9542-0 (iterations). Gelman A. Bayesian Anal 2006;1:515-534, doi:10.1214/06-BA117A (prior
    of an SD).
    """
    for name, value, least in (("samples", samples, 50), ("resamples", resamples, 10), ("iterations", iterations, 1)):
        if value < least:
            raise SettingsError(f"{name} is {value}; give a whole number of at least {least}")
    if seed < 0:
        raise SettingsError(f"seed {seed} is negative; give a whole number from 0")
    if fit.covariance is None:
        raise FitError(f"SIR proposes from the covariance of the estimates, and there is none ({fit.uncertainty})")
    problem = fit.problem
    if fit.method == "bayes":
        raise FitError("a fit by bayes has draws of its parameters already; SIR is for the other methods")
    if not problem.structure.n_latent:
        raise FitError("the fit has no random effects, and its likelihood no integral that SIR could sample")
    places = np.array([problem.labels.index(label) for label in fit.labels])
    lower, upper = (end[places] for end in bounds(problem))
    spreads = np.array([kind in ("omega", "gamma") for kind in problem.structure.kinds])[places]
    near = Reweighted(problem, fit.importance, draws=draws, seed=seed)
    reference = -2 * float(near(fit.x[None])[0].sum())
    rng = np.random.default_rng((seed, _STREAM))
    center, covariance = fit.x[places], fit.covariance
    rounds: list[Iteration] = []
    vectors, weight = np.empty((0, len(places))), np.empty(0)
    for number in range(iterations):
        count = samples if number + 1 < iterations else 2 * samples
        vectors, log_proposed = _propose(center, INFLATION * covariance, count, rng)
        full = np.tile(fit.x, (count, 1))
        full[:, places] = vectors
        inside = ((vectors >= lower) & (vectors <= upper)).all(1)
        outside = int((~inside).sum())
        log_likelihood = np.full(count, -np.inf)
        log_likelihood[inside] = near(full[inside])[0].sum(1)
        inside &= np.isfinite(log_likelihood)
        if not inside.any():
            raise FitError("none of the vectors that SIR proposed lies within the bounds of the search")
        log_prior = vectors[:, spreads].sum(1)  # d omega / d ln omega = omega
        ratio = np.where(inside, log_likelihood + log_prior - log_proposed, -np.inf)
        weight = np.exp(ratio - ratio.max())
        weight /= weight.sum()
        rise = np.where(inside, -2 * log_likelihood - reference, 0.0)
        rounds.append(Iteration(count, float(1 / (weight**2).sum()), float(weight @ rise), outside))
        if number + 1 < iterations:
            center, covariance = _moments(vectors, weight, center, covariance)
        if progress is not None:
            progress(number + 1, iterations)
    chosen = _systematic(weight, resamples, rng)
    out = np.tile(fit.x, (resamples, 1))
    out[:, places] = vectors[chosen]
    return SIR(fit, seed, tuple(rounds), out)


def _propose(
    center: FloatArray, covariance: FloatArray, count: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw from a normal distribution; vectors ``(count, d)`` and their log density without its constant."""
    values, axes = np.linalg.eigh(covariance)
    z = rng.standard_normal((count, len(center)))
    return center + (z * np.sqrt(np.maximum(values, 0.0))) @ axes.T, -0.5 * (z**2).sum(1)


def _moments(
    vectors: FloatArray, weight: FloatArray, center: FloatArray, covariance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return mean and covariance of weighted vectors; where few are effective, blended with what was proposed from."""
    effective, d = 1 / float((weight**2).sum()), vectors.shape[1]
    share = effective / (effective + 2 * d)
    mean = weight @ vectors
    apart = vectors - mean
    learned = (apart.T * weight) @ apart
    return center + share * (mean - center), (1 - share) * covariance + share * learned


def _systematic(weight: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Return ``count`` numbers drawn in proportion to their weights, each as often as expected or once more."""
    steps = (np.arange(count) + rng.random()) / count
    return np.minimum(np.searchsorted(np.cumsum(weight), steps), len(weight) - 1)
