"""docs/files.md names the columns of the tables that are written, in their order."""

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade_fit import population_fit

import cellkinetics as ck
from cellkinetics.cli.diagnostics import FILES, PROFILES
from cellkinetics.data.samples import fault_table, sample_table
from cellkinetics.fitting.pooled.bayes import Posterior
from cellkinetics.fitting.pooled.forecast import BELOW_COLUMNS, FORECAST_COLUMNS
from cellkinetics.fitting.pooled.individuals import QUANTITY_COLUMNS
from cellkinetics.fitting.pooled.result import PopulationEstimate
from cellkinetics.models.published import library

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "files.md").read_text(encoding="utf-8")

KNOWN = ("beta", "omega_beta", "fb", "omega_fb", "foldx", "omega_foldx")


@pytest.fixture(scope="module")
def trial() -> ck.Cohort:
    return ck.read(library["stein2019"].simulate(3, [0, 3, 7, 10, 14, 28, 56, 112], lloq=50, seed=3).samples)


def documented(file: str) -> list[str]:
    """The names in the code spans of a file's paragraph that hold a list of columns, in order."""
    paragraph = re.search(rf"\*\*`{re.escape(file)}`(?:, `[a-z.]+`)?\*\*(.*?)\n\n", PAGE, flags=re.DOTALL)
    assert paragraph, f"{file} is not described"
    lists = [span for span in re.findall(r"`([^`]+)`", paragraph[1]) if "," in span]
    return [name for span in lists for name in re.split(r",\s*", span)]


def test_columns_of_what_was_read_are_documented(trial: ck.Cohort) -> None:
    assert documented("samples.csv") == list(sample_table(trial).columns)
    assert documented("check.csv") == list(fault_table(trial).columns)


def test_columns_of_the_noncompartmental_tables_are_documented(trial: ck.Cohort) -> None:
    result = ck.noncompartmental(trial)
    assert documented("nca.csv") == list(result.table.columns)
    assert documented("nca_intervals.csv") == list(result.intervals.columns)
    assert documented("nca_points.csv") == list(result.points.columns)
    assert ["analyte", "specimen", *documented("nca_summary.csv")] == [
        name for name in result.summary(by="group").columns if name != "group"
    ]
    wide = documented("nca_wide.csv")
    assert wide == list(result.wide.columns)[: len(wide)]


def test_columns_of_the_cdisc_files_are_documented(trial: ck.Cohort, tmp_path: Path) -> None:
    files = ck.write_cdisc(ck.noncompartmental(trial), tmp_path)
    header = {name: path.read_text().split("\n")[0].split(",") for name, path in files.items() if path.suffix == ".csv"}
    for name, columns in header.items():
        assert documented(name) == [column for column in columns if not column.startswith("CRIT")]
    for name in files:
        assert f"`{name}`" in PAGE


def test_columns_of_individual_fits_are_documented(trial: ck.Cohort) -> None:
    fits = ck.fit(trial.take([0]))
    rows = list(dict.fromkeys(fits.table["parameter"]))
    names = documented("individual.csv")
    columns, quantities = names[: len(fits.table.columns)], names[len(fits.table.columns) :]
    assert columns == list(fits.table.columns)
    assert quantities == [
        name for name in rows if name not in {"cmax", "tmax", "foldx", "alpha", "fb", "beta", "sigma"}
    ]
    assert documented("individual_curves.csv") == list(fits.curves.columns)
    wide = documented("individual_identifiability.csv")
    assert wide == list(fits.identifiability.columns)[: len(wide)]
    assert documented("individual_profiles.csv") == list(fits.profiles.columns)
    assert documented("individual_residuals.csv") == list(fits.residuals.columns)
    assert documented("individual_nca.csv") == list(fits.beside_nca.columns)
    assert documented("individual_models.csv") == list(fits.ranking.columns)


def test_columns_of_schedules_are_documented() -> None:
    compared = ck.compare_schedules({"few": [7, 14, 28]}, lloq=50, patients=8)
    found = ck.search_schedule(2, [7, 14, 28], lloq=50, fixed=KNOWN, starts=1, best=1, patients=8)
    tables = {
        "schedules.csv": compared.table,
        "schedule_parameters.csv": compared.parameters,
        "schedule_days.csv": compared.days,
        "schedule_search.csv": found.table,
        "schedule_path.csv": found.steps,
    }
    for name, table in tables.items():
        assert documented(name) == list(table.columns)


