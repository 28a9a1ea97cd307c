"""`fit` with a prior, with several models, and what it refuses before anything is read."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

ROWS = [(3, 180), (5, 1100), (8, 9000), (11, 4500), (14, 3000), (21, 900), (28, 360), (60, 150), (120, 100)]


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    lines = ["subject,time,value,lloq"]
    lines += [f"A,{time},{value},50" for time, value in ROWS] + ["B,7,BLQ,50", "B,14,BLQ,50"]
    path = tmp_path / "trial.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_prior_from_the_library_gives_every_patient_an_estimate(cli: Callable, trial: Path) -> None:
    done = cli("fit", trial, "--prior", "stein2019")
    assert done.code == 0, done.err
    table = rows(done.folder / "individual.csv")
    cmax = {row["subject"]: row for row in table if row["parameter"] == "cmax"}
    assert all(float(row["estimate"]) > 0 and float(row["sd_ratio"]) > 0 for row in cmax.values())
    assert {row["subject"] for row in rows(done.folder / "individual_residuals.csv")} == {"A", "B"}
    assert {row["quantity"] for row in rows(done.folder / "individual_nca.csv")} >= {"CMAX", "AUCLST"}
    assert not (done.folder / "individual_models.csv").exists()
    options = json.loads((done.folder / "manifest.json").read_text())["options"]
    assert (options["prior"], options["residual"]) == ("stein2019", "log-constant")


def test_several_models_are_ranked_in_a_file(cli: Callable, trial: Path) -> None:
    done = cli("fit", trial, "--model", "ecp,ecp-persistence")
    assert done.code == 0, done.err
    ranking = rows(done.folder / "individual_models.csv")
    assert sorted(row["subject"] for row in ranking if row["chosen"] == "True") == ["A", "B"]
    assert len(ranking) == 4
    assert all(row["reason"] for row in ranking if row["subject"] == "B")
    known = {row["subject"]: row for row in rows(done.folder / "individual_identifiability.csv")}
    chosen = next(row["model"] for row in ranking if row["subject"] == "A" and row["chosen"] == "True")
    assert (known["A"]["model"], known["A"]["tmax"]) == (chosen, "ok")
    assert (known["A"]["beta"] == "") == (chosen == "ecp-persistence")
    assert known["B"]["cmax"] == "no_quantified_sample"
    assert "1 of 2" in next(line for line in done.out.splitlines() if line.strip().startswith("tmax"))


def test_profiles_are_written_where_their_intervals_are_asked_for(cli: Callable, trial: Path) -> None:
    done = cli("fit", trial, "--intervals", "profile")
    assert done.code == 0, done.err
    alpha = [row for row in rows(done.folder / "individual_profiles.csv") if row["parameter"] == "alpha"]
    assert {row["subject"] for row in alpha} == {"A"}
    assert max(float(row["delta"]) for row in alpha) > 0.9 * float(alpha[0]["rise"])
    assert any(row["profile_low"] for row in rows(done.folder / "individual.csv"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prior", "stein2020"], "stein2019"),
        (["--prior", "stein2019", "--model", "ecp,ecp-persistence"], "one --model"),
        (["--prior", "stein2019", "--model", "ecp+lag"], "--flat tlag"),
        (["--prior", "stein2019", "--intervals", "profile"], "Laplace"),
        (["--prior", "absent.json"], "can be read"),
        (["--flat", "cmax"], "give the prior as well"),
        (["--estimate-sigma"], "--prior"),
        (["--residual", "normal"], "log-constant"),
        (["--model", ","], "--model is empty"),
        (["--intervals", "bayes"], "wald or profile"),
    ],
)
def test_what_no_data_could_make_right_is_refused(cli: Callable, trial: Path, options: list[str], message: str) -> None:
    done = cli("fit", trial, *options)
    assert done.code == 2
    assert message in " ".join(done.err.split())
    assert not (done.folder / "individual.csv").exists()
