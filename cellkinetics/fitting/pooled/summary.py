"""From a flat vector of estimates to a result: standard errors, shrinkage, warnings, a status to read."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled.bounds import bounds
from cellkinetics.fitting.pooled.criteria import criteria
from cellkinetics.fitting.pooled.estimate import Estimate
from cellkinetics.fitting.pooled.importance import SMALL_SAMPLE, ImportanceResult
from cellkinetics.fitting.pooled.marginal import SADDLE
from cellkinetics.fitting.pooled.modes import Modes
from cellkinetics.fitting.pooled.patients import curves, effects, latent_matrix, within_class
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.result import WEAK_RSE, Objective, PopulationEstimate, PopulationFit
from cellkinetics.fitting.precision import WEAK_SE, interval
from cellkinetics.fitting.terms import Term
from cellkinetics.units import unit_label

FloatArray = NDArray[np.float64]

LAPLACE_DROP = 0.1
"""A Laplace-type search has converged when a Newton step would lower its objective by less than this."""
LAPLACE_TYPES = ("focei", "laplace", "agq")
APPROXIMATION = 0.5
"""An objective that is off -2LL by more than this, beyond the Monte-Carlo error, is said to be."""
_Z = 1.959963984540054
FLAT = 0.02
"""Information below this in some direction is taken as this: an SE of 7 on a log scale, beyond any use."""
UNCERTAINTIES = {
    "information": "observed information of the marginal likelihood (importance sampling)",
    "sandwich": "sandwich of observed information and patients' scores (importance sampling)",
}


def summarise(
    problem: PooledProblem,
    cohort: Cohort,
    estimate: Estimate,
    modes: Modes,
    likelihood: ImportanceResult,
    *,
    method: str,
    seed: int,
    uncertainty: str = "information",
) -> PopulationFit:
    """Assemble the result of a population fit (see `PopulationFit` for what it holds)."""
    x, structure, model = estimate.x, problem.structure, problem.model
    searched, floored = problem.free, _floored(problem, x)
    searched &= ~floored
    covariance: FloatArray | None
    if estimate.covariance is None:
        covariance, source = working_covariance(likelihood, searched, uncertainty), UNCERTAINTIES[uncertainty]
    else:
        covariance, source = estimate.covariance[np.ix_(searched, searched)], estimate.uncertainty
    settled, reason, expected = estimate.converged, estimate.reason, np.nan
    if estimate.gradient is not None and covariance is not None:
        slope = -0.5 * estimate.gradient[searched]
        expected = float(slope @ covariance @ slope)
        settled = settled and expected < LAPLACE_DROP
    blame = "" if settled else "the optimum was not reached"
    if settled and covariance is not None and estimate.covariance is None:
        lowest = np.linalg.eigvalsh(likelihood.information[np.ix_(searched, searched)])[0]
        blame = "the likelihood is curved the wrong way at the estimates" if lowest < SADDLE else ""
    if blame:
        covariance = None
    if not structure.n_latent:
        source = source.removesuffix(" (importance sampling)")
    reported, se = _reported(problem, x, searched, covariance)

    latent, n = np.asarray(modes.u)[: problem.n_real], problem.n_real
    population = structure.values(x)
    middle = population.mu + np.asarray(problem.samples.design)[:n] @ population.beta
    deviations = latent_matrix(structure, population)
    base = np.broadcast_to(middle[:, None], (n, len(deviations), middle.shape[1]))
    phi = base + np.einsum("kpd,nd->nkp", deviations, latent)
    theta = model.natural_values(phi)
    shrinkage = _shrinkage(problem, x, latent), _variance_shrinkage(problem, x, likelihood.mean)
    estimates = _estimates(problem, cohort, x, reported, se, shrinkage, floored, blame)
    warnings = _warnings(problem, cohort, estimates, likelihood, modes, floored, method, estimate)
    minus2ll = likelihood.minus2ll
    values = criteria(problem, minus2ll)
    thinnest = int(np.argmin(likelihood.effective))
    population_model = PopulationModel(problem.form, np.asarray(x), problem.terms)
    return PopulationFit(
        model=model.name,
        method=method,
        seed=seed,
        converged=settled,
        status=_status(settled, method, estimates, expected, reason, _steep(problem, likelihood, searched)),
        warnings=warnings,
        n_subjects=n,
        n_observations=problem.n_observations,
        n_censored=problem.n_censored,
        estimates=estimates,
        labels=tuple(np.array(problem.labels)[searched]),
        covariance=covariance,
        uncertainty=source if covariance is not None else f"none: {blame}",
        effects=effects(problem, cohort, phi, base, theta, likelihood),
        objective=Objective(
            minus2ll=minus2ll,
            method="importance sampling" if structure.n_latent else "exact: no random effects",
            mc_se=likelihood.mc_se,
            draws=int(likelihood.draws.sum()),
            ess_min=float(likelihood.effective[thinnest]),
            ess_min_subject=problem.subjects[thinnest],
            own={name: float(value) for name, value in estimate.objectives.items()},
        ),
        aic=values.aic,
        bic=values.bic,
        bicc=values.bicc,
        work={**estimate.work, "importance_draws": int(likelihood.draws.sum())},
        cohort=cohort,
        problem=problem,
        population=population_model,
        importance=likelihood,
        modes=modes,
        trace=estimate.trace,
        curve_parts=curves(problem, cohort, theta, base),
    )


def _floored(problem: PooledProblem, x: FloatArray) -> NDArray[np.bool_]:
    """Tell which elements ended at the edge of what is searched."""
    lower, upper = bounds(problem)
    return ((x <= lower + 1e-6) | (x >= upper - 1e-6)) & problem.free


def working_covariance(likelihood: ImportanceResult, searched: NDArray[np.bool_], kind: str) -> FloatArray:
    """Return the covariance of the searched elements of the flat vector.

        information:  I^-1          sandwich:  I^-1 (sum_i s_i s_i') I^-1

    Args:
        likelihood: at the estimates, with scores ``s_i`` and observed information ``I``.
        searched: elements that were estimated ``(k,)``.
        kind: ``information`` or ``sandwich``.

    Source: White H. Econometrica 1982;50:1-25, doi:10.2307/1912526 (sandwich).
    """
    inverse = _covariance(likelihood.information, searched)
    if kind == "information":
        return inverse
    scores = likelihood.scores[:, searched]
    return inverse @ (scores.T @ scores) @ inverse


def _covariance(information: FloatArray, searched: NDArray[np.bool_]) -> FloatArray:
    """Invert the information of the searched elements; a flat direction gets the variance 1/`FLAT`.

    So every parameter in such a direction is seen to be undetermined, and the others keep their errors.
    """
    block = information[np.ix_(searched, searched)]
    values, vectors = np.linalg.eigh(0.5 * (block + block.T))
    return (vectors / np.maximum(values, FLAT)) @ vectors.T


def _reported(
    problem: PooledProblem, x: FloatArray, searched: NDArray[np.bool_], covariance: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return each element on the scale of its interval, and its standard error there (NaN where there is none).

    That is the working scale, but for correlations (atanh of the correlation itself) and shares (logit).
    """
    structure = problem.structure
    part = structure.parts

    def report(v: jax.Array) -> jax.Array:
        population = structure.unpack(v)
        if structure.pairs:
            omega = population.factor @ population.factor.T
            later, earlier = jnp.array(structure.pairs).T
            sd = jnp.sqrt(jnp.diagonal(omega))
            v = v.at[part["correlation"]].set(jnp.arctanh(omega[later, earlier] / (sd[later] * sd[earlier])))
        if structure.classes > 1:
            share = population.log_share[1:]
            v = v.at[part["share"]].set(share - jnp.log1p(-jnp.exp(share)))
        return v

    se = np.full(x.size, np.nan)
    with jax.enable_x64(True):
        if not structure.pairs and structure.classes == 1:
            if covariance is not None:
                se[searched] = np.sqrt(np.diag(covariance))
            return x, se
        flat = jnp.asarray(x)
        if covariance is not None:
            jacobian = np.asarray(jax.jacfwd(report)(flat))[:, searched]
            own = np.sqrt(np.einsum("ij,jk,ik->i", jacobian, covariance, jacobian))
            se[searched] = own[searched]
        return np.asarray(report(flat)), se


_TRANSFORMS = {
    "coefficient": "identity",
    "omega": "log",
    "correlation": "atanh",
    "gamma": "log",
    "shift": "identity",
    "share": "logit",
    "residual": "log",
}


def _natural(transform: str, value: float) -> float:
    if transform == "atanh":
        return float(np.tanh(value))
    if transform == "logit":
        return float(1.0 / (1.0 + np.exp(-value)))
    return float(np.exp(value)) if transform == "log" else float(value)


NO_RSE = ("coefficient", "shift", "correlation")


def remark(label: str, kind: str, terms: Sequence[Term]) -> str:
    """Return what to know of an estimate with a standard error: its term in words, why it has no RSE."""
    if kind not in NO_RSE:
        return ""
    meanings = dict(zip((n for t in terms for n in t.names), (m for t in terms for m in t.meanings), strict=True))
    return "; ".join(filter(None, [meanings.get(label, ""), "no RSE, as it may be zero"]))


def _estimates(
    problem: PooledProblem,
    cohort: Cohort,
    x: FloatArray,
    reported: FloatArray,
    se: FloatArray,
    shrinkage: tuple[FloatArray, FloatArray],
    floored: NDArray[np.bool_],
    blame: str,
) -> tuple[PopulationEstimate, ...]:
    typical, value_unit = problem.typical(x), cohort.value_unit[problem.index[0]]
    structure, model = problem.structure, problem.model
    rows = []
    for j, (label, kind) in enumerate(zip(structure.labels, structure.kinds, strict=True)):
        reason, note, unit = blame, remark(label, kind, problem.terms), ""
        iiv = shrunk = shrunk_variance = None
        transform = _TRANSFORMS.get(kind, "")
        if kind == "typical":
            parameter = model.parameters[j]
            transform, value = parameter.transform, float(typical[j])
            unit = unit_label(parameter.unit, time=cohort.time_unit, value=value_unit)
        else:
            value = _natural(transform, reported[j])
        if kind == "residual":
            kinds = dict(zip(problem.residual.names, problem.residual.units, strict=True))
            unit = unit_label(kinds[label], time=cohort.time_unit, value=value_unit)
        if kind in ("omega", "gamma"):
            parameter = model[label.partition("_")[2]]
            if parameter.transform == "log":
                iiv = 100 * float(np.sqrt(np.expm1(value**2)))
            else:
                note = "IIV as a CV is defined for log-normal parameters"
            if kind == "omega":
                at = j - structure.parts["omega"].start
                shrunk, shrunk_variance = (float(one[at]) for one in shrinkage)
        if label in problem.fixed:
            reason = "fixed"
        elif floored[j]:
            between = {"omega": "patients", "gamma": "occasions"}.get(kind)
            if between and x[j] < 0:
                note = reason = f"no variability between {between} could be seen: the SD cannot be told from zero"
            else:
                note = reason = "it ended at the edge of what is searched: there is no standard error"
        if se[j] > WEAK_SE and transform != "identity":
            reason = "the likelihood hardly changes with it: no standard error"
        known = np.isfinite(se[j]) and (se[j] <= WEAK_SE or transform == "identity")
        low = high = own = rse = None
        if known and transform == "atanh":
            own = float(se[j] * (1 - value**2))
            low, high = (float(np.tanh(reported[j] + sign * _Z * se[j])) for sign in (-1, 1))
        elif known and (kind == "typical" or transform in ("log", "logit", "identity")):
            precision = interval(transform, value, float(se[j]))
            own, low, high = precision.se, precision.ci_low, precision.ci_high
        if own is not None and kind not in NO_RSE:
            rse = 100 * own / abs(value)
        rows.append(
            PopulationEstimate(
                parameter=label,
                kind=kind,
                transform=transform,
                estimate=value,
                unit=unit,
                se=own,
                rse_percent=rse,
                ci_low=low,
                ci_high=high,
                iiv_cv_percent=iiv,
                shrinkage_percent=shrunk,
                shrinkage_variance_percent=shrunk_variance,
                reason=note if own is not None else _with_term(reason, note, kind),
            )
        )
    return tuple(rows)


def _with_term(reason: str, note: str, kind: str) -> str:
    """Return why there is no standard error; of a covariate with what its term is."""
    return f"{reason}; {note.partition(';')[0]}" if kind == "coefficient" and ";" in note else reason


def _shrinkage(problem: PooledProblem, x: FloatArray, latent: FloatArray) -> FloatArray:
    """Return 100 (1 - SD of the modes / omega) of each random effect ``(q,)``, without the shift of a class."""
    population = problem.structure.values(x)
    factor = population.factor
    eta = within_class(population, latent[:, : problem.structure.n_random]) @ factor.T
    return 100 * (1 - eta.std(axis=0, ddof=1) / np.sqrt((factor**2).sum(1)))


def _variance_shrinkage(problem: PooledProblem, x: FloatArray, mean: FloatArray) -> FloatArray:
    """Return 100 (1 - variance of the conditional means / omega^2) of each random effect ``(q,)``, as `_shrinkage`."""
    population = problem.structure.values(x)
    factor = population.factor
    eta = within_class(population, mean[:, : problem.structure.n_random]) @ factor.T
    return 100 * (1 - eta.var(axis=0, ddof=1) / (factor**2).sum(1))


def _warnings(
    problem: PooledProblem,
    cohort: Cohort,
    estimates: tuple[PopulationEstimate, ...],
    likelihood: ImportanceResult,
    modes: Modes,
    floored: NDArray[np.bool_],
    method: str,
    estimate: Estimate,
) -> tuple[str, ...]:
    found = [f"{_profile_name(cohort, i)} is left out: {reason}" for i, reason in problem.left_out.items()]
    alike: dict[str, list[str]] = {}
    for subject, text in problem.left_out_samples.items():
        alike.setdefault(text, []).append(subject)
    found += [f"samples of {_some(subjects)} {text}" for text, subjects in alike.items()]
    found += list(problem.notes)
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
    found += [f"{row.parameter}: {row.reason}" for row, at_edge in zip(estimates, floored, strict=True) if at_edge]
    thin = np.flatnonzero(likelihood.effective < SMALL_SAMPLE)
    if len(thin) and problem.structure.n_latent:
        found.append(
            f"the likelihood of {_some([problem.subjects[i] for i in thin])} rests on few effective draws "
            f"(under {SMALL_SAMPLE:.0f}): repeat with another seed and compare -2LL"
        )
    if likelihood.mc_se > 0.5:
        found.append(f"-2LL is known to +-{likelihood.mc_se:.1f} only: lower target_se before comparing models")
    stuck = int((~np.asarray(modes.settled)[: problem.n_real]).sum())
    if stuck:
        found.append(f"the conditional mode of {stuck} patient{'s' if stuck > 1 else ''} was found to few digits only")
    found += estimate.notes
    name = method.partition(":")[0]
    if name in LAPLACE_TYPES and name in estimate.objectives:
        off, kink = estimate.objectives[name] - likelihood.minus2ll, problem.model.search_curve is not None
        if kink or abs(off) > APPROXIMATION + 3 * likelihood.mc_se:
            found.append(
                f"{name} is an approximation{' at a change point' if kink else ''}, here off by {off:+.1f}: compare "
                f"models by -2LL from importance sampling, never by the objective of {name}"
            )
    return tuple(found)


def _profile_name(cohort: Cohort, i: int) -> str:
    occasion = f", occasion {cohort.occasion[i]}" if cohort.subject.count(cohort.subject[i]) > 1 else ""
    return cohort.subject[i] + occasion


def _some(subjects: list[str]) -> str:
    more = len(subjects) - 3
    return ", ".join(subjects[:3]) + (f" and {more} more" if more > 0 else "")


def _steep(problem: PooledProblem, likelihood: ImportanceResult, searched: NDArray[np.bool_]) -> list[str]:
    """Return the labels along which the likelihood rises most, at most three, of those where it does."""
    information = np.abs(np.diag(likelihood.information))
    gain = np.where(searched, likelihood.score**2 / np.maximum(information, FLAT), 0.0)
    return [problem.labels[k] for k in np.argsort(-gain, kind="stable")[:3] if gain[k] > LAPLACE_DROP]


def _status(
    settled: bool,
    method: str,
    estimates: tuple[PopulationEstimate, ...],
    expected: float,
    reason: str,
    steep: list[str],
) -> str:
    if settled:
        weak = [
            row.parameter for row in estimates if row.reason and row.se is None and not row.reason.startswith("fixed")
        ]
        if not weak:
            return "converged: nothing is left to gain at these estimates"
        return (
            f"converged, but the data do not determine {', '.join(weak)}: do not rely on "
            f"{'it' if len(weak) == 1 else 'them'}; fix a value (--fix), or add patients who inform it"
        )
    why = f" ({reason})" if reason else ""
    if not why and np.isfinite(expected):
        why = f" (a further step promises {expected:.2g} in the objective)"
    if steep:
        why += f"; the likelihood still rises along {', '.join(steep)}"
    return (
        f"not converged{why}: the estimates are not an optimum and carry no standard errors; "
        + ("use method saem, or " if method.startswith(LAPLACE_TYPES) else "")
        + "start from other typical values, or fix a parameter that the data do not inform"
    )
