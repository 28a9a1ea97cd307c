"""What a population model consists of beside typical values: tables of its parts, and sentences that name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from cellkinetics.fitting.pooled.result import WEAK_RSE
from cellkinetics.printing import number, unit_text
from cellkinetics.report.blocks import Block, Heading
from cellkinetics.report.tables import Column, Table, interval_cell, listed, number_cell, plural, sentence, text_cell

RESIDUALS = {
    "log-constant": "a normal residual on ln C",
    "log-student": "a residual on ln C with Student's t distribution",
    "natural-constant": "a normal residual on the scale of the values, its SD the same everywhere",
    "natural-proportional": "a normal residual on the scale of the values, its SD proportional to the curve",
    "natural-combined": "a normal residual on the scale of the values, its SD a constant plus a part of the curve",
    "natural-combined-root": "a normal residual on the scale of the values, its variance a constant plus a part of "
    "the curve squared",
}
"""Residual to what the methods say of it."""


def residual_in_words(name: object) -> str:
    """Return what a residual is, by the name that options and files give it.

    Example:
        >>> residual_in_words("log-student:5")
        "a residual on ln C with Student's t distribution (5 degrees of freedom)"
        >>> residual_in_words(None)
        'a normal residual on ln C'
    """
    kind, _, df = str(name or "log-constant").partition(":")
    words = RESIDUALS.get(kind, f"a residual {kind}")
    return f"{words} ({df} degrees of freedom)" if df else words


def residual_parameters(fit: Mapping[str, Any]) -> str:
    """Return the parameters of a fit's residual with their standard errors, empty where there are none."""
    residual = fit.get("residual", {})
    # Files of earlier versions have one SD, and no list.
    rows = residual.get("parameters") or [{"name": "sigma", "estimate": residual.get("sd"), "se": residual.get("se")}]
    told = []
    for row in rows:
        if number(row.get("estimate")) != "–":
            unit = unit_text(str(row.get("unit") or ""))
            se = f" (SE {number(row.get('se'))})" if number(row.get("se")) != "–" else ""
            told.append(f"{row['name']} {number(row['estimate'])}{f' {unit}' if unit else ''}{se}")
    return listed(told)


def structure_in_words(fit: Mapping[str, Any]) -> str:
    """Return sentences on random effects, covariates, occasions and sub-populations of a fit."""
    model = fit.get("population")
    if not isinstance(model, Mapping):
        return "Random effects are normal on each parameter's transformed scale."
    return " ".join(
        (*_random(model), *_covariates(model, fit), *_occasions(model), *_classes(model)),
    )


def _random(model: Mapping[str, Any]) -> Iterable[str]:
    random, blocks = list(model.get("random", [])), [list(block) for block in model.get("blocks", [])]
    if not random:
        yield "No parameter has a random effect: all patients share one curve."
        return
    if not blocks:
        how = "independent of each other (Ω diagonal)" if len(random) > 1 else "alone"
    elif len(blocks) == 1 and len(blocks[0]) == len(random):
        how = "all correlated (Ω full)"
    else:
        rest = [name for name in random if not any(name in block for block in blocks)]
        how = f"correlated within {'; within '.join(listed(block) for block in blocks)}"
        how += f", {listed(rest)} independent" if rest else ""
    yield f"Random effects, normal on each parameter's transformed scale: {listed(random)}, {how}."


def _covariates(model: Mapping[str, Any], fit: Mapping[str, Any]) -> Iterable[str]:
    transforms = _transforms(fit)
    told = [_effect(term, transforms.get(str(term.get("parameter")), "")) for term in model.get("terms", [])]
    if told:
        yield f"Covariates: {'; '.join(told)}."


def _transforms(fit: Mapping[str, Any]) -> dict[str, str]:
    return {str(one.get("name")): str(one.get("transform")) for one in fit.get("parameters", [])}


def _effect(term: Mapping[str, Any], transform: str) -> str:
    """Return how a term changes its parameter, as a formula in words."""
    name, x, form = term["parameter"], term["covariate"], term["form"]
    reference = _reference(term)
    if form == "categorical":
        levels = list(term["levels"])
        each = "the β of its level" if len(levels) > 1 else "β"
        where = f"where {x} is {' or '.join(map(str, levels))} (reference {reference})"
        return f"{name} × exp({each}) {where}" if transform == "log" else f"{transform}({name}) + {each} {where}"
    if form == "power":
        return f"{name} × ({x}/{reference})^β" if transform == "log" else f"{transform}({name}) + β·ln({x}/{reference})"
    shift = f"β·({x} − {reference})"
    return f"{name} × exp({shift})" if transform == "log" else f"{transform}({name}) + {shift}"


def _reference(term: Mapping[str, Any]) -> str:
    reference = term.get("reference")
    return str(reference) if isinstance(reference, str) else number(reference, 6)


