"""One fit per patient: all are searched together, or each by lmfit, and each is judged by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.engine import MINIMISERS, Fitting, Intervals, Method
from cellkinetics.fitting.engine_prior import FittingWithPrior
from cellkinetics.fitting.observations import require_days
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.prior import PopulationPrior, prior_of
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.fitting.search import Progress
from cellkinetics.fitting.selection import select
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import use_compilation_cache
from cellkinetics.models.published import Published
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import LOG_CONSTANT, Residual, get_residual


def fit(
    cohort: Cohort,
    *,
    model: str | Model | Sequence[str | Model] = "ecp",
    method: Method = "batch",
    intervals: Intervals = "wald",
    residual: str | Residual = LOG_CONSTANT,
    prior: str | Path | Published | PopulationFit | PopulationPrior | None = None,
    flat: Sequence[str] = (),
    estimate_sigma: bool = False,
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
        model: name of a model (see `list_models`), or a `Model`; or several, of which each patient's fit is by the
            one with the least AICc, and ``ranking`` holds them all (see `cellkinetics.fitting.selection`).
        method: ``batch`` searches all patients together; ``lmfit`` each one by lmfit, which takes some seventy
            times as long and nearly always ends at the same optimum: of 200 simulated patients it was lower in 1,
            and higher in some; with other residuals -2LL differed in 1 or 2 of 25, by up to 1.7, either way.
        intervals: ``wald`` from the curvature alone; ``profile`` computes those of the profile likelihood
            too, for parameters and half-lives, in the columns ``profile_low`` and ``profile_high``, and a
            parameter without an end on either side is not identifiable.
        residual: ``log-constant`` (the formula above), ``log-student`` (heavy tails, 4 degrees of freedom;
            ``log-student:6`` for 6), ``natural-proportional``, ``natural-combined`` or ``natural-combined-root``;
            see `cellkinetics.models.residual.Residual`.
        prior: a `PopulationFit`, an entry of ``models.library`` or its name, the path of a ``population.json``,
            or a `PopulationPrior`.
        flat: parameters that the prior shall say nothing about, such as ``cmax`` where unit or assay differ.
        estimate_sigma: estimate the residual under a prior, instead of taking the population's.
        seed: recorded with the result; the search itself draws no random numbers.
        starts: one mapping or several, parameter to value on the natural scale, searched from besides
            the starts found in the profile; needed for a model of one's own.
        progress: called as ``progress(done, total)``.

    Raises:
        FitError: if the times are not in days; if the prior says nothing of a parameter, or is in another unit.
        ModelError: for an unknown model, or starts that do not fit it.
        SettingsError: for an unknown method, residual or intervals; if ``starts`` is neither a mapping nor a
            sequence of mappings.

    Source: likelihood of censored samples, Beal SL 2001, doi:10.1023/A:1012299115260 (method M3).

    With a ``prior`` the fit is the mode of the posterior (MAP), the empirical Bayes estimate of that population:

        -2LL(phi, sigma) + (phi - m)^T Omega^-1 (phi - m),   m = h(typical)

    Nothing is held then and no patient is refused for few samples; standard errors are Laplace's posterior SDs.
    A parameter whose posterior SD is more than 90 % of the prior's has status ``prior``: it says what the prior
    says. The residual SD is held at the population's unless ``estimate_sigma``.

    Example:
        >>> from cellkinetics.models.published import library
        >>> from cellkinetics.models.ecp import ECP
        >>> days = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 112, 180]
        >>> truth = ECP.predict(library["stein2019"].typical, days)
        >>> fits = fit(Cohort.from_arrays([days], [truth.tolist()], subject=["P01"]))
        >>> round(fits["P01"]["tmax"].estimate, 2)
        9.3
    """
    if not isinstance(model, (str, Model)):
        return _by_each(
            cohort,
            list(model),
            progress,
            {"method": method, "intervals": intervals, "residual": residual, "seed": seed},
            refused={"prior": prior, "flat": flat, "estimate_sigma": estimate_sigma or None, "starts": starts},
        )
    chosen = get_model(model)
    given = _checked_starts(chosen, starts)
    if method not in MINIMISERS:
        raise SettingsError(f"method {method!r} does not exist; take {', '.join(MINIMISERS)}")
    spread, population = get_residual(residual), prior_of(prior, flat)
    if intervals not in ("wald", "profile"):
        raise SettingsError(f"intervals {intervals!r} do not exist; take wald or profile")
    if population is not None and intervals == "profile":
        raise SettingsError("intervals by profile likelihood take no prior: a posterior has Laplace's; leave one out")
    if intervals == "profile" and chosen.phases is not None and (chosen.phases.lag or chosen.phases.distribution):
        raise SettingsError(
            f"intervals by profile likelihood are not there for {chosen.name}: with two change points the other "
            "parameters cannot be relied on to be at their best; take wald"
        )
    require_days(cohort)
    use_compilation_cache()
    with jax.enable_x64(True):
        fitting = Fitting(cohort, chosen, spread, given)
        notes: tuple[str, ...] = ()
        if population is not None:
            population.check_units(cohort, chosen)
            fitting = FittingWithPrior(cohort, chosen, spread, given, population, estimate_sigma)
            notes = population.notes(cohort, fitting.samples)
        fits = fitting.run(method, intervals, progress)
    return IndividualFits(fits, chosen.name, chosen.names, seed, cohort, notes=notes)


def _by_each(
    cohort: Cohort,
    models: Sequence[str | Model],
    progress: Progress | None,
    options: Mapping[str, Any],
    refused: Mapping[str, Any],
) -> IndividualFits:
    """Fit by each of several models and let each patient's AICc choose."""
    chosen = list(dict.fromkeys(get_model(one) for one in models))
    if not chosen:
        raise SettingsError("give at least one model")
    if len(chosen) == 1:
        return fit(cohort, model=chosen[0], progress=progress, **options, **refused)
    for name, value in refused.items():
        if value is not None and len(value if isinstance(value, (Mapping, tuple, list)) else [value]):
            raise SettingsError(
                f"{name} cannot be given with several models: AICc compares likelihoods; take one model"
            )
    results = []
    for k, one in enumerate(chosen):

        def told(done: int, total: int, k: int = k) -> None:
            if progress is not None:
                progress(k * total + done, len(chosen) * total)

        results.append(fit(cohort, model=one, progress=told, **options))
    return select(results)


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
