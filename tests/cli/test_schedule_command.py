"""`cellkinetics schedule`: files, options, and what it refuses."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = ("--draws", "16", "--lloq", "50")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_schedules_are_compared_and_better_days_searched(cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        'population = "stein2019"\nlloq = 50\ndraws = 16\nadmissible = "1-4,9-16,28-30"\nstarts = 2\n'
        'known = ["beta", "omega_beta"]\n[days]\nusual = [7, 14, 28]\nearly = "1-3,9"\n'
    )
    done = cli("schedule", "--settings", "a.toml", "--search", "4", "--keep", "28")
    assert done.code == 0, done.err
    folder = done.folder / "schedule"
    table = rows(folder / "schedules.csv")
    assert [row["schedule"] for row in table] == ["usual", "early", "best of 4"]
    assert {row["schedule"]: row["days"] for row in table}["early"] == "1 2 3 9"
    best = rows(folder / "schedule_search.csv")[0]["days"].split()
    assert len(best) == 4
    assert "28" in best
    quantities = rows(folder / "schedule_parameters.csv")
    assert {row["reason_code"] for row in quantities if row["parameter"] == "beta"} == {"fixed"}
    assert all(row["rse_percent"] or row["reason"] for row in quantities)
    assert (folder / "schedules.png").read_bytes()[:4] == b"\x89PNG"
    record = json.loads((folder / "manifest.json").read_text())
    assert record["command"] == "schedule"
    assert record["options"]["days"] == ["usual=7,14,28", "early=1-3,9"]
    assert [stage["name"] for stage in record["stages"]] == ["search", "compare"]
    assert set(record["outputs"]) == {
        "schedules.csv", "schedule_parameters.csv", "schedule_days.csv", "schedules.json", "schedules.png",
        "schedule_search.csv", "schedule_path.csv",
    }  # fmt: skip


def test_a_population_fit_is_taken_from_its_file(cli: Callable, tmp_path: Path) -> None:
    fit = {
        "model": "ecp-persistence",
        "parameters": [
            {"name": name, "estimate": value}
            for name, value in {"cmax": 2e4, "tmax": 9.0, "foldx": 900.0, "alpha": 0.15}.items()
        ],
        "omega": {"names": ["cmax", "alpha"], "sd": [0.9, 0.5]},
        "residual": {"scale": "log", "sd": 0.5},
    }
    (tmp_path / "population.json").write_text(json.dumps(fit))
    done = cli("schedule", "population.json", "--days", "3,9,14,28", *SMALL)
    assert done.code == 0, done.err
    folder = done.folder / "schedule"
    names = [row["parameter"] for row in rows(folder / "schedule_parameters.csv")]
    assert names == ["cmax", "tmax", "foldx", "alpha", "omega_cmax", "omega_alpha", "sigma"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to do"),
        (("--days", "7,x"), "write days such as 7,14,28"),
        (("--days", "9-3"), "no range of days"),
        (("--days", "7", "--days", "7"), "name of its own"),
        (("stein", "--days", "7"), "stein2019"),
        (("gone.json", "--days", "7"), "there is no file gone.json"),
        (("bad.json", "--days", "7"), "not the population.json"),
        (("--days", "7,14", "--method", "exact"), "choose one of"),
        (("--days", "7,14", "--known", "gamma"), "there is no gamma"),
        (("--search", "3", "--admissible", "1-2"), "hold 2 samples"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    cli: Callable, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "bad.json").write_text('{"model": "ecp"}')
    done = cli("schedule", *arguments)
    assert done.code == 2
    assert words in done.err.replace("\n", " ")
