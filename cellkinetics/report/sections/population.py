"""The population fit: parameters, variability, and what its -2LL means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cellkinetics.fitting.pooled.result import WEAK_RSE
from cellkinetics.printing import number, percent, unit_text
from cellkinetics.report.blocks import Block, Facts, Folded, Heading, Notes, Section, Text
from cellkinetics.report.results import Results
from cellkinetics.report.sections.individual import model_names
from cellkinetics.report.sections.population_structure import (
    VARIABILITY_NOTE,
    residual_in_words,
    residual_parameters,
    structure_blocks,
    variability_title,
)
from cellkinetics.report.tables import Cell, Column, Table, interval_cell, listed, number_cell, sentence, text_cell

SHRINKAGE_WARNING = 30.0
_TRANSFORMS = {"log": "log-normal", "logit": "logit-normal", "identity": "normal"}


def population_section(results: Results) -> Section | None:
    """Return the section on the population fit, or on why there is none."""
    fit, table = results.population, results["population"]
    if not fit and table is None:
        stage = results.stages.get("pool")
        if stage is None or stage["status"] == "done":
            return None
        return Section("population", "Population fit", [Notes([f"No population fit: {stage['message']}"])])
    blocks: list[Block] = []
    if fit:
        blocks.extend(_heart(fit))
    if table is not None:
        blocks += [Heading("Parameters"), *model_names(list(table["parameter"])), parameter_table(table)]
        if len(
            variability := table[table["kind"].isin(["omega", "gamma", "residual"])] if "kind" in table else table[:0]
        ):
            blocks += [Heading("Variability between patients, and residual"), variability_table(variability)]
        blocks.extend(structure_blocks(table, fit))
        blocks.extend(_warnings(fit, table))
    if fit:
        blocks.extend(_likelihood(fit))
    effects = results["individual_effects"]
    if effects is not None and len(effects):
        blocks.append(Folded("Individual parameters of the population fit", [_effects_table(effects)]))
    return Section("population", "Population fit", blocks)


def _heart(fit: Mapping[str, Any]) -> list[Block]:
    objective = fit.get("objective", {})
    converged = fit.get("converged")
    status = str(fit.get("status", ""))
    blocks: list[Block] = [
        Facts(
            [
                (f"{fit.get('n_subjects', '–')}", "patients", f"{number(fit.get('n_observations'))} samples"),
                (number(fit.get("n_censored")), "below quantification", "left-censored in the likelihood"),
                (_two_decimals(objective.get("minus2ll")), "−2 log likelihood", _monte_carlo(objective)),
                ("yes" if converged else "no", "converged", method_name(fit)),
            ]
        )
    ]
    if status:
        blocks.append(Text(sentence(status)) if converged else Notes([sentence(status)]))
    return blocks


def method_name(fit: Mapping[str, Any]) -> str:
    """Return the name of the estimation method as it is printed."""
    method = str(fit.get("method", ""))
    names = {"importance": "importance sampling", "focei": "FOCEI", "saem": "SAEM", "laplace": "Laplace"}
    names |= {"two-stage": "two-stage", "naive": "naive pooling", "bayes": "Bayes (NUTS)"}
    return names.get(method, method.replace("agq", "adaptive Gauss-Hermite quadrature", 1))


def _two_decimals(value: object) -> str:
    return "–" if number(value) == "–" else f"{float(value):,.1f}".replace("-", "−")  # type: ignore[arg-type]


def _monte_carlo(objective: dict[str, Any]) -> str:
    error = objective.get("mc_se")
    return f"Monte-Carlo SE {number(error, 2)}" if number(error) != "–" else str(objective.get("method", ""))


def fit_parameters(fit: Mapping[str, Any]) -> list[str]:
    """Return the names of the fit's parameters: a sentence that begins with one keeps it as it is."""
    return [str(one.get("name", "")) for one in fit.get("parameters", [])]


def parameter_table(table: pd.DataFrame) -> Table:
    """Return the population table, a row a parameter: estimate, SE, RSE, interval, IIV as CV %, shrinkage."""
    columns = [
        Column("Parameter", numeric=False),
        Column("Unit", numeric=False),
        Column("Distribution", numeric=False),
        Column("Estimate"),
        Column("SE"),
        Column("RSE"),
        Column("95 % CI"),
        Column("IIV", "CV"),
        Column("Shrinkage"),
    ]
    omega = {str(row["parameter"]): row for row in table.to_dict("records")}
    typical = table[table["kind"] == "typical"] if "kind" in table else table
    reasons = "reason" in typical and (typical["reason"] != "").any()
    if reasons:
        columns.append(Column("Remark", numeric=False))
    rows = []
    for row in typical.to_dict("records"):
        between = omega.get(f"omega_{row['parameter']}", row)
        rows.append(
            [
                text_cell(row["parameter"]),
                text_cell(unit_text(str(row.get("unit") or ""))),
                text_cell(_TRANSFORMS.get(str(row.get("transform", "")), row.get("kind", ""))),
                *_precision(row),
                _percent_cell(between.get("iiv_cv_percent"), float("inf")),
                _percent_cell(between.get("shrinkage_percent"), SHRINKAGE_WARNING),
                *([text_cell(sentence(str(row["reason"]), [str(row["parameter"])]))] if reasons else []),
            ]
        )
    return Table(
        columns,
        rows,
        note=(
            "RSE: 100·SE/estimate. IIV: variability between patients; of a log-normal parameter 100·√(exp(ω²) − 1). "
            "Shrinkage: how far the patients' own values are drawn to the typical one. "
            f"!: RSE above {WEAK_RSE:.0f} %, or shrinkage above {SHRINKAGE_WARNING:.0f} %."
        ),
    )


