"""`cellkinetics export` writes what another program runs, and `pool --start` takes its estimates."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

from cellkinetics.models.published import library

START = ",".join(f"{name}={value}" for name, value in library["stein2019"].typical.items())


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    simulated = library["stein2019"].simulate(5, [1, 4, 8, 10, 14, 28, 56, 120], lloq=50, seed=4)
    path = tmp_path / "trial.csv"
    simulated.samples.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(("program", "model_file"), [("nonmem", "run1.ctl"), ("nlmixr2", "run1.R")])
def test_export_writes_model_data_and_what_reads_it_back(
    cli: Callable[..., Outcome], trial: Path, program: str, model_file: str
) -> None:
    done = cli("export", trial, "--to", program, "--start", START, "--omega", "cmax,foldx", "--out", "there")
    assert done.code == 0, done.err
    written = {path.name for path in done.folder.iterdir()}
    names = {model_file, "data.csv", "layout.json", "README.txt", "samples.csv", "check.csv", "manifest.json"}
    assert written == names | {"subjects.csv"}
    assert "eta.cmax + eta.foldx" in (done.folder / model_file).read_text() or program == "nonmem"
    layout = json.loads((done.folder / "layout.json").read_text())
    assert layout["program"] == program
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["options"]["to"] == program


def test_faulty_options_are_refused_with_a_sentence(cli: Callable[..., Outcome], trial: Path, tmp_path: Path) -> None:
    def refused(*words: str | Path) -> str:
        done = cli("export", trial, *words, "--out", "there", "--force")
        assert done.code == 2
        return done.err + done.out

    assert "no such program" in refused("--to", "monolix")
    assert "a fit is exported as it is" in refused("--to", "nonmem", "--from", tmp_path, "--omega", "full")
    assert "write NAME=VALUE" in refused("--to", "nonmem", "--start", "cmax=many")
    assert "kimmel" in refused("--to", "nonmem", "--model", "kimmel")
    assert "give the folder of a population fit" in refused("--to", "nonmem", "--from", tmp_path)
