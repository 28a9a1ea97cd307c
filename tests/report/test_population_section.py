"""The population fit in the report: every part of the model, and the residual that was used."""

import json
from pathlib import Path

import pandas as pd
import pytest
from handmade_results import write_results

from cellkinetics.report.blocks import Block, Heading, Text
from cellkinetics.report.results import read_results
from cellkinetics.report.sections.population import population_section
from cellkinetics.report.sections.record import method_section
from cellkinetics.report.tables import Table

MODEL = {
    "random": ["cmax", "tmax", "beta"],
    "blocks": [["cmax", "beta"]],
    "occasion": ["tmax"],
    "occasions": 2,
    "shifted": ["cmax"],
    "classes": 2,
    "terms": [
        {"parameter": "cmax", "covariate": "weight", "form": "power", "reference": 70.0, "levels": [],
         "coefficients": ["beta_cmax_weight"]},
        {"parameter": "fb", "covariate": "group", "form": "categorical", "reference": "R", "levels": ["NR", "PR"],
         "coefficients": ["beta_fb_group_NR", "beta_fb_group_PR"]},
        {"parameter": "tmax", "covariate": "age", "form": "exponential", "reference": 60.0, "levels": [],
         "coefficients": ["beta_tmax_age"]},
    ],
}  # fmt: skip
ROWS = (
    ("beta_cmax_weight", "coefficient", -0.81, 0.39, -1.57, -0.048),
    ("beta_fb_group_NR", "coefficient", 0.5, 0.1, 0.3, 0.7),
    ("beta_fb_group_PR", "coefficient", 0.2, 0.1, 0.0, 0.4),
    ("beta_tmax_age", "coefficient", 0.01, None, None, None),
    ("omega_cmax", "omega", 0.9, 0.1, 0.7, 1.2),
    ("corr_cmax_beta", "correlation", -0.4, 0.2, -0.7, 0.1),
    ("gamma_tmax", "gamma", 0.15, 0.03, 0.1, 0.2),
    ("shift_cmax_2", "shift", 1.2, 0.3, 0.6, 1.8),
    ("share_2", "share", 0.31, 0.08, 0.18, 0.48),
    ("sigma_additive", "residual", 12.0, 3.0, 7.0, 19.0),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = write_results(tmp_path)
    table = pd.read_csv(written / "population.csv")
    names = ("parameter", "kind", "estimate", "se", "ci_low", "ci_high")
    extra = pd.DataFrame([dict(zip(names, row, strict=True)) for row in ROWS])
    pd.concat([table, extra], ignore_index=True).to_csv(written / "population.csv", index=False)
    fit = json.loads((written / "population.json").read_text())
    fit["population"] = MODEL
    fit["residual"] = {
        "name": "natural-combined",
        "scale": "natural",
        "parameters": [
            {"name": "sigma_additive", "estimate": 12.0, "se": 3.0, "unit": "copies/ug"},
            {"name": "sigma_proportional", "estimate": 0.45, "se": 0.02, "unit": ""},
        ],
    }
    (written / "population.json").write_text(json.dumps(fit))
    return written


def table_after(blocks: list[Block], title: str) -> list[list[str]]:
    at = next(i for i, block in enumerate(blocks) if isinstance(block, Heading) and block.text == title)
    table = blocks[at + 1]
    assert isinstance(table, Table)
    return [[cell.text for cell in row] for row in table.rows]


def section_blocks(folder: Path) -> list[Block]:
    section = population_section(read_results(folder))
    assert section is not None
    return list(section.blocks)


def test_covariate_effects_stand_with_form_reference_and_interval(folder: Path) -> None:
    assert table_after(section_blocks(folder), "Covariate effects") == [
        ["cmax", "weight", "power", "70", "−0.810", "0.390", "−1.57 to −0.0480", "–"],
        ["fb", "group", "categorical: NR", "R", "0.500", "0.100", "0.300 to 0.700", "–"],
        ["fb", "group", "categorical: PR", "R", "0.200", "0.100", "0 to 0.400", "–"],
        ["tmax", "age", "exponential", "60", "0.0100", "–", "–", "–"],
    ]


def test_correlations_occasions_and_sub_populations_are_shown(folder: Path) -> None:
    blocks = section_blocks(folder)
    correlations = table_after(blocks, "Correlations of the random effects")
    assert correlations == [["cmax", "beta", "−0.400", "0.200", "−0.700 to 0.100", "–"]]
    classes = table_after(blocks, "Sub-populations")
    assert [row[:3] for row in classes] == [["2", "shift of cmax", "1.20"], ["2", "share of patients", "0.310"]]
    spreads = [row[0] for row in table_after(blocks, "Variability between patients, and residual")]
    assert spreads == ["ω cmax", "γ tmax", "sigma_additive (residual)"]


def test_the_methods_name_structure_and_residual(folder: Path) -> None:
    section = method_section(read_results(folder))
    assert section is not None
    text = next(b.text for b in section.blocks if isinstance(b, Text) and b.text.startswith("All patients"))
    for told in (
        "cmax, tmax and beta, correlated within cmax and beta, tmax independent.",
        "cmax × (weight/70)^β; logit(fb) + the β of its level where group is NR or PR (reference R); "
        "tmax × exp(β·(age − 60)).",
        "tmax varies between occasions of a patient too (at most 2 occasions), by SDs γ.",
        "2 sub-populations, which differ in the typical cmax.",
        "its SD a constant plus a part of the curve (sigma_additive 12 copies/µg (SE 3) and sigma_proportional "
        "0.450 (SE 0.0200))",
    ):
        assert told in text
    assert "ln C" not in text


def test_the_likelihood_names_every_parameter_of_the_residual(folder: Path) -> None:
    text = " ".join(block.text for block in section_blocks(folder) if isinstance(block, Text))
    assert "sigma_additive 12 copies/µg (SE 3) and sigma_proportional 0.450 (SE 0.0200)." in text


def test_a_plain_fit_has_no_tables_of_parts_that_it_has_not(tmp_path: Path) -> None:
    titles = [block.text for block in section_blocks(write_results(tmp_path)) if isinstance(block, Heading)]
    assert titles == ["Parameters", "Likelihood"]
