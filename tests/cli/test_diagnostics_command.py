"""Diagnostics of a population fit from the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.cli.diagnostics import FILES
from cellkinetics.models.published import library

DAYS = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84, 180]


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trial, and one fit of it for all commands: the search is not what is looked at here."""
    path = tmp_path / "trial.csv"
    library["stein2019"].simulate(12, DAYS, lloq=50, seed=5).samples.to_csv(path, index=False)
    fit = ck.pool(ck.read(path), method="focei", seed=1)
    monkeypatch.setattr("cellkinetics.fitting.pooled.estimation.pool", lambda *_a, **_k: fit)
    return path


def test_diagnostics_are_written_when_asked_for_and_shown_in_the_report(cli: Callable, trial: Path) -> None:
    plain = cli("pool", trial, "--out", "plain")
    assert plain.code == 0, plain.err
    assert "add --diagnostics" in plain.out.splitlines()[-1]
    assert not (plain.folder / "vpc.csv").exists()
    done = cli("pool", trial, "--diagnostics", "--simulations", "120", "--out", "checked")
    assert done.code == 0, done.err
    written = [name for name in FILES if name != "population_trace.csv"]
    assert all((done.folder / name).exists() for name in written)
    assert "npde mean" in done.out
    content = json.loads((done.folder / "manifest.json").read_text())
    assert (content["options"]["diagnostics"], content["options"]["simulations"]) == (True, 120)
    assert "diagnostics" in [stage["name"] for stage in content["stages"]]
    errors = pd.read_csv(done.folder / "npde.csv")
    assert len(errors) == 144
    again = cli("pool", trial, "--diagnostics", "--simulations", "120", "--out", "again")
    assert all((again.folder / name).read_bytes() == (done.folder / name).read_bytes() for name in written)
    assert cli("report", done.folder).code == 0
    assert 'id="diagnostics"' in (done.folder / "report.html").read_text(encoding="utf-8")


def test_too_few_simulations_are_refused_before_anything_is_read(cli: Callable, tmp_path: Path) -> None:
    table = tmp_path / "trial.csv"
    table.write_text("subject,time,value\nA,1,100\n")
    done = cli("pool", table, "--diagnostics", "--simulations", "20", "--out", "few")
    assert done.code == 2
    assert "at least 100" in done.err
    assert not (done.folder / "samples.csv").exists()
