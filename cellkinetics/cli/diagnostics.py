"""Diagnostics of a population fit as files: what `pool --diagnostics` and `run` write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
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


def write_diagnostics(session: Session, fit: PopulationFit, simulations: int) -> None:
    """Write the diagnostics of a population fit, and say in a line what they show."""
    from cellkinetics.diagnostics.contributions import population_contributions
    from cellkinetics.diagnostics.effects import random_effects
    from cellkinetics.diagnostics.npde import npde
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
    rows, found = check.table[check.table["check"] == "vpc"], errors.summary
    session.screen.say(
        f"diagnostics: {int(rows['outside'].sum())} of {len(rows)} observed percentiles outside the simulated "
        f"intervals; npde mean {number(found.mean, 2)}, variance {number(found.variance)} (0 and 1 if the model is "
        "right)"
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
