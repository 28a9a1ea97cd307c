"""Virtual trials in files: the same bytes however they are cut, and the numbers of the tables."""

from pathlib import Path

import pandas as pd
import pytest

from cellkinetics.engines import Crew
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.known import KnownPopulation, know
from cellkinetics.fitting.virtual.design import TrialDesign
from cellkinetics.fitting.virtual.leaving import Leaving
from cellkinetics.fitting.virtual.trial import Trials
from cellkinetics.models.base import Model, Parameter
from cellkinetics.report import trial_files
from cellkinetics.report.output import OutputFolder
from cellkinetics.report.trial_files import write_trials


@pytest.fixture(scope="module")
def trials() -> Trials:
    design = TrialDesign(
        {"few": (7.0, 14.5), "more": (1.0, 28.0, 84.0)},
        lloq=50.0,
        jitter=0.2,
        missed=0.1,
        dropout=Leaving("exponential", (0.01,)),
        doses=(150.0, 300.0),
        patients={"site": ["a, b", 'the "c"'], "weight": [70.0, float("nan")]},  # type: ignore[dict-item]
    )
    return Trials(know("stein2019"), design, 1100, replicates=2, seed=4)


def written(trials: Trials, path: Path, **options: object) -> OutputFolder:
    folder = OutputFolder.create(path)
    write_trials(trials, folder, **options)  # type: ignore[arg-type]
    return folder


def test_files_hold_the_numbers_of_the_tables(trials: Trials, tmp_path: Path) -> None:
    folder = written(trials, tmp_path)
    blocks = [block for trial in range(2) for block in trials.blocks(trial)]
    for name, table in (
        ("simulated", trials.rows.samples(blocks)),
        ("simulated_patients", trials.rows.patients(blocks)),
    ):
        read = pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])
        text = table.select_dtypes(exclude="number").columns
        pd.testing.assert_frame_equal(read.fillna(dict.fromkeys(text, "")), table, check_dtype=False, check_exact=True)


def test_the_same_bytes_come_out_however_the_work_is_cut(
    trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(trials, tmp_path / "whole")
    monkeypatch.setattr(trial_files, "PIECE_BLOCKS", 1)
    assert len(trial_files.pieces_of(trials)) == 6
    assert written(trials, tmp_path / "cut").written == whole.written
    assert not list((tmp_path / "cut").glob(".cellkinetics-*"))


def test_parquet_holds_what_csv_holds(trials: Trials, tmp_path: Path) -> None:
    one = written(trials, tmp_path / "csv")
    two = written(trials, tmp_path / "parquet", format_name="parquet")
    samples = pd.read_parquet(two / "simulated.parquet")
    assert samples["value"].tolist() == pd.read_csv(one / "simulated.csv")["value"].tolist()


def test_a_model_of_ones_own_is_refused_in_several_processes(tmp_path: Path) -> None:
    own = Model("own", "", (Parameter("c0", "log", "value", 1e-3, 1e9, ""),), lambda theta, t: theta[0] + 0 * t)
    known = KnownPopulation.given(own, {"c0": 5.0}, {"c0": 0.3}, 0.1, "own")
    with pytest.raises(SettingsError, match="own is a model of your own"):
        written(Trials(known, TrialDesign({"d": (7.0,)}), 3), tmp_path, crew=Crew(jobs=2))
