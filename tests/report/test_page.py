import html.parser
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from handmade_results import write_results

from cellkinetics.errors import OutputError
from cellkinetics.nca.options import NCAOptions
from cellkinetics.report.blocks import Folded, Text
from cellkinetics.report.page import write_report
from cellkinetics.report.results import read_results
from cellkinetics.report.sections.individual import individual_section
from cellkinetics.report.sections.nca import nca_section, summary_table
from cellkinetics.report.sections.population import parameter_table, population_section
from cellkinetics.report.sections.record import method_section
from cellkinetics.report.tables import Table

SECTIONS = ["summary", "data", "profiles", "nca", "individual", "population", "method", "record"]


class Page(html.parser.HTMLParser):
    """Collects what a page refers to, its ids, and its visible text; complains of tags that do not match."""

    VOID = frozenset({"meta", "link", "br", "img", "path", "use", "wbr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "action", "poster", "data"}:
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_results(tmp_path_factory.mktemp("report") / "results")
    write_report(path)
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path / "results")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_fetches_nothing_and_runs_nothing(page: Page, folder: Path) -> None:
    assert all(reference.startswith(("#", "data:")) for reference in page.references)
    assert "script" not in page.tags
    assert "@import" not in (folder / "report.html").read_text(encoding="utf-8")


def test_every_id_is_unique_and_every_link_inside_the_page_has_its_target(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    targets = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert targets <= set(page.ids)


def test_the_contents_name_every_section(page: Page) -> None:
    assert [name for name in page.ids if name in SECTIONS] == SECTIONS
    assert [r[1:] for r in page.references if r.startswith("#") and r[1:] in SECTIONS] == SECTIONS


def test_no_missing_value_is_printed_as_text(page: Page) -> None:
    assert not re.search(r"\b(nan|NaN|None|inf|NaT)\b", page.text)


@pytest.mark.parametrize(
    "sentence",
    [
        "40 rows, 39 used, 1 left out",
        "'n.a.' is not a number",
        "The last sample lies before the end of the window.",
        "The points span fewer than 2 half-lives.",
        "Fewer than 3 quantified samples.",
        "The samples end before the persistent phase.",
        "Monte-Carlo SE 0.4",
        "constants included",
        "no individual fit",
        "below quantification",
        "0" * 64,
    ],
)
def test_the_page_says(page: Page, sentence: str) -> None:
    assert sentence in page.text


def test_every_patient_has_a_panel(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert [f"P{k:02d}" for k in range(1, 6)] == re.findall(r'aria-label="Profile of (P\d+)', text)


def test_figures_are_written_as_files(folder: Path) -> None:
    assert sorted(p.name for p in (folder / "figures").iterdir()) == [
        "estimates.png",
        "overview.png",
        "profiles_01.png",
    ]


def test_names_from_the_data_cannot_break_the_page(results: Path) -> None:
    samples = pd.read_csv(results / "samples.csv")
    samples["subject"] = samples["subject"].replace(
        {"P01": "<script>alert(1)</script>", "P02": '$x^2$ & "y"', "P03": "A$\\frac$"}
    )
    samples.to_csv(results / "samples.csv", index=False)
    write_report(results)
    text = (results / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    Page(text)


@pytest.mark.parametrize("kept", [["nca.csv"], ["samples.csv"], ["population.json"], ["individual.csv"], ["check.csv"]])
def test_a_report_is_made_of_whatever_is_there(results: Path, kept: list[str]) -> None:
    for path in results.iterdir():
        if path.name not in kept:
            path.unlink()
    write_report(results)
    assert len(Page((results / "report.html").read_text(encoding="utf-8")).text) > 50


def test_a_folder_without_results_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no results"):
        write_report(tmp_path)
    with pytest.raises(OutputError, match="no folder"):
        write_report(tmp_path / "nowhere")


def test_a_damaged_file_is_named_and_the_others_are_reported(results: Path) -> None:
    (results / "nca.csv").write_text("subject\nP01\n")
    (results / "population.json").write_text("{")
    write_report(results)
    text = Page((results / "report.html").read_text(encoding="utf-8")).text
    assert "nca.csv has no column" in text
    assert "population.json cannot be read" in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cohort", []),
        ("cohort", {"value_unit": ["copies/ug"]}),
        ("rows", {"read": "many"}),
        ("stages", [{"name": "nca"}]),
        ("options", {"nca_options": {"acceptance": {"r2adj_min": "low"}}}),
        ("earlier", [{"outputs": []}]),
        ("outputs", {"nca.csv": "abc"}),
        ("input", "trial.csv"),
    ],
)
def test_a_damaged_manifest_is_named_and_the_rest_is_reported(results: Path, name: str, content: object) -> None:
    manifest = json.loads((results / "manifest.json").read_text())
    (results / "manifest.json").write_text(json.dumps({**manifest, name: content}))
    write_report(results)
    text = Page((results / "report.html").read_text(encoding="utf-8")).text
    assert f"manifest.json: {name} not as a command writes it" in text
    assert "Cmax" in text


@pytest.mark.parametrize("content", ["[]", '{"objective": []}', '{"aic": "low"}', '{"residual": {"sd": "x"}}'])
def test_a_damaged_population_file_is_named(results: Path, content: str) -> None:
    (results / "population.json").write_text(content)
    write_report(results)
    text = Page((results / "report.html").read_text(encoding="utf-8")).text
    assert re.search(r"population\.json(: \w+ not as a command writes it| holds no named entries)", text)


def test_effects_of_several_profiles_of_a_patient_are_rows_of_their_own(results: Path) -> None:
    effects = pd.read_csv(results / "individual_effects.csv")
    assert not {"analyte", "occasion"} & set(effects)  # as older versions wrote them
    assert len(_effect_rows(results)) == 5
    again = effects[effects["subject"] == "P01"].assign(ebe=7.25)
    both = pd.concat([effects.assign(occasion="1"), again.assign(occasion="2")]).assign(analyte="")
    both.to_csv(results / "individual_effects.csv", index=False)
    rows = _effect_rows(results)
    assert len(rows) == 6
    assert [cell.text for cell in rows[0]][:3] == ["P01", "1", "4,000"]
    assert [cell.text for cell in rows[-1]] == ["P01", "2", *["7.25"] * 6]


def _effect_rows(results: Path) -> list:
    section = population_section(read_results(results))
    assert section is not None
    (folded,) = [block for block in section.blocks if isinstance(block, Folded)]
    return list(folded.blocks[0].rows)


@pytest.mark.parametrize(
    ("options", "said", "unsaid"),
    [
        ({}, ["none of them Cmax", "the last 3 or more", "Windows: AUC0-28, AUC0-84 and AUC0-168", "accepted"], []),
        ({}, ["Tmax before day 1; a terminal line across the break"], []),
        ({"route": "bolus"}, ["Cmax may be one of them"], ["none of them Cmax"]),
        ({"lambda_z_min_points": 4}, ["the last 4 or more"], []),
        ({"windows": "0-1234567", "window_end": "zero"}, ["AUC0-1234567.", "counts as zero"], ["extrapolated with"]),
        ({"window_end": "missing"}, ["after the last sample is empty"], ["extrapolated with"]),
        ({"window_end": "predicted"}, ["terminal line's value at Tlast"], []),
    ],
)
def test_the_methods_are_those_of_the_recorded_options(
    results: Path, options: dict, said: list[str], unsaid: list[str]
) -> None:
    manifest = json.loads((results / "manifest.json").read_text())
    manifest["options"]["nca_options"] = NCAOptions(**options).model_dump(mode="json")
    (results / "manifest.json").write_text(json.dumps(manifest))
    text = _method_text(results)
    assert [words for words in said if words not in text] == []
    assert [words for words in unsaid if words in text] == []


def test_the_methods_claim_nothing_that_was_not_recorded(results: Path) -> None:
    text = _method_text(results)
    assert "were not recorded" in text
    assert "from the noncompartmental analysis" not in text


def _method_text(results: Path) -> str:
    section = method_section(read_results(results))
    assert section is not None
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def test_a_flag_of_a_window_of_many_days_marks_its_column(results: Path) -> None:
    nca, wide = pd.read_csv(results / "nca.csv"), pd.read_csv(results / "nca_wide.csv")
    rows = nca["parameter"] == "AUCINT"
    nca.loc[rows, "interval_end"] = 1234567.0
    nca.loc[rows & nca["value"].notna(), ["status", "reason"]] = ["flagged", "extrapolated"]
    nca.to_csv(results / "nca.csv", index=False)
    wide.rename(columns={"AUCINT_0_28": "AUCINT_0_1234567"}).to_csv(results / "nca_wide.csv", index=False)
    section = nca_section(read_results(results))
    assert section is not None
    (table,) = [b for b in section.blocks if isinstance(b, Table) and "AUC0-1234567" in [c.label for c in b.columns]]
    column = [c.label for c in table.columns].index("AUC0-1234567")
    assert [row[column].text.endswith("†") for row in table.rows] == [False, True, True, True, True]


def test_figures_of_analytes_with_alike_names_do_not_replace_each_other(results: Path) -> None:
    samples = pd.read_csv(results / "samples.csv")
    pd.concat([samples.assign(analyte=name) for name in ("A/B", "A B")]).to_csv(results / "samples.csv", index=False)
    write_report(results)
    assert sorted(p.name for p in (results / "figures").glob("[op]*")) == [
        "overview_a_b.png", "overview_a_b_2.png", "profiles_a_b_01.png", "profiles_a_b_2_01.png",
    ]  # fmt: skip


def test_the_reason_stands_in_place_of_a_population_fit_that_was_not_possible(results: Path) -> None:
    for name in ("population.json", "population.csv", "population_curves.csv", "individual_effects.csv"):
        (results / name).unlink()
    manifest = json.loads((results / "manifest.json").read_text())
    manifest["stages"][2].update(status="not_possible", message="2 of 5 patients can take part")
    (results / "manifest.json").write_text(json.dumps(manifest))
    write_report(results)
    text = Page((results / "report.html").read_text(encoding="utf-8")).text
    assert "No population fit: 2 of 5 patients can take part" in text


def test_the_page_does_not_depend_on_the_time_of_day_nor_on_the_folder(results: Path, tmp_path: Path) -> None:
    later = write_results(tmp_path / "later")
    for folder, hour in ((results, 10), (later, 11)):
        manifest = json.loads((folder / "manifest.json").read_text())
        options = {**manifest["options"], "out": str(folder), "force": hour > 10, "quiet": hour > 10}
        outputs = {**manifest["outputs"], "report.html": {"sha256": str(hour) * 32}}
        times = {"started": f"2026-01-05T{hour}:00:00+00:00", "ended": f"2026-01-06T{hour}:00:01+00:00"}
        changed = {**manifest, **times, "seconds": hour, "options": options, "outputs": outputs}
        (folder / "manifest.json").write_text(json.dumps(changed))
        write_report(folder)
    assert (results / "report.html").read_bytes() == (later / "report.html").read_bytes()
    text = Page((results / "report.html").read_text(encoding="utf-8")).text
    assert "2026-01-0" not in text
    assert "Dates and durations in manifest.json" in text
    assert "1" * 64 in text  # the hash of samples.csv


def test_how_many_values_of_a_group_are_flagged_stands_beside_their_number() -> None:
    counts = {"n": [8, 8, 8, 8], "n_missing": [0, 1, 0, None], "n_flagged": [4, 1, 0, None]}
    table = summary_table(pd.DataFrame({"parameter": "CMAX", "group": list("abcd"), **counts, "median": 1.0}))
    assert [row[2].text for row in table.rows] == ["8 (4 †)", "8 of 9 (1 †)", "8", "8"]
    assert "†: how many" in table.note


def test_a_weak_estimate_has_a_sign_and_the_sign_a_legend(results: Path) -> None:
    individual, population = (pd.read_csv(results / f"{name}.csv") for name in ("individual", "population"))
    individual.loc[individual["parameter"] == "tmax", "rse_percent"] = 85.0
    individual.to_csv(results / "individual.csv", index=False)
    population.loc[0, ["rse_percent", "shrinkage_percent"]] = [50.1, 29.9]
    population.loc[1, ["rse_percent", "shrinkage_percent"]] = [50.0, 30.1]
    population.to_csv(results / "population.csv", index=False)
    found = read_results(results)
    section = individual_section(found)
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table))
    labels = [column.label for column in table.columns]
    assert labels == ["Patient", "Fit", "cmax", "tmax", "foldx", "alpha", "fb", "beta"]
    assert [(cell.text, cell.below) for cell in table.rows[0][2:4]] == [("4,000", "20 %"), ("8", "85 % !")]
    assert "!: relative standard error above 50 %" in table.note
    pooled = parameter_table(found.tables["population"])
    columns = [column.label for column in pooled.columns]
    shown = [(row[columns.index("RSE")].text, row[columns.index("Shrinkage")].text) for row in pooled.rows[:2]]
    assert shown == [("50 % !", "30 %"), ("50 %", "30 % !")]
    assert "!: RSE above 50 %, or shrinkage above 30 %" in pooled.note


def test_the_same_results_give_the_same_page(results: Path) -> None:
    write_report(results)
    first = (results / "report.html").read_bytes()
    write_report(results)
    assert (results / "report.html").read_bytes() == first
