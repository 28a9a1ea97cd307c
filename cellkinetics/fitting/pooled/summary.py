"""From a flat vector of estimates to a result: standard errors, shrinkage, warnings, a status to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.curve_grid import curve_times
from cellkinetics.fitting.pooled.focei import OMEGA_BOUNDS, FoceiEstimate
from cellkinetics.fitting.pooled.importance import SMALL_SAMPLE, ImportanceResult
from cellkinetics.fitting.pooled.modes import Modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.result import WEAK_RSE, IndividualEffect, Objective, PopulationEstimate, PopulationFit
from cellkinetics.fitting.precision import WEAK_SE, interval
from cellkinetics.units import unit_label

FloatArray = NDArray[np.float64]

FOCEI_DROP = 0.1
"""FOCEI has converged when a Newton step would lower its objective by less than this."""
FLAT = 0.02
"""Information below this in some direction is taken as this: an SE of 7 on a log scale, beyond any use."""
INFORMATION = "observed information of the marginal likelihood (importance sampling)"


def summarise(
    problem: PooledProblem,
    cohort: Cohort,
    x: FloatArray,
    modes: Modes,
    likelihood: ImportanceResult,
    *,
    method: str,
    seed: int,
    settled: bool,
    focei: FoceiEstimate,
    work: Mapping[str, int],
) -> PopulationFit:
    """Assemble the result of a population fit (see `PopulationFit` for what it holds)."""
    p = problem.n_parameters
    searched = problem.free
    labels = np.array(problem.labels)
    floored = np.zeros(searched.size, dtype=bool)
    floored[p : 2 * p] = x[p : 2 * p] <= OMEGA_BOUNDS[0] + 1e-6
    searched &= ~floored
    covariance: FloatArray | None = _covariance(likelihood.information, searched)
    blame = ""
    expected = np.nan
    if method == "focei":
        slope = -0.5 * focei.gradient[searched]
        assert covariance is not None
        expected = float(slope @ covariance @ slope)
        settled = settled and expected < FOCEI_DROP
    if not settled:
        covariance, blame = None, "the optimum was not reached"
    se = np.full(x.size, np.nan)
    if covariance is not None:
        se[searched] = np.sqrt(np.diag(covariance))

    u, n = np.asarray(modes.u)[: problem.n_real], problem.n_real
    omega = np.exp(x[p : 2 * p])
    shrinkage = 100 * (1 - u.std(axis=0, ddof=1))
    estimates = _estimates(problem, cohort, x, se, shrinkage, floored, blame)
    warnings = _warnings(problem, cohort, estimates, likelihood, modes, floored, method)
    k = int(problem.free.sum())
    residual_parameters = len(problem.residual.names)
    minus2ll = likelihood.minus2ll
    thinnest = int(np.argmin(likelihood.effective))
    return PopulationFit(
        model=problem.model.name,
        method=method,
        seed=seed,
        converged=settled,
        status=_status(settled, method, estimates, expected),
        warnings=warnings,
        n_subjects=n,
        n_observations=problem.n_observations,
        n_censored=problem.n_censored,
        estimates=estimates,
        labels=tuple(labels[searched]),
        covariance=covariance,
        uncertainty=INFORMATION if covariance is not None else f"none: {blame}",
        residual_scale=problem.residual.scale,
        effects=_effects(problem, cohort, x, u, omega, likelihood),
        objective=Objective(
            minus2ll=minus2ll,
            method="importance sampling",
            mc_se=likelihood.mc_se,
            draws=likelihood.draws,
            ess_min=float(likelihood.effective[thinnest]),
            ess_min_subject=problem.subjects[thinnest],
            focei=focei.objective,
        ),
        aic=minus2ll + 2 * k,
        bic=minus2ll + k * float(np.log(n)),
        bicc=minus2ll
        + (k - residual_parameters) * float(np.log(n))
        + residual_parameters * float(np.log(problem.n_observations)),
        work=dict(work),
        cohort=cohort,
        curve_parts=_curves(problem, cohort, x, u),
    )


def _covariance(information: FloatArray, searched: NDArray[np.bool_]) -> FloatArray:
    """Invert the information of the searched elements; a flat direction gets the variance 1/`FLAT`.

    So every parameter in such a direction is seen to be undetermined, and the others keep their errors.
    """
    block = information[np.ix_(searched, searched)]
    values, vectors = np.linalg.eigh(0.5 * (block + block.T))
    return (vectors / np.maximum(values, FLAT)) @ vectors.T


def _estimates(
    problem: PooledProblem,
    cohort: Cohort,
    x: FloatArray,
    se: FloatArray,
    shrinkage: FloatArray,
    floored: NDArray[np.bool_],
    blame: str,
) -> tuple[PopulationEstimate, ...]:
    p, typical = problem.n_parameters, problem.typical(x)
    value_unit = cohort.value_unit[problem.index[0]]
    rows = []
    for j, label in enumerate(problem.labels):
        reason, note = blame, ""
        iiv = shrunk = None
        if j < p:
            parameter = problem.model.parameters[j]
            kind, transform, value = "typical", parameter.transform, float(typical[j])
            unit = unit_label(parameter.unit, time=cohort.time_unit, value=value_unit)
            if label in problem.fixed:
                reason = "fixed"
        else:
            kind, transform, value, unit = ("omega" if j < 2 * p else "residual"), "log", float(np.exp(x[j])), ""
            if kind == "omega":
                shrunk = float(shrinkage[j - p])
                if problem.model.parameters[j - p].transform == "log":
                    iiv = 100 * float(np.sqrt(np.expm1(value**2)))
                else:
                    note = "IIV as a CV is defined for log-normal parameters"
                if floored[j]:
                    note = reason = "no variability between patients could be seen: the SD cannot be told from zero"
        if se[j] > WEAK_SE:
            reason = "the likelihood hardly changes with it: no standard error"
        precision = interval(transform, value, float(se[j])) if se[j] <= WEAK_SE else None
        rows.append(
            PopulationEstimate(
                parameter=label,
                kind=kind,
                transform=transform,
                estimate=value,
                unit=unit,
                se=precision.se if precision else None,
                rse_percent=precision.rse_percent if precision else None,
                ci_low=precision.ci_low if precision else None,
                ci_high=precision.ci_high if precision else None,
                iiv_cv_percent=iiv,
                shrinkage_percent=shrunk,
                reason=note if precision else reason,
            )
        )
    return tuple(rows)


def _warnings(
    problem: PooledProblem,
    cohort: Cohort,
    estimates: tuple[PopulationEstimate, ...],
    likelihood: ImportanceResult,
    modes: Modes,
    floored: NDArray[np.bool_],
    method: str,
) -> tuple[str, ...]:
    found = [f"{_profile_name(cohort, i)} is left out: {reason}" for i, reason in problem.left_out.items()]
    alike: dict[str, list[str]] = {}
    for subject, text in problem.left_out_samples.items():
        alike.setdefault(text, []).append(subject)
    found += [f"samples of {_some(subjects)} {text}" for text, subjects in alike.items()]
    found += [
        f"{row.parameter} is weakly determined: RSE {row.rse_percent:.0f} %"
        for row in estimates
        if row.rse_percent is not None and row.rse_percent > WEAK_RSE
    ]
    found += [f"{row.parameter}: {row.reason}" for row in estimates if row.reason.startswith("the likelihood")]
    k = int(problem.free.sum())
    if problem.n_real < k:
        found.append(
            f"{problem.n_real} patients for {k} parameters: the estimates describe these patients and no others"
        )
    found += [f"{problem.labels[j]} cannot be told from zero" for j in np.flatnonzero(floored)]
    thin = np.flatnonzero(likelihood.effective < SMALL_SAMPLE)
    if len(thin):
        found.append(
            f"the likelihood of {_some([problem.subjects[i] for i in thin])} rests on few effective draws "
            f"(under {SMALL_SAMPLE:.0f}): repeat with another seed and compare -2LL"
        )
    if likelihood.mc_se > 0.5:
        found.append(f"-2LL is known to +-{likelihood.mc_se:.1f} only: lower target_se before comparing models")
    stuck = int((~np.asarray(modes.settled)[: problem.n_real]).sum())
    if stuck:
        found.append(f"the conditional mode of {stuck} patients was not found exactly; their EBEs are approximate")
    if method == "focei" and problem.model.search_curve is not None:
        found.append(
            "focei is an approximation at a change point: compare models by -2LL from importance sampling, "
            "never by the FOCEI objective"
        )
    return tuple(found)


def _places(cohort: Cohort) -> list[tuple[str, str, str, str]]:
    """Subject, analyte, occasion and specimen of each profile."""
    return list(zip(cohort.subject, cohort.analyte, cohort.occasion, cohort.specimen, strict=True))


def _profile_name(cohort: Cohort, i: int) -> str:
    occasion = f", occasion {cohort.occasion[i]}" if cohort.subject.count(cohort.subject[i]) > 1 else ""
    return cohort.subject[i] + occasion


def _some(subjects: list[str]) -> str:
    more = len(subjects) - 3
    return ", ".join(subjects[:3]) + (f" and {more} more" if more > 0 else "")


def _status(settled: bool, method: str, estimates: tuple[PopulationEstimate, ...], expected: float) -> str:
    if settled:
        weak = [row.parameter for row in estimates if row.reason and row.se is None and row.reason != "fixed"]
        if not weak:
            return "converged: nothing is left to gain at these estimates"
        return (
            f"converged, but the data do not determine {', '.join(weak)}: do not rely on "
            f"{'it' if len(weak) == 1 else 'them'}; fix a value (--fix), or add patients who inform it"
        )
    gain = f" (a further step promises {expected:.2g} in the objective)" if np.isfinite(expected) else ""
    return (
        f"not converged{gain}: the estimates are not an optimum and carry no standard errors; "
        + ("use method importance, or " if method == "focei" else "")
        + "start from other typical values, or fix a parameter that the data do not inform"
    )


def _effects(
    problem: PooledProblem,
    cohort: Cohort,
    x: FloatArray,
    u: FloatArray,
    omega: FloatArray,
    likelihood: ImportanceResult,
) -> tuple[IndividualEffect, ...]:
    p = problem.n_parameters
    with jax.enable_x64(True):
        theta = np.asarray(problem.model.to_natural(jnp.asarray(x[:p] + omega * u)))
    place = {i: k for k, i in enumerate(problem.index)}
    rows = []
    for i, names in enumerate(_places(cohort)):
        for j, parameter in enumerate(problem.model.parameters):
            who = (
                *names,
                parameter.name,
                unit_label(parameter.unit, time=cohort.time_unit, value=cohort.value_unit[i]),
            )
            k = place.get(i)
            if k is None:
                rows.append(IndividualEffect(*who, status="not_calculated", reason=problem.left_out[i]))
                continue
            rows.append(
                IndividualEffect(
                    *who,
                    eta=float(omega[j] * u[k, j]),
                    eta_mean=float(omega[j] * likelihood.mean[k, j]),
                    eta_sd=float(omega[j] * np.sqrt(likelihood.covariance[k, j, j])),
                    ebe=float(theta[k, j]),
                )
            )
    return tuple(rows)


def _curves(problem: PooledProblem, cohort: Cohort, x: FloatArray, u: FloatArray) -> tuple[tuple[Any, ...], ...]:
    """Curves at the modes and at the typical values, on one grid length so that JAX compiles once."""
    p = problem.n_parameters
    with jax.enable_x64(True):
        theta = problem.model.to_natural(jnp.asarray(x[:p] + np.exp(x[p : 2 * p]) * u))
        typical = problem.model.to_natural(jnp.asarray(x[:p]))
        grid = np.array(
            [
                curve_times(problem.model, np.asarray(theta[k]), cohort.time[i, cohort.mask[i]])
                for k, i in enumerate(problem.index)
            ]
        )
        times = jnp.asarray(grid)
        predicted = np.exp(np.asarray(jax.vmap(problem.model.log_curve)(theta, times)))
        reference = np.exp(np.asarray(jax.vmap(problem.model.log_curve, in_axes=(None, 0))(typical, times)))
    places = _places(cohort)
    return tuple((*places[i], grid[k], predicted[k], reference[k]) for k, i in enumerate(problem.index))
