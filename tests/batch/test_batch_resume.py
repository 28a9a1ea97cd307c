"""A batch that is interrupted, wherever that happens, goes on and gives the same bytes; nothing is computed twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cellkinetics.batch import worker
from cellkinetics.batch.folder import WorkFolder

SUBJECTS = 8
OPTIONS = ("--piece-rows", "10", "--resume")
FILES = ("samples.csv", "check.csv", "nca.csv", "nca_wide.csv", "nca_points.csv", "nca_summary.csv")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        f"P{k},{day},{value}"
        for k in range(SUBJECTS)
        for day, value in ((0, "BLQ"), (7, 900 + k), (14, 400), (28, 150), (56, 60))
    ]
    path = tmp_path / "study.csv"
    path.write_text("\n".join(["subject,time,value", *rows, ""]))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, whatever it is called, but the manifest, which holds times."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


def dying(function: Callable, after: int) -> tuple[Callable, list[str]]:
    calls: list[str] = []

    def wrapped(*arguments: object, **more: object) -> object:
        calls.append(str(arguments[-1]))
        if len(calls) == after:
            raise Killed
        return function(*arguments, **more)

    return wrapped, calls


def test_a_batch_that_dies_before_any_of_its_moves_goes_on_to_the_same_bytes(
    cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every result appears by a rename or a replacement: the batch dies before the first, the second, and so on."""
    options = ("--piece-rows", "20", "--resume")  # two pieces: every kind of move, and none too often
    whole = cli("nca", table, "--out", "whole", *options)
    assert whole.code == 0, whole.err
    expected = contents(whole.folder)
    assert sorted(expected) == sorted(FILES)
    places = set()
    for name in ("rename", "replace"):
        for after in range(1, 40):
            out = f"{name}-{after}"
            with monkeypatch.context() as patch:
                function, calls = dying(getattr(os, name), after)
                patch.setattr(os, name, function)
                try:
                    cli("nca", table, "--out", out, *options)
                except (Killed, AssertionError):
                    places.add(Path(calls[-1]).name)
                else:
                    break
            resumed = cli("nca", table, "--out", out, *options)
            assert resumed.code == 0, resumed.err
            assert contents(resumed.folder) == expected
            recorded = json.loads((resumed.folder / "manifest.json").read_text())
            assert recorded["status"] == "done"
            assert set(FILES) <= set(recorded["outputs"])
        else:
            pytest.fail("the batch never ended")
    assert {"plan.json", "commit.json", "manifest.json", "000001", *FILES} <= places


