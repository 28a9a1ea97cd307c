"""Figures of individual fits: estimates by group, the NCA beside them, rankings of models, likelihood profiles."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cellkinetics.data.cohort import series_name
from cellkinetics.nca.labels import printed_name
from cellkinetics.printing import number, unit_text
from cellkinetics.report.blocks import Block, Folded, Heading, Picture, Text
from cellkinetics.report.figures.beside_nca import beside_nca_figure
from cellkinetics.report.figures.fits import estimates_figure
from cellkinetics.report.figures.likelihood import LikelihoodProfiles, likelihood_figure
from cellkinetics.report.figures.profiles import KEY, Key
from cellkinetics.report.figures.ranking import ranked_keys, ranked_models, ranking_pages
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.results import Results
from cellkinetics.report.tables import Column, Table, listed, number_cell, plural, text_cell

MOST_LIKELIHOODS = 60
"""Patients whose likelihood profiles the page draws."""
MOST_RANKED = 120
"""Patients whose ranking of models the page draws."""


def estimate_blocks(results: Results, names: Sequence[str], linear: Sequence[str]) -> list[Block]:
    """Return the estimates of each analyte and specimen by group."""
    blocks: list[Block] = []
    for i, (series, table, groups) in enumerate(estimated_series(results, names)):
        figure = estimates_figure({"": table}, names, groups, linear=linear)
        caption = (
            f"Estimates by group{_of(series)}, a point a patient; below a group, in how many of its patients the "
            "samples identify the parameter. The others have no point."
        )
        if (table["status"] == "prior").any():
            caption += " Faint: the estimate says what the prior says; it is not counted and not in the box."
        blocks.append(Picture(svg_text(figure, f"estimates{i}"), caption, "Estimates of each parameter by group."))
    return [Heading("Estimates by group"), *blocks] if blocks else []


def beside_nca_blocks(results: Results) -> list[Block]:
    """Return the ratios of fitted to noncompartmental values, and the rows that are far apart."""
    blocks: list[Block] = []
    for i, (series, table, groups) in enumerate(by_series(results, "individual_nca")):
        figure = beside_nca_figure(table, groups)
        caption = (
            f"Fitted over noncompartmental value{_of(series)}. The highest sample carries the assay's error and need "
            "not be at the peak, so that the two differ; beyond the dashed lines (half, double) look at the fit."
        )
        picture = svg_text(figure, f"beside{i}")
        blocks.append(Picture(picture, caption, "Ratios of fitted to noncompartmental Cmax, Tmax and areas."))
        far = table[table["status"] == "flagged"]
        if len(far):
            blocks.append(Folded(f"Further apart than a factor of 2: {plural(len(far), 'value')}", [_far_apart(far)]))
    return [Heading("Beside the noncompartmental analysis"), *blocks] if blocks else []


def ranking_blocks(results: Results) -> list[Block]:
    """Return how often each model was chosen, and the weights of all for each patient."""
    ranking = results["individual_models"]
    if ranking is None or ranking.empty:
        return []
    ranking = ranking.assign(chosen=ranking["chosen"].astype(str) == "True")
    counts = ranking[ranking["chosen"]].groupby("model").size()
    models, keys = ranked_models(ranking), ranked_keys(ranking)
    told = listed([f"{model} for {plural(int(counts[model]), 'patient')}" for model in models if model in counts])
    never = listed([model for model in models if model not in counts])
    pictures: list[Block] = [
        Picture(
            svg_text(figure, f"ranking{i}"),
            "Weights by AICc; the frame is the model that stands. A dash: the samples do not support the model "
            "(individual_models.csv says why).",
            "Weights of the models for each patient.",
        )
        for i, figure in enumerate(ranking_pages(ranking, most=MOST_RANKED))
    ]
    if len(keys) > MOST_RANKED:
        pictures.append(Text(f"The first {MOST_RANKED} of {len(keys):,} profiles are drawn."))
    return [
        Heading("Choice of the model"),
        Text(
            f"Each patient's model is the one with the least AICc. Chosen: {told}."
            + (f" Never chosen: {never}." if never else "")
        ),
        Folded(f"The whole ranking: {plural(len(keys), 'profile')}", pictures),
    ]


def likelihood_blocks(results: Results, linear: Sequence[str]) -> list[Block]:
    """Return the profiles of the likelihood, folded, a patient at a time."""
    points, estimates = results["individual_profiles"], results["individual"]
    if points is None or points.empty or estimates is None:
        return []
    profiles = LikelihoodProfiles(points, estimates, linear)
    keys = profiles.keys
    pictures: list[Block] = []
    for k, key in enumerate(keys[:MOST_LIKELIHOODS]):
        name = " · ".join(filter(None, key))
        svg = svg_text(likelihood_figure(profiles, key), f"likelihood{k}")
        pictures.append(Folded(name, [Picture(svg, "", f"Profiles of the likelihood of {name}.")]))
    if len(keys) > MOST_LIKELIHOODS:
        pictures.append(Text(f"The first {MOST_LIKELIHOODS} of {len(keys):,} profiles are drawn."))
    return [
        Heading("Profiles of the likelihood"),
        Text(
            "Each parameter is moved and the others follow: where -2LL has risen to the dashed line, the 95 % interval "
            "ends. A curve that never gets there on one side means an interval without an end on that side; one that "
            "stays low on both, a parameter that the samples do not identify."
        ),
        Folded(f"Profiles of {plural(len(keys), 'patient')}", pictures),
    ]


def _far_apart(rows: pd.DataFrame) -> Table:
    columns = [Column("Patient", numeric=False), Column("Quantity", numeric=False), Column("Fitted")]
    columns += [Column("Noncompartmental"), Column("Ratio"), Column("Unit", numeric=False)]
    lines = [
        [
            text_cell(row["subject"]),
            text_cell(printed_name(str(row["quantity"]))),
            number_cell(row["fitted"]),
            number_cell(row["nca"]),
            text_cell(number(row["ratio"])),
            text_cell(unit_text(str(row["unit"]))),
        ]
        for row in rows.to_dict("records")
    ]
    return Table(columns, lines)


def _of(series: str) -> str:
    return f" of {series}" if series else ""


def estimated_series(results: Results, names: Sequence[str]) -> list[tuple[str, pd.DataFrame, dict[Key, str]]]:
    """Return the fits of each analyte and specimen in which some patient has an estimate of some parameter."""
    found = by_series(results, "individual")
    return [one for one in found if one[1].loc[one[1]["parameter"].isin(list(names)), "estimate"].notna().any()]


def by_series(results: Results, name: str) -> list[tuple[str, pd.DataFrame, dict[Key, str]]]:
    """Return the rows of a table for each analyte and specimen, with the group of each profile."""
    table = results[name]
    if table is None or table.empty:
        return []
    groups = _groups(results)
    found = []
    for (analyte, specimen), part in table.groupby(["analyte", "specimen"], sort=False):
        keys = dict.fromkeys(part[[*KEY]].astype(str).itertuples(index=False, name=None))
        mine = {key: groups.get(key, "") for key in keys}
        # Groups in the order of the data, whatever order the patients of this series have.
        order = {group: k for k, group in enumerate(dict.fromkeys(groups.values()))}
        ordered = dict(sorted(mine.items(), key=lambda item: order.get(item[1], 0)))
        found.append((series_name(str(analyte), str(specimen)), part, ordered))
    return found


def _groups(results: Results) -> dict[Key, str]:
    samples = results["samples"]
    if samples is None:
        return {}
    rows = samples[[*KEY, "group"]].drop_duplicates([*KEY])
    return {(str(s), str(a), str(o), str(m)): str(g) for s, a, o, m, g in rows.itertuples(index=False)}
