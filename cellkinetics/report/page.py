"""`report.html`: one self-contained page made from the files of a results folder."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

import cellkinetics
from cellkinetics.report.blocks import Section
from cellkinetics.report.figures.areas import area_pages
from cellkinetics.report.figures.beside_nca import beside_nca_figure
from cellkinetics.report.figures.fits import estimates_figure
from cellkinetics.report.figures.overview import overview_figure
from cellkinetics.report.figures.profiles import profile_pages
from cellkinetics.report.figures.style import save_png
from cellkinetics.report.figures.terminal import terminal_pages
from cellkinetics.report.output import OutputFolder
from cellkinetics.report.results import Results, read_results
from cellkinetics.report.sections.bootstrap import bootstrap_section
from cellkinetics.report.sections.data import data_section
from cellkinetics.report.sections.diagnostics import diagnostic_figures, diagnostics_section
from cellkinetics.report.sections.individual import individual_section, linear_parameters, model_parameters
from cellkinetics.report.sections.individual_figures import by_series, estimated_series
from cellkinetics.report.sections.model_choice import model_choice_figures, model_choice_section
from cellkinetics.report.sections.nca import nca_section
from cellkinetics.report.sections.persistence import persistence_section
from cellkinetics.report.sections.population import population_section
from cellkinetics.report.sections.profiles import MOST_PANELS, profiles_by_series, profiles_section
from cellkinetics.report.sections.record import method_section, record_section
from cellkinetics.report.sections.summary import summary_section
from cellkinetics.report.sections.terminal import areas, terminal_lines

REPORT = "report.html"
FIGURES = "figures"

_SECTIONS: tuple[Callable[[Results], Section | None], ...] = (
    summary_section,
    data_section,
    profiles_section,
    nca_section,
    persistence_section,
    individual_section,
    population_section,
    bootstrap_section,
    model_choice_section,
    diagnostics_section,
    method_section,
    record_section,
)


def write_report(
    folder: OutputFolder | str | Path, *, progress: Callable[[int, int], None] | None = None
) -> OutputFolder:
    """Write ``report.html`` and ``figures/`` from whatever results a folder holds.

    The page is one file: styles and figures (SVG) are inside, nothing is fetched.

    Args:
        folder: the results folder; a path is opened so that an old report may be replaced.
        progress: called as ``progress(done, total)``, a step a section.

    Returns:
        The folder, with what was written recorded.

    Raises:
        OutputError: if the folder holds no results, or cannot be written to.
    """
    if not isinstance(folder, OutputFolder):
        results = read_results(folder)
        folder = OutputFolder.create(folder, force=True)
    else:
        results = read_results(folder.path)
    folder.clear([f"{FIGURES}/{path.name}" for path in (folder.path / FIGURES).glob("*.png")])
    total = len(_SECTIONS) + 1
    sections = []
    for done, make in enumerate(_SECTIONS):
        if progress:
            progress(done, total)
        section = make(results)
        if section is not None:
            sections.append(section)
    folder.write_text(REPORT, render(results, sections))
    write_figures(results, folder)
    if progress:
        progress(total, total)
    return folder


def render(results: Results, sections: list[Section]) -> str:
    """Return the page as HTML text."""
    files = importlib.resources.files("cellkinetics.report") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (files / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    source = str(results.manifest.get("input", {}).get("name", "")) or results.path.name
    return environment.get_template("report.html.j2").render(
        title=f"Cellular kinetics of {source}",
        version=cellkinetics.__version__,
        sections=sections,
        style=(files / "report.css").read_text(encoding="utf-8"),
    )


def breakable(unit: str) -> Markup:
    """Return a unit as HTML that a narrow column may break behind its signs.

    Example:
        >>> str(breakable("day·copies/µg"))
        'day·<wbr>copies/<wbr>µg'
    """
    return Markup(re.sub("([·/])", r"\1<wbr>", str(escape(unit))))


def write_figures(results: Results, folder: OutputFolder) -> None:
    """Write figures as PNG into ``figures/``, those of single patients as pages of twelve."""
    series = profiles_by_series(results)
    for name, profiles in zip(file_names(list(series)), series.values(), strict=True):
        folder.write_bytes(f"{FIGURES}/overview{name}.png", save_png(overview_figure(profiles)))
        for page, figure in enumerate(profile_pages(profiles, most=MOST_PANELS), start=1):
            folder.write_bytes(f"{FIGURES}/profiles{name}_{page:02d}.png", save_png(figure))
    _write_figures_of_fits(results, folder)
    lines, shaded = terminal_lines(results), areas(results)
    for name, line in zip(file_names(list(lines)), lines.values(), strict=True):
        for page, figure in enumerate(terminal_pages(line, most=MOST_PANELS), start=1):
            folder.write_bytes(f"{FIGURES}/lambda_z{name}_{page:02d}.png", save_png(figure))
    for name, one in zip(file_names(list(shaded)), shaded.values(), strict=True):
        for page, figure in enumerate(area_pages(one, most=MOST_PANELS), start=1):
            folder.write_bytes(f"{FIGURES}/areas{name}_{page:02d}.png", save_png(figure))


def _write_figures_of_fits(results: Results, folder: OutputFolder) -> None:
    individual = results["individual"]
    if individual is not None and len(individual):
        parameters, linear = model_parameters(individual), linear_parameters(individual)
        fits = estimated_series(results, parameters)
        for name, (_, table, groups) in zip(file_names([one[0] for one in fits]), fits, strict=True):
            figure = estimates_figure({"": table}, parameters, groups, linear=linear)
            folder.write_bytes(f"{FIGURES}/estimates{name}.png", save_png(figure))
    for title, figure in {**model_choice_figures(results), **diagnostic_figures(results)}.items():
        folder.write_bytes(f"{FIGURES}/{title}.png", save_png(figure))
    ratios = by_series(results, "individual_nca")
    for name, (_, table, groups) in zip(file_names([one[0] for one in ratios]), ratios, strict=True):
        folder.write_bytes(f"{FIGURES}/beside_nca{name}.png", save_png(beside_nca_figure(table, groups)))


def file_names(series: Sequence[str]) -> list[str]:
    """Return what the names of the figures of each analyte and specimen carry: ASCII, and no two the same.

    Example:
        >>> file_names(["", "A/B", "A B", "µ"])
        ['', '_a_b', '_a_b_3', '_4']
    """
    names: list[str] = []
    for i, title in enumerate(series, start=1):
        plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in title).strip("_").lower()
        name = f"_{plain or i}" if title else ""
        while name in names:
            name += f"_{i}"
        names.append(name)
    return names
