"""The cellular group on the command line."""

import csv
from collections.abc import Callable
from pathlib import Path


def test_days_and_threshold_are_taken_from_the_command_line(cli: Callable, tmp_path: Path) -> None:
    trial = tmp_path / "trial.csv"
    trial.write_text("subject,time,value,lloq\nA,0,BLQ,50\nA,10,800,50\nA,20,400,50\nA,30,200,50\nA,40,BLQ,50\n")
    done = cli("nca", trial, "--parameters", "CDAY,TABOVE,PERSEVT", "--days", "20, 5", "--threshold", "400")
    assert done.code == 0, done.err
    with open(done.folder / "nca.csv", newline="") as file:
        rows = [(row["parameter"], row["interval_start"], float(row["value"])) for row in csv.DictReader(file)]
    # above 400 from day 5, on the straight way up to 800 at day 10, to day 20
    assert rows == [("CDAY", "20.0", 400.0), ("CDAY", "5.0", 400.0), ("TABOVE", "", 15.0), ("PERSEVT", "", 1.0)]


def test_days_that_are_none_are_a_usage_error(cli: Callable, tmp_path: Path) -> None:
    trial = tmp_path / "trial.csv"
    trial.write_text("subject,time,value\nA,0,1\n")
    done = cli("nca", trial, "--days", "28,soon")
    assert done.code == 2
    assert "days" in done.err
