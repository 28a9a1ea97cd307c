"""A run of many tasks may die at any moment, and goes on with the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.engines import Crew
from cellkinetics.errors import FitError, OutputError, SettingsError
from cellkinetics.fitting.replicates import Record, Replicates, Task, fingerprint

HEADER = {"input": "abc", "options": {"method": "saem"}, "seed": 7}
SCRIPT = """
import sys, time
from cellkinetics.engines import Crew
from cellkinetics.fitting.replicates import Replicates, Task
from test_replicates import HEADER, slow_draw

if __name__ == "__main__":
    with Replicates(sys.argv[1], HEADER, resume=True) as replicates:
        replicates.run(slow_draw, [Task(f"{k:03d}", k) for k in range(60)], shared=7, crew=Crew(jobs=2))
"""


def draw(shared: int, content: int) -> dict[str, Any]:
    return {"mean": np.random.default_rng((shared, content)).normal(size=50).mean()}


def slow_draw(shared: int, content: int) -> dict[str, Any]:
    time.sleep(0.02)
    return draw(shared, content)


def threads(shared: None, content: int) -> dict[str, Any]:
    return {"NPROC": os.environ.get("NPROC"), "pid": os.getpid()}


def fail_on_odd(shared: None, content: int) -> dict[str, Any]:
    if content == 1:
        raise FitError("the profile is flat; leave it out")
    if content == 3:
        raise ZeroDivisionError("one over nothing")
    return {"value": np.float64("nan") if content == 2 else np.float64(content)}


def tasks(n: int) -> list[Task]:
    return [Task(f"{k:03d}", k) for k in range(n)]


def test_records_stand_in_the_order_of_the_tasks_whoever_does_them(tmp_path: Path) -> None:
    with Replicates(tmp_path / "a", HEADER) as replicates:
        alone = replicates.run(draw, tasks(8), shared=7)
    with Replicates(tmp_path / "b", HEADER) as replicates:
        together = replicates.run(draw, tasks(8)[::-1], shared=7, crew=Crew(jobs=2))
    assert [record.name for record in together] == [f"{k:03d}" for k in range(8)][::-1]
    assert together[::-1] == alone


def test_each_of_several_processes_has_one_thread() -> None:
    before = os.environ.get("NPROC")
    with Replicates(None, HEADER) as replicates:
        records = replicates.run(threads, tasks(2), crew=Crew(jobs=2))
    assert {record.result["NPROC"] for record in records} == {"1"}
    assert os.getpid() not in {record.result["pid"] for record in records}
    assert os.environ.get("NPROC") == before


def test_a_killed_run_goes_on_with_the_numbers_of_an_uninterrupted_one(tmp_path: Path) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "out"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, str(script), str(folder)], env=environment)
    while len(list(folder.glob("records/[0-9]*.json"))) < 10 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("records/[0-9]*.json")}
    assert 10 <= len(before) < 60
    with Replicates(folder, HEADER, resume=True) as replicates:
        assert replicates.n_done == len(before)
        resumed = replicates.run(slow_draw, tasks(60), shared=7)
    assert {name: (folder / "records" / name).stat().st_mtime_ns for name in before} == before
    with Replicates(None, HEADER) as replicates:
        assert resumed == replicates.run(draw, tasks(60), shared=7)


def test_a_failed_task_is_a_record_with_its_reason_and_is_not_done_again(tmp_path: Path) -> None:
    with Replicates(tmp_path, HEADER) as replicates:
        first = replicates.run(fail_on_odd, tasks(4))
    assert [record.status for record in first] == ["done", "failed", "done", "failed"]
    assert first[1].reason == "the profile is flat; leave it out"
    assert "ZeroDivisionError: one over nothing" in first[3].reason
    assert "fail_on_odd" in first[3].trace
    assert first[2].result == {"value": None}
    with Replicates(tmp_path, HEADER, resume=True) as replicates:
        assert replicates.run(draw, tasks(4)) == first


def test_a_run_of_something_else_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    with Replicates(tmp_path, HEADER) as replicates:
        replicates.run(draw, tasks(1), shared=7)
    for header, said in (
        ({**HEADER, "options": {"method": "focei"}}, "method was saem, is focei"),
        ({**HEADER, "input": "xyz"}, "input was abc, is xyz"),
        ({**HEADER, "strata": "group"}, "strata was not given, is group"),
    ):
        with pytest.raises(SettingsError, match=said), Replicates(tmp_path, header, resume=True):
            pytest.fail("opened")
    with pytest.raises(OutputError, match="1 tasks of an earlier run; go on with --resume"):
        Replicates(tmp_path, HEADER).__enter__()
    with Replicates(tmp_path, {**HEADER, "input": "xyz"}, force=True) as replicates:
        assert replicates.n_done == 0


def test_another_version_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Replicates(tmp_path, HEADER):
        pass
    monkeypatch.setattr("cellkinetics.__version__", "99.0")
    with pytest.raises(SettingsError, match=r"cellkinetics was .*, is 99\.0"):
        Replicates(tmp_path, HEADER, resume=True).__enter__()


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with Replicates(tmp_path, HEADER), pytest.raises(OutputError, match="another run is at work"):
        Replicates(tmp_path, HEADER, resume=True).__enter__()
    with Replicates(tmp_path, HEADER, resume=True):
        pass


def test_a_record_that_is_not_whole_is_made_again(tmp_path: Path) -> None:
    with Replicates(tmp_path, HEADER) as replicates:
        whole = replicates.run(draw, tasks(2), shared=7)
    (tmp_path / "records" / "001.json").write_text("")
    with Replicates(tmp_path, HEADER, resume=True) as replicates:
        assert replicates.n_done == 1
        assert replicates.run(draw, tasks(2), shared=7) == whole


def test_any_name_is_the_name_of_a_file(tmp_path: Path) -> None:
    named = [Task("step 1: cmax ~ group/site", 1), Task(".hidden", 2), Task("ä%2F", 3)]
    with Replicates(tmp_path, HEADER) as replicates:
        first = replicates.run(draw, named, shared=7)
    with Replicates(tmp_path, HEADER, resume=True) as replicates:
        assert replicates.n_done == 3
        assert replicates.run(draw, named, shared=7) == first
    assert json.loads((tmp_path / "header.json").read_text())["seed"] == 7


def test_every_sample_and_covariate_changes_the_fingerprint() -> None:
    cohort = Cohort.from_arrays([[1, 7], [1, 9]], [[90, 400], [80, 20]], lloq=50, group=["a", "b"])
    changed = [
        replace(cohort, time=cohort.time + 1),
        replace(cohort, censored=1 - cohort.censored),
        replace(cohort, group=("a", "c")),
        replace(cohort, covariates={"age": np.array([50.0, 60.0])}),
        replace(cohort, covariates={"age": np.array([50.0, 61.0])}),
        cohort.take([1, 0]),
    ]
    assert len({fingerprint(one) for one in (cohort, *changed)}) == 7
    assert fingerprint(cohort) == fingerprint(replace(cohort))


def test_a_record_of_the_same_result_is_equal_however_long_it_took() -> None:
    assert Record("1", result={"a": 1.0}, seconds=1.0) == Record("1", result={"a": 1.0}, seconds=2.0)
