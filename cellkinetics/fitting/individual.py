"""One fit per patient: lmfit drives, JAX gives the likelihood and its gradient. lmfit lives only here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import (
    LEFT_CENSORED,
    NOT_CENSORED,
    RIGHT_CENSORED,
    Cohort,
    FloatArray,
    IntArray,
    Profile,
)
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.observations import Observations, observations, require_days
from cellkinetics.fitting.precision import Data, Programs, aicc, between_intervals, covariance, programs
from cellkinetics.fitting.result import IndividualFit, IndividualFits
from cellkinetics.fitting.start import Plan, faster_phase_first, plan_fit
from cellkinetics.fitting.verdict import Search, failed_fit, judge
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import use_compilation_cache
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import LOG_CONSTANT

SIGMA_BOUNDS = (0.05, 3.0)
"""Bounds of the residual SD on ln C. A likelihood of one patient has no maximum as sigma goes to 0 when
there are as many parameters as samples, hence the floor."""
SIGMA_START = 0.4
_SIZES = 32  # padded length of a profile, doubled until it fits: few shapes, few compilations
_KINK = 1e-3  # distance from a sampling time, in days, that counts as at it
_AT_BOUND = 1e-4  # the same for a bound, as a fraction of the searched range on the transformed scale
_PREFIX = {"log": "ln_", "logit": "logit_", "identity": ""}

Progress = Callable[[int, int], None]


def fit(
    cohort: Cohort,
    *,
    model: str | Model = "ecp",
    seed: int = 0,
    starts: Mapping[str, float] | Sequence[Mapping[str, float]] = (),
    progress: Progress | None = None,
) -> IndividualFits:
    """Fit a kinetic model to every profile by itself, by maximum likelihood.

        -2LL(phi, sigma) = 2 sum_j { ln sigma + ln(2 pi)/2 + ((ln y_j - ln C(t_j; phi)) / sigma)^2 / 2   quantified
                                   { -ln Phi((ln LLOQ_j - ln C(t_j; phi)) / sigma)                   below the LLOQ

    Parameters are searched on their transformed scale (log, logit) inside bounds: Cmax within a factor of
    5 of the highest sample, Tmax around its day, sigma from 0.05 to 3. Tmax is a change point, so each
    sampling interval is searched by itself, from several declines. Standard errors come from the exact
    Hessian, corrected for degrees of freedom. A parameter that the samples cannot determine has status
    ``not_identifiable``, no estimate, and the reason.

    Args:
        cohort: n profiles; a profile that cannot be fitted is rows with status ``failed`` and the reason.
        model: name of a model (see `list_models`), or a `Model`.
        seed: recorded with the result; the search itself draws no random numbers.
        starts: one mapping or several, parameter to value on the natural scale, searched from besides
            the starts found in the profile; needed for a model of one's own.
        progress: called as ``progress(done, total)``.

    Raises:
        FitError: if the times are not in days.
        ModelError: for an unknown model, or starts that do not fit it.
        SettingsError: if ``starts`` is neither a mapping nor a sequence of mappings.

    Source: likelihood of censored samples, Beal SL 2001, doi:10.1023/A:1012299115260 (method M3).

    Example:
        >>> from cellkinetics.models.published import library
        >>> from cellkinetics.models.ecp import ECP
        >>> days = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 112, 180]
        >>> truth = ECP.predict(library["stein2019"].typical, days)
        >>> fits = fit(Cohort.from_arrays([days], [truth.tolist()], subject=["P01"]))
        >>> round(fits["P01"]["tmax"].estimate, 2)
        9.3
    """
    chosen = get_model(model)
    given = _checked_starts(chosen, starts)
    require_days(cohort)
    use_compilation_cache()
    samples = observations(cohort)
    fits = []
    with jax.enable_x64(True):
        for i, profile in enumerate(cohort):
            fits.append(_fit_profile(cohort, profile, i, samples, chosen, given))
            if progress is not None:
                progress(i + 1, len(cohort))
    return IndividualFits(tuple(fits), chosen.name, chosen.names, seed, cohort)


def _checked_starts(
    model: Model, starts: Mapping[str, float] | Sequence[Mapping[str, float]]
) -> tuple[Mapping[str, float], ...]:
    many = (starts,) if isinstance(starts, Mapping) else tuple(starts)
    if any(not isinstance(start, Mapping) for start in many):
        raise SettingsError("starts takes a mapping such as {'cmax': 1e4, ...}, or a sequence of them")
    for start in many:
        model.theta(start)
        model.check_values(start)
    return many


def _fit_profile(
    cohort: Cohort,
    profile: Profile,
    i: int,
    samples: Observations,
    model: Model,
    given: tuple[Mapping[str, float], ...],
) -> IndividualFit:
    units = (cohort.time_unit, cohort.value_unit[i])
    used = samples.used[i, cohort.mask[i]]
    y = samples.y[i, cohort.mask[i]][used]
    time, censored = profile.time[used], profile.censored[used]
    counts = (len(time), int((censored == LEFT_CENSORED).sum()))
    left_out = samples.left_out(i)
    if profile.fault is not None:
        return failed_fit(profile, model, units, counts, left_out, profile.fault.code, profile.fault.message)
    if not (censored == NOT_CENSORED).any():
        sentence = "no quantified sample; there is nothing to fit"
        return failed_fit(profile, model, units, counts, left_out, "no_quantified_sample", sentence)
    if (censored == NOT_CENSORED).sum() == 1:
        sentence = "one quantified sample; a curve needs at least two"
        return failed_fit(profile, model, units, counts, left_out, "one_quantified_sample", sentence)

    try:
        with np.errstate(divide="raise", invalid="raise", over="ignore"):
            plan = plan_fit(model, time, y, censored, starts=given)
            run = programs(model, LOG_CONSTANT)
            data = _padded(time, y, censored)
            search, plan = _search(model, run, data, plan)
            return judge(profile, model, units, counts, left_out, plan, search, run, np.unique(time))
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        # One patient's wild value must not cost the others; what is wrong in the program stays loud.
        sentence = (
            f"the fit left the range of double-precision numbers ({error}); look for a wild value: "
            f"the samples run from {y.min():.3g} to {y.max():.3g}"
        )
        return failed_fit(profile, model, units, counts, left_out, "numerical", sentence)


def _padded(time: FloatArray, y: FloatArray, censored: IntArray) -> Data:
    size = _SIZES
    while size < len(time):
        size *= 2

    def pad(values: NDArray[Any]) -> jax.Array:
        out = np.zeros(size, dtype=values.dtype)
        out[: len(values)] = values
        return jnp.asarray(out)

    mask = np.ones(len(time), dtype=bool)
    return Data(pad(time), pad(np.asarray(LOG_CONSTANT.observation(jnp.asarray(y)))), pad(censored), pad(mask))


def _search(model: Model, run: Programs, data: Data, plan: Plan) -> tuple[Search, Plan]:
    """Minimise -2LL from every start; return the best point with its curvature, and the plan it belongs to."""
    import lmfit

    labels = (*(f"{_PREFIX[p.transform]}{p.name}" for p in model.parameters), "ln_sigma")
    names = (*model.names, "sigma")
    low, high = _transformed_bounds(model, plan.bounds)
    _require_finite(low, high, what="a bound of the search is no number")
    last: dict[bytes, tuple[float, FloatArray]] = {}

    def evaluate(x: FloatArray) -> tuple[float, FloatArray]:
        key = x.tobytes()
        if key not in last:
            last.clear()  # lmfit asks for value and gradient of one point in turn
            value, gradient = run.value_and_gradient(x, data)
            last[key] = float(value), np.asarray(gradient)
            _require_finite(*last[key], what="-2LL or its gradient is no number")
        return last[key]

    def vector(params: Any) -> FloatArray:
        return np.array([params[label].value for label in labels])

    def minimise(
        x: FloatArray, segment: tuple[float, float] | None, held: Collection[str]
    ) -> tuple[float, FloatArray, Any]:
        free = [k for k, name in enumerate(names) if name not in held]
        lower, upper = low.copy(), high.copy()
        if segment is not None:
            k = names.index("tmax")
            lower[k], upper[k] = np.log(segment)
        # Inside by a margin: at a bound lmfit's own transformation has no slope to leave it by.
        margin = 0.01 * (upper - lower)
        inside = np.clip(x, lower + margin, upper - margin)
        params = lmfit.Parameters()
        for k, label in enumerate(labels):
            if k in free:
                params.add(label, value=float(inside[k]), min=lower[k], max=upper[k])
            else:
                params.add(label, value=float(x[k]), vary=False)
        # A step that leads nowhere is the line search's own affair; `evaluate` looks at what comes of it.
        with np.errstate(all="ignore"):
            result = lmfit.minimize(
                lambda params: evaluate(vector(params))[0],
                params,
                # Not L-BFGS-B: its small LAPACK calls wake every BLAS thread, ten times the CPU seconds.
                method="bfgs",
                calc_covar=False,
                jac=lambda params: evaluate(vector(params))[1][free],
                options={"maxiter": 500, "gtol": 1e-5},
            )
        end = vector(result.params)
        return evaluate(end)[0], end, result

    ends: dict[int, tuple[float, FloatArray, Any]] = {}

    def explore(number: int) -> None:
        segment = plan.segments[number]
        for start in segment.starts:
            phi = np.asarray(model.to_transformed(jnp.asarray(model.theta(start))))
            end = minimise(np.append(phi, np.log(SIGMA_START)), segment.interval, plan.held)
            if number not in ends or end[0] < ends[number][0]:
                ends[number] = end

    for number in range(*plan.central):
        explore(number)
    while True:
        best = min(ends, key=lambda number: ends[number][0])
        outward = [n for n in (best - 1, best + 1) if 0 <= n < len(plan.segments) and n not in ends]
        if not outward:
            break
        explore(outward[0])
    value, x, result = ends[best]
    segment = plan.segments[best].interval
    # Once more from the best end, with the phases named by their speed: bounds that stopped a phase under
    # the other's name no longer do, and the search starts with a fresh memory of the curvature.
    again = minimise(faster_phase_first(model, x), segment, plan.held)
    if again[0] <= value:
        value, x, result = again
    if plan.simpler:
        fewer = plan.simplified()
        start = np.where([name in plan.simpler for name in names], _transformed(model, plan.simpler), x)
        single = minimise(start, segment, fewer.held)
        n, k = int(np.asarray(data.mask).sum()), len(names) - len(plan.held)
        if aicc(single[0], n, k - len(plan.simpler)) <= aicc(value, n, k):
            plan = plan.one_phase()
    others = [(end[0], faster_phase_first(model, end[1])) for number, end in ends.items() if number != best]
    return _settle(model, run, data, plan, labels, result, x, others, low, high), plan


def _require_finite(*numbers: float | FloatArray, what: str) -> None:
    """Raise FloatingPointError unless all numbers are finite."""
    if not all(np.isfinite(number).all() for number in numbers):
        raise FloatingPointError(what)


def _transformed(model: Model, values: Mapping[str, float]) -> FloatArray:
    """Return named values on the transformed scale, shape ``(p + 1,)``; the others are NaN."""
    theta = jnp.asarray([values.get(name, np.nan) for name in model.names])
    return np.append(np.asarray(model.to_transformed(theta)), np.nan)


def _transformed_bounds(model: Model, bounds: Mapping[str, tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper bounds of (phi, ln sigma)."""
    sides = []
    for side in (0, 1):
        theta = jnp.asarray([bounds[name][side] for name in model.names])
        sides.append(np.append(np.asarray(model.to_transformed(theta)), np.log(SIGMA_BOUNDS[side])))
    return sides[0], sides[1]


def _settle(
    model: Model,
    run: Programs,
    data: Data,
    plan: Plan,
    labels: tuple[str, ...],
    result: Any,
    x: FloatArray,
    others: Sequence[tuple[float, FloatArray]],
    low: FloatArray,
    high: FloatArray,
) -> Search:
    """See which parameters are at a bound or a kink, measure how sure they are, and tell lmfit.

    ``others`` are -2LL and the point where the search of each other interval of Tmax ended.
    """
    names = (*model.names, "sigma")
    searched = np.array([name not in plan.held for name in names])
    at_bound = searched & ((x - low < _AT_BOUND * (high - low)) | (high - x < _AT_BOUND * (high - low)))
    at_kink = np.zeros_like(searched)
    if "tmax" in names:
        k = names.index("tmax")
        sampled = np.asarray(data.time)[np.asarray(data.mask)]
        at_kink[k] = searched[k] and not at_bound[k] and bool((np.abs(np.exp(x[k]) - sampled) < _KINK).any())
    value, gradient = run.value_and_gradient(jnp.asarray(x), data)
    interior = searched & ~at_bound & ~at_kink
    hessian = np.asarray(run.hessian(jnp.asarray(x), data))
    _require_finite(hessian, what="the curvature of -2LL is no number")
    mask, censored = np.asarray(data.mask), np.asarray(data.censored)
    quantified = mask & (censored == NOT_CENSORED)
    # What ended at a bound is not known either: its curvature is passed on to the others.
    uncertain, n, k = searched & ~at_kink, int(quantified.sum()), int(searched[:-1].sum())
    covar = covariance(hessian, uncertain, n, k)
    covar += between_intervals(x, float(value), others, uncertain, n, k)
    search = Search(
        names=names,
        x=x,
        minus2ll=float(value),
        slope=float(np.abs(np.asarray(gradient)[interior]).max(initial=0.0)),
        searched=searched,
        at_bound=at_bound,
        at_kink=at_kink,
        covariance=covar,
        n=int(np.asarray(data.mask).sum()),
        highest=None if (censored == RIGHT_CENSORED).any() else float(np.exp(np.asarray(data.y)[quantified].max())),
        last_quantified=float(np.asarray(data.time)[quantified].max()),
        lmfit=result,
    )
    _tell_lmfit(model, labels, search, run, data)
    return search


def _tell_lmfit(model: Model, labels: tuple[str, ...], search: Search, run: Programs, data: Data) -> None:
    """Give lmfit's result our values, standard errors and statistics, so that its reports print them."""
    result, p = search.lmfit, len(model.parameters)
    se = np.sqrt(np.diag(search.covariance))
    se[search.at_bound] = 0.0
    known = np.flatnonzero(se > 0).tolist()
    for k in np.flatnonzero(search.searched).tolist():
        parameter = result.params[labels[k]]
        parameter.value = float(search.x[k])
        if se[k] > 0:
            parameter.stderr = float(se[k])
            parameter.correl = {labels[j]: float(search.covariance[k, j] / (se[k] * se[j])) for j in known if j != k}
    varied = [labels.index(label) for label in result.var_names]
    result.covar = search.covariance[np.ix_(varied, varied)]
    result.errorbars = bool(len(known))

    theta = model.to_natural(jnp.asarray(search.x[:p]))
    f = np.asarray(run.log_curve(theta, data.time))
    quantified = np.asarray(data.mask & (data.censored == 0))
    result.residual = (np.asarray(data.y) - f)[quantified] / np.exp(search.x[p])
    result.ndata, result.nvarys = search.n, len(varied)
    result.nfree = search.n - len(varied)
    result.chisqr = float((result.residual**2).sum())
    result.redchi = result.chisqr / max(1, result.nfree)
    result.aic, result.bic = search.aic, search.bic

    natural = {"log": "exp({})", "logit": "1/(1+exp(-{}))", "identity": "1*{}"}
    for k, parameter in enumerate(model.parameters):
        if parameter.transform != "identity":
            result.params.add(parameter.name, expr=natural[parameter.transform].format(labels[k]))
            slope = {"log": theta[k], "logit": theta[k] * (1 - theta[k])}[parameter.transform]
            result.params[parameter.name].stderr = float(slope * se[k]) if se[k] > 0 else None
    result.params.add("sigma", expr="exp(ln_sigma)")
    result.params["sigma"].stderr = float(np.exp(search.x[p]) * se[p]) if se[p] > 0 else None