def test_what_is_done_is_not_done_again(cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    attempt = worker._attempt

    def counted(piece: object, *others: object) -> object:
        if len(done) == 2 and not going_on:
            raise KeyboardInterrupt
        done.append(piece.number)
        return attempt(piece, *others)

    monkeypatch.setattr(worker, "_attempt", counted)
    going_on = False
    stopped = cli("nca", table, "--out", "out", *OPTIONS)
    assert stopped.code == 130
    assert "2 of 4 pieces are done; --resume goes on" in stopped.err
    assert not (stopped.folder / "nca.csv").exists()
    going_on = True
    resumed = cli("nca", table, "--out", "out", *OPTIONS)
    assert resumed.code == 0
    assert "2 of 4 pieces were done before" in resumed.out
    assert sorted(done) == [0, 1, 2, 3]
    again = cli("nca", table, "--out", "out", *OPTIONS)
    assert again.code == 0
    assert "complete already" in again.out
    assert len(done) == 4


@pytest.fixture
def unfinished(cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which one piece is done."""
    with monkeypatch.context() as patch:
        function, _ = dying(worker._attempt, 2)
        patch.setattr(worker, "_attempt", function)
        with pytest.raises((Killed, AssertionError)):
            cli("nca", table, "--out", "out", *OPTIONS)
    folder = table.parent / "out"
    assert WorkFolder(folder).n_done == 1
    return folder


def test_an_unfinished_batch_is_not_touched_without_a_word(cli: Callable, table: Path, unfinished: Path) -> None:
    before = contents(unfinished)
    done = cli("nca", table, "--out", "out", "--piece-rows", "10")
    assert done.code == 2
    assert "1 of 4 pieces are done" in done.err
    assert "--resume" in done.err
    assert "--force" in done.err
    assert contents(unfinished) == before


def test_force_begins_anew(cli: Callable, table: Path, unfinished: Path) -> None:
    done = cli("nca", table, "--out", "out", "--piece-rows", "10", "--force", "--windows", "0-14")
    assert done.code == 0, done.err
    assert "done before" not in done.out
    assert sorted(contents(unfinished)) == sorted(FILES)


def test_a_damaged_plan_is_named_and_can_be_left_behind(cli: Callable, table: Path, unfinished: Path) -> None:
    (unfinished / "unfinished" / "plan.json").write_text("{")
    for options in ((), ("--resume",)):
        done = cli("nca", table, "--out", "out", *options)
        assert done.code == 2
        assert "plan.json is damaged" in done.err
    assert cli("nca", table, "--out", "out", "--force").code == 0
    assert sorted(contents(unfinished)) == sorted(FILES)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--windows", "0-14"), "windows"),
        (("--lloq", "5"), "lloq"),
        (("--format", "parquet"), "table_format"),
        (("--by", "none"), "grouping"),
    ],
)
def test_other_options_are_refused_by_name(
    cli: Callable, table: Path, unfinished: Path, options: tuple[str, ...], named: str
) -> None:
    before = contents(unfinished)
    done = cli("nca", table, "--out", "out", *OPTIONS, *options)
    assert done.code == 2
    assert "other options" in done.err
    assert named in done.err
    assert contents(unfinished) == before


def test_another_input_is_not_taken_for_other_options(cli: Callable, table: Path, unfinished: Path) -> None:
    folder = table.parent / "studies"
    folder.mkdir()
    (folder / table.name).write_bytes(table.read_bytes())
    done = cli("nca", folder, "--out", "out", *OPTIONS)
    assert done.code == 2
    assert "the unfinished batch had another input, one file" in done.err
    assert "options" not in done.err


def test_a_file_that_has_changed_is_refused_by_name(cli: Callable, table: Path, unfinished: Path) -> None:
    table.write_text(table.read_text().replace("P7,7", "P7,8"))
    done = cli("nca", table, "--out", "out", *OPTIONS)
    assert done.code == 2
    assert "study.csv has changed since the unfinished batch began" in done.err


def test_earlier_results_stay_until_the_new_ones_are_there(
    cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("nca", table, "--out", "out", "--intervals")
    before = (table.parent / "out" / "nca.csv").read_bytes()
    with monkeypatch.context() as patch:
        function, _ = dying(worker._attempt, 2)
        patch.setattr(worker, "_attempt", function)
        with pytest.raises((Killed, AssertionError)):
            cli("nca", table, "--out", "out", *OPTIONS, "--force", "--windows", "0-14")
    assert (table.parent / "out" / "nca.csv").read_bytes() == before
    done = cli("nca", table, "--out", "out", *OPTIONS, "--windows", "0-14")
    assert done.code == 0, done.err
    assert sorted(contents(done.folder)) == sorted(FILES)
    assert b",AUCINT_0_14" in (done.folder / "nca_wide.csv").read_bytes()


def test_a_folder_of_that_name_that_is_not_ours_stays(cli: Callable, table: Path) -> None:
    mine = table.parent / "out" / "unfinished" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    done = cli("nca", table, "--out", "out", *OPTIONS, "--force")
    assert done.code == 2
    assert "thesis.txt" in done.err
    assert mine.read_text() == "mine"


def test_two_batches_do_not_share_a_folder(cli: Callable, table: Path) -> None:
    folder = table.parent / "out"
    folder.mkdir()
    with WorkFolder(folder).locked():
        done = cli("nca", table, "--out", "out", *OPTIONS)
    assert done.code == 2
    assert "another batch is at work" in done.err


def test_results_do_not_go_among_the_tables(cli: Callable, table: Path) -> None:
    done = cli("nca", table.parent, "--out", str(table.parent))
    assert done.code == 2
    assert "another folder" in done.err


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_batches_that_are_killed_at_random_moments_are_resumed_to_the_same_bytes(
    cli: Callable, table: Path, jobs: str
) -> None:
    options = ["nca", str(table), *OPTIONS, "--quiet"]
    expected = contents(cli(*options, "--out", "whole").folder)
    chance = random.Random(7)
    for number in range(6):
        out = table.parent / f"out{number}"
        process = subprocess.Popen(
            [sys.executable, "-m", "cellkinetics", *options, "--jobs", jobs, "--out", str(out)],
            stderr=subprocess.DEVNULL,
        )
        # So many pieces are done, and a little more of the work: the start of the program takes much longer.
        work, pieces = WorkFolder(out), chance.randrange(3)
        while process.poll() is None and (work.planned is None or work.n_done < pieces):
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.02))
        in_time = process.poll() is None
        process.kill()
        process.wait()
        assert cli(*options, "--out", out.name).code == 0
        assert contents(out) == expected
        if in_time:
            return
    pytest.fail("every batch was over before it was killed")
