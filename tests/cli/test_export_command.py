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


def test_pool_starts_from_the_estimates_of_another_program(
    cli: Callable[..., Outcome], trial: Path, tmp_path: Path
) -> None:
    exported = cli("export", trial, "--to", "nonmem", "--start", START, "--out", "there").folder
    columns = [f"THETA{k}" for k in range(1, 8)] + ["SIGMA(1,1)"]
    columns += [f"OMEGA({i},{j})" for i in range(1, 7) for j in range(1, i + 1)]
    thetas = [10.0, 2.2, 8.1, -1.8, -4.6, -5.6, 0.6]
    numbers = [*thetas, 1.0, *(0.25 if i == j else 0.0 for i in range(1, 7) for j in range(1, i + 1))]
    (exported / "run1.ext").write_text(
        "TABLE NO.     1: SAEM\n ITERATION    " + " ".join([*columns, "SAEMOBJ"]) + "\n"
        f" -1000000000 {' '.join(map(str, [*numbers, 500.0]))}\n"
    )
    done = cli("pool", trial, "--method", "naive", "--start", exported / "run1.ext", "--out", "fit")
    assert done.code == 0, done.err
    assert json.loads((done.folder / "manifest.json").read_text())["options"]["start"].endswith("run1.ext")


def test_options_of_bayes_are_refused_with_another_method(cli: Callable[..., Outcome], trial: Path) -> None:
    for words in (("--draws", "900"), ("--prior", "cmax=2e4,0.5")):
        done = cli("pool", trial, "--method", "focei", *words, "--out", "fit")
        assert done.code == 2
        assert f"{words[0]} belongs to --method bayes" in done.err
    done = cli("pool", trial, "--method", "bayes", "--prior", "cmax=many", "--out", "fit")
    assert done.code == 2
    assert "write NAME=VALUE,SD" in done.err


def test_a_random_effect_is_taken_away_and_a_residual_kept(cli: Callable[..., Outcome], trial: Path) -> None:
    given = ("--start", START, "--fix", "omega_beta=0", "--fix", "sigma=0.5", "--out", "there")
    done = cli("export", trial, "--to", "nonmem", *given)
    assert done.code == 0, done.err
    stream = (done.folder / "run1.ctl").read_text()
    assert "BETA = EXP(THETA(6))" in stream
    assert "$THETA (0.5 FIX)" in stream
    done = cli("export", trial, "--to", "nonmem", "--fix", "omega_kmax=0", "--out", "there", "--force")
    assert done.code == 2
    assert "has no parameter 'kmax'" in done.err
