"""Diagnostics of the population fit: how it predicts the samples, and whom it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cellkinetics.diagnostics.prediction_errors import NormalitySummary, normality
from cellkinetics.diagnostics.predictive_check import outside_counts
from cellkinetics.printing import number
from cellkinetics.report.blocks import Block, Folded, Heading, Notes, Picture, Section, Text
from cellkinetics.report.figures.contributions import contribution_figure
from cellkinetics.report.figures.effects import effect_figure, effect_pairs_figure
from cellkinetics.report.figures.population_profiles import population_profile_figure
from cellkinetics.report.figures.population_residuals import population_residual_figure
from cellkinetics.report.figures.prediction_errors import prediction_error_figure
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.figures.trace import trace_figure
from cellkinetics.report.figures.vpc import vpc_figure
from cellkinetics.report.results import Results
from cellkinetics.report.tables import Column, Table, listed, number_cell, text_cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOUBTFUL = 0.01
"""A p value below this is pointed out."""
_MOST_ASSOCIATIONS = 20


def diagnostics_section(results: Results) -> Section | None:
    """Return the section on the diagnostics of the population fit, or None where a folder holds none."""
    figures = {name: svg_text(figure, f"diagnostic-{name}") for name, figure in diagnostic_figures(results).items()}
    if not figures:
        return None
    blocks: list[Block] = []
    if "vpc" in figures:
        blocks += [Heading("Visual predictive check"), *_check_blocks(results, figures)]
    if "npde" in figures:
        blocks += [Heading("Prediction distribution errors"), *_error_blocks(results, figures)]
    if "population_residuals" in figures:
        caption = (
            "Above: observed over predicted levels. Below: residuals at draws from each patient's conditional "
            "distribution, which are standard normal if the model is right (those at the modes are drawn to 0)."
        )
        alternative = "Observed over predicted levels, and weighted residuals over time and prediction."
        blocks += [Heading("Residuals"), Picture(figures["population_residuals"], caption, alternative)]
    if "random_effects" in figures:
        blocks += [Heading("Random effects"), *_effect_blocks(results, figures)]
    if "contributions" in figures:
        blocks += [Heading("Patients that the fit rests on"), *_contribution_blocks(figures)]
    if "population_profiles" in figures:
        blocks += [Heading("Profiles of the likelihood"), *_profile_blocks(results, figures)]
    if "population_trace" in figures:
        caption = "The way of the search. Dotted: where a phase begins; dashed: the estimate that is reported."
        picture = Picture(figures["population_trace"], caption, "Parameters over the iterations of the search.")
        blocks.append(Folded("The way of the search", [picture]))
    return Section("diagnostics", "Diagnostics of the population fit", blocks)


def diagnostic_figures(results: Results) -> dict[str, Figure]:
    """Return a figure for each of the diagnostics whose file a folder holds, by the name of its picture."""
    units = {"time_unit": results.time_unit, "value_unit": _value_unit(results)}
    found: dict[str, Figure] = {}
    checks, residuals = _filled(results, "vpc"), _filled(results, "population_residuals")
    if checks is not None:
        for name in ("vpc", "pcvpc"):
            one_stratum = checks["stratum"].eq("").all()
            points = residuals if one_stratum and name == "vpc" else None
            found[name] = vpc_figure(checks, points, check=name, **units)  # type: ignore[arg-type]
    if (errors := _filled(results, "npde")) is not None:
        found["npde"] = prediction_error_figure(errors, **units)  # type: ignore[arg-type]
    if residuals is not None:
        found["population_residuals"] = population_residual_figure(residuals, **units)  # type: ignore[arg-type]
    associations, effects = _filled(results, "population_effects"), _filled(results, "individual_effects")
    omega = _omega(results)
    if associations is not None and effects is not None and omega:
        rows = associations[(associations["kind"] == "shrinkage") & (associations["statistic"] == "modes")]
        shrinkage = dict(zip(rows["parameter"], rows["value"].astype(float), strict=True))
        found["random_effects"] = effect_figure(effects, omega, shrinkage)
        if len(omega) > 1:
            found["effect_pairs"] = effect_pairs_figure(effects, list(omega), associations)
    if (parts := _filled(results, "population_contributions")) is not None:
        found["contributions"] = contribution_figure(parts)
    if (profiles := _filled(results, "population_profiles")) is not None:
        found["population_profiles"] = population_profile_figure(profiles)
    if (trace := _filled(results, "population_trace")) is not None:
        table = results["population"]
        named = [] if table is None else zip(table["parameter"], table["estimate"], strict=True)
        found["population_trace"] = trace_figure(trace, {str(name): float(value) for name, value in named})
    return found


def _filled(results: Results, name: str) -> pd.DataFrame | None:
    table = results[name]
    return None if table is None or table.empty else table


def _value_unit(results: Results) -> str:
    """Unit of the levels: that of the parameter cmax, or of the only series."""
    units = results.manifest.get("cohort", {}).get("value_unit", {})
    fit = next((str(one.get("unit", "")) for one in results.population.get("parameters", [])), "")
    return str(next(iter(units.values()))) if len(units) == 1 else fit


def _omega(results: Results) -> dict[str, float]:
    """SD of each parameter's random effect, by ``population.csv``."""
    table = results["population"]
    if table is None or "kind" not in table:
        return {}
    rows = table[table["kind"] == "omega"]
    return {
        str(name).removeprefix("omega_"): float(value)
        for name, value in zip(rows["parameter"], rows["estimate"], strict=True)
    }


