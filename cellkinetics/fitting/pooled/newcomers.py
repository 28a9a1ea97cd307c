"""Patients who were not in a fit, arranged for the likelihood of its population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import LEFT_CENSORED, Cohort, FloatArray
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.covariates import covariate_values, design_of, require_values
from cellkinetics.fitting.observations import observations, require_days
from cellkinetics.fitting.pooled.occasions import require_same_covariates, require_same_windows
from cellkinetics.fitting.pooled.padding import over_patients, padded
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.structure import Form
from cellkinetics.fitting.prior import plain_unit


def problem_of(
    cohort: Cohort,
    population: PopulationModel,
    *,
    value_unit: str = "",
    given: FloatArray | None = None,
    until: float | None = None,
    notes: Sequence[str] = (),
) -> PooledProblem:
    """Arrange the patients of a cohort for a population that is known.

    Every profile without a fault takes part, also one whose samples are all below quantification, or that has none
    that can enter: then the population alone speaks.

    Args:
        cohort: profiles of one analyte and specimen.
        population: whose structure and covariate terms hold.
        value_unit: of the population; "" leaves the unit unchecked.
        given: inputs of the model, one entry a profile ``(n, k, w, 2)``.
        until: last day whose samples enter; later ones are left aside.
        notes: what is already known of how the data entered.

    Raises:
        FitError: for several analytes, specimens or occasions that the population does not have, covariates or inputs
            that differ between occasions, another unit, times that are not days, or no patient that can be used.
        SettingsError: for inputs or covariates that are missing.
        DataError: for a missing value, or an unknown level, of a covariate.
    """
    for kinds, what in ((cohort.analytes, "analyte"), (cohort.specimens, "specimen")):
        if len(kinds) > 1:
            shown = ", ".join(kind or "samples without one" for kind in kinds)
            raise FitError(f"a forecast takes one {what}, the data have {shown}; choose one with --{what}")
    require_days(cohort)
    model, structure = population.model, population.structure
    if model.inputs and given is None:
        raise SettingsError(
            f"model {model.name} needs to know when {' and '.join(model.inputs)} were given: a table with "
            "subject, drug, start and end (comedication=..., --comedication FILE)"
        )
    left_out = {i: fault.message for i, fault in enumerate(cohort.unusable) if fault is not None}
    units: dict[str, list[int]] = {}
    for i, subject in enumerate(cohort.subject):
        if i not in left_out:
            units.setdefault(subject, []).append(i)
    if not units:
        raise FitError("no patient can be used; see the faults of the data (cellkinetics check)")
    members = list(units.values())
    several = next((own[0] for own in members if len(own) > 1), None)
    if several is not None and not structure.occasion:
        raise FitError(
            f"subject {cohort.subject[several]} has several occasions, and the population says nothing about how a "
            "patient differs between them: keep one occasion of each"
        )
    for i in (i for own in members for i in own):
        if value_unit and cohort.value_unit[i] and plain_unit(cohort.value_unit[i]) != plain_unit(value_unit):
            raise FitError(
                f"the population's values are in {value_unit}, those of {cohort.subject[i]} in "
                f"{cohort.value_unit[i]}: convert them, or correct the unit (--value-unit)"
            )
    structure = replace(structure, occasions=max(map(len, members)) if structure.occasion else 1)
    form = Form(model, population.residual, structure)
    index = [own[0] for own in members]
    require_same_covariates(cohort, members, population.terms)
    chosen = observations(cohort, natural=population.residual.scale == "natural")
    with np.errstate(invalid="ignore"):
        used = chosen.used if until is None else chosen.used & (cohort.time <= until)
    rows = padded(cohort, chosen, used, members, log=population.residual.scale == "log")
    design = np.zeros((len(rows.y), len(model.names), len(structure.coefficients)))
    if population.terms:
        require_values(population.terms, cohort, index, "complete the data, or leave these patients out")
        values = covariate_values(cohort, population.terms, np.array(index))
        design[: len(members)] = design_of(population.terms, model, values)
    windows = None
    if given is not None and model.inputs:
        require_same_windows(cohort, members, given, model.inputs)
        windows = over_patients(given[index])
    with jax.enable_x64(True):
        samples = Samples(
            jnp.asarray(rows.time),
            jnp.asarray(rows.y),
            jnp.asarray(rows.censored),
            jnp.asarray(rows.mask),
            jnp.asarray(design),
            None if rows.lower is None else jnp.asarray(rows.lower),
            jnp.asarray(rows.occasion) if structure.occasion else None,
            None if windows is None else jnp.asarray(windows),
        )
    return PooledProblem(
        form=form,
        samples=samples,
        subjects=tuple(units),
        profiles=tuple(tuple(own) for own in members),
        left_out=left_out,
        n_real=len(members),
        n_observations=int(rows.mask.sum()),
        n_censored=int((rows.mask & (rows.censored == LEFT_CENSORED)).sum()),
        left_out_samples={cohort.subject[i]: chosen.left_out(i) for own in members for i in own if chosen.left_out(i)},
        fixed={},
        terms=population.terms,
        notes=tuple(notes),
    )
