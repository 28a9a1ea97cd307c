"""`cellkinetics nca` on a folder, on several files and on a table that is cut: what one file at a time gives."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.batch.blocks import cut, read_piece
from cellkinetics.batch.inputs import stamp
from cellkinetics.batch.job import Piece
from cellkinetics.data.reading import read
from cellkinetics.data.samples import sample_table

TABLES = ("samples", "nca", "nca_wide", "nca_points", "nca_summary", "check")
READING: dict = {}


def rows_of(subject: str, scale: float = 1.0, **more: str) -> list[dict[str, str]]:
    values = ["BLQ", "900", "4000", "1500", "700", "300", "90", "<50"]
    days = ["0", "5", "9", "14", "21", "28", "56", "84"]
    return [
        {"subject": subject, "time": day, "value": value if value in ("BLQ", "<50") else str(float(value) * scale)}
        | {"lloq": "50", "group": "low" if scale < 2 else "high", **more}
        for day, value in zip(days, values, strict=True)
    ]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def study(subjects: int = 12) -> list[dict[str, str]]:
    """Faults of every kind: a text, a negative value, rows without a subject, an empty column, one that varies."""
    rows = [
        row
        for k in range(subjects)
        for row in rows_of(f"P{k:02d}", 1.0 + k % 3, weight=str(70 + k), note=str(k) if k > subjects // 2 else "")
    ]
    rows[9]["value"] = "abc"
    rows[26]["value"] = "-5"
    for k in (5, 40, 41):
        rows[k]["subject"] = ""
    for k, row in enumerate(rows):
        row["sample"] = str(k)
    return rows


def whole_file(path: Path) -> Piece:
    return Piece(0, path.name, str(path), "", *stamp(path))


def same_files(one: Path, other: Path, suffix: str = "csv", names: tuple[str, ...] = TABLES) -> None:
    for name in names:
        end = "csv" if name in ("nca_summary", "check") else suffix
        assert (one / f"{name}.{end}").read_bytes() == (other / f"{name}.{end}").read_bytes(), name


@pytest.mark.parametrize("order", ["by_subject", "shuffled"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_that_is_cut_gives_the_files_of_one_that_is_not(
    cli: Callable, tmp_path: Path, order: str, suffix: str
) -> None:
    rows = study()
    if order == "shuffled":
        random.Random(4).shuffle(rows)
    path = write(tmp_path / "study.csv", rows)
    if suffix == "parquet":
        pd.read_csv(path, dtype="str", keep_default_na=False).to_parquet(tmp_path / "study.parquet", index=False)
        path = tmp_path / "study.parquet"
    whole = cli("nca", path, "--out", "whole", "--by", "group,weight")
    parts = cli("nca", path, "--out", "parts", "--by", "group,weight", "--piece-rows", "20")
    assert (whole.code, parts.code) == (1, 1)
    same_files(whole.folder, parts.folder)
    one, other = (json.loads((each.folder / "manifest.json").read_text()) for each in (whole, parts))
    assert one["cohort"] == other["cohort"]
    assert {k: v for k, v in one["rows"].items() if k != "reasons"} == {
        k: v for k, v in other["rows"].items() if k != "reasons"
    }
    assert one["options"]["nca_options"] == other["options"]["nca_options"]
    assert one["input"]["sha256"] == other["input"]["sha256"]
    assert len(other["input"]["pieces"]) > 3
    assert sorted(path.name for path in parts.folder.iterdir()) == sorted(path.name for path in whole.folder.iterdir())


def test_processes_and_pieces_do_not_show_in_parquet_files(cli: Callable, tmp_path: Path) -> None:
    path = write(tmp_path / "study.csv", study())
    whole = cli("nca", path, "--out", "whole", "--format", "parquet", "--intervals")
    parts = cli(
        "nca", path, "--out", "parts", "--format", "parquet", "--intervals", "--piece-rows", "30", "--jobs", "2"
    )
    assert (whole.code, parts.code) == (1, 1)
    same_files(whole.folder, parts.folder, "parquet", (*TABLES, "nca_intervals"))
    text = cli("nca", path, "--out", "text").folder
    expected = pd.read_csv(text / "nca.csv", keep_default_na=False, dtype="str")
    found = pd.read_parquet(whole.folder / "nca.parquet")
    assert list(found.columns) == list(expected.columns)
    for name in found.columns:
        if name in ("value", "interval_start", "interval_end"):
            np.testing.assert_array_equal(found[name], expected[name].replace("", "nan").astype(float))
        else:
            assert found[name].astype("str").tolist() == expected[name].tolist()


def test_files_of_a_folder_are_analysed_apart_and_named(cli: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    write(folder / "a.csv", rows_of("P1", 1.0))
    write(folder / "c.csv", rows_of("P1", 3.0))
    (folder / "b.csv").write_text("this is no table\n")
    (folder / "README.md").write_text("about these files")
    done = cli("nca", folder, "--out", "out")
    assert done.code == 1
    assert "README.md" in done.out
    assert "2 of 3 files read" in done.out
    wide = pd.read_csv(done.folder / "nca_wide.csv")
    assert wide["file"].tolist() == ["a.csv", "c.csv"]
    assert wide["subject"].tolist() == ["P1", "P1"]
    assert wide["CMAX"].tolist() == [4000.0, 12000.0]
    summary = pd.read_csv(done.folder / "nca_summary.csv").query("parameter == 'CMAX'")
    assert dict(zip(summary["group"], summary["n"], strict=True)) == {"low": 1, "high": 1}
    check = pd.read_csv(done.folder / "check.csv")
    assert set(check.loc[check["effect"] == "file", "file"]) == {"b.csv"}
    alone = cli("nca", folder / "a.csv", "--out", "alone").folder
    first = [line for line in (done.folder / "nca.csv").read_text().splitlines() if line.startswith("a.csv,")]
    assert [line.removeprefix("a.csv,") for line in first] == (alone / "nca.csv").read_text().splitlines()[1:]
    pieces = json.loads((done.folder / "manifest.json").read_text())["input"]["pieces"]
    assert [(piece["file"], piece["status"], piece["profiles"]) for piece in pieces] == [
        ("a.csv", "done", 1),
        ("b.csv", "unreadable", 0),
        ("c.csv", "done", 1),
    ]


def test_several_files_have_the_names_that_tell_them_apart(cli: Callable, tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "study.csv", rows_of(name))
    done = cli("nca", "x/study.csv", "y/study.csv", "--out", "out", "--by", "file")
    assert done.code == 0, done.err
    assert pd.read_csv(done.folder / "nca_wide.csv")["file"].tolist() == ["x/study.csv", "y/study.csv"]
    summary = pd.read_csv(done.folder / "nca_summary.csv").query("parameter == 'CMAX'")
    assert summary["file"].tolist() == ["x/study.csv", "y/study.csv"]


def test_a_report_is_not_made_of_several_files_as_if_they_were_one(cli: Callable, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", rows_of("P1"))
    write(tmp_path / "b.csv", rows_of("P1"))
    assert cli("nca", "a.csv", "b.csv", "--out", "out").code == 0
    told = cli("report", "out")
    assert told.code == 2
    assert "several files" in told.err


def test_a_batch_of_nothing_but_bad_files_says_why(cli: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "a.csv").write_text("nothing\n")
    done = cli("nca", folder, "--out", "out")
    assert done.code == 1
    assert not (done.folder / "nca.csv").exists()
    assert pd.read_csv(done.folder / "check.csv")["effect"].tolist() == ["file"] * 3


def test_a_file_that_lacks_what_the_options_need_is_a_row_with_a_reason(cli: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    write(folder / "a.csv", [row | {"nominal_time": row["time"]} for row in rows_of("P1")])
    write(folder / "b.csv", rows_of("P2"))
    done = cli("nca", folder, "--out", "out", "--time", "nominal")
    assert done.code == 1
    assert pd.read_csv(done.folder / "nca_wide.csv")["subject"].tolist() == ["P1"]
    check = pd.read_csv(done.folder / "check.csv").query("effect == 'file'")
    assert check["file"].tolist() == ["b.csv"]
    assert "nominal time" in check["message"].iloc[0]


def test_lines_by_hand_go_to_their_profiles_wherever_they_are(cli: Callable, tmp_path: Path) -> None:
    path = write(tmp_path / "study.csv", study())
    (tmp_path / "good.csv").write_text("subject,first,last\nP05,14,28\nP09,21,56\n")
    (tmp_path / "bad.csv").write_text("subject,first,last\nP05,14,28\nP99,21,56\n")
    whole = cli("nca", path, "--out", "whole", "--slopes", "good.csv")
    parts = cli("nca", path, "--out", "parts", "--slopes", "good.csv", "--piece-rows", "20")
    same_files(whole.folder, parts.folder)
    lost = cli("nca", path, "--out", "lost", "--slopes", "bad.csv", "--piece-rows", "20")
    assert lost.code == 1
    assert "P99" in (lost.folder / "check.csv").read_text()


def test_a_column_to_group_by_that_is_nowhere_is_refused_before_the_work(cli: Callable, tmp_path: Path) -> None:
    path = write(tmp_path / "study.csv", study())
    done = cli("nca", path, "--out", "out", "--by", "weihgt", "--piece-rows", "20")
    assert done.code == 2
    assert "weihgt" in done.err
    assert list(done.folder.iterdir()) == []


def test_labels_are_the_same_in_all_pieces(tmp_path: Path) -> None:
    """Alone, the first piece would call its group 1, as no label of it needs its point."""
    rows = [row | {"group": group} for k, group in enumerate(("1.0", "1.0", "2.5")) for row in rows_of(f"P{k}")]
    path = write(tmp_path / "study.csv", rows)
    pieces = cut(whole_file(path), READING, 8, tmp_path / "rows")
    assert [read_piece(piece, READING).group for piece in pieces] == [("1.0",), ("1.0",), ("2.5",)]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("P00,0,", '"P\n00",0,'),  # a cell that runs over two lines
        lambda text: text.replace("\n", "\r"),
        lambda text: text.encode("utf-16").decode("latin-1"),
    ],
)
def test_a_text_whose_lines_are_not_its_rows_is_not_cut(tmp_path: Path, change: Callable[[str], str]) -> None:
    path = write(tmp_path / "study.csv", [row for k in range(3) for row in rows_of(f"P{k:02d}")])
    path.write_bytes(change(path.read_text()).encode("latin-1"))
    assert len(cut(whole_file(path), READING, 8, tmp_path / "rows")) == 1


@settings(deadline=None, max_examples=20)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=2, max_size=8),
    rows=st.integers(1, 12),
    seed=st.integers(0, 5),
    shuffled=st.booleans(),
    comments=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_pieces_hold_every_row_once_with_its_line(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    rows: int,
    seed: int,
    shuffled: bool,
    comments: bool,
    end: str,
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    chance = random.Random(seed)
    lines = [f"S{k},{day},{100 + day}" for k, length in enumerate(lengths) for day in range(length)]
    if shuffled:
        chance.shuffle(lines)
    if comments:
        lines[1:1] = ["# a remark", "", "S0,1,2,3,4"]
    path = folder / "study.csv"
    path.write_bytes(end.join(["# made by hand", "subject,time,value", *lines]).encode())
    pieces = cut(whole_file(path), READING, rows, folder / "rows")
    whole, parts = read(path), [read_piece(piece, READING) for piece in pieces]
    subjects = [name for part in parts for name in part.subject]
    assert subjects == list(whole.subject)
    samples = pd.concat([sample_table(part) for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(samples, sample_table(whole))
    assert sum(part.source.rows for part in parts) == whole.source.rows
    faults = sorted(fault.row for part in parts for fault in part.faults if fault.code == "too_many_cells")
    assert faults == [fault.row for fault in whole.faults if fault.code == "too_many_cells"]
