import json
from pathlib import Path

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.samples import sample_table
from cellkinetics.report.manifest import (
    Manifest,
    Stage,
    describe_cohort,
    describe_rows,
    package_versions,
    record_outputs,
)
from cellkinetics.report.output import OutputFolder

COHORT = Cohort.from_arrays([[0, 7, 14], [0, 7]], [[0, 900, 400], [0, 80]], lloq=50, group=["low", "high"])


def test_the_cohort_is_counted() -> None:
    found = describe_cohort(COHORT)
    assert (found["subjects"], found["samples"], found["below_quantification"]) == (2, 5, 2)
    assert found["groups"] == ["low", "high"]
    assert found["value_unit"] == {"": "copies/ug"}


def test_excluded_rows_are_counted_by_reason() -> None:
    samples = sample_table(COHORT)
    samples.loc[[1, 2], "status"] = "excluded"
    samples.loc[[1, 2], "reason"] = "no value"
    rows = describe_rows(samples, rows_read=7)
    assert rows == {"read": 7, "used": 3, "excluded": 2, "reasons": [{"reason": "no value", "rows": 2, "profiles": 0}]}


def test_rows_of_an_unusable_profile_are_counted_with_it_and_apart_from_rows_lost_alone() -> None:
    samples = sample_table(COHORT).assign(status="excluded", reason="negative")
    samples.loc[[0], "reason"] = "no value"
    one = {("1", "", "", ""): "negative"}
    of_one = describe_rows(samples, rows_read=5, unusable=one)["reasons"]
    assert of_one == [
        {"reason": "no value", "rows": 1, "profiles": 0},
        {"reason": "negative", "rows": 2, "profiles": 1},
        {"reason": "negative", "rows": 2, "profiles": 0},
    ]
    of_both = describe_rows(samples, rows_read=5, unusable={**one, ("2", "", "", ""): "negative"})["reasons"]
    assert of_both[1:] == [{"reason": "negative", "rows": 4, "profiles": 2}]


def test_versions_are_those_of_what_computes() -> None:
    versions = package_versions()
    assert {"cellkinetics", "numpy", "pandas", "jax", "lmfit"} <= set(versions)


def test_a_manifest_records_options_stages_and_hashes(tmp_path: Path) -> None:
    folder = OutputFolder.create(tmp_path)
    folder.write_text("nca.csv", "x")
    manifest = Manifest("nca", {"windows": None, "out": tmp_path}, seed=3)
    manifest.describe_reading(COHORT, sample_table(COHORT))
    manifest.stages.append(Stage("nca", "failed", "why", 1.23456))
    manifest.write(folder, "faults", "message")
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["options"] == {"windows": None, "out": str(tmp_path)}
    assert content["outputs"] == {"nca.csv": {"sha256": folder.written["nca.csv"]}}
    assert content["stages"][0] == {"name": "nca", "status": "failed", "message": "why", "seconds": 1.235, "detail": ""}
    assert (content["command"], content["status"], content["seed"]) == ("nca", "faults", 3)
    assert content["started"] <= content["ended"]


def test_a_second_command_keeps_the_record_of_the_first_as_long_as_its_files_stand(tmp_path: Path) -> None:
    for command, name in (("nca", "nca.csv"), ("fit", "individual.csv"), ("nca", "nca.csv")):
        folder = OutputFolder.create(tmp_path)
        folder.write_text(name, command)
        content = Manifest(command, {}).write(folder, "done")
    assert content["command"] == "nca"
    assert [(entry["command"], list(entry["outputs"])) for entry in content["earlier"]] == [("fit", ["individual.csv"])]


def test_a_report_adds_its_files_to_the_record(tmp_path: Path) -> None:
    folder = OutputFolder.create(tmp_path)
    folder.write_text("nca.csv", "x")
    Manifest("nca", {}).write(folder, "done")
    later = OutputFolder.create(tmp_path)
    later.write_text("report.html", "y")
    record_outputs(later)
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["command"] == "nca"
    assert set(content["outputs"]) == {"nca.csv", "report.html"}
