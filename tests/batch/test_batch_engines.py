"""Who works on a batch does not show in its files, not even when a worker dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellkinetics import engines
from cellkinetics.batch.folder import WorkFolder
from cellkinetics.errors import SettingsError

CLUSTER = """
import sys
from pathlib import Path
from dask.distributed import Client, LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            pids = client.run(lambda: __import__("os").getpid())
        print(cluster.scheduler_address, *pids.values(), flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        f"P{k:03d},{day},{value}"
        for k in range(24)
        for day, value in ((0, 0), (7, 900 + k), (14, 400), (28, 150), (56, 60), (84, 30))
    ]
    path = tmp_path / "study.csv"
    path.write_text("\n".join(["subject,time,value", *rows, ""]))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[int]]]:
    """A Dask cluster of two worker processes on this machine: the scheduler's address, and the workers' processes."""
    pytest.importorskip("distributed")
    script = tmp_path_factory.mktemp("cluster") / "cluster.py"
    script.write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # One process imports what the workers need; they are copies of it.
        env={**os.environ, "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver"},
    )
    assert process.stdout is not None
    address, *pids = process.stdout.readline().split()
    yield address, [int(pid) for pid in pids]
    process.communicate("")


def test_a_cluster_that_loses_a_worker_gives_the_complete_result(
    cli: Callable, table: Path, cluster: tuple[str, list[int]]
) -> None:
    address, workers = cluster
    assert len(workers) == 2
    whole = cli("nca", table, "--out", "whole", "--piece-rows", "12")
    assert whole.code == 0, whole.err
    out = table.parent / "out"
    options = ["nca", str(table), "--out", str(out), "--piece-rows", "12", "--engine", "dask", "--scheduler", address]
    batch = subprocess.Popen([sys.executable, "-m", "cellkinetics", *options], stdout=subprocess.PIPE, text=True)
    work = WorkFolder(out)
    while work.n_done < 2 and batch.poll() is None:
        time.sleep(0.002)
    assert work.n_done < 12, "the batch was over before a worker could be killed"
    os.kill(workers[0], signal.SIGKILL)
    said, _ = batch.communicate()
    assert batch.returncode == 0, said
    assert contents(out) == contents(whole.folder)


def test_a_process_that_is_ended_from_outside_ends_the_batch_with_what_to_do(
    cli: Callable, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ["nca", str(table), "--out", str(out), "--piece-rows", "12"]
    batch = subprocess.Popen(
        [sys.executable, "-m", "cellkinetics", *options, "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    psutil = pytest.importorskip("psutil")
    while WorkFolder(out).n_done < 1 and batch.poll() is None:
        time.sleep(0.002)
    children = psutil.Process(batch.pid).children()
    next(child for child in children if "spawn_main" in " ".join(child.cmdline())).kill()
    _, said = batch.communicate()
    assert batch.returncode == 2, said
    assert b"--resume" in said
    resumed = cli(*options, "--resume")
    assert resumed.code == 0, resumed.err
    whole = cli("nca", table, "--out", "whole")
    assert contents(out) == contents(whole.folder)


@pytest.mark.parametrize(
    ("engine", "jobs", "scheduler", "message"),
    [
        ("spark", 1, None, "spark"),
        ("processes", 0, None, "1 or more"),
        ("processes", 1, "tcp://x:1", "--engine dask"),
        ("dask", 1, None, "--scheduler"),
        ("dask", 2, "tcp://x:1", "--jobs"),
    ],
)
def test_a_crew_that_makes_no_sense_is_refused(engine: str, jobs: int, scheduler: str | None, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        engines.check_crew(engines.Crew(engine, jobs, scheduler))


def test_a_scheduler_that_does_not_answer_is_named(cli: Callable, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(engines, "PATIENCE", 0.5)
    done = cli("nca", table, "--out", "out", "--engine", "dask", "--scheduler", "tcp://127.0.0.1:1")
    assert done.code == 2
    assert "tcp://127.0.0.1:1" in done.err
