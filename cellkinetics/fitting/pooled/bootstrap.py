"""Bootstrap of a population fit: it is refitted to data sets like its own, and the spread is the uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import jax
import numpy as np

from cellkinetics.data.cohort import Cohort, FloatArray
from cellkinetics.engines import Crew, check_crew
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled.estimation import estimator_of, pool
from cellkinetics.fitting.pooled.natural import natural_values
from cellkinetics.fitting.pooled.percentiles import ReplicateInterval, acceleration, replicate_interval
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.resampling import Limits, drawn_subjects, limits, simulated, with_subjects
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.replicates import Record, Replicates, Task, fingerprint
from cellkinetics.models.compilation import use_compilation_cache

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["nonparametric", "parametric"]
Progress = Callable[[int, int], None]

COLUMNS = (
    *("parameter", "kind", "unit", "estimate", "bias", "se", "rse_percent", "ci_low", "ci_high", "bca_low", "bca_high"),
    *("replicates", "uncertainty", "reason"),
)
REPLICATE_COLUMNS = ("replicate", "status", "parameter", "estimate", "unit", "reason")
LEAST_OMEGA = np.log(0.1)
"""Of ln omega, where a refit begins: a random effect that the data of the fit gave up may be in others."""
WORTH_SAYING = 0.1
"""Share of replicates left out above which the intervals come with a warning."""
_STREAM = 919  # no replicate draws the numbers of the fit, which often has the same seed


@dataclass(frozen=True)
class Replicate:
    """One refit.

    Attributes:
        number: from 1.
        status: ``converged``, ``not converged`` or ``failed``; only converged ones count.
        reason: why not.
        parameters: every population parameter on the natural scale; none where the refit failed.
    """

    number: int
    status: str
    reason: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Replicates of a population fit, and what they say of its parameters.

    Attributes:
        fit: the fit.
        kind: ``nonparametric`` or ``parametric``.
        strata: the covariate whose groups keep their size, "" for none.
        seed: of the draws.
        replicates: the refits, in order.
    """

    fit: PopulationFit
    kind: str
    strata: str
    seed: int
    replicates: tuple[Replicate, ...]

    @cached_property
    def intervals(self) -> dict[str, ReplicateInterval]:
        """Bias, standard error and intervals of each parameter on the natural scale."""
        estimates = _natural(self.fit.problem, self.fit.x)
        accelerations = self._accelerations
        found = {}
        for label in self.fit.problem.labels:
            values = np.array(
                [one.parameters[label] for one in self.replicates if one.status == "converged"], dtype=float
            )
            found[label] = replicate_interval(estimates[label], values, acceleration=accelerations.get(label, 0.0))
        return found

    @property
    def n_used(self) -> int:
        """Number of replicates that converged."""
        return sum(one.status == "converged" for one in self.replicates)

    @property
    def status(self) -> str:
        """How it went, in one sentence."""
        left = len(self.replicates) - self.n_used
        said = f"{self.n_used} of {len(self.replicates)} replicates converged"
        if left <= WORTH_SAYING * len(self.replicates):
            return said
        return f"{said}; the intervals rest on these, and may be too narrow: see bootstrap_replicates.csv for reasons"

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a population parameter: the file ``bootstrap.csv``."""
        import pandas as pd

        rows = []
        for row in self.fit.estimates:
            one = self.intervals[row.parameter]
            rows.append(
                {
                    "parameter": row.parameter,
                    "kind": row.kind,
                    "unit": row.unit,
                    "estimate": row.estimate,
                    "bias": one.bias,
                    "se": one.se,
                    "rse_percent": 100 * one.se / abs(row.estimate) if row.estimate else np.nan,
                    "ci_low": one.low,
                    "ci_high": one.high,
                    "bca_low": one.bca_low,
                    "bca_high": one.bca_high,
                    "replicates": self.n_used,
                    "uncertainty": f"bootstrap ({self.kind})",
                    "reason": "fixed" if row.parameter in self.fit.problem.fixed else one.reason,
                }
            )
        return pd.DataFrame(rows, columns=list(COLUMNS))

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """One row a replicate and parameter: the file ``bootstrap_replicates.csv``."""
        import pandas as pd

        rows = [
            (one.number, one.status, row.parameter, one.parameters.get(row.parameter, np.nan), row.unit, one.reason)
            for one in self.replicates
            for row in self.fit.estimates
        ]
        return pd.DataFrame(rows, columns=list(REPLICATE_COLUMNS))

    @property
    def _accelerations(self) -> dict[str, float]:
        """From the influence of each patient, covariance times score; 0 for simulated samples."""
        fit = self.fit
        if fit.covariance is None or self.kind == "parametric":
            return {}
        places = [fit.problem.labels.index(label) for label in fit.labels]
        influence = fit.importance.scores[:, places] @ fit.covariance
        return dict(zip(fit.labels, acceleration(influence).tolist(), strict=True))

    def __repr__(self) -> str:
        lines = [
            f"Bootstrap, {self.kind}, of the fit of {self.fit.model} by {self.fit.method}: {self.status}",
            f"  {'parameter':<14}{'estimate':>12}{'bias':>12}{'SE':>12}{'95 % interval':>26}{'BCa':>26}",
        ]
        for row in self.fit.estimates:
            one = self.intervals[row.parameter]
            ends = [
                f"{a:.4g} to {b:.4g}" if a == a else "" for a, b in ((one.low, one.high), (one.bca_low, one.bca_high))
            ]
            lines.append(
                f"  {row.parameter:<14}{row.estimate:>12.4g}{one.bias:>12.3g}{one.se:>12.3g}{ends[0]:>26}{ends[1]:>26}"
            )
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Shared:
    """What every refit needs, made of what can go to another process."""

    problem: PooledProblem
    method: str
    truth: FloatArray
    start: FloatArray
    seed: int
    target_se: float
    strata: tuple[str, ...]
    limits: Limits | None


def bootstrap(
    data: PopulationFit | Cohort,
    *,
    replicates: int = 200,
    kind: Kind = "nonparametric",
    strata: str | None = None,
    seed: int = 0,
    target_se: float = 0.4,
    jobs: int = 1,
    engine: str = "processes",
    scheduler: str | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Bootstrap:
    """Refit a population to data sets like its own: what its parameters could have been.

    A nonparametric bootstrap draws subjects with replacement, each with all its samples, as many as there are
    (within ``strata``, whose sizes stay). A parametric one simulates the samples of the same subjects, days and
    limits from the fit. Each data set is fitted by the fit's method from the fit's estimates. Intervals are
    percentile and BCa ones, see `cellkinetics.fitting.pooled.percentiles`, of the refits that converged.

    Args:
        data: a fit, or a cohort, which is fitted first with ``options``.
        replicates: number of refits; 1000 for intervals to publish.
        kind: ``nonparametric`` or ``parametric``.
        strata: a covariate, or ``group``.
        seed: of the draws.
        target_se: Monte-Carlo error of the refits' own likelihoods, where the method takes one.
        jobs: processes on this machine, of one thread each.
        engine: ``processes``, or ``dask`` on a cluster.
        scheduler: address of the Dask scheduler.
        folder: where every refit leaves its record, so that an interrupted run can be gone on with.
        resume: go on with what the folder holds; the numbers are those of an uninterrupted run.
        force: begin anew.
        progress: called as ``progress(done, total)``.
        options: of `cellkinetics.pool`, for a cohort.

    Raises:
        FitError: if no refit can be done.
        SettingsError: for options that make no sense, or records of another run.
        OutputError: if the folder holds records and neither ``resume`` nor ``force`` is given.

    Source: Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall 1993; Thai HT, Mentre F,
    Holford NHG, Veyrat-Follet C, Comets E. J Pharmacokinet Pharmacodyn 2014;41:15-33,
    doi:10.1007/s10928-013-9343-z (in mixed-effects models).

    Example:
        >>> from cellkinetics.data.reading import read
        >>> from cellkinetics.models.published import library
        >>> trial = library["stein2019"].simulate(12, [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84], lloq=50, seed=1)
        >>> found = bootstrap(pool(read(trial.samples), method="naive"), replicates=2)
        >>> len(found.replicates)
        2
    """
    if replicates < 1:
        raise SettingsError(f"replicates is {replicates}; give a whole number of at least 1")
    if kind not in get_args(Kind):
        raise SettingsError(f"kind {kind!r} does not exist; choose one of {', '.join(get_args(Kind))}")
    if seed < 0:
        raise SettingsError(f"seed {seed} is negative; give a whole number from 0")
    if kind == "parametric" and strata:
        raise SettingsError("strata are for resampled subjects; a parametric bootstrap keeps every subject")
    crew = Crew(engine, jobs, scheduler)
    check_crew(crew)
    fit = pool(data, **options) if isinstance(data, Cohort) else data
    if fit.method == "bayes":
        raise SettingsError(
            "a fit by bayes is not bootstrapped: its draws say themselves how well the parameters are known"
        )
    shared = _shared(fit, kind, strata, seed, target_se)
    header = {
        "task": "bootstrap",
        "input": fingerprint(fit.cohort),
        "options": {
            "kind": kind,
            "strata": strata or "",
            "target_se": target_se,
            "method": fit.method,
            "fixed": dict(fit.problem.fixed),
            "population": fit.population.to_dict(),
            "samples": [fit.problem.n_observations, fit.problem.n_censored, *fit.problem.notes],
        },
        "seed": seed,
    }
    tasks = [Task(f"{number:06d}", number) for number in range(1, replicates + 1)]
    with Replicates(folder, header, resume=resume, force=force) as store:
        records = store.run(_refit, tasks, shared=shared, crew=crew, progress=progress)
    found = Bootstrap(fit, kind, strata or "", seed, tuple(map(_replicate, records)))
    if not any(one.parameters for one in found.replicates):
        raise FitError(f"no replicate could be fitted: {found.replicates[0].reason}")
    return found


def _shared(fit: PopulationFit, kind: str, strata: str | None, seed: int, target_se: float) -> _Shared:
    problem, cohort = fit.problem, fit.cohort
    labels = ("",) * problem.n_real
    if strata:
        known = {**({"group": np.asarray(cohort.group)} if any(cohort.group) else {}), **cohort.covariates}
        if strata not in known:
            shown = ", ".join(known) or "no column with one value a patient"
            raise SettingsError(f"strata {strata!r}: the data have {shown}")
        labels = tuple(str(known[strata][i]) for i in problem.index)
    x = np.array(fit.x, dtype=float)
    for part in ("omega", "gamma"):
        where = problem.structure.parts[part]
        x[where] = np.maximum(x[where], LEAST_OMEGA)
    return _Shared(
        # Arrays of JAX would arrive in single precision.
        problem=replace(problem, samples=jax.tree.map(np.asarray, problem.samples)),
        method=fit.method,
        truth=fit.x,
        start=problem.hold(x),
        seed=seed,
        target_se=target_se,
        strata=labels,
        limits=limits(problem, cohort) if kind == "parametric" else None,
    )


def _refit(shared: _Shared, number: int) -> dict[str, Any]:
    """Fit one data set."""
    use_compilation_cache()
    rng = np.random.default_rng((shared.seed, _STREAM, number))
    if shared.limits is None:
        problem = with_subjects(shared.problem, drawn_subjects(shared.strata, rng))
    else:
        problem = simulated(shared.problem, shared.truth, shared.limits, rng)
    own = int(rng.integers(2**31))
    estimate = estimator_of(shared.method)(problem, shared.start, own, shared.target_se, lambda _: None)
    return {
        "converged": estimate.converged,
        "reason": estimate.reason,
        "values": _natural(problem, estimate.x),
    }


def _natural(problem: PooledProblem, x: FloatArray) -> dict[str, float]:
    return dict(zip(problem.labels, natural_values(problem.form, x[None])[0].tolist(), strict=True))


def _replicate(record: Record) -> Replicate:
    number = int(record.name)
    if record.status == "failed":
        return Replicate(number, "failed", record.reason)
    result = record.result
    values = {name: np.nan if value is None else float(value) for name, value in result["values"].items()}
    if not np.isfinite(list(values.values())).all():
        return Replicate(number, "failed", "the search left all sensible values")
    if not result["converged"]:
        return Replicate(number, "not converged", result["reason"] or "the search did not come to rest", values)
    return Replicate(number, "converged", "", values)
