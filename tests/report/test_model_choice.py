"""Comparison of models and search for covariates in the report and by plot."""

from pathlib import Path

import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.fitting.covariate_search import CovariateSearch
from cellkinetics.fitting.model_comparison import Compared, ModelComparison, rank
from cellkinetics.fitting.pooled.refit import Refit
from cellkinetics.fitting.pooled.stepwise import RatioTest
from cellkinetics.report.blocks import Folded, Notes, Picture, Table, Text
from cellkinetics.report.page import write_report
from cellkinetics.report.results import Results, read_results
from cellkinetics.report.sections.model_choice import model_choice_section

GROUP, AGE = "cmax ~ categorical(group, R)", "tmax ~ power(age, 60)"


@pytest.fixture(scope="module")
def comparison() -> ModelComparison:
    rows = [
        Compared("ecp", 13, 2950.2, 0.1, 2976, 3010, 3015.0, converged=True),
        Compared("ecp+lag", 15, 2945.8, 0.2, 2976, 3013, 3015.3, converged=True),
        Compared("ecp-persistence", 9, 3100.0, 0.1, 3118, 3140, 3142.5),
        Compared("ecp+comedication", status="failed", reason="the model needs a table"),
    ]
    return ModelComparison("bicc", rank(rows, "bicc"), {}, ())


@pytest.fixture(scope="module")
def search() -> CovariateSearch:
    base = Refit((), 1000.0, 0.1, 60, 13, bicc=1060.0, converged=True)
    with_group = Refit((GROUP,), 970.0, 0.1, 60, 14, 1, bicc=1034.0, converged=True)
    with_age = Refit((AGE,), 996.0, 0.1, 60, 14, 1, bicc=1060.1, converged=True)
    failed = Refit((AGE, GROUP), failed=True, reason="no")
    tests = (
        RatioTest(0, "base", "", (), 0, base),
        RatioTest(1, "forward", GROUP, (GROUP,), 1, with_group, 30.0, 0.14, 3.84, 4e-8, 3e-8, 5e-8, "added"),
        RatioTest(1, "forward", AGE, (AGE,), 1, with_age, 4.0, 0.14, 3.84, 0.046, 0.04, 0.05, "significant", True),
        RatioTest(2, "forward", AGE, (AGE, GROUP), 1, failed, outcome="failed", reason="no"),
        RatioTest(3, "backward", GROUP, (), 1, base, 30.0, 0.14, 6.63, 4e-8, 3e-8, 5e-8, "needed"),
    )
    fits = (base, with_group, with_age, failed)
    return CovariateSearch("ecp", "saem", 0, 0.05, 0.01, 60, tests, (GROUP,), fits, with_group)


@pytest.fixture
def results(tmp_path: Path, comparison: ModelComparison, search: CovariateSearch) -> Results:
    comparison.table.to_csv(tmp_path / "population_models.csv", index=False)
    search.table.to_csv(tmp_path / "covariate_search.csv", index=False)
    search.models.to_csv(tmp_path / "covariate_models.csv", index=False)
    return read_results(tmp_path)


def test_the_section_says_what_was_chosen_and_what_is_open(results: Results) -> None:
    section = model_choice_section(results)
    assert section is not None
    texts = [block.text for block in section.blocks if isinstance(block, Text)]
    assert texts[0] == (
        "ecp has the least BICc of 4 models. ecp+lag cannot be told from it within the Monte-Carlo error."
    )
    assert texts[1] == f"4 likelihood ratios were calculated. Added: {GROUP}."
    notes = [block for block in section.blocks if isinstance(block, Notes)]
    assert notes[0].items == [f"Step 1, {AGE}: 4 lies within the Monte-Carlo error of 3.84, so this decision is open."]
    tables = [block for block in section.blocks if isinstance(block, Table)]
    assert [row[-1].text for row in tables[0].rows] == ["–", "–", "did not converge", "the model needs a table"]
    assert len([block for block in section.blocks if isinstance(block, Picture)]) == 2
    folded = [block for block in section.blocks if isinstance(block, Folded)]
    every, models = (block.blocks[0] for block in folded)
    assert isinstance(every, Table)
    assert [row[-1].text for row in every.rows][2:4] == ["significant, undecided", "failed"]
    assert isinstance(models, Table)
    assert [row[-1].text for row in models.rows] == ["✓", "–", "–", "–"]


def test_the_page_and_its_figures_are_written(results: Results) -> None:
    write_report(results.path)
    page = (results.path / "report.html").read_text(encoding="utf-8")
    assert "Choice of the population model" in page
    for name in ("population_models", "covariate_search"):
        assert (results.path / "figures" / f"{name}.png").stat().st_size > 5000


def test_the_figures_show_each_model_and_each_ratio(comparison: ModelComparison, search: CovariateSearch) -> None:
    models = comparison.plot().axes[0]
    assert [text.get_text() for text in models.get_yticklabels()] == [one.model for one in comparison.models]
    points = [line for line in models.lines if line.get_marker() == "o"]
    assert [float(np.asarray(line.get_xdata())[0]) for line in points] == pytest.approx([0.0, 0.3, 127.5])
    assert [line.get_markerfacecolor() == "white" for line in points] == [False, True, True]
    ratios = ck.plot(search).axes[0]
    assert [text.get_text() for text in ratios.get_yticklabels()] == [
        f"1  {GROUP}",
        f"1  {AGE}",
        f"2  {AGE}",
        f"3  {GROUP}",
    ]
    assert [text.get_text().strip() for text in ratios.texts] == ["added", "significant", "no fit", "needed"]
