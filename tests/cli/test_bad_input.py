"""Bad input through the command line: a clear message, the right exit code, the other patients' results."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

HEADER = "subject,group,time,value,lloq"
GOOD = [
    "A,low,0,BLQ,50",
    "A,low,3,200,50",
    "A,low,7,9000,50",
    "A,low,14,3000,50",
    "A,low,21,900,50",
    "A,low,28,300,50",
    "A,low,60,BLQ,50",
]


def write(path: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> Path:
    path.write_bytes(end.join([HEADER, *GOOD, *lines, ""]).encode(encoding))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def values(folder: Path) -> dict[tuple[str, str], str]:
    return {(row["subject"], row["parameter"]): row["value"] for row in rows(folder / "nca.csv")}


def assert_a_is_analysed(folder: Path) -> None:
    assert float(values(folder)["A", "CMAX"]) == 9000
    assert float(values(folder)["A", "TMAX"]) == 7


def assert_every_empty_value_has_a_reason(folder: Path) -> None:
    for row in rows(folder / "nca.csv"):
        assert row["value"] or (row["reason"] and row["status"] == "not_calculated")
        assert row["value"].lower() not in {"nan", "inf", "-inf"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"subject,time\nA,1\n", "value"),
        (b"a,b,c\n1,2,3\n", "subject"),
        (b"\x00\x01\x02\xff" * 40, "cannot be read"),
    ],
    ids=["empty", "blank lines", "no value column", "no known column", "binary"],
)
def test_a_file_that_cannot_be_read_is_told_with_exit_code_1(
    cli: Callable, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "trial.csv").write_bytes(content)
    done = cli("nca", "trial.csv")
    assert done.code == 1
    assert message in done.err
    assert not (done.folder / "nca.csv").exists()
    assert json.loads((done.folder / "manifest.json").read_text())["status"] == "failed"
    assert rows(done.folder / "check.csv")[0]["effect"] == "file"


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_results_stay_when_the_next_input_cannot_be_read(cli: Callable, tmp_path: Path, force: list[str]) -> None:
    folder = cli("nca", write(tmp_path / "trial.csv")).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (tmp_path / "empty.csv").write_bytes(b"")
    done = cli("nca", "empty.csv", *force)
    assert done.code == (1 if force else 2)
    assert "empty" in done.err if force else "--force" in done.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    if force:
        assert "stay as they were" in done.err


def test_the_faults_of_an_unreadable_input_give_way_to_those_of_the_next(cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "trial.csv").write_text("a,b\n1,2\n")
    first = rows(cli("check", "trial.csv").folder / "check.csv")
    (tmp_path / "trial.csv").write_text("")
    second = rows(cli("check", "trial.csv").folder / "check.csv")
    assert "empty" in second[0]["message"]
    assert "empty" not in first[0]["message"]


def test_what_costs_a_profile_is_announced_as_a_fault_and_counted_as_one_profile(cli: Callable, tmp_path: Path) -> None:
    lines = [f"{name},low,{day},{value},50" for name in "BC" for day, value in ((0, -5), (7, 900), (14, 300))]
    done = cli("nca", write(tmp_path / "trial.csv", *lines, "A,low,90,,50"))
    message = "the value -5 is negative; nothing is calculated for this profile"
    assert f"  2 profiles (6 rows): {message}\n" in done.out
    assert "  1 row: there is no value; the row is left out\n" in done.out
    assert "3 patients, 3 profiles, " in done.out
    found = [line for line in done.err.splitlines() if message in line]
    assert [line.startswith("fault: ") for line in found] == [True, True]
    assert "(--negative blq)" in found[0]
    reasons = json.loads((done.folder / "manifest.json").read_text())["rows"]["reasons"]
    assert {"reason": message, "rows": 6, "profiles": 2} in reasons


def test_one_of_each_is_written_in_the_singular(cli: Callable, tmp_path: Path) -> None:
    done = cli("check", write(tmp_path / "trial.csv", "A,low,90,,50"))
    assert "1 patient, 1 profile, 7 samples (2 below quantification), 1 row left out\n" in done.out
    wrong = cli("check", write(tmp_path / "trial.csv", "A,low,90,-5,50"), "--out", "wrong")
    assert "1 fault; 1 of 1 profile cannot be used\n" in wrong.out


def test_many_reasons_are_cut_and_the_rest_is_counted(cli: Callable, tmp_path: Path) -> None:
    lines = [f"P{k},low,7,-{k + 1},50" for k in range(12)]
    done = cli("check", write(tmp_path / "trial.csv", *lines))
    assert "  and 2 more reasons; all stand in samples.csv\n" in done.out
    assert "fault: and 2 more faults; all stand in check.csv\n" in done.err


def test_a_file_that_is_not_there_is_a_usage_error(cli: Callable) -> None:
    done = cli("nca", "nowhere.csv")
    assert done.code == 2
    assert "nowhere.csv" in done.err


@pytest.mark.parametrize(
    ("lines", "subject", "message"),
    [
        (["B,low,0,BLQ,50", "B,low,7,high,50", "B,low,9,80,50"], "B", "line 10"),
        (["B,low,0,BLQ,50", "B,low,7,-5,50", "B,low,9,80,50"], "B", "negative"),
        (["B,low,7,100,50", "B,low,7,200,50"], "B", "line 10"),
        (["B,low,7,1e999,50", "B,low,9,80,50"], "B", "line 9"),
        (["B,low,then,100,50", "B,low,9,80,50"], "B", "then"),
        ([",low,7,100,50"], "", "line 9"),
    ],
    ids=["text value", "negative value", "duplicate", "infinite", "text time", "no subject"],
)
def test_a_bad_row_costs_its_patient_at_most(
    cli: Callable, tmp_path: Path, lines: list[str], subject: str, message: str
) -> None:
    done = cli("nca", write(tmp_path / "trial.csv", *lines))
    assert done.code == 1
    assert message in done.err
    assert_a_is_analysed(done.folder)
    assert_every_empty_value_has_a_reason(done.folder)
    faults = [row for row in rows(done.folder / "check.csv") if row["effect"] != "note"]
    assert faults[0]["row"]
    assert faults[0]["action"]
    assert faults[0]["subject"] == subject


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        (["B,low,-1,BLQ,50", "B,low,0,BLQ,50", "B,low,7,500,50", "B,low,14,100,50"], []),
        (["B,low,0,BLQ,50", "B,low,7,BLQ,50", "B,low,14,<50,50"], ["CMAX", "TMAX"]),
        (["B,low,7,500,50"], ["LAMZ"]),
        (["B,low,3,100,50", "B,low,7,500,50", "B,low,14,100,50"], []),
        (["B,low,0,BLQ,50", "B,low,7,1e308,50", "B,low,14,1e308,50", "B,low,21,1e307,50"], ["AUCLST"]),
    ],
    ids=["negative time", "all BLQ", "one sample", "no time zero", "1e308"],
)
def test_an_awkward_profile_is_no_fault_and_what_is_lost_has_a_reason(
    cli: Callable, tmp_path: Path, lines: list[str], lost: list[str]
) -> None:
    done = cli("nca", write(tmp_path / "trial.csv", *lines))
    assert done.code == 0, done.err
    assert_a_is_analysed(done.folder)
    assert_every_empty_value_has_a_reason(done.folder)
    found = values(done.folder)
    assert [name for name in lost if found["B", name]] == []
    if not lost:
        assert float(found["B", "CMAX"]) == 500


@pytest.mark.parametrize(
    ("end", "encoding"), [("\r\n", "utf-8"), ("\n", "utf-8-sig"), ("\r\n", "utf-16")], ids=["Windows", "BOM", "UTF-16"]
)
def test_line_ends_and_byte_order_marks_change_nothing(cli: Callable, tmp_path: Path, end: str, encoding: str) -> None:
    plain = cli("nca", write(tmp_path / "plain.csv"), "--out", "plain")
    other = cli("nca", write(tmp_path / "other.csv", end=end, encoding=encoding), "--out", "other")
    assert plain.code == other.code == 0, other.err
    assert (plain.folder / "nca.csv").read_bytes() == (other.folder / "nca.csv").read_bytes()


def test_semicolons_and_decimal_commas_are_read(cli: Callable, tmp_path: Path) -> None:
    path = tmp_path / "trial.csv"
    path.write_text("subject;time;value;lloq\nA;0;<0,5;0,5\nA;7;9000,25;0,5\nA;14,5;3000,5;0,5\n")
    done = cli("nca", path)
    assert done.code == 0, done.err
    assert float(values(done.folder)["A", "CMAX"]) == 9000.25
    assert float(values(done.folder)["A", "TLST"]) == 14.5


@pytest.mark.parametrize("out", ["taken", "taken/inside"], ids=["a file in its place", "inside a file"])
def test_an_output_folder_that_cannot_be_made_is_told_before_anything_is_read(
    cli: Callable, tmp_path: Path, out: str
) -> None:
    (tmp_path / "taken").write_text("kept")
    done = cli("nca", write(tmp_path / "trial.csv"), "--out", out)
    assert done.code == 2
    assert "taken" in done.err
    assert "--out" in done.err
    assert (tmp_path / "taken").read_text() == "kept"
    assert "patients" not in done.out


def test_check_lists_every_fault_with_its_row(cli: Callable, tmp_path: Path) -> None:
    lines = ["B,low,7,high,50", "C,low,7,-5,50", "D,low,x,5,50"]
    done = cli("check", write(tmp_path / "trial.csv", *lines))
    assert done.code == 1
    found = {row["row"]: row for row in rows(done.folder / "check.csv") if row["effect"] != "note"}
    assert {"9", "10", "11"} <= set(found)
    assert found["10"]["subject"] == "C"
    assert found["9"]["column"] == "value"