def test_columns_of_a_population_fit_are_documented() -> None:
    stein = library["stein2019"]
    row = PopulationEstimate("sigma", "residual", "log", 0.5, "")
    population = population_fit([row], typical=stein.typical, omega_sd=stein.omega_sd, sigma=0.5)
    assert documented("population.csv") == list(population.table.columns)
    assert documented("individual_effects.csv") == list(population.individual.columns)
    assert documented("individual_quantities.csv") == list(QUANTITY_COLUMNS)
    assert documented("population_curves.csv") == list(population.curves.columns)
    assert documented("population_correlation.csv") == list(population.correlations.columns)
    parts = {
        "parameters", "omega", "others", "residual", "uncertainty", "covariance", "population", "covariates",
        "condition_number",
        "objective", "timing", "posterior",
    }  # fmt: skip
    assert set(population.to_dict()) <= set(documented("population.json")) | parts


def test_columns_of_diagnostics_are_documented() -> None:
    for module in ("vpc", "npde", "residuals", "effects", "contributions", "trace"):
        found = importlib.import_module(f"cellkinetics.diagnostics.{module}")
        file = "vpc.csv" if module == "vpc" else "npde.csv" if module == "npde" else f"population_{module}.csv"
        assert documented(file) == list(found.COLUMNS)
        assert file in FILES
    assert documented(PROFILES) == list(importlib.import_module("cellkinetics.diagnostics.profile").COLUMNS)


def test_columns_of_posterior_draws_are_documented() -> None:
    draws = np.zeros((2, 3, 1))
    posterior = Posterior(("cmax",), (0,), draws, draws, np.ones(1), np.ones(1), 0, 1.0)
    assert [*documented("posterior_draws.csv"), "cmax"] == list(posterior.table.columns)


def test_columns_of_exported_data_are_documented() -> None:
    cohort = ck.Cohort.from_arrays(
        [[3.0, 9.0, 28.0]] * 3, [[20.0, 9e3, 90.0]] * 3, lloq=50.0, lower=[[10.0, np.nan, np.nan]] * 3,
        subject=["A", "A", "B"],
    )  # fmt: skip
    cohort = replace(cohort, occasion=("1", "2", "1"), uloq=np.full((3, 3), 1e6))
    start = dict(library["stein2019"].typical)
    files = ck.export(cohort, "nonmem", iov=["cmax"], start=start).files
    assert documented("data.csv")[:12] == files["data.csv"].split("\n")[0].split(",")
    assert documented("layout.json") == list(json.loads(files["layout.json"]))
    assert documented("subjects.csv") == ["ID", "subject"]


def test_columns_of_a_bootstrap_are_documented() -> None:
    from cellkinetics.fitting.pooled import bootstrap

    assert documented("bootstrap.csv") == list(bootstrap.COLUMNS)
    assert documented("bootstrap_replicates.csv") == list(bootstrap.REPLICATE_COLUMNS)


def test_columns_of_model_comparison_and_covariate_search_are_documented() -> None:
    from cellkinetics.fitting import covariate_search, model_comparison

    assert documented("population_models.csv") == list(model_comparison.COLUMNS)
    assert documented("covariate_search.csv") == list(covariate_search.TRACE_COLUMNS)
    assert documented("covariate_models.csv") == list(covariate_search.MODEL_COLUMNS)


def test_columns_of_virtual_trials_are_documented() -> None:
    drawn = ck.simulate_trial("stein2019", 3, [7, 14], lloq=50)
    assert documented("simulated.csv") == list(drawn.samples.columns)
    assert documented("simulated_parameters.csv") == list(drawn.parameters.columns)
    everything = ck.simulate_trial(
        "stein2019",
        3,
        {"a": [7], "b": [14]},
        lloq=50,
        uloq=1e5,
        doses=[150],
        occasions=2,
        replicates=2,
        dropout="exponential:0.01",
    )
    text = PAGE[PAGE.index("## Virtual trials") : PAGE.index("## The record")]
    for column in {*everything.samples.columns, *everything.patients.columns} - {*library["stein2019"].model.names}:
        assert re.search(rf"`[^`]*\b{column}\b[^`]*`", text), column


def test_columns_of_forecasts_are_documented() -> None:
    assert documented("forecast.csv") == list(FORECAST_COLUMNS)
    assert documented("forecast_below.csv") == list(BELOW_COLUMNS)
