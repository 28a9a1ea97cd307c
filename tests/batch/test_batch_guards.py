"""A batch does not pass off what changed, is gone or does not fit together, and leaves nothing behind."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellkinetics import engines
from cellkinetics.batch import blocks, record, runner, worker
from cellkinetics.batch.assemble import Part
from cellkinetics.batch.folder import WorkFolder
from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import OutputError
from cellkinetics.nca.options import NCAOptions, Slope

OPTIONS = ("--piece-rows", "10", "--resume")
HOURS = "subject,time (hours),value\nB,0,5\nB,24,900\nB,48,400\nB,96,100\n"
IN_DAYS = "subject,time,value\nA,0,5\nA,1,900\nA,2,400\nA,4,100\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        f"P{k},{day},{value}"
        for k in range(8)
        for day, value in ((0, "BLQ"), (7, 900 + k), (14, 400), (28, 150), (56, 60))
    ]
    path = tmp_path / "study.csv"
    path.write_text("\n".join(["subject,time,value", *rows, ""]))
    return path


def after(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, what: Callable[[], object], times: int = 1
) -> None:
    """Let something happen after a function has been called so often."""
    function = getattr(place, name)
    calls = []

    def wrapped(*arguments: object, **more: object) -> object:
        result = function(*arguments, **more)
        calls.append(name)
        if len(calls) == times:
            what()
        return result

    monkeypatch.setattr(place, name, wrapped)


def rewrite(path: Path) -> Callable[[], None]:
    """The second half of a table gets other values of the same length."""
    text = path.read_text()

    def change() -> None:
        half = len(text) // 2
        path.write_text(text[:half] + text[half:].replace("400", "700"))

    return change


@pytest.mark.parametrize(
    ("place", "name", "times"),
    [(runner, "_plan", 1), (worker, "read_piece", 1), (blocks, "read_part", 4), (runner.Batch, "write", 1)],
)
def test_a_table_that_changes_while_its_pieces_are_analysed_is_refused(
    cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str, times: int
) -> None:
    """Between the plan and the work, between two pieces, during the last one, and when all is put together."""
    with monkeypatch.context() as patch:
        after(patch, place, name, rewrite(table), times)
        done = cli("nca", table, "--out", "out", *OPTIONS)
    assert done.code == 2
    assert "study.csv has changed" in done.err
    assert not (done.folder / "nca.csv").exists()
    again = cli("nca", table, "--out", "out", "--piece-rows", "10", "--force")
    assert again.code == 0
    whole = cli("nca", table, "--out", "whole")
    assert (again.folder / "nca.csv").read_bytes() == (whole.folder / "nca.csv").read_bytes()


def test_a_change_that_leaves_size_and_time_alone_is_found_by_the_hash(
    cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        before = table.stat()
        rewrite(table)()
        os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))

    with monkeypatch.context() as patch:
        after(patch, worker, "read_piece", change)
        done = cli("nca", table, "--out", "out", *OPTIONS)
    assert done.code == 2
    assert "study.csv has changed" in done.err
    assert not list(done.folder.iterdir())


def test_a_copy_of_the_same_bytes_is_gone_on_with(cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(runner, "_check_faithful", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert cli("nca", table, "--out", "out", *OPTIONS).code == 130
    os.utime(table, (1, 1))
    done = cli("nca", table, "--out", "out", *OPTIONS)
    assert done.code == 0, done.err
    assert "1 of 4 pieces were done before" in done.out


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_results_that_are_not_what_they_were_are_not_called_complete(cli: Callable, table: Path, what: str) -> None:
    folder = cli("nca", table, "--out", "out", *OPTIONS).folder
    good = (folder / "nca.csv").read_bytes()
    (folder / "nca.csv").unlink() if what == "gone" else (folder / "nca.csv").write_text("subject\n")
    done = cli("nca", table, "--out", "out", *OPTIONS)
    assert done.code == 2
    assert f"nca.csv {'is gone' if what == 'gone' else 'has been changed'}" in done.err
    assert "--force" in done.err
    assert cli("nca", table, "--out", "out", *OPTIONS, "--force").code == 0
    assert (folder / "nca.csv").read_bytes() == good


def test_what_a_killed_batch_left_is_cleared_where_all_is_complete(cli: Callable, table: Path) -> None:
    folder = cli("nca", table, "--out", "out", *OPTIONS).folder
    before = sorted(folder.iterdir())
    (folder / ".unfinished-123" / "pieces").mkdir(parents=True)
    (folder / ".unfinished.lock").touch()
    assert "complete already" in cli("nca", table, "--out", "out", *OPTIONS).out
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(("place", "name"), [(record, "describe_batch"), (WorkFolder, "clear")])
def test_no_second_batch_comes_in_before_the_first_has_cleared_its_folder(
    cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str
) -> None:
    """After the results stand in the folder, and after the work folder is gone (it is cleared first of all, too)."""
    second = []
    command = ("nca", table, "--out", "out", "--piece-rows", "10")
    times = 2 if name == "clear" else 1
    after(monkeypatch, place, name, lambda: second.append(cli(*command, "--force")), times)
    assert cli(*command).code == 0
    assert [done.code for done in second] == [2]
    assert "another batch is at work" in second[0].err


def test_a_lock_whose_file_is_removed_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    lock = tmp_path / ".unfinished.lock"
    after(monkeypatch, fcntl, "flock", lock.unlink)
    with WorkFolder(tmp_path).locked():
        assert lock.exists()
        with pytest.raises(OutputError), WorkFolder(tmp_path).locked():
            pytest.fail("two batches hold the lock")
    assert not lock.exists()


def test_files_in_days_and_in_hours_are_not_put_into_one_table(cli: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "a.csv").write_text(IN_DAYS)
    (folder / "b.csv").write_text(HOURS)
    done = cli("nca", folder, "--out", "out")
    assert done.code == 2
    assert "day in a.csv, hours in b.csv" in done.err
    assert "--time-unit" in done.err
    assert not list(done.folder.iterdir())
    assert cli("nca", folder, "--out", "out", "--time-unit", "hours").code == 0


def test_what_is_held_of_a_piece_does_not_grow_with_what_it_says(cli: Callable, tmp_path: Path) -> None:
    """The list of columns is the same for all pieces, and stands in no receipt."""
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "a.csv").write_text(IN_DAYS)
    shutil.copy(folder / "a.csv", folder / "b.csv")
    kept = []
    write = runner.Batch.write

    def look(batch: runner.Batch, *others: object) -> object:
        kept.append((batch, [json.dumps(receipt) for receipt in batch.receipts()]))
        return write(batch, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner.Batch, "write", look)
        assert cli("nca", folder, "--out", "out").code == 0
    (batch, receipts), *_ = kept
    assert [type(part) for part in batch.parts] == [Part, Part]
    assert max(map(len, receipts)) < 3000
    assert not any("interval_start" in receipt or "lambda_z" in receipt for receipt in receipts)


def test_futures_are_let_go_as_soon_as_they_are_done_with(monkeypatch: pytest.MonkeyPatch) -> None:
    import concurrent.futures
    import gc
    import weakref

    alive: weakref.WeakSet = weakref.WeakSet()

    class Pool(concurrent.futures.ThreadPoolExecutor):
        def __init__(self, jobs: int, **_: object) -> None:
            super().__init__(1)

        def submit(self, *arguments: object) -> concurrent.futures.Future:
            future = super().submit(*arguments)
            alive.add(future)
            return future

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Pool)
    seen = 0
    for _ in engines.run(lambda task: {"number": task}, list(range(50)), engines.Crew(jobs=2)):
        seen += 1
        if seen == 40:
            gc.collect()
            assert len(alive) < 50 - seen + 5
    assert seen == 50


def test_slopes_are_found_without_a_look_at_every_profile_for_each() -> None:
    n = 300
    looks = []

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            looks.append(other)
            return str.__eq__(self, other)

    cohort = Cohort.from_arrays(
        np.tile([0.0, 7.0, 14.0, 21.0], (n, 1)), np.tile([900.0, 400.0, 200.0, 100.0], (n, 1)), subject=range(n)
    )
    cohort = replace(cohort, subject=tuple(Name(f"S{k}") for k in range(n)))
    slopes = tuple(Slope(subject=f"S{k}", first=7.0, last=21.0) for k in range(-10, n))
    rules, used = worker._slopes_here(NCAOptions(slopes=slopes), cohort)
    assert used == list(range(10, n + 10))
    assert [slope.subject for slope in rules.slopes] == list(cohort.subject)
    assert len(looks) < 10 * n


def test_a_plan_that_another_batch_has_finished_is_not_begun_anew(
    cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(runner, "_check_faithful", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert cli("nca", table, "--out", "out", *OPTIONS).code == 130
    work = WorkFolder(table.parent / "out")
    with monkeypatch.context() as patch:
        after(patch, runner, "hashed", work.clear)
        done = cli("nca", table, "--out", "out", *OPTIONS)
    assert done.code == 2
    assert "another batch has finished" in done.err


def test_columns_that_hold_one_value_in_each_file_group_the_files(cli: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    for name, site in (("a", "Bern"), ("b", "7")):
        rows = "".join(f"{name},{day},{value},{site}\n" for day, value in ((0, 5), (7, 900), (14, 100)))
        (folder / f"{name}.csv").write_text("subject,time,value,site\n" + rows)
    done = cli("nca", folder, "--out", "out", "--by", "site")
    assert done.code == 0, done.err
    summary = pd.read_csv(done.folder / "nca_summary.csv", dtype={"site": "str"}).query("parameter == 'CMAX'")
    assert dict(zip(summary["site"], summary["n"], strict=True)) == {"Bern": 1, "7": 1}
