"""Commands that fit populations refuse faulty options and data before they fit, and say what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellkinetics.cli.structure_options import starting_values
from cellkinetics.errors import SettingsError
from cellkinetics.models.published import library

DAYS = [1, 4, 8, 10, 14, 28, 56, 120]
START = ",".join(f"{name}={value}" for name, value in library["stein2019"].typical.items())


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    samples = library["stein2019"].simulate(5, DAYS, lloq=50, seed=4).samples
    path = tmp_path / "trial.csv"
    place = pd.factorize(samples["subject"])[0]
    samples.assign(WT=60.0 + 5 * place, AGE=np.arange(len(samples))).to_csv(path, index=False)
    return path


def test_times_in_hours_are_a_warning_on_the_screen_and_of_the_fit(cli: Callable, trial: Path) -> None:
    table = pd.read_csv(trial)
    table["time"] *= 24
    table.drop(columns="nominal_time", errors="ignore").to_csv(trial, index=False)
    done = cli("pool", trial, "--method", "naive", "--start", START)
    assert "warning: column time: the times are taken as days, and look like hours" in done.out + done.err
    warnings = json.loads((done.folder / "population.json").read_text())["warnings"]
    assert any("look like hours" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--profile", "foo"], "the fit has no parameter 'foo'"),
        (["--profile", "foldx", "--fix", "foldx=3900"], "foldx is fixed, so it has no profile"),
        (["--missing-covariates", "x"], "'x' is no rule"),
        (["--covariate", "cmax ~ AGE"], "AGE varies within patient V1, so it is no covariate"),
        (["--start", "nofile.csv"], "--start nofile.csv: there is no such file"),
    ],
)
def test_pool_refuses_before_it_fits(
    cli: Callable, trial: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setattr("cellkinetics.cli.pool.write_population", lambda *_: pytest.fail("a fit was started"))
    done = cli("pool", trial, *options)
    assert done.code == 2
    assert message in done.err


def test_only_an_sd_of_random_effects_may_be_fixed_to_zero(cli: Callable, trial: Path) -> None:
    done = cli("pool", trial, "--fix", "sigma=0")
    assert done.code == 2
    assert "sigma is fixed to 0; give a positive number" in done.err
    assert "random effect" not in done.err


@pytest.mark.parametrize("command", ["compare", "covariates"])
def test_help_offers_only_methods_that_models_are_compared_by(cli: Callable, command: str) -> None:
    text = cli(command, "--help").out
    assert "saem or importance" in text
    assert "two-stage" not in text


def test_a_file_to_start_from_must_exist() -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        starting_values("nowhere/run1.ext")


def test_a_search_that_did_not_converge_is_a_warning(
    cli: Callable, trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from cellkinetics.fitting.pooled import estimation

    whole = estimation.pool

    def unfinished(*arguments: object, **options: object) -> object:
        return replace(whole(*arguments, **options), converged=False, status="not converged: the end")

    monkeypatch.setattr(estimation, "pool", unfinished)
    done = cli("pool", trial, "--method", "naive", "--start", START)
    assert done.code == 0
    assert "warning: pool: not converged: the end" in done.out + done.err


def test_an_export_from_a_fit_of_other_patients_says_so(cli: Callable, trial: Path, tmp_path: Path) -> None:
    assert cli("pool", trial, "--method", "focei", "--start", START, "--out", "fit").code == 0
    own = cli("export", trial, "--to", "nonmem", "--from", "fit", "--out", "own")
    assert own.code == 0, own.err
    assert "these are not the patients" not in own.out + own.err
    other = tmp_path / "other.csv"
    other.write_text(trial.read_text().replace("V", "W"))
    done = cli("export", other, "--to", "nonmem", "--from", "fit", "--out", "there")
    assert done.code == 0, done.err
    assert "these are not the patients of fit" in done.out + done.err
    (tmp_path / "fit" / "individual_effects.csv").unlink()
    first = pd.read_csv(trial)
    first[first["subject"] != "V1"].to_csv(other, index=False)
    done = cli("export", other, "--to", "nonmem", "--from", "fit", "--out", "there", "--force")
    assert "these are not the patients of fit" in done.out + done.err


def test_forecasts_take_enough_draws(cli: Callable, trial: Path) -> None:
    done = cli("forecast", "stein2019", trial, "--draws", "5", "--out", "o")
    assert done.code == 2
    assert "--draws 5 is too few for 95 % intervals; give at least 100" in done.err


def test_a_table_of_samples_is_no_table_of_patients(cli: Callable, trial: Path) -> None:
    done = cli("simulate", "stein2019", "--patients", trial, "--subjects", "3", "--out", "o")
    assert done.code == 2
    assert "patients: subject V1 has 8 rows; give a table with one row a patient" in done.err


def test_a_limit_of_zero_is_refused_by_its_name(cli: Callable) -> None:
    done = cli("simulate", "stein2019", "--lloq", "0", "--subjects", "3", "--out", "o")
    assert done.code == 2
    assert "lloq is 0; give a positive number, or leave lloq out" in done.err
