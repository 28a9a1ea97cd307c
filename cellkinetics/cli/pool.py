"""`cellkinetics pool`: one population fit of all patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer

from cellkinetics.cli import diagnostics as checks
from cellkinetics.cli import options as o
from cellkinetics.cli import sampling_options as draw
from cellkinetics.cli import structure_options as s
from cellkinetics.cli.pairs import parse_pairs
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort
    from cellkinetics.fitting.pooled.result import PopulationFit

FILES = (
    "population.json",
    "population.csv",
    "individual_effects.csv",
    "individual_quantities.csv",
    "population_curves.csv",
    "population_correlation.csv",
)
DRAWS = "posterior_draws.csv"


def pool(
    ctx: typer.Context,
    data: o.Data,
    out: o.Out = o.DEFAULT_OUT,
    model: o.ModelName = "ecp",
    method: o.Method = "saem",
    covariate: s.Covariate = None,
    missing_covariates: s.MissingCovariates = "error",
    comedication: s.ComedicationTable = None,
    residual: s.Residual = "log-constant",
    omega: s.Omega = "diagonal",
    iov: s.Iov = None,
    mixture: s.Mixture = None,
    fix: o.Fix = None,
    start: s.Start = None,
    uncertainty: s.Uncertainty = "information",
    chains: draw.Chains = None,
    warmup: draw.Warmup = None,
    draws: draw.Draws = None,
    prior: draw.Priors = None,
    analyte: o.Analyte = None,
    specimen: o.PooledSpecimen = None,
    seed: o.Seed = 0,
    dialect: o.Dialect = "auto",
    mapping: o.Map = None,
    lloq: o.LLOQ = None,
    duplicates: o.Duplicates = "error",
    negative: o.Negative = "error",
    time_unit: o.TimeUnit = None,
    value_unit: o.ValueUnit = None,
    diagnostics: o.Diagnostics = False,
    simulations: o.Simulations = 500,
    profile: o.Profiled = None,
    settings: o.Settings = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Fit one population to all patients: typical values, variability, residual, and -2LL with its error.

    Example: cellkinetics pool trial.csv --method focei --seed 1 --out results/trial
    """
    from cellkinetics.cli.fit import check_model
    from cellkinetics.cli.reading import tell_files
    from cellkinetics.cli.series import read_series
    from cellkinetics.cli.session import Session

    plan = (*FILES, DRAWS, *checks.FILES, checks.PROFILES)
    with Session("pool", ctx.params, data=data, out=out, planned=plan, force=force, quiet=quiet, seed=seed) as session:
        fixed = fixed_values(fix)
        check_model(model, fixed)
        check_method(method)
        checks.check_simulations(simulations)
        structure = {
            **s.structure_of(ctx.params),
            "start": s.starting_values(start),
            "uncertainty": s.checked_uncertainty(uncertainty),
            "sampling": draw.sampling_of(method, chains, warmup, draws, prior),
        }

        def check(cohort: Cohort) -> None:
            s.check_covariates(cohort, model, covariate)
            if profile:
                checks.check_profiles(profile, cohort, model, method, fixed, structure)

        cohort = read_series(session, data, ctx.params, check)
        with session.stage("pool"):
            result = write_population(session, cohort, model, method, seed, fixed, structure)
        if diagnostics:
            with session.stage("diagnostics"):
                checks.write_diagnostics(session, result, simulations)
        if profile:
            with session.stage("profiles"):
                checks.write_profiles(session, result, profile)
        tell_files(session)
        if not diagnostics:
            session.screen.say("predictive checks, residuals and influence of patients: add --diagnostics")


def fixed_values(items: Sequence[str] | None) -> dict[str, float]:
    """Return the typical values of ``--fix`` by parameter.

    Raises:
        SettingsError: for an item that is not NAME=NUMBER.
    """
    pairs = parse_pairs("--fix", items, form="NAME=VALUE", example="foldx=3900")
    try:
        return {name: float(value) for name, value in pairs.items()}
    except ValueError:
        raise SettingsError(f"--fix {' '.join(items or [])}: the value must be a number, as in foldx=3900") from None


def check_method(method: str) -> None:
    """Refuse an unknown method before anything is read.

    Raises:
        SettingsError: for such a method.
    """
    from cellkinetics.fitting.pooled.estimation import estimator_of

    estimator_of(method)


def write_population(
    session: Session,
    cohort: Cohort,
    model: str,
    method: str,
    seed: int,
    fix: Mapping[str, float],
    structure: Mapping[str, Any] = MappingProxyType({}),
) -> PopulationFit:
    """Fit the population of one analyte and specimen, write its files, show its parameters, and return it."""
    from cellkinetics.fitting.pooled.estimation import pool as pool_all

    with session.screen.progress("Population fit") as progress:
        result = pool_all(cohort, model=model, method=method, fix=fix, seed=seed, progress=progress, **structure)
    write_fit(session, result)
    return result


def write_fit(session: Session, result: PopulationFit) -> None:
    """Write the files of a population fit and show its parameters."""
    tables = (result.table, result.individual, result.quantities, result.curves, result.correlations)
    session.folder.write_json(FILES[0], result.to_dict())
    for name, table in zip(FILES[1:], tables, strict=True):
        session.folder.write_table(name, table)
    if result.posterior is not None:
        session.folder.write_table(DRAWS, result.posterior.table)
    _show(session, result)


def _show(session: Session, result: PopulationFit) -> None:
    from cellkinetics.printing import interval_text, number, percent, unit_text

    rows = [
        [
            row["parameter"],
            number(row["estimate"]),
            percent(row["rse_percent"]),
            interval_text(row["ci_low"], row["ci_high"]),
            percent(row["iiv_cv_percent"]),
            unit_text(str(row["unit"] or "")),
        ]
        for row in result.table.to_dict("records")
    ]
    session.screen.table("Population fit", ["parameter", "estimate", "RSE", "95 % CI", "IIV (CV)", "unit"], rows)
    for meaning in result.terms_in_words:
        session.screen.say(f"  {meaning}")
    for warning in result.warnings:
        session.screen.warn(warning)
    objective = result.objective
    tell = session.screen.say if result.converged else session.screen.alarm
    tell(f"pool: {result.status}; -2LL {objective.minus2ll:.1f} (Monte-Carlo SE {number(objective.mc_se, 2)})")
