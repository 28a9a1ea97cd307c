"""Options that say what a population model consists of; `pool` and the commands around it share them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellkinetics.cli.options import ANALYSIS, READING
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from cellkinetics.data.cohort import Cohort
    from cellkinetics.data.comedication import Comedication
    from cellkinetics.fitting.interchange.estimates import StartingValues

STRUCTURE = "Structure of the population"

ExactMethod = Annotated[
    str,
    typer.Option(
        "--method",
        help="Population method: saem or importance, which maximise the exact likelihood that models are compared by.",
        rich_help_panel=ANALYSIS,
    ),
]
Covariate = Annotated[
    list[str] | None,
    typer.Option(
        "--covariate",
        help="Covariates of a parameter, such as 'cmax ~ group' or 'tmax ~ power(weight, 70) + sex'. Repeat it for "
        "several parameters.",
        metavar="FORMULA",
        rich_help_panel=STRUCTURE,
    ),
]
MissingCovariates = Annotated[
    str,
    typer.Option(
        "--missing-covariates",
        help="Patients without a covariate: error, reference (they count as patients at its reference), or drop.",
        rich_help_panel=STRUCTURE,
    ),
]
ComedicationTable = Annotated[
    str | None,
    typer.Option(
        "--comedication",
        help="When drugs were given, for models such as ecp+comedication: a table subject, drug, start, end; or "
        "DRUG=COLUMN for a column of the data with the day of the first dose.",
        metavar="FILE|DRUG=COLUMN,...",
        rich_help_panel=STRUCTURE,
    ),
]
Omega = Annotated[
    str,
    typer.Option(
        help="Covariance of the random effects: diagonal, full, or blocks such as 'cmax,foldx;alpha,beta'.",
        rich_help_panel=STRUCTURE,
    ),
]
Residual = Annotated[
    str,
    typer.Option(
        help="How samples spread around the curve: log-constant, log-student (log-student:6 for 6 degrees of freedom), "
        "natural-proportional, natural-combined or natural-combined-root.",
        rich_help_panel=STRUCTURE,
    ),
]
Iov = Annotated[
    str | None,
    typer.Option(
        help="Parameters that vary between the occasions of a patient, such as cmax,tmax.",
        metavar="NAME,...",
        rich_help_panel=STRUCTURE,
    ),
]
Mixture = Annotated[
    str | None,
    typer.Option(
        help="Parameters whose typical value differs between two sub-populations, such as cmax.",
        metavar="NAME,...",
        rich_help_panel=STRUCTURE,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        help="Where to start: values such as cmax=2e4,omega_cmax=0.8; or a file of estimates (run1.ext of NONMEM or "
        "estimates.csv of nlmixr2, beside the layout.json of the export; population.json), or its folder.",
        metavar="FILE|NAME=VALUE,...",
        rich_help_panel=STRUCTURE,
    ),
]
MinimumSE = Annotated[
    float,
    typer.Option("--target-se", min=0.001, help="Monte-Carlo error of -2LL to reach.", rich_help_panel=READING),
]

Uncertainty = Annotated[
    str,
    typer.Option(
        help="Where standard errors come from: information (of the exact likelihood), or sandwich (also right where "
        "the model is not).",
        rich_help_panel=STRUCTURE,
    ),
]


def comedication_table(given: str | None) -> Comedication | Mapping[str, str] | None:
    """Return comedication from ``--comedication``: a table that is read, or drug to column.

    Raises:
        DataError: for a file that is no such table.
        SettingsError: for a DRUG=COLUMN without one of them.
    """
    if given is None:
        return None
    if "=" not in given or Path(given).is_file():
        from cellkinetics.data.comedication import read_comedication

        return read_comedication(given)
    columns: dict[str, str] = {}
    for part in given.split(","):
        drug, _, column = (word.strip() for word in part.partition("="))
        if not drug or not column or drug in columns:
            raise SettingsError(f"--comedication {given}: give a table, or DRUG=COLUMN such as toci=tocilizumab_day")
        columns[drug] = column
    return columns


def names_of(given: str | None) -> tuple[str, ...]:
    """Return the names of a list such as ``cmax,tmax``.

    Example:
        >>> names_of("cmax, tmax")
        ('cmax', 'tmax')
    """
    return tuple(name.strip() for name in (given or "").split(",") if name.strip())


def starting_values(given: str | None) -> StartingValues | dict[str, float] | None:
    """Return where to start from ``--start``: values by name, or estimates that are read from a file.

    Raises:
        DataError: for a file that holds no estimates.
        SettingsError: for a value that is no number, or a file that does not exist.

    Example:
        >>> starting_values("cmax=2e4,sigma=0.5")
        {'cmax': 20000.0, 'sigma': 0.5}
    """
    if given is None:
        return None
    if "=" not in given or Path(given).exists():
        from cellkinetics.fitting.interchange.estimates import read_estimates

        if not Path(given).exists():
            raise SettingsError(f"--start {given}: there is no such file; give one, or NAME=VALUE,... such as cmax=2e4")
        return read_estimates(given)
    values: dict[str, float] = {}
    for part in given.split(","):
        name, _, text = (word.strip() for word in part.partition("="))
        try:
            values[name] = float(text)
        except ValueError:
            raise SettingsError(
                f"--start {given}: write NAME=VALUE,... such as cmax=2e4,sigma=0.5, or a file"
            ) from None
    return values


def structure_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a population model consists of, as `cellkinetics.pool` takes it.

    Args:
        given: the resolved options of a command, by name.

    Raises:
        DataError: for a table of comedication that is none.
        SettingsError: for comedication, or a rule for missing covariates, that does not exist.
    """
    return {
        "covariates": tuple(given["covariate"] or ()),
        "missing_covariates": checked_missing(given["missing_covariates"]),
        "comedication": comedication_table(given["comedication"]),
        "residual": given["residual"],
        "omega": given["omega"],
        "iov": names_of(given["iov"]),
        "mixture": names_of(given["mixture"]),
    }


def check_covariates(cohort: Cohort, model: str, formulas: list[str] | None) -> tuple[str, ...]:
    """Return the formulas, after refusing those that model or data do not allow.

    Raises:
        SettingsError: for such a formula.
        ModelError: for a parameter that the model does not have.
    """
    if not formulas:
        return ()
    from cellkinetics.fitting.covariates import parse_terms
    from cellkinetics.models.registry import get_model

    parse_terms(formulas, get_model(model), cohort)
    return tuple(formulas)


def checked_missing(given: str) -> str:
    """Return ``--missing-covariates``.

    Raises:
        SettingsError: for a rule that does not exist.
    """
    from cellkinetics.fitting.covariates import check_missing

    check_missing(given)
    return given


def checked_uncertainty(given: str) -> str:
    """Return ``--uncertainty``.

    Raises:
        SettingsError: for a name that does not exist.
    """
    from cellkinetics.fitting.pooled.summary import UNCERTAINTIES

    if given not in UNCERTAINTIES:
        raise SettingsError(f"--uncertainty {given} does not exist; choose one of {', '.join(UNCERTAINTIES)}")
    return given
