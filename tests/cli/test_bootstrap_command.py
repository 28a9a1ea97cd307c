"""`cellkinetics bootstrap` writes its tables, goes on where it was interrupted, and refuses what is not the same."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cellkinetics.fitting.replicates import Replicates
from cellkinetics.models.published import library

QUICK = ("--method", "naive", "--seed", "3")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "trial.csv"
    library["stein2019"].simulate(8, [1, 5, 9, 14, 28, 84], lloq=50, seed=1).samples.to_csv(path, index=False)
    return path


def test_an_interrupted_bootstrap_is_resumed_with_the_same_bytes(
    cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cli("bootstrap", table, *QUICK, "--replicates", "4", "--out", "whole")
    assert whole.code == 0, whole.err
    assert "4 of 4 replicates converged" in whole.out
    assert list(pd.read_csv(whole.folder / "bootstrap.csv")["parameter"])[:2] == ["cmax", "tmax"]

    run = Replicates.run

    def stop(self: Replicates, work: object, tasks: list, **others: object) -> None:
        run(self, work, tasks[:2], **others)
        raise KeyboardInterrupt

    monkeypatch.setattr(Replicates, "run", stop)
    stopped = cli("bootstrap", table, *QUICK, "--replicates", "4", "--out", "o")
    monkeypatch.setattr(Replicates, "run", run)
    assert stopped.code == 130
    assert "2 of 4 replicates are done; --resume goes on from there" in stopped.err
    again = cli("bootstrap", table, *QUICK, "--replicates", "4", "--out", "o")
    assert again.code == 2
    assert "go on with --resume" in again.err
    resumed = cli("bootstrap", table, *QUICK, "--replicates", "4", "--out", "o", "--resume")
    assert resumed.code == 0, resumed.err
    assert "2 of 4 replicates were done before" in resumed.out
    for name in ("bootstrap.csv", "bootstrap_replicates.csv"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    other = cli("bootstrap", table, *QUICK, "--replicates", "4", "--out", "o", "--resume", "--kind", "parametric")
    assert other.code == 2
    assert "kind was nonparametric, is parametric" in other.err
    assert (resumed.folder / "bootstrap.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "wild"], "'wild' does not exist"),
        (["--strata", "centre"], "strata 'centre'"),
        (["--jobs", "0"], "1"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(cli: Callable, table: Path, options: list, message: str) -> None:
    done = cli("bootstrap", table, *QUICK, "--replicates", "2", *options, "--out", "o")
    assert done.code == 2
    assert message in done.err