def variability_table(table: pd.DataFrame) -> Table:
    """Return the SDs between patients and occasions (on the transformed scale) and the residual's parameters."""
    columns = [
        Column("SD", numeric=False),
        Column("Estimate"),
        Column("SE"),
        Column("RSE"),
        Column("95 % CI"),
        Column("Remark", numeric=False),
    ]
    rows = []
    for row in table.to_dict("records"):
        title = variability_title(str(row["kind"]), str(row["parameter"]))
        rows.append([text_cell(title), *_precision(row), text_cell(sentence(str(row.get("reason") or "")))])
    return Table(
        columns,
        rows,
        note=VARIABILITY_NOTE,
    )


def _precision(row: Mapping[Any, Any]) -> list[Cell]:
    return [
        number_cell(row["estimate"]),
        number_cell(row.get("se")),
        _percent_cell(row.get("rse_percent"), WEAK_RSE),
        interval_cell(row.get("ci_low"), row.get("ci_high")),
    ]


def _percent_cell(value: object, warning: float) -> Cell:
    text = percent(value)
    if text == "–":
        return Cell(text, tone="faint")
    return Cell(f"{text} !", tone="warn") if float(value) > warning else Cell(text)  # type: ignore[arg-type]


def _warnings(fit: Mapping[str, Any], table: pd.DataFrame) -> list[Block]:
    names = fit_parameters(fit)
    items = [sentence(str(text), names) for text in fit.get("warnings", [])]
    if not items and "rse_percent" in table:
        weak = [str(name) for name in table.loc[table["rse_percent"] > WEAK_RSE, "parameter"]]
        if weak:
            items.append(f"Estimated with a relative standard error above {WEAK_RSE:.0f} %: {listed(weak)}.")
    if "shrinkage_percent" in table:
        shrunk = table.loc[table["shrinkage_percent"] > SHRINKAGE_WARNING, "parameter"]
        if len(shrunk):
            names = [str(name).removeprefix("omega_") for name in shrunk]
            items.append(
                f"Shrinkage above {SHRINKAGE_WARNING:.0f} %: {listed(names)}. Patients' own values of these are close "
                "to the typical one whatever the truth is; do not plot them against covariates or exposure."
            )
    return [Notes(items)] if items else []


def _likelihood(fit: Mapping[str, Any]) -> list[Block]:
    objective, residual = fit.get("objective", {}), fit.get("residual", {})
    if number(objective.get("minus2ll")) == "–":
        return []
    error = objective.get("mc_se")
    scale = "ln scale" if residual.get("scale") == "log" else f"{residual.get('scale', '')} scale"
    sentences = [
        f"−2LL = {_two_decimals(objective['minus2ll'])}"
        + (f" with a Monte-Carlo standard error of {number(error, 2)}" if number(error) != "–" else "")
        + f", by {objective.get('method', '')}: the full likelihood of the observations on the {scale}, "
        "constants included, samples below quantification as left-censored."
    ]
    if number(error) != "–":
        noise = 2 * 2**0.5 * float(error)
        sentences.append(
            f"Compare it only between models of the same samples; a difference below {number(noise, 2)} "
            "(two standard errors of a difference) may be chance of the sampling."
        )
    if number(fit.get("aic")) != "–":
        sentences.append(f"AIC {_two_decimals(fit['aic'])}, BIC {_two_decimals(fit.get('bic'))}.")
    if told := residual_parameters(fit):
        sentences.append(f"Residual: {residual_in_words(residual.get('name'))}: {told}.")
    return [Heading("Likelihood"), Text(" ".join(sentences))]


def _effects_table(effects: pd.DataFrame) -> Table:
    """Return EBEs, a row a profile and a column a parameter.

    Older files have no columns for analyte, occasion and specimen: in them a subject is a profile.
    """
    names = list(dict.fromkeys(effects["parameter"]))
    units = effects.drop_duplicates("parameter").set_index("parameter")
    keys = ["subject", *(key for key in ("analyte", "occasion", "specimen") if key in effects)]
    shown = [key for key in keys if key == "subject" or len(effects[key].unique()) > 1]
    columns = [Column("Patient" if key == "subject" else key.capitalize(), numeric=False) for key in shown]
    columns += [Column(name, unit_text(str(units["unit"].get(name, ""))) if "unit" in units else "") for name in names]
    rows = []
    for _, part in effects.groupby(keys, sort=False):
        values = dict(zip(part["parameter"], part["ebe"], strict=True))
        rows.append(
            [
                *(text_cell(part[key].iloc[0]) for key in shown),
                *(number_cell(values.get(name)) for name in names),
            ]
        )
    return Table(columns, rows, note="Empirical Bayes estimates: the most likely values given the patient's samples.")
