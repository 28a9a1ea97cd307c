import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellkinetics.errors import OutputError
from cellkinetics.plain import jsonable
from cellkinetics.report.output import OutputFolder, previous_outputs, sha256_of

TABLE = pd.DataFrame({"subject": ["001", "NA"], "value": [0.1 + 0.2, np.nan]})
EMPTY = pd.DataFrame({"row": []})


def test_a_table_is_written_with_full_digits_and_empty_cells(tmp_path: Path) -> None:
    folder = OutputFolder.create(tmp_path / "a" / "b")
    path = folder.write_table("t.csv", TABLE)
    assert path.read_bytes() == b"subject,value\n001,0.30000000000000004\nNA,\n"
    assert folder.written == {"t.csv": sha256_of(path)}


def test_nothing_but_the_file_is_left_in_the_folder(tmp_path: Path) -> None:
    folder = OutputFolder.create(tmp_path)
    folder.write_text("figures/note.txt", "x")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["figures", "figures/note.txt"]


def test_existing_results_are_refused_by_name_and_replaced_with_force(tmp_path: Path) -> None:
    (tmp_path / "nca.csv").write_text("old")
    with pytest.raises(OutputError, match=r"nca\.csv.*--force"):
        OutputFolder.create(tmp_path, planned=["nca.csv", "new.csv"])
    folder = OutputFolder.create(tmp_path, planned=["nca.csv"], force=True)
    folder.write_text("nca.csv", "new")
    assert (tmp_path / "nca.csv").read_text() == "new"


def test_a_file_in_place_of_the_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for path in (tmp_path / "taken", tmp_path / "taken" / "inside"):
        with pytest.raises(OutputError, match="--out"):
            OutputFolder.create(path)


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    folder = OutputFolder.create(tmp_path)
    (tmp_path / "result.csv").mkdir()
    with pytest.raises(OutputError, match=r"result\.csv"):
        folder.write_text("result.csv", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["result.csv"]
    assert folder.written == {}


def test_the_same_reading_may_share_a_folder_and_another_one_may_not(tmp_path: Path) -> None:
    OutputFolder.create(tmp_path).write_reading(TABLE, EMPTY)
    OutputFolder.create(tmp_path).write_reading(TABLE, EMPTY)
    with pytest.raises(OutputError, match="another input"):
        OutputFolder.create(tmp_path).write_reading(TABLE.iloc[:1], EMPTY)


def test_force_on_another_input_removes_what_earlier_commands_wrote_and_nothing_else(tmp_path: Path) -> None:
    first = OutputFolder.create(tmp_path)
    first.write_reading(TABLE, EMPTY)
    first.write_text("nca.csv", "of the other input")
    manifest = {"outputs": {"nca.csv": {}, "../outside.csv": {}}, "earlier": [{"outputs": {"fit.csv": {}}}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for name in ("fit.csv", "mine.csv"):
        (tmp_path / name).write_text("")
    assert set(previous_outputs(tmp_path)) == {"nca.csv", "fit.csv"}
    OutputFolder.create(tmp_path, force=True).write_reading(TABLE.iloc[:1], EMPTY)
    assert not (tmp_path / "nca.csv").exists()
    assert not (tmp_path / "fit.csv").exists()
    assert (tmp_path / "mine.csv").exists()


def test_json_holds_numbers_and_null_only(tmp_path: Path) -> None:
    content = {"a": np.float64(1.5), "b": float("nan"), "c": np.array([1, 2]), "d": Path("x"), "e": [float("inf")]}
    assert jsonable(content) == {"a": 1.5, "b": None, "c": [1, 2], "d": "x", "e": [None]}
    path = OutputFolder.create(tmp_path).write_json("j.json", content)
    assert json.loads(path.read_text())["e"] == [None]


@pytest.mark.parametrize("name", ["samples.csv", "nca.csv", "manifest.json", "old.csv"])
def test_the_input_is_never_among_the_files_that_are_written_or_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"outputs": {"old.csv": {}}}))
    source = tmp_path / name
    source.touch()
    with pytest.raises(OutputError, match=r"is the input.*--out"):
        OutputFolder.create(tmp_path, planned=["nca.csv"], force=True, source=source)
    OutputFolder.create(tmp_path, planned=["nca.csv"], force=True, source=tmp_path / "mine.csv")
