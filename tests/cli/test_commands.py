"""Commands, their files, their manifests, and what happens when a folder is used twice."""

import csv
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cellkinetics.errors import FitError

LINES = [
    "subject,group,time,value,lloq",
    *(
        f"{subject},{group},{time},{value},50"
        for subject, group, peak in (("A", "low", 9000), ("B", "high", 20000))
        for time, value in (
            (0, "BLQ"), (3, peak // 50), (5, peak // 8), (8, peak), (11, peak // 2), (14, peak // 3),
            (21, peak // 10), (28, peak // 25), (60, peak // 60), (120, peak // 90),
        )
    ),
]  # fmt: skip


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    path = tmp_path / "trial.csv"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the fits, which take seconds, by ones that fail as they may."""

    def fit(*_args: object, **_options: object) -> None:
        raise RuntimeError("singular")

    def pool(*_args: object, **_options: object) -> None:
        raise FitError("2 of 2 patients can take part in a population fit, at least 3 are needed")

    monkeypatch.setattr("cellkinetics.fitting.individual.fit", fit)
    monkeypatch.setattr("cellkinetics.fitting.pooled.estimation.pool", pool)


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def test_nca_writes_its_files_and_the_hashes_are_theirs(cli: Callable, trial: Path) -> None:
    done = cli("nca", trial)
    assert done.code == 0, done.err
    content = manifest(done.folder)
    names = {"samples.csv", "check.csv", "nca.csv", "nca_wide.csv", "nca_summary.csv", "nca_points.csv"}
    assert set(content["outputs"]) == names
    for name in names:
        digest = hashlib.sha256((done.folder / name).read_bytes()).hexdigest()
        assert content["outputs"][name]["sha256"] == digest
    assert content["input"]["sha256"] == hashlib.sha256(trial.read_bytes()).hexdigest()
    assert content["rows"]["read"] == content["rows"]["used"] == 20
    assert (content["status"], content["seed"]) == ("done", None)
    assert "Cmax" in done.out
    assert "2 patients" in done.out


def test_the_same_command_gives_the_same_bytes(cli: Callable, trial: Path) -> None:
    first, second = cli("nca", trial, "--out", "one"), cli("nca", trial, "--out", "two")
    assert manifest(first.folder)["outputs"] == manifest(second.folder)["outputs"]


def test_quiet_prints_nothing(cli: Callable, trial: Path) -> None:
    done = cli("nca", trial, "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_results_are_overwritten_only_with_force(cli: Callable, trial: Path) -> None:
    folder = cli("nca", trial).folder
    before = (folder / "nca.csv").read_bytes()
    refused = cli("nca", trial, "--windows", "0-14")
    assert refused.code == 2
    assert "--force" in refused.err
    assert (folder / "nca.csv").read_bytes() == before
    assert cli("nca", trial, "--windows", "0-14", "--force").code == 0
    assert (folder / "nca.csv").read_bytes() != before


def test_a_folder_of_another_input_is_refused_and_stays_as_it_was(cli: Callable, trial: Path, tmp_path: Path) -> None:
    folder = cli("nca", trial).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = tmp_path / "other.csv"
    other.write_text("\n".join(LINES[:8]) + "\n")
    refused = cli("check", other)
    assert refused.code == 2
    assert "another input" in refused.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert cli("check", other, "--force").code == 0
    assert not (folder / "nca.csv").exists()


def test_two_commands_on_one_input_share_a_folder_and_both_are_recorded(cli: Callable, trial: Path) -> None:
    cli("nca", trial)
    done = cli("check", trial)
    assert done.code == 0, done.err
    content = manifest(done.folder)
    assert content["command"] == "check"
    assert [entry["command"] for entry in content["earlier"]] == ["nca"]
    assert (done.folder / "nca.csv").exists()


def test_run_goes_on_when_a_step_fails_and_says_why_everywhere(cli: Callable, trial: Path, no_models: None) -> None:
    done = cli("run", trial)
    content = manifest(done.folder)
    stages = {stage["name"]: stage for stage in content["stages"]}
    assert {name: stage["status"] for name, stage in stages.items()} == {
        "nca": "done",
        "fit": "failed",
        "pool": "not_possible",
        "report": "done",
    }
    assert "singular" in stages["fit"]["message"]
    assert "RuntimeError" in stages["fit"]["detail"]
    assert done.code == 3
    assert "at least 3 are needed" in done.err
    page = (done.folder / "report.html").read_text()
    assert "at least 3 are needed" in page
    assert "singular" in page
    assert (done.folder / "nca.csv").exists()
    assert "report.html" in content["outputs"]
    assert done.out.splitlines()[-1] == "report: results/report.html"


def test_a_population_that_cannot_be_fitted_is_a_result(
    cli: Callable, trial: Path, no_models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fits:
        status = "fine"

        def __getattr__(self, table: str) -> object:
            import pandas as pd

            return pd.DataFrame({"subject": [], "parameter": [], "status": []})

    monkeypatch.setattr("cellkinetics.fitting.individual.fit", lambda *_a, **_k: Fits())
    assert cli("run", trial).code == 0
    alone = cli("pool", trial, "--out", "alone")
    assert alone.code == 1
    assert "at least 3 are needed" in alone.err


@pytest.mark.parametrize("command", ["pool", "run"])
def test_what_is_weak_in_a_population_fit_is_told(
    cli: Callable, trial: Path, no_models: None, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    class Fit:
        status = "converged"
        converged = True
        posterior = trace = None
        terms_in_words = ("beta_beta_weight: power of weight, 1 at 70",)
        objective = SimpleNamespace(minus2ll=120.0, mc_se=0.3)
        warnings = ("beta is poorly determined", "1 patient was left out")

        def __init__(self) -> None:
            import pandas as pd

            self.individual = self.curves = self.quantities = self.correlations = pd.DataFrame({"subject": []})
            columns = ["parameter", "estimate", "rse_percent", "ci_low", "ci_high", "iiv_cv_percent", "unit"]
            self.table = pd.DataFrame([["beta", 0.003, 70.0, 0.001, 0.009, 80.0, "1/day"]], columns=columns)

        def to_dict(self) -> dict:
            return {"warnings": list(self.warnings), "converged": True, "objective": vars(self.objective)}

    monkeypatch.setattr("cellkinetics.fitting.pooled.estimation.pool", lambda *_a, **_k: Fit())
    done = cli(command, trial)
    assert "note: beta is poorly determined\nnote: 1 patient was left out\n" in done.err
    assert "  beta_beta_weight: power of weight, 1 at 70\n" in done.out
    if command == "run":
        text = (done.folder / "report.html").read_text()
        summary = text[text.index('id="summary"') : text.index('id="data"')]
        assert "Population fit: Beta is poorly determined." in summary


def test_a_step_that_fails_is_a_fault_and_one_that_is_not_possible_a_note(
    cli: Callable, trial: Path, no_models: None
) -> None:
    done = cli("run", trial)
    assert re.search(r"^fault: fit: .*singular", done.err, flags=re.MULTILINE)
    assert re.search(r"^note: pool: .*at least 3 are needed", done.err, flags=re.MULTILINE)


def test_two_equal_runs_make_the_same_page_also_in_a_folder_that_is_used_again(
    cli: Callable, trial: Path, no_models: None
) -> None:
    pages = []
    for options in (["--out", "one"], ["--out", "two"], ["--out", "two", "--force"]):
        done = cli("run", trial, *options)
        pages.append((done.folder / "report.html").read_bytes())
    assert cli("report", "two", "--force").code == 0
    pages.append((done.folder / "report.html").read_bytes())
    assert [page == pages[0] for page in pages] == [True] * 4
    assert manifest(done.folder)["earlier"] == []


def test_flagged_values_are_counted_in_the_summary(cli: Callable, tmp_path: Path) -> None:
    # The last three values of A fall slowly and unevenly: fewer than two half-lives.
    profiles = {"A": (6000, 6500, 4000, 3600), "B": (4500, 2250, 1125, 562.5)}
    days = (10, 14, 18, 22)
    lines = ["subject,group,time,value,lloq"]
    for name, values in profiles.items():
        lines += [f"{name},low,0,BLQ,50", f"{name},low,8,9000,50"]
        lines += [f"{name},low,{day},{value},50" for day, value in zip(days, values, strict=True)]
    (tmp_path / "trial.csv").write_text("\n".join(lines) + "\n")
    done = cli("nca", "trial.csv")
    assert re.search(r"group +n +flagged +\(CV %\) +\(SD\)", done.out)
    assert re.search(r"t½ λz \(day\)\s+low +2 +1 † +\d", done.out)
    assert re.search(r"Cmax \(copies/µg\)\s+low +2 +9,000 \(", done.out)


def test_an_interrupted_command_says_so_and_keeps_what_it_has(
    cli: Callable, trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cellkinetics.nca.engine.noncompartmental", interrupt)
    done = cli("run", trial)
    assert done.code == 130
    assert "interrupted" in done.err
    assert manifest(done.folder)["status"] == "interrupted"
    assert (done.folder / "samples.csv").exists()


def test_an_error_of_the_program_is_one_sentence_and_its_trace_is_kept(
    cli: Callable, trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("cellkinetics.nca.engine.noncompartmental", broken)
    done = cli("nca", trial)
    assert done.code == 3
    assert "KeyError" in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert "Traceback" in manifest(done.folder)["stages"][0]["detail"]


def test_fit_and_report_work_one_after_the_other(cli: Callable, trial: Path) -> None:
    done = cli("fit", trial)
    assert done.code == 0, done.err
    with (done.folder / "individual.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert {row["subject"] for row in table} == {"A", "B"}
    assert all(row["estimate"] or row["reason"] for row in table)
    assert cli("report", "results").code == 0
    assert "report.html" in manifest(done.folder)["outputs"]
    again = cli("report", "results")
    assert again.code == 2
    assert "--force" in again.err
    assert cli("report", "results", "--force").code == 0


def test_a_report_of_a_folder_without_results_makes_no_folder(cli: Callable, tmp_path: Path) -> None:
    done = cli("report", "nowhere")
    assert done.code == 2
    assert "nowhere" in done.err
    assert not (tmp_path / "nowhere").exists()


def test_the_demo_reads_the_bundled_trial_and_may_replace_its_own_folder(
    cli: Callable, tmp_path: Path, no_models: None
) -> None:
    first = cli("demo")
    folder = tmp_path / "results" / "demo"
    assert first.out.splitlines()[-1] == "report: results/demo/report.html"
    assert manifest(folder)["cohort"]["subjects"] == 24
    assert "simulated" in (folder / "report.html").read_text()
    assert cli("demo", "--quiet").code == first.code
    assert set(manifest(folder)["options"]) >= {"windows", "model", "method", "seed", "nca_options"}


def test_an_unknown_model_is_told_with_those_there_are(cli: Callable, trial: Path) -> None:
    done = cli("fit", trial, "--model", "stein")
    assert done.code == 2
    assert "ecp" in done.err
    assert "patients" not in done.out


def test_models_lists_parameters_and_sources(cli: Callable) -> None:
    done = cli("models")
    assert done.code == 0
    for word in ("ecp", "cmax", "foldx", "10.1002/psp4.12388", "residual SD"):
        assert word in done.out


def test_a_table_that_was_put_right_is_checked_again_without_force(cli: Callable, trial: Path) -> None:
    good = trial.read_text()
    trial.write_text(good.replace("A,low,3,180,50", "A,low,3,abc,50"))
    assert cli("check", trial).code == 1
    trial.write_text(good)
    assert cli("check", trial).code == 0
    assert cli("nca", trial, "--quiet").code == 0
    trial.write_text(good.replace("A,low,3,180,50", "A,low,3,190,50"))
    assert "another input" in cli("check", trial).err


def test_typical_values_can_be_fixed_from_the_command_line_and_from_settings(
    cli: Callable, trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def pool(*_args: object, **options: object) -> None:
        seen.append(options["fix"])
        raise FitError("enough")

    monkeypatch.setattr("cellkinetics.fitting.pooled.estimation.pool", pool)
    cli("pool", trial, "--fix", "foldx=3900", "--fix", "beta = 0.0032")
    settings = trial.with_name("analysis.toml")
    settings.write_text("[fix]\nfoldx = 3900\n")
    cli("pool", trial, "--settings", settings, "--out", "other")
    assert seen == [{"foldx": 3900.0, "beta": 0.0032}, {"foldx": 3900.0}]
    wrong = cli("pool", trial, "--fix", "foldx=many", "--out", "third")
    assert wrong.code == 2
    assert "must be a number" in wrong.err
    outside = cli("pool", trial, "--fix", "fb=1.5", "--out", "fourth")
    assert outside.code == 2
    assert not (outside.folder / "samples.csv").exists()


@pytest.mark.parametrize("command", ["check", "nca", "run"])
def test_the_input_is_not_replaced_by_results_even_with_force(cli: Callable, trial: Path, command: str) -> None:
    source = trial.rename(trial.with_name("samples.csv"))
    before = source.read_bytes()
    done = cli(command, source, "--out", ".", "--force")
    assert done.code == 2
    assert "is the input" in done.err
    assert source.read_bytes() == before
    assert [path.name for path in source.parent.iterdir()] == ["samples.csv"]


def test_a_column_to_group_by_is_checked_first_and_the_corrected_command_runs(cli: Callable, trial: Path) -> None:
    wrong = cli("nca", trial, "--by", "arm")
    assert wrong.code == 2
    assert not (wrong.folder / "nca.csv").exists()
    assert cli("nca", trial, "--by", "group,group").code == 0


@pytest.mark.parametrize("command", ["nca", "run"])
def test_a_wrong_option_costs_no_earlier_result_even_with_force(
    cli: Callable, trial: Path, no_models: None, command: str
) -> None:
    folder = cli("nca", trial).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = trial.with_name("other.csv")
    other.write_text("\n".join(LINES[:8]) + "\n")
    for data in (trial, other):
        wrong = cli(command, data, "--by", "arm", "--force")
        assert wrong.code == 2
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("option", "value"), [("--method", "saemm"), ("--analyte", "zz"), ("--by", "arm"), ("--parameters", "CNONE")]
)
def test_run_refuses_a_wrong_option_before_it_computes(
    cli: Callable, trial: Path, no_models: None, option: str, value: str
) -> None:
    done = cli("run", trial, option, value)
    assert done.code == 2
    assert value in done.err
    assert manifest(done.folder)["stages"] == [] if (done.folder / "manifest.json").exists() else True
    assert not (done.folder / "nca.csv").exists()


def test_pool_asks_for_one_analyte_and_run_does_the_rest_without(
    cli: Callable, tmp_path: Path, no_models: None
) -> None:
    lines = [f"{line},{name}" for name in ("dna", "flow") for line in LINES[1:]]
    trial = tmp_path / "two.csv"
    trial.write_text("\n".join([LINES[0] + ",analyte", *lines]) + "\n")
    for given in ([], ["--analyte", "zz"]):
        done = cli("pool", trial, *given)
        assert done.code == 2
        assert "dna, flow" in done.err
        assert list(done.folder.iterdir()) == []
    stages = {stage["name"]: stage for stage in manifest(cli("run", trial, "--out", "all").folder)["stages"]}
    assert stages["pool"]["status"] == "not_possible"
    assert "--analyte" in stages["pool"]["message"]
    assert stages["nca"]["status"] == "done"


@pytest.mark.parametrize("command", ["fit", "pool", "run"])
def test_a_negative_seed_is_a_usage_error(cli: Callable, trial: Path, command: str) -> None:
    done = cli(command, trial, "--seed", "-1")
    assert done.code == 2
    assert "--seed" in done.err
    assert not done.folder.exists()


def test_fit_records_its_seed_and_demo_takes_settings(
    cli: Callable, trial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def fit(*_args: object, **options: object) -> None:
        seen.append(options["seed"])
        raise FitError("enough")

    monkeypatch.setattr("cellkinetics.fitting.individual.fit", fit)
    monkeypatch.setattr("cellkinetics.fitting.pooled.estimation.pool", fit)
    assert manifest(cli("fit", trial, "--seed", "7").folder)["seed"] == 7
    (tmp_path / "a.toml").write_text("seed = 9\n")
    assert manifest(cli("demo", "--settings", "a.toml", "--out", "demo").folder)["seed"] == 9
    assert seen == [7, 9, 9]


def test_an_error_without_a_manifest_says_where_its_trace_stands(
    cli: Callable, trial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("cellkinetics.data.reading.read", broken)
    monkeypatch.setattr("cellkinetics.report.results.read_results", broken)
    for done in (cli("nca", trial), cli("report", "results")):
        assert done.code == 3
        assert "manifest.json" not in done.err
        found = re.search(r"its trace stands in (\S+\.txt)", done.err)
        assert found
        assert "KeyError: 'lost'" in Path(found[1]).read_text()


@pytest.mark.parametrize(("given", "unit"), [([], "h"), (["--time-unit", "hour"], "hour")])
def test_the_unit_of_time_is_that_of_the_data_unless_given(
    cli: Callable, trial: Path, given: list[str], unit: str
) -> None:
    trial.write_text(trial.read_text().replace("time", "time (h)", 1))
    done = cli("nca", trial, *given)
    assert done.code == 0, done.err
    assert manifest(done.folder)["cohort"]["time_unit"] == unit
    assert manifest(done.folder)["options"]["nca_options"]["acceptance"]["tmax_min"] is None
