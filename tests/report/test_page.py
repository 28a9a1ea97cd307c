import html.parser
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from handmade_results import write_results

from cellkinetics.errors import OutputError
from cellkinetics.report.page import write_report

SECTIONS = ["summary", "data", "profiles", "nca", "individual", "population", "method", "record"]


class Page(html.parser.HTMLParser):
    """Collects what a page refers to, its ids, and its visible text; complains of tags that do not match."""

    VOID = frozenset({"meta", "link", "br", "img", "path", "use"})

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
    assert sorted(p.name for p in (folder / "figures").iterdir()) == ["overview.png", "profiles_01.png"]


def test_names_from_the_data_cannot_break_the_page(results: Path) -> None:
    samples = pd.read_csv(results / "samples.csv")
    samples["subject"] = samples["subject"].replace({"P01": "<script>alert(1)</script>", "P02": '$x^2$ & "y"'})
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


def test_the_reason_stands_in_place_of_a_population_fit_that_was_not_possible(results: Path) -> None:
    for name in ("population.json", "population.csv", "population_curves.csv", "individual_effects.csv"):
        (results / name).unlink()
    manifest = json.loads((results / "manifest.json").read_text())
    manifest["stages"][2].update(status="not_possible", message="2 of 5 patients can take part")
    (results / "manifest.json").write_text(json.dumps(manifest))
    write_report(results)
    text = Page((results / "report.html").read_text(encoding="utf-8")).text
    assert "No population fit: 2 of 5 patients can take part" in text


def test_the_same_results_give_the_same_page(results: Path) -> None:
    write_report(results)
    first = (results / "report.html").read_bytes()
    write_report(results)
    assert (results / "report.html").read_bytes() == first
