"""`cellkinetics nca --cdisc`: its files, its record, and what it refuses before anything is computed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cellkinetics.report.cdisc.files import CDISC_FILES

ROWS = ["P01,DL1,qPCR,0,BLQ", "P01,DL1,qPCR,7,9000", "P01,DL1,qPCR,14,3000", "P01,DL1,qPCR,28,300"]


def write(path: Path, rows: list[str] = ROWS, head: str = "subject,group,analyte,time,value") -> Path:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    return write(tmp_path / "trial.csv")


def test_the_files_are_written_and_recorded_and_repeat(cli: Callable, trial: Path) -> None:
    first = cli("nca", trial, "--cdisc", "--study", "CK-001", "--out", "one")
    assert first.code == 0, first.err
    assert "STUDYID" not in first.err
    second = cli("nca", trial, "--cdisc", "--study", "CK-001", "--out", "two")
    outputs = [json.loads((done.folder / "manifest.json").read_text())["outputs"] for done in (first, second)]
    assert set(CDISC_FILES) < set(outputs[0])
    assert outputs[0] == outputs[1]
    pp = pd.read_csv(first.folder / "pp.csv")
    by_sas = pd.read_sas(first.folder / "pp.xpt", format="xport", encoding="ascii")
    assert set(pp["STUDYID"]) == set(by_sas["STUDYID"]) == {"CK-001"}
    assert by_sas["PPTESTCD"].tolist() == pp["PPTESTCD"].tolist()
    assert json.loads((first.folder / "manifest.json").read_text())["options"]["study"] == "CK-001"


def test_without_cdisc_none_of_its_files_is_written_or_left(cli: Callable, trial: Path) -> None:
    folder = cli("nca", trial, "--cdisc", "--specimen", "BONE MARROW").folder
    assert set(pd.read_csv(folder / "adpp.csv")["PPSPEC"]) == {"BONE MARROW"}
    assert cli("nca", trial, "--force").code == 0
    assert [name for name in CDISC_FILES if (folder / name).exists()] == []


def test_what_a_submission_needs_and_is_not_known_is_told(cli: Callable, tmp_path: Path) -> None:
    bare = write(tmp_path / "bare.csv", ["P01,0,0", "P01,7,9000", "P01,14,90"], "subject,time,value")
    done = cli("nca", bare, "--cdisc")
    assert done.code == 0
    assert "STUDYID is empty in the CDISC files; give it with --study" in done.err
    assert "PPCAT is empty" in done.err


def test_without_pyreadstat_nothing_is_computed(cli: Callable, trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyreadstat", None)
    done = cli("nca", trial, "--cdisc")
    assert done.code == 2
    assert "pip install pyreadstat" in done.err
    assert list(done.folder.iterdir()) == []
    assert cli("nca", trial).code == 0


@pytest.mark.parametrize("option", ["--study", "--specimen"])
def test_an_option_of_the_cdisc_files_alone_is_refused(cli: Callable, trial: Path, option: str) -> None:
    done = cli("nca", trial, option, "X")
    assert done.code == 2
    assert "add --cdisc" in done.err


def test_a_name_that_xpt_cannot_hold_is_told_and_the_tables_stand(cli: Callable, tmp_path: Path) -> None:
    data = write(tmp_path / "trial.csv", [*ROWS, "P02,Höchste,qPCR,7,80"])
    done = cli("nca", data, "--cdisc", "--study", "S")
    assert done.code == 2
    assert "adpp.csv, line" in done.err
    assert "subject 'P02', variable TRT01A: 'Höchste' holds 'ö'" in done.err
    assert (done.folder / "nca.csv").exists()
    assert [name for name in CDISC_FILES if (done.folder / name).exists()] == []
