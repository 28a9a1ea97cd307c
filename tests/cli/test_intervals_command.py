"""`cellkinetics nca --intervals`: its file, its record, and that none is left without it."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    path = tmp_path / "trial.csv"
    rows = [f"P1,{day},{value},50" for day, value in ((0, "<50"), (7, 900), (14, 400), (21, 200), (28, 100))]
    path.write_text("\n".join(["subject,time,value,lloq", *rows]) + "\n")
    return path


def test_the_areas_of_the_table_are_the_sums_of_the_file(cli: Callable, trial: Path) -> None:
    done = cli("nca", trial, "--intervals", "--windows", "0-28,10-40")
    assert done.code == 0, done.err
    rows = pd.read_csv(done.folder / "nca_intervals.csv")
    wide = pd.read_csv(done.folder / "nca_wide.csv").iloc[0]
    for name in ("AUCLST", "AUCALL", "AUCIFO", "AUCIFP", "AUCINT_0_28", "AUCINT_10_40"):
        here = [name in areas.split(";") for areas in rows["areas"]]
        assert rows.loc[here, "area"].sum() == pytest.approx(wide[name], rel=1e-12)
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["options"]["intervals"] is True
    assert "nca_intervals.csv" in manifest["outputs"]


def test_settings_can_ask_for_them_and_none_is_left_without(cli: Callable, trial: Path, tmp_path: Path) -> None:
    settings = tmp_path / "analysis.toml"
    settings.write_text("intervals = true\n")
    folder = cli("nca", trial, "--settings", settings).folder
    assert (folder / "nca_intervals.csv").exists()
    assert cli("nca", trial, "--force").code == 0
    assert not (folder / "nca_intervals.csv").exists()