def _occasions(model: Mapping[str, Any]) -> Iterable[str]:
    if occasion := model.get("occasion"):
        yield (
            f"{listed(occasion)} var{'y' if len(occasion) > 1 else 'ies'} between occasions of a patient too "
            f"(at most {plural(int(model.get('occasions', 1)), 'occasion')}), by SDs γ."
        )


def _classes(model: Mapping[str, Any]) -> Iterable[str]:
    if (classes := int(model.get("classes", 1))) > 1:
        yield f"{classes} sub-populations, which differ in the typical {listed(model.get('shifted', []))}."


def structure_blocks(table: pd.DataFrame, fit: Mapping[str, Any]) -> list[Block]:
    """Return headings and tables of covariate effects, correlations and sub-populations, where there are any."""
    if "kind" not in table:
        return []
    parts = (
        ("Covariate effects", "coefficient", _coefficients),
        ("Correlations of the random effects", "correlation", _correlations),
        ("Sub-populations", ("shift", "share"), _sub_populations),
    )
    blocks: list[Block] = []
    for title, kinds, make in parts:
        rows = table[table["kind"].isin([kinds] if isinstance(kinds, str) else kinds)]
        if len(rows):
            blocks += [Heading(title), make(rows, fit)]
    return blocks


def _table(first: list[str], estimate: str, rows: Iterable[tuple[list[str], Mapping[Any, Any]]], note: str) -> Table:
    """Return a table of texts and, behind them, an estimate with SE, interval and remark."""
    columns = [Column(name, numeric=False) for name in first]
    columns += [Column(estimate), Column("SE"), Column("95 % CI"), Column("Remark", numeric=False)]
    lines = [
        [
            *map(text_cell, texts),
            number_cell(row["estimate"]),
            number_cell(row.get("se")),
            interval_cell(row.get("ci_low"), row.get("ci_high")),
            text_cell(sentence(str(row.get("reason") or ""))),
        ]
        for texts, row in rows
    ]
    return Table(columns, lines, note=note)


def _coefficients(rows: pd.DataFrame, fit: Mapping[str, Any]) -> Table:
    model = fit.get("population")
    terms = model.get("terms", []) if isinstance(model, Mapping) else []
    place = {
        str(name): (term, level)
        for term in terms
        for name, level in zip(term.get("coefficients", []), term.get("levels") or [""], strict=False)
    }
    lines = []
    for row in rows.to_dict("records"):
        name = str(row["parameter"])
        term, level = place.get(name, ({}, ""))
        form = f"{term.get('form', '')}: {level}" if level else str(term.get("form", ""))
        parameter, covariate = str(term.get("parameter", name)), str(term.get("covariate", ""))
        # Where there are numbers the remark says form and reference once more.
        shown = row if not term or number(row.get("se")) == "–" else {**row, "reason": ""}
        lines.append(([parameter, covariate, form, _reference(term) if term else ""], shown))
    return _table(
        ["Parameter", "Covariate", "Form", "Reference"],
        "β",
        lines,
        "β acts on the transformed scale. Of a log-normal parameter it is a power of covariate/reference, the rate of "
        "change per unit of the covariate (exponential), or the logarithm of the ratio to the reference (categorical).",
    )


def _correlations(rows: pd.DataFrame, fit: Mapping[str, Any]) -> Table:
    model = fit.get("population")
    random = list(model.get("random", [])) if isinstance(model, Mapping) else []
    pairs = {f"corr_{a}_{b}": [a, b] for a in random for b in random}
    lines = []
    for row in rows.to_dict("records"):
        name = str(row["parameter"])
        lines.append((pairs.get(name, [name.removeprefix("corr_"), ""]), row))
    return _table(
        ["Parameter", "With"], "Correlation", lines, "Of the random effects, on the transformed scales (ln or logit)."
    )


def _sub_populations(rows: pd.DataFrame, fit: Mapping[str, Any]) -> Table:
    del fit
    lines = []
    for row in rows.to_dict("records"):
        what, _, rest = str(row["parameter"]).partition("_")
        name, _, number_of = rest.rpartition("_")
        lines.append(([number_of, "share of patients" if what == "share" else f"shift of {name}"], row))
    return _table(
        ["Sub-population", "What"],
        "Estimate",
        lines,
        "A shift is the difference of the typical value from that of sub-population 1, on the transformed scale; the "
        "other share is that of sub-population 1.",
    )


def variability_title(kind: str, name: str) -> str:
    """Return what a row of SDs is called."""
    symbol, prefix = {"omega": ("ω", "omega_"), "gamma": ("γ", "gamma_")}.get(kind, ("", ""))
    return f"{symbol} {name.removeprefix(prefix)}" if symbol else f"{name} (residual)"


VARIABILITY_NOTE = (
    "ω: SD of the random effects between patients, γ: between occasions of a patient, on the scale of the distribution "
    f"above (ln or logit). !: RSE above {WEAK_RSE:.0f} %."
)
