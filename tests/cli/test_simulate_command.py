"""`cellkinetics simulate`."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest


def test_what_is_simulated_can_be_checked_and_repeats(cli: Callable) -> None:
    options = ["--subjects", "12", "--days", "sparse", "--days", "early=1-3", "--lloq", "50", "--doses", "150,300"]
    options += ["--dropout", "exponential:0.01", "--jitter", "0.2", "--seed", "5"]
    one = cli("simulate", "stein2019", *options, "--out", "one")
    two = cli("simulate", "stein2019", *options, "--out", "two")
    assert one.code == two.code == 0
    assert "1 trial of 12 patients of stein2019" in one.out
    samples = pd.read_csv(one.folder / "simulated.csv")
    assert list(samples.columns) == [
        *("subject", "time", "nominal_time", "value", "censored", "lloq", "unit", "dose", "schedule")
    ]
    assert samples["schedule"].unique().tolist() == ["sparse", "early"]
    for name in ("simulated.csv", "simulated_patients.csv", "simulated_parameters.csv"):
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()
    assert set(json.loads((one.folder / "manifest.json").read_text())["outputs"]) == {
        *("simulated.csv", "simulated_patients.csv", "simulated_parameters.csv")
    }
    checked = cli("check", one.folder / "simulated.csv", "--out", "checked")
    assert checked.code == 0
    assert "no faults" in checked.out


def test_covariates_and_comedication_come_from_tables(cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text("subject,weight,sex\na,60,f\nb,80,m\n")
    done = cli(
        "simulate", "stein2019-comedication", "--subjects", "6", "--days", "7,14", "--patients", "who.csv",
        "--comedication", "toci=2-60", "--out", "o",
    )  # fmt: skip
    assert done.code == 0, done.err
    table = pd.read_csv(done.folder / "simulated_patients.csv")
    assert set(table["weight"]) <= {60, 80}
    assert "sex" in table.columns


def test_options_may_stand_in_a_settings_file(cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "trial.toml").write_text(
        'subjects = 6\ndoses = [150, 300]\nlloq = 50\n[days]\nearly = [1, 3]\nlate = "28-30"\n'
        '[comedication]\ntoci = "2-60"\n'
    )
    done = cli("simulate", "stein2019-comedication", "--settings", "trial.toml", "--out", "o")
    assert done.code == 0, done.err
    samples = pd.read_csv(done.folder / "simulated.csv")
    assert samples.groupby("schedule")["nominal_time"].unique().map(list).to_dict() == {
        "early": [1, 3],
        "late": [28, 29, 30],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere2019"], "no published model 'nowhere2019'"),
        (["missing.json"], "there is no missing.json"),
        (["stein2019", "--days", "often"], "--days often"),
        (["stein2019", "--days", "sparse", "--days", "sparse"], "name of its own"),
        (["stein2019", "--dropout", "often"], "--dropout often: write exponential:RATE"),
        (["stein2019", "--doses", "high"], "--doses high"),
        (["stein2019", "--comedication", "toci=5"], "NAME=FROM-TO"),
        (["stein2019", "--patients", "missing.csv"], "--patients missing.csv"),
        (["stein2019", "--uncertainty"], "uncertainty of the population parameters of stein2019 is not known"),
        (["stein2019", "--format", "xml"], "format 'xml' does not exist"),
        (["ogasawara2021"], "does not say cmax"),
    ],
)
def test_what_cannot_be_simulated_is_refused(cli: Callable, arguments: list[str], message: str) -> None:
    done = cli("simulate", *arguments, "--subjects", "3", "--out", "o")
    assert done.code == 2
    assert message in done.err