def _check_blocks(results: Results, figures: Mapping[str, str]) -> list[Block]:
    table = results["vpc"]
    assert table is not None
    blocks: list[Block] = []
    for name, what in (("vpc", "the samples"), ("pcvpc", "the prediction-corrected samples")):
        rows = table[table["check"] == name]
        (outside, judged), (off, bins) = outside_counts(table, name), outside_counts(table, "blq")
        below = f": {off} of {bins} lie outside" if bins else ""
        shares = listed([f"{share:g} %" for share in rows["percentile"].unique()])
        caption = (
            f"Percentiles ({shares}) of {what} over the intervals of simulated data sets: {outside} of {judged} lie "
            "outside. A percentile among the samples below the LLOQ has no point, and does not count where the "
            f"simulated ones are there too. Below: the share of samples below the LLOQ{below}."
        )
        picture = Picture(figures[name], caption, f"Visual predictive check of {what}.")
        blocks.append(picture if name == "vpc" else Folded("Prediction-corrected", [picture]))
    return blocks


def _error_blocks(results: Results, figures: Mapping[str, str]) -> list[Block]:
    table = results["npde"]
    assert table is not None
    found = normality(table["npde"].to_numpy(float))
    drawn = int(table["drawn"].astype(str).eq("True").sum())
    caption = (
        "Where each sample lies in the distribution that the fit predicts for it, decorrelated within patients: "
        f"standard normal if the model is right. Of {found.n} samples {drawn} are censored; theirs are drawn within "
        "their limits."
    )
    return [
        Text(errors_in_words(found)),
        Picture(figures["npde"], caption, "Prediction distribution errors beside a standard normal distribution."),
    ]


def errors_in_words(found: NormalitySummary) -> str:
    """Return what mean, variance and tests of prediction errors say, as a sentence or two."""
    if not np.isfinite(found.mean):
        return f"{found.n} samples are too few to judge prediction errors by."
    numbers = (
        f"Mean {number(found.mean, 2)} (0 if the model is right, p {_p(found.p_mean)}), variance "
        f"{number(found.variance)} (1, p {_p(found.p_variance)}), skewness {number(found.skewness, 2)}, kurtosis "
        f"{number(found.kurtosis, 2)}; Kolmogorov-Smirnov test of N(0, 1): p {_p(found.p_ks)}."
    )
    verdict = "They differ from" if min(found.p_global, found.p_ks) < DOUBTFUL else "They do not differ from"
    return (
        f"{numbers} {verdict} what the model predicts by more than chance would (limit {DOUBTFUL:g}; samples of one "
        "patient are not independent, so that p is approximate)."
    )


def _p(value: float) -> str:
    if not np.isfinite(value):
        return "–"
    return "below 0.001" if value < 0.001 else number(value, 2)


def _effect_blocks(results: Results, figures: Mapping[str, str]) -> list[Block]:
    caption = (
        "Random effects at the modes (bars) and the distribution that the fit says they have (line). Bars much "
        "narrower than the line are shrinkage, which hides what lies behind; !: above 30 %."
    )
    blocks: list[Block] = [Picture(figures["random_effects"], caption, "Distributions of the random effects.")]
    if "effect_pairs" in figures:
        picture = Picture(
            figures["effect_pairs"],
            "Conditional means in pairs; the number is the correlation of the modes.",
            "Random effects in pairs.",
        )
        blocks.append(Folded("Random effects in pairs", [picture]))
    table = results["population_effects"]
    assert table is not None
    rows = table[table["kind"].isin(["pair", "covariate"]) & table["p"].notna()].sort_values("p", kind="stable")
    if len(rows):
        shown = rows.head(_MOST_ASSOCIATIONS)
        weak = int((rows["p"] < DOUBTFUL).sum())
        blocks.append(
            Folded(f"Associations of random effects: {weak} of {len(rows)} with p below {DOUBTFUL:g}", [_pairs(shown)])
        )
    return blocks


def _pairs(rows: pd.DataFrame) -> Table:
    columns = [Column("Random effect", numeric=False), Column("Beside", numeric=False)]
    columns += [Column("Statistic", numeric=False), Column("Value"), Column("p"), Column("n")]
    names = {"modes": "correlation of modes", "spearman": "rank correlation", "kruskal": "Kruskal-Wallis H"}
    lines = [
        [
            text_cell(row["parameter"]),
            text_cell(row["beside"]),
            text_cell(names.get(str(row["statistic"]), row["statistic"])),
            number_cell(row["value"]),
            text_cell(_p(float(row["p"]))),
            number_cell(row["n"]),
        ]
        for row in rows.to_dict("records")
    ]
    return Table(columns, lines, note=f"The least p, at most {_MOST_ASSOCIATIONS}; not corrected for their number.")


def _contribution_blocks(figures: Mapping[str, str]) -> list[Block]:
    caption = (
        "Left: −2LL per sample over the patient's distance from the typical one; the furthest are named. Right: the "
        "patients without whom the estimates would move most, with the parameter that would move furthest, in "
        "standard errors (to first order)."
    )
    return [Picture(figures["contributions"], caption, "Contributions to −2LL and influence of patients.")]


def _profile_blocks(results: Results, figures: Mapping[str, str]) -> list[Block]:
    table = results["population_profiles"]
    assert table is not None
    caption = (
        "Rise of −2LL as one parameter is held and the others are estimated anew, with the Monte-Carlo error of each "
        "point. Where it crosses the dashed line (3.84) the 95 % interval ends."
    )
    picture = Picture(figures["population_profiles"], caption, "Profiles of −2LL of population parameters.")
    first = table.drop_duplicates("parameter")
    open_ended = [f"{row['parameter']}: {row['reason']}." for row in first.to_dict("records") if row["reason"]]
    return [picture, *([Notes(open_ended)] if open_ended else [])]
