"""The files of a results folder, read back: what a report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cellkinetics.errors import OutputError
from cellkinetics.report.recorded import checked_manifest, checked_population

_TEXT = (
    "subject",
    "analyte",
    "occasion",
    "specimen",
    "group",
    "status",
    "reason",
    "reason_code",
    "unit",
    "parameter",
    "role",
    "interval",
    "rule",
    "start_point",
    "end_point",
    "areas",
    "model",
    "kind",
    "transform",
    "column",
    "code",
    "effect",
    "message",
    "action",
    "quantity",
    "check",
    "stratum",
    "beside",
    "term",
    "direction",
    "outcome",
    "statistic",
    "phase",
    "most_moved",
    "uncertainty",
)

TABLES = {
    "samples": ("subject", "analyte", "occasion", "group", "time", "value", "censored", "lloq", "status", "reason"),
    "check": ("row", "subject", "column", "effect", "message", "action"),
    "nca": ("subject", "analyte", "parameter", "value", "unit", "status", "reason"),
    "nca_wide": ("subject", "analyte"),
    "nca_summary": ("parameter",),
    "nca_points": ("subject", "analyte", "time", "value", "role", "used"),
    "nca_intervals": ("subject", "analyte", "interval", "start", "end", "rule", "area", "areas"),
    "individual": ("subject", "analyte", "occasion", "parameter", "estimate", "status", "reason"),
    "individual_curves": ("subject", "analyte", "occasion", "time", "predicted"),
    "individual_profiles": ("subject", "analyte", "occasion", "parameter", "value", "delta", "rise"),
    "individual_models": ("subject", "analyte", "occasion", "model", "weight", "chosen"),
    "individual_residuals": ("subject", "analyte", "occasion", "time", "outlier"),
    "individual_nca": ("subject", "analyte", "occasion", "quantity", "fitted", "nca", "ratio", "status"),
    "population": ("parameter", "estimate"),
    "individual_effects": ("subject", "parameter", "ebe"),
    "population_curves": ("subject", "analyte", "occasion", "time", "predicted"),
    "bootstrap": ("parameter", "estimate", "bias", "se", "ci_low", "ci_high", "bca_low", "bca_high", "uncertainty"),
    "bootstrap_replicates": ("replicate", "status", "parameter", "estimate", "reason"),
    "population_models": ("model", "n_parameters", "minus2ll", "mc_se", "bicc", "delta", "delta_se", "undecided"),
    "covariate_search": ("step", "direction", "term", "delta", "delta_se", "threshold", "outcome", "undecided"),
    "covariate_models": ("model", "minus2ll", "bicc", "delta_bicc", "chosen"),
    "vpc": ("check", "stratum", "bin", "time", "percentile", "observed", "low", "median", "high", "outside"),
    "npde": ("subject", "time", "typical", "npde", "drawn"),
    "population_residuals": ("subject", "time", "value", "censored", "typical", "predicted", "iwres_conditional"),
    "population_effects": ("kind", "parameter", "beside", "statistic", "value", "p"),
    "population_contributions": ("subject", "n", "minus2ll", "effective_draws", "distance", "influence", "moved_by"),
    "population_profiles": ("parameter", "value", "mc_se", "delta", "low", "high", "reason"),
    "population_trace": ("iteration", "phase", "parameter", "value"),
}
"""Tables of a results folder, and the columns that the report cannot do without."""

_INPUTS = ("samples", "check")
_WITHOUT_PAGE = {
    "forecast": (
        "forecasts",
        "forecast.png, and as tables forecast.csv, forecast_quantities.csv and forecast_below.csv",
    ),
    "simulate": ("simulated trials", "the tables simulated, simulated_patients and simulated_parameters"),
    "export": ("exports", "the files for the other program"),
}
"""Commands whose results have no section in a report, what these are, and where they stand."""


@dataclass(frozen=True, eq=False)
class Results:
    """What is in a results folder; what is not there is None.

    Attributes:
        tables: name of a file (without ``.csv``) to its content.
        population: content of ``population.json``, or an empty mapping.
        manifest: content of ``manifest.json``, or an empty mapping.
        problems: one sentence for each file that is there but cannot be used.
    """

    path: Path
    tables: Mapping[str, pd.DataFrame]
    population: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> pd.DataFrame | None:
        return self.tables.get(name)

    @property
    def time_unit(self) -> str:
        """Unit of time, by the manifest."""
        return str(self.manifest.get("cohort", {}).get("time_unit", "day"))

    @property
    def stages(self) -> dict[str, Mapping[str, Any]]:
        """The steps of all commands on this folder by name, each as it ended last."""
        entries = [*self.manifest.get("earlier", []), self.manifest]
        return {stage["name"]: stage for entry in entries for stage in entry.get("stages", [])}

    @property
    def nca_options(self) -> Mapping[str, Any]:
        """Options of the noncompartmental analysis, by the manifest; empty where they are not known."""
        for entry in [self.manifest, *reversed(self.manifest.get("earlier", []))]:
            options: Mapping[str, Any] | None = entry.get("options", {}).get("nca_options")
            if options:
                return options
        return {}

    def value_unit(self, series: str) -> str:
        """Unit of the values of an analyte and specimen, by the manifest; empty where it is not known."""
        units = self.manifest.get("cohort", {}).get("value_unit", {})
        return str(units.get(series, ""))


def read_results(path: str | Path) -> Results:
    """Read whatever a results folder holds.

    Raises:
        OutputError: if there is no such folder, or it holds none of our files, results of several files, or only
            results that a report does not show.
    """
    path = Path(path)
    if not path.is_dir():
        raise OutputError(f"there is no folder {path}; give a folder that a command wrote, such as results/demo")
    tables, problems = {}, []
    for name, needed in TABLES.items():
        file = path / f"{name}.csv"
        if not file.exists():
            if file.with_suffix(".parquet").exists():
                problems.append(f"{name}.parquet is not shown: a report is made of CSV tables (--format csv).")
            continue
        try:
            table = _read_table(file)
        except (OSError, ValueError) as error:
            problems.append(f"{file.name} cannot be read: {error}")
            continue
        if "file" in table:
            raise OutputError(
                f"{path} holds results of several files, and a report is made of one: "
                "analyse that file into a folder of its own"
            )
        missing = [column for column in needed if column not in table]
        if missing:
            problems.append(f"{file.name} has no column {', '.join(missing)}, so it is left out.")
        else:
            tables[name] = table
    population, of_population = checked_population(path)
    manifest, of_manifest = checked_manifest(path)
    problems += [*of_population, *of_manifest]
    results = any(name not in _INPUTS for name in tables) or bool(population)
    for command, (shown, files) in _WITHOUT_PAGE.items():
        if not results and manifest.get("command") == command:
            raise OutputError(f"a report does not show {shown}; the results in {path} are {files}")
    if not (tables or population or manifest):
        raise OutputError(
            f"{path} holds no results of cellkinetics; give a folder that a command wrote, such as results/demo"
        )
    return Results(path=path, tables=tables, population=population, manifest=manifest, problems=tuple(problems))


def _read_table(file: Path) -> pd.DataFrame:
    """Read a CSV so that names stay text (a patient 001 keeps its zeros, a patient NA stays a patient).

    Files of versions that knew no specimen get an empty one.
    """
    header = pd.read_csv(file, nrows=0)
    text = [column for column in header.columns if column in _TEXT]
    table = pd.read_csv(file, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])
    table = table.fillna(dict.fromkeys(text, ""))
    return table.assign(specimen="") if "analyte" in table and "specimen" not in table else table
