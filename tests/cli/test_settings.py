"""`--settings`: options from a TOML file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

TRIAL = "PATIENT,group,time,value,lloq\nA,x,0,BLQ,50\nA,x,7,9000,50\nA,x,14,3000,50\nA,x,21,900,50\nA,x,28,300,50\n"


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    path = tmp_path / "trial.csv"
    path.write_text(TRIAL)
    return path


def options(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())["options"]


def test_options_of_the_file_are_used_and_recorded_whole(cli: Callable, trial: Path, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        'data = "trial.csv"\nwindows = [[0, 14], [0, 28]]\nauc-method = "linear"\nout = "here"\n'
        'parameters = ["CMAX", "AUCINT"]\nforce = true\n[map]\nsubject = "PATIENT"\n'
    )
    done = cli("nca", "--settings", "a.toml", "--quiet")
    assert done.code == 0, done.err
    found = options(tmp_path / "here")
    assert found["windows"] == "0-14,0-28"
    assert found["nca_options"]["auc_method"] == "linear"
    assert found["nca_options"]["windows"] == [[0, 14], [0, 28]]
    assert found["mapping"] == ["subject=PATIENT"]
    assert found["dialect"] == "auto"
    header = (tmp_path / "here" / "nca_wide.csv").read_text().splitlines()[0]
    assert header == "subject,analyte,occasion,specimen,group,CMAX,AUCINT_0_14,AUCINT_0_28"


def test_rules_for_blq_by_place_come_from_a_table_or_the_command_line(
    cli: Callable, trial: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text('map = ["subject=PATIENT"]\n[blq]\nbefore = "lloq"\nlater = 0.25\n')
    assert cli("nca", "trial.csv", "--settings", "a.toml", "--out", "here").code == 0
    found = options(tmp_path / "here")["nca_options"]["blq"]
    assert found == {"before": "lloq", "between": "drop", "first_between": None, "first_after": "zero", "later": 0.25}
    more = ("--map", "subject=PATIENT", "--out", "there")
    assert cli("nca", "trial.csv", "--blq", "before=lloq,later=0.25", *more).code == 0
    assert options(tmp_path / "there")["nca_options"]["blq"] == found


def test_the_command_line_wins(cli: Callable, trial: Path, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('windows = "0-14"\nblq = "zero"\nmap = "subject=PATIENT"\n')
    done = cli("nca", trial, "--settings", "a.toml", "--windows", "0-21")
    assert done.code == 0, done.err
    found = options(done.folder)
    assert found["windows"] == "0-21"
    assert found["blq"] == "zero"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('windwos = "0-28"', "windwos"),
        ('settings = "b.toml"', "settings"),
        ("seed = 1", "seed"),
        ("windows = [[1]]", "windows"),
        ('[route]\nof = "cells"', "route"),
        ("windows = ", "TOML"),
        ('lloq = "many"', "lloq"),
    ],
)
def test_what_the_file_cannot_say_is_a_usage_error_that_names_it(
    cli: Callable, trial: Path, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "a.toml").write_text(content)
    done = cli("nca", trial, "--settings", "a.toml")
    assert done.code == 2
    assert message in done.err
    assert not done.folder.exists()


def test_a_settings_file_that_is_not_there_is_named(cli: Callable, trial: Path) -> None:
    done = cli("nca", trial, "--settings", "nowhere.toml")
    assert done.code == 2
    assert "nowhere.toml" in done.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--windows", "28-0"], "window 28-0"),
        (["--auc-method", "trapezoid"], "--auc-method"),
        (["--blq", "guess"], "half-lloq"),
        (["--blq", "middle=zero"], "middle=zero"),
        (["--route", "oral"], "route"),
        (["--map", "subject"], "ROLE=COLUMN"),
        (["--map", "subject=PATIENT", "--map", "subject=group"], "twice"),
        (["--map", "subject=PATIENT", "--parameters", "CNONE"], "CNONE"),
        (["--map", "subject=PATIENT", "--by", "arm"], "arm"),
        (["--dialect", "excel"], "dialect"),
        (["--lloq", "-5"], "LLOQ"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_usage_error_that_names_it(
    cli: Callable, trial: Path, given: list[str], message: str
) -> None:
    done = cli("nca", trial, *given)
    assert done.code == 2
    assert message in done.err


def test_several_tables_may_stand_in_the_file(cli: Callable, trial: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(TRIAL.replace("A,", "B,"))
    (tmp_path / "a.toml").write_text(
        'data = ["trial.csv", "other.csv"]\nformat = "csv"\njobs = 1\n[map]\nsubject = "PATIENT"\n'
    )
    done = cli("nca", "--settings", "a.toml")
    assert done.code == 0, done.err
    assert [line.split(",")[:2] for line in (done.folder / "nca_wide.csv").read_text().splitlines()[1:]] == [
        ["trial.csv", "A"],
        ["other.csv", "B"],
    ]
    assert [Path(name).name for name in options(done.folder)["data"]] == ["trial.csv", "other.csv"]
