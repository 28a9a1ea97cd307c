"""`cellkinetics forecast`."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.fitting.pooled.forecast import BELOW_COLUMNS, FORECAST_COLUMNS
from cellkinetics.fitting.pooled.individuals import QUANTITY_COLUMNS


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new.csv"
    ck.simulate_trial("stein2019", 3, [3, 7, 10, 14, 28, 84], lloq=50, seed=2).samples.to_csv(path, index=False)
    return path


def test_new_patients_are_forecast(cli: Callable, new: Path) -> None:
    done = cli("forecast", "stein2019", new, "--times", "28,84,180", "--below", "50,500", "--until", "28", "--out", "o")
    assert done.code == 0, done.err
    assert "forecast: 3 patients" in done.out
    table = pd.read_csv(done.folder / "forecast.csv")
    assert list(table.columns) == list(FORECAST_COLUMNS)
    assert len(table) == 9
    assert list(pd.read_csv(done.folder / "forecast_below.csv").columns) == list(BELOW_COLUMNS)
    assert list(pd.read_csv(done.folder / "forecast_quantities.csv").columns) == list(QUANTITY_COLUMNS)
    assert (done.folder / "forecast.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no published model 'nowhere'"),
        (["stein2019", "--times", "late"], "--times late"),
        (["stein2019", "--below", "low"], "--below low"),
    ],
)
def test_what_cannot_be_forecast_is_refused(cli: Callable, new: Path, arguments: list[str], message: str) -> None:
    done = cli("forecast", arguments[0], new, *arguments[1:], "--out", "o")
    assert done.code == 2
    assert message in done.err


def test_what_was_done_to_comedication_is_on_the_screen(cli: Callable, new: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.csv"
    given.write_text("subject,drug,start,end\nV1,toci,4,8\nV1,toci,6,9\n")
    options = ["--comedication", given, "--times", "28", "--draws", "100", "--out", "o"]
    done = cli("forecast", "stein2019-comedication", new, *options)
    assert done.code == 0, done.err
    assert "intervals of comedication that overlap or touch were joined: V1 (toci)" in " ".join(done.out.split())
