"""The section on individual fits: what is shown of which file, and what is said of whom."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellkinetics.report.blocks import Block, Folded, Picture, Text
from cellkinetics.report.results import Results, read_results
from cellkinetics.report.sections.individual import individual_section, linear_parameters, model_parameters
from cellkinetics.report.sections.profiles import profiles_section
from cellkinetics.report.sections.record import method_section
from cellkinetics.report.tables import Table

from handmade_results import NAMES, write_results  # isort: skip

KEY = {"analyte": "", "occasion": "", "specimen": ""}


def counted(blocks: list[Block]) -> list[list[str]]:
    tables = [block for block in blocks if isinstance(block, Table)]
    return next(words(table) for table in tables if table.columns[0].label == "Parameter")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_results(tmp_path / "results")


def edited(folder: Path, name: str, **columns: object) -> None:
    file = folder / f"{name}.csv"
    pd.read_csv(file, keep_default_na=False, na_values=[""]).assign(**columns).to_csv(file, index=False)


def blocks_of(results: Results) -> list[Block]:
    section = individual_section(results)
    assert section is not None
    return list(section.blocks)


def folded(blocks: list[Block], start: str) -> Folded:
    return next(block for block in blocks if isinstance(block, Folded) and block.title.startswith(start))


def pictures(blocks: list[Block]) -> list[Picture]:
    inner = [one for block in blocks if isinstance(block, Folded) for one in pictures(list(block.blocks))]
    return [block for block in blocks if isinstance(block, Picture)] + inner


def words(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_a_table_says_for_whom_each_parameter_is_identified_and_why_not_for_the_others(folder: Path) -> None:
    codes = pd.read_csv(folder / "individual.csv", keep_default_na=False)["status"]
    edited(folder, "individual", reason_code=np.where(codes == "not_identifiable", "one_phase;flat_profile", "few"))
    blocks = blocks_of(read_results(folder))
    (matrix,) = folded(blocks, "Parameter by parameter: 5 profiles").blocks
    assert isinstance(matrix, Table)
    assert [column.label for column in matrix.columns] == ["Patient", *NAMES]
    rows = words(matrix)
    assert rows[0] == ["P01", *["✓"] * 6]
    assert rows[2] == ["P03", *["✓"] * 5, "one phase; flat profile"]
    assert rows[3] == ["P04", *["few"] * 6]
    counts = next(
        words(block) for block in blocks if isinstance(block, Table) and block.columns[0].label == "Parameter"
    )
    assert counts[0] == ["cmax", "4 of 5", "few (1)"]
    assert counts[5] == ["beta", "3 of 5", "one phase and flat profile (1); few (1)"]


def test_fits_with_a_prior_are_told_apart(folder: Path) -> None:
    table = pd.read_csv(folder / "individual.csv", keep_default_na=False, na_values=[""])
    alone = table["subject"].eq("P01") & table["parameter"].eq("beta")
    edited(folder, "individual", sd_ratio=0.5, status=table["status"].mask(alone, "prior"))
    blocks = blocks_of(read_results(folder))
    assert isinstance(blocks[0], Text)
    assert "with a population as prior (MAP)" in blocks[0].text
    assert "1 with some that say what the prior says" in blocks[0].text
    assert any("Faint: the estimate says what the prior says" in picture.caption for picture in pictures(blocks))
    counts = next(
        words(block) for block in blocks if isinstance(block, Table) and block.columns[0].label == "Parameter"
    )
    assert counts[5][:3] == ["beta", "2 of 5", "1"]


def test_estimates_are_drawn_by_group(folder: Path) -> None:
    (picture,) = pictures(blocks_of(read_results(folder)))
    assert ">cmax (copies/µg)<" in picture.svg
    assert ">low<" in picture.svg
    assert ">3/3<" in picture.svg  # P01, P03, P05
    assert ">1/2<" in picture.svg  # P02 and P04, who has no fit


def test_a_ranking_says_what_was_chosen_and_shows_all_weights(folder: Path) -> None:
    rows = [
        {"subject": subject, **KEY, "model": model, "weight": weight, "chosen": weight == 0.75}
        for subject in ("P01", "P02")
        for model, weight in (("ecp+lag", 0.25), ("ecp-persistence", 0.75))
    ]
    pd.DataFrame(rows).to_csv(folder / "individual_models.csv", index=False)
    blocks = blocks_of(read_results(folder))
    assert any(
        isinstance(block, Text) and "ecp-persistence for 2 patients. Never chosen: ecp+lag." in block.text
        for block in blocks
    )
    (picture,) = folded(blocks, "The whole ranking: 2 profiles").blocks
    assert isinstance(picture, Picture)
    assert picture.svg.count(">0.75<") == 2


def test_the_noncompartmental_values_stand_beside_and_what_is_far_apart_is_listed(folder: Path) -> None:
    rows = [
        {"subject": subject, **KEY, "quantity": "CMAX", "unit": "copies/ug", "nca": 100.0, "fitted": 100.0 * ratio,
         "ratio": ratio, "status": "ok" if ratio < 2 else "flagged"}
        for subject, ratio in (("P01", 1.1), ("P02", 3.0))
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "individual_nca.csv", index=False)
    (far,) = folded(blocks_of(read_results(folder)), "Further apart than a factor of 2: 1 value").blocks
    assert isinstance(far, Table)
    assert words(far) == [["P02", "Cmax", "300", "100", "3", "copies/µg"]]


def test_likelihood_profiles_are_folded_a_patient_at_a_time(folder: Path) -> None:
    rows = [
        {"subject": subject, **KEY, "parameter": "cmax", "value": value, "delta": delta, "rise": 6.8}
        for subject in ("P01", "P02")
        for value, delta in ((1000.0, 8.0), (4000.0, 0.0), (9000.0, 7.0))
    ]
    pd.DataFrame(rows).to_csv(folder / "individual_profiles.csv", index=False)
    outer = folded(blocks_of(read_results(folder)), "Profiles of 2 patients")
    assert [block.title for block in outer.blocks if isinstance(block, Folded)] == ["P01", "P02"]
    assert ">cmax (copies/µg)<" in pictures([outer])[0].svg


def test_outliers_and_phases_reach_the_panels(folder: Path) -> None:
    edited(folder, "individual_curves", contraction=90.0, persistence=5.0)
    rows = [{"subject": "P01", **KEY, "time": 10.0, "outlier": True}, {"subject": "P01", **KEY, "time": 7.0}]
    pd.DataFrame(rows).to_csv(folder / "individual_residuals.csv", index=False)
    section = profiles_section(read_results(folder))
    assert section is not None
    panels = next(block for block in section.blocks if block.kind == "panels")
    labels = [meaning for _, meaning in panels.legend]
    assert {"contraction", "persistence", "far from the fit", "change point of the fit"} <= set(labels)
    assert "tmax (the fitted peak, where expansion ends and the decline begins)" in panels.caption
    assert "Thin lines: contraction and persistence" in panels.caption


@pytest.mark.parametrize("model", ["ecp+lag", "my own"])
def test_no_name_of_a_model_or_parameter_is_assumed(folder: Path, model: str) -> None:
    table = pd.read_csv(folder / "individual.csv", keep_default_na=False, na_values=[""])
    renamed = table["parameter"].replace({"cmax": "height", "tmax": "tlag"})
    edited(folder, "individual", model=model, parameter=renamed)
    blocks = blocks_of(read_results(folder))
    matrix = folded(blocks, "Parameter by parameter").blocks[0]
    assert isinstance(matrix, Table)
    labels = [column.label for column in matrix.columns][1:]
    assert "tlag" in labels
    assert ("height" in labels) == (model == "my own")


def test_parameters_of_the_residual_follow_those_of_the_model() -> None:
    names = [*NAMES, "rho", "sigma_additive", "sigma_proportional", "minus2ll"]
    table = pd.DataFrame({"model": "ecp", "parameter": names})
    assert model_parameters(table) == [*NAMES, "sigma_additive", "sigma_proportional"]
    assert model_parameters(table.assign(model="my own"), ["rho"]) == ["rho", "sigma_additive", "sigma_proportional"]
    assert linear_parameters(table) == []


def methods(folder: Path) -> str:
    section = method_section(read_results(folder))
    assert section is not None
    return next(block.text for block in section.blocks if isinstance(block, Text) and "method M3" in block.text)


def test_the_methods_say_how_the_patients_were_fitted(folder: Path) -> None:
    assert methods(folder).startswith("Each patient's samples alone, by maximum likelihood: a normal residual on ln C")
    manifest = json.loads((folder / "manifest.json").read_text())
    options = {"prior": "stein2019", "residual": "log-student:6", "intervals": "wald"}
    manifest |= {"command": "fit", "options": options}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    edited(folder, "individual", sd_ratio=0.5)
    said = methods(folder)
    assert said.startswith(
        "Each patient's samples with a population (stein2019) as prior, by the mode of the posterior"
    )
    assert "a residual on ln C with Student's t distribution" in said
    assert "by Laplace's approximation" in said
    assert "maximum likelihood" not in said


def test_the_methods_do_not_take_options_of_another_command_for_those_of_the_fit(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["options"] |= {"residual": "log-student"}  # of a run, which has no such option
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "a normal residual on ln C" in methods(folder)
