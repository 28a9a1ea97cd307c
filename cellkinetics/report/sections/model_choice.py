"""Which model and which covariates were chosen for the population, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cellkinetics.printing import number
from cellkinetics.report.blocks import Block, Folded, Heading, Notes, Picture, Section, Text
from cellkinetics.report.figures.model_choice import covariate_search_figure, model_comparison_figure
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.results import Results
from cellkinetics.report.tables import Cell, Column, Table, listed, number_cell, plural, text_cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def model_choice_section(results: Results) -> Section | None:
    """Return the section on comparison of models and search for covariates, or None where a folder holds neither."""
    blocks: list[Block] = []
    models, tests = results["population_models"], results["covariate_search"]
    if models is not None and len(models):
        blocks += [Heading("Comparison of models"), *_model_blocks(models, _criterion(results))]
    if tests is not None and len(tests):
        blocks += [Heading("Search for covariates"), *_search_blocks(tests, results["covariate_models"])]
    return Section("model-choice", "Choice of the population model", blocks) if blocks else None


def model_choice_figures(results: Results) -> dict[str, Figure]:
    """Return the figures of the section by the names of their files."""
    found: dict[str, Figure] = {}
    models, tests = results["population_models"], results["covariate_search"]
    if models is not None and len(models):
        found["population_models"] = model_comparison_figure(models, criterion=_criterion(results))
    if tests is not None and tests["term"].ne("").any():
        found["covariate_search"] = covariate_search_figure(tests)
    return found


def _criterion(results: Results) -> str:
    for entry in [results.manifest, *reversed(results.manifest.get("earlier", []))]:
        if entry.get("command") == "compare":
            return str(entry.get("options", {}).get("criterion", "bicc"))
    return "bicc"


def _model_blocks(models: pd.DataFrame, criterion: str) -> list[Block]:
    fitted = models[models["delta"].notna()]
    best = str(fitted["model"].iloc[0]) if len(fitted) else ""
    close = fitted.loc[fitted["undecided"].astype(bool), "model"].astype(str).tolist()
    name = {"bicc": "BICc"}.get(criterion, criterion.upper())
    sentence = f"{best} has the least {name} of {plural(len(models), 'model')}."
    if close:
        sentence += f" {listed(close)} cannot be told from it within the Monte-Carlo error."
    columns = [
        Column("Model", numeric=False),
        *(Column(text) for text in ("Parameters", "-2LL", "SE", "BICc", f"{name} above the best", "Weight")),
        Column("Remark", numeric=False),
    ]
    rows = []
    for row in models.to_dict("records"):
        gone = row["delta"] != row["delta"]
        remark = str(row["reason"]) if gone else "" if row["converged"] else "did not converge"
        numbers = ("n_parameters", "minus2ll", "mc_se", "bicc", "delta", "weight")
        cells = [Cell("–", "faint") if gone else number_cell(row[column]) for column in numbers]
        rows.append([text_cell(row["model"]), *cells, text_cell(remark)])
    picture = Picture(
        svg_text(model_comparison_figure(models, criterion=criterion), "population-models"),
        f"Distance of each model from the best one by {name} of the exact likelihood, with two Monte-Carlo errors to "
        "each side. Linear up to 10, logarithmic beyond; hollow: undecided, or not converged.",
        f"Distance of {plural(len(models), 'model')} from the best one, {best}.",
    )
    return [Text(sentence), picture, Table(columns, rows)]


def _search_blocks(tests: pd.DataFrame, models: pd.DataFrame | None) -> list[Block]:
    asked = tests[tests["term"].ne("")]
    added = asked.loc[asked["outcome"].eq("added"), "term"].astype(str).tolist()
    removed = asked.loc[asked["outcome"].eq("removed"), "term"].astype(str).tolist()
    words = [f"{plural(len(asked), 'likelihood ratio')} were calculated."]
    words.append(f"Added: {listed(added)}." if added else "No term was added.")
    if removed:
        words.append(f"Taken away again: {listed(removed)}.")
    blocks: list[Block] = [Text(" ".join(words))]
    open_ = asked[asked["undecided"].astype(bool)]
    if len(open_):
        blocks.append(
            Notes(
                [
                    f"Step {row['step']}, {row['term']}: {number(row['delta'])} lies within the Monte-Carlo error of "
                    f"{number(row['threshold'])}, so this decision is open."
                    for row in open_.to_dict("records")
                ]
            )
        )
    if len(asked):
        picture = Picture(
            svg_text(covariate_search_figure(tests), "covariate-search"),
            "Likelihood ratios step by step, with two Monte-Carlo errors to each side; the upright stroke is what "
            "decides. Dark: the model was changed by it; hollow: undecided.",
            "Likelihood ratios of the search for covariates.",
        )
        blocks.append(picture)
    columns = [
        Column("Step"),
        Column("Direction", numeric=False),
        Column("Term", numeric=False),
        *(Column(text) for text in ("df", "Change of -2LL", "SE", "p", "BICc")),
        Column("Outcome", numeric=False),
    ]
    rows = [
        [
            Cell(str(row["step"])),
            text_cell(row["direction"]),
            text_cell(row["term"]),
            *(number_cell(row[name]) for name in ("df", "delta", "delta_se", "p", "bicc")),
            text_cell(f"{row['outcome']}{', undecided' if row['undecided'] else ''}"),
        ]
        for row in tests.to_dict("records")
    ]
    blocks.append(Folded("Every likelihood ratio", [Table(columns, rows)]))
    if models is not None and len(models):
        blocks.append(Folded("The models by BICc", [_ranked(models)]))
    return blocks


def _ranked(models: pd.DataFrame) -> Table:
    columns = [
        Column("Covariates", numeric=False),
        *(Column(text) for text in ("Coefficients", "-2LL", "SE", "BICc", "BICc above the least")),
        Column("Chosen", numeric=False),
    ]
    names = ("n_coefficients", "minus2ll", "mc_se", "bicc", "delta_bicc")
    rows = [
        [text_cell(row["model"]), *(number_cell(row[name]) for name in names), text_cell("✓" if row["chosen"] else "")]
        for row in models.to_dict("records")
    ]
    return Table(columns, rows)
