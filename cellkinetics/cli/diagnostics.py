"""Diagnostics of a population fit as files: what `pool --diagnostics` and `run` write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort
    from cellkinetics.fitting.pooled.result import PopulationFit

FILES = (
    "vpc.csv",
    "npde.csv",
    "population_residuals.csv",
    "population_effects.csv",
    "population_contributions.csv",
    "population_trace.csv",
)
PROFILES = "population_profiles.csv"
LEAST = 100
"""Fewest simulations, those that prediction errors need."""


def check_simulations(count: int) -> None:
    """Refuse too few simulations before anything is read.

    Raises:
        SettingsError: for fewer than 100.
    """
    if count < LEAST:
        raise SettingsError(f"--simulations {count} is too few to judge a fit by; give at least {LEAST}")


def check_profiles(
    parameters: Sequence[str],
    cohort: Cohort,
    model: str,
    method: str,
    fix: Mapping[str, float],
    structure: Mapping[str, Any],
) -> None:
    """Refuse parameters that the fit to come will have no likelihood profile of, before it is started.

    Raises:
        SettingsError: for such a parameter.
    """
    from cellkinetics.diagnostics.profile import check_profiled
    from cellkinetics.fitting.covariates import parse_terms
    from cellkinetics.fitting.pooled.problem import structure_of
    from cellkinetics.models.registry import get_model
    from cellkinetics.models.residual import get_residual

    chosen = get_model(model)
    found, fixed = structure_of(
        chosen,
        get_residual(structure["residual"]),
        dict(fix),
        structure["omega"],
        parse_terms(structure["covariates"], chosen, cohort),
        structure["iov"],
        structure["mixture"],
        method == "naive",
    )
    for label in parameters:
        check_profiled(found, label, fixed)


def write_diagnostics(session: Session, fit: PopulationFit, simulations: int) -> None:
    """Write the diagnostics of a population fit, and say in a line what they show."""
    from cellkinetics.diagnostics.contributions import population_contributions
    from cellkinetics.diagnostics.effects import random_effects
    from cellkinetics.diagnostics.npde import npde
    from cellkinetics.diagnostics.predictive_check import outside_counts
    from cellkinetics.diagnostics.residuals import population_residuals
    from cellkinetics.diagnostics.trace import search_trace
    from cellkinetics.diagnostics.vpc import vpc
    from cellkinetics.printing import number

    check, errors = vpc(fit, simulations=simulations), npde(fit, simulations=simulations)
    tables = [check.table, errors.table, population_residuals(fit).table, random_effects(fit).table]
    tables.append(population_contributions(fit).table)
    if fit.trace is not None:
        tables.append(search_trace(fit).table)
    for name, table in zip(FILES, tables, strict=False):
        session.folder.write_table(name, table)
    (outside, judged), (off, shares) = (outside_counts(check.table, name) for name in ("vpc", "blq"))
    found = errors.summary
    session.screen.say(
        f"diagnostics: {outside} of {judged} observed percentiles and {off} of {shares} shares below the LLOQ outside "
        f"the simulated intervals; npde mean {number(found.mean, 2)}, "
        f"variance {number(found.variance)} (0 and 1 if the model is right)"
    )


def write_profiles(session: Session, fit: PopulationFit, parameters: Sequence[str]) -> None:
    """Write the likelihood profiles of some population parameters, and tell their intervals."""
    from cellkinetics.diagnostics.profile import likelihood_profile
    from cellkinetics.printing import number

    with session.screen.progress("Likelihood profiles") as progress:
        found = likelihood_profile(fit, *parameters, progress=progress)
    session.folder.write_table(PROFILES, found.table)
    for row in found.intervals.to_dict("records"):
        session.screen.say(
            f"profile of {row['parameter']}: {number(row['low'])} to {number(row['high'])}"
            + (f" ({row['reason']})" if row["reason"] else "")
        )
