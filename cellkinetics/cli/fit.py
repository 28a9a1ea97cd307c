"""`cellkinetics fit`: one fit per patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

import typer

from cellkinetics.cli import fit_options as f
from cellkinetics.cli import options as o
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.cli.session import Session
    from cellkinetics.data.cohort import Cohort
    from cellkinetics.fitting.engine import Intervals
    from cellkinetics.fitting.result import IndividualFits

FILES = (
    "individual.csv",
    "individual_identifiability.csv",
    "individual_curves.csv",
    "individual_residuals.csv",
    "individual_nca.csv",
)
PLACE = ("subject", "analyte", "occasion", "specimen", "model")
PROFILES, MODELS = "individual_profiles.csv", "individual_models.csv"
PLANNED = (*FILES, PROFILES, MODELS)  # the last two not always, so that no old one stays beside new results


def fit(
    ctx: typer.Context,
    data: o.Data,
    out: o.Out = o.DEFAULT_OUT,
    model: f.FitModels = "ecp",
    residual: f.Residual = "log-constant",
    prior: f.Prior = None,
    flat: f.Flat = None,
    estimate_sigma: f.EstimateSigma = False,
    intervals: f.FitIntervals = "wald",
    seed: f.FitSeed = 0,
    dialect: o.Dialect = "auto",
    mapping: o.Map = None,
    lloq: o.LLOQ = None,
    duplicates: o.Duplicates = "error",
    negative: o.Negative = "error",
    time_unit: o.TimeUnit = None,
    value_unit: o.ValueUnit = None,
    settings: o.Settings = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Fit the model to each patient alone, or with a population as prior; samples below quantification as censored.

    Example: cellkinetics fit trial.csv --model ecp,ecp-persistence --out results/trial

    Example: cellkinetics fit trial.csv --prior stein2019 --flat cmax --out results/trial
    """
    from cellkinetics.cli.reading import read_input, tell_files
    from cellkinetics.cli.session import Session

    with Session(
        "fit", ctx.params, data=data, out=out, planned=PLANNED, force=force, quiet=quiet, seed=seed
    ) as session:
        options: FitOptions = {
            "model": split(model),
            "residual": residual,
            "prior": prior,
            "flat": split(flat or ""),
            "estimate_sigma": estimate_sigma,
            "intervals": checked_intervals(intervals),
        }
        check_options(options)
        cohort = read_input(session, data, ctx.params)
        with session.stage("fit"):
            write_fits(session, cohort, seed, options)
        tell_files(session)


_NO_TYPICAL_VALUE = ("omega_", "corr_", "gamma_", "beta_", "shift_", "share_", "sigma")


def check_model(model: str, fixed: Mapping[str, float] | None = None) -> None:
    """Refuse an unknown model, and fixed values that are none of its parameters', before anything is read.

    What is no typical value, such as ``omega_beta`` or ``sigma``, is checked with the structure of the population.

    Raises:
        ModelError: for an unknown name of a model or parameter, or a value out of the parameter's range.
    """
    from cellkinetics.models.registry import get_model

    known = get_model(model)
    values = fixed or {}
    for name in values:
        for kind in ("omega_", "gamma_"):
            if name.startswith(kind):
                known[name.removeprefix(kind)]
    known.check_values({name: value for name, value in values.items() if not name.startswith(_NO_TYPICAL_VALUE)})


class FitOptions(TypedDict, total=False):
    """What `cellkinetics.fitting.individual.fit` takes beside cohort and seed."""

    model: list[str]
    residual: str
    prior: str | None
    flat: list[str]
    estimate_sigma: bool
    intervals: Intervals


def split(names: str) -> list[str]:
    """Return names that stand between commas.

    Example:
        >>> split("ecp, ecp+lag,")
        ['ecp', 'ecp+lag']
    """
    return [name.strip() for name in names.split(",") if name.strip()]


def check_options(options: FitOptions) -> None:
    """Refuse what no data could make right, before anything is read.

    Raises:
        ModelError: for an unknown model, prior or parameter.
        SettingsError: for no model at all, an unknown residual, a prior that cannot be one or says nothing of a
            parameter of the model, or options that do not go together.
    """
    from cellkinetics.fitting.prior import prior_of
    from cellkinetics.models.registry import get_model
    from cellkinetics.models.residual import get_residual

    models = options["model"]
    if not models:
        raise SettingsError("--model is empty; give a model as listed by cellkinetics models")
    for model in models:
        check_model(model)
    get_residual(options["residual"])
    prior = prior_of(options["prior"], options["flat"])
    if prior is None:
        if options["estimate_sigma"]:
            raise SettingsError("--estimate-sigma is for fits with --prior; without one the residual is estimated")
    elif len(models) > 1:
        raise SettingsError("--prior goes with one --model: AICc, which ranks several, compares likelihoods")
    elif options["intervals"] == "profile":
        raise SettingsError("--intervals profile takes no --prior: a posterior has Laplace's intervals")
    else:
        prior.on(get_model(models[0]))


def checked_intervals(intervals: str) -> Intervals:
    """Return which intervals are asked for, before anything is read.

    Raises:
        SettingsError: if there are none of that name.
    """
    if intervals == "wald":
        return "wald"
    if intervals == "profile":
        return "profile"
    raise SettingsError(f"--intervals {intervals} does not exist; take wald or profile")


def write_fits(session: Session, cohort: Cohort, seed: int, options: FitOptions) -> None:
    """Fit every profile, write the tables, and show how many fits can be used."""
    from cellkinetics.fitting.individual import fit as fit_each

    with session.screen.progress("Individual fits") as progress:
        fits = fit_each(cohort, seed=seed, progress=progress, **options)
    written = (fits.table, fits.identifiability, fits.curves, fits.residuals, fits.beside_nca)
    tables = dict(zip(FILES, written, strict=True))
    if options.get("intervals") == "profile":
        tables[PROFILES] = fits.profiles
    if len(options["model"]) > 1:
        tables[MODELS] = fits.ranking
    for name, table in tables.items():
        session.folder.write_table(name, table)
    _show(session, fits)
    session.screen.say(f"fit: {fits.status}")


def _show(session: Session, fits: IndividualFits) -> None:
    """Show for how many patients each parameter is known, and its range among them."""
    from cellkinetics.printing import number, unit_text

    rows = []
    for name in fits.identifiability.columns[len(PLACE) :]:
        of_name = fits.table[fits.table["parameter"] == name]
        known = of_name.loc[of_name["status"].eq("ok") & of_name["estimate"].notna(), "estimate"]
        middle = f"{number(known.median())} [{number(known.min())}; {number(known.max())}]" if len(known) else "–"
        units = [unit_text(unit) for unit in dict.fromkeys(of_name["unit"])]
        rows.append([name, f"{len(known)} of {len(of_name)}", middle, units[0] if len(units) == 1 else ""])
    session.screen.table("Individual fits", ["parameter", "identified in", "median [min; max]", "unit"], rows)
