"""What a reader wants to know first: who, how much, and what to be careful about."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cellkinetics.nca.summary import describe
from cellkinetics.printing import MISSING, number, percent, unit_text, window_text
from cellkinetics.report.blocks import Block, Facts, Notes, Section, Text
from cellkinetics.report.figures.profiles import KEY
from cellkinetics.report.results import Results
from cellkinetics.report.sections.individual import fit_status
from cellkinetics.report.sections.population import fit_parameters, method_name
from cellkinetics.report.tables import plural, sentence, time_plural


def summary_section(results: Results) -> Section:
    """Return the first section: key numbers, the main results in words, and warnings."""
    blocks: list[Block] = []
    if results.manifest.get("command") == "demo":
        blocks.append(Notes(["A demonstration: these patients are simulated, none of them exists."], tone="info"))
    facts = _facts(results)
    if facts:
        blocks.append(Facts(facts))
    sentences = [*_nca_sentences(results), *_fit_sentences(results)]
    if sentences:
        blocks.append(Text(" ".join(sentences)))
    warnings = _warnings(results)
    if warnings:
        blocks.append(Notes(warnings))
    return Section("summary", "Summary", blocks)


def _facts(results: Results) -> list[tuple[str, str, str]]:
    samples = results["samples"]
    if samples is None or samples.empty:
        return []
    used = samples[samples["status"] != "excluded"]
    patients, groups = (
        samples.loc[samples["subject"] != "", "subject"].nunique(),
        samples.loc[samples["group"] != "", "group"].nunique(),
    )
    blq = int((used["censored"] == 1).sum())
    times = used["time"].dropna()
    facts = [
        (f"{patients:,}", "patients", f"in {plural(groups, 'group')}" if groups else "no groups given"),
        (f"{len(used):,}", "samples", f"{len(samples) - len(used)} left out"),
        (percent(100 * blq / len(used)) if len(used) else "–", "below quantification", plural(blq, "sample")),
    ]
    if len(times):
        facts.append(
            (number(times.max()), f"{time_plural(results.time_unit)} of follow-up", "last sample of any patient")
        )
    return facts


def _nca_sentences(results: Results) -> list[str]:
    wide, nca = results["nca_wide"], results["nca"]
    if wide is None or nca is None or len(wide[["analyte", "specimen"]].drop_duplicates()) != 1:
        return []
    sentences = []
    unit = {str(p): unit_text(str(u)) for p, u in nca[["parameter", "unit"]].itertuples(index=False)}
    if "CMAX" in wide and (peak := _positive(wide["CMAX"])) is not None:
        text = f"Geometric mean Cmax {_geometric(peak)} {unit.get('CMAX', '')}".rstrip()
        sentences.append(f"{text} (n = {len(peak)})")
        if "TMAX" in wide and wide["TMAX"].notna().any():
            t = wide["TMAX"].dropna()
            sentences[-1] += (
                f", at a median Tmax of {number(t.median())} {time_plural(unit.get('TMAX', ''))} "
                f"[{number(t.min())}; {number(t.max())}]"
            )
        sentences[-1] += "."
    window = next((c for c in wide.columns if c.startswith("AUCINT_")), None)
    if window is not None and (area := _positive(wide[window])) is not None:
        sentences.append(
            f"Geometric mean {window_text(window)} {_geometric(area)} {unit.get('AUCINT', '')} (n = {len(area)})."
        )
    return sentences


def _positive(values: pd.Series) -> pd.Series | None:
    kept = values[values > 0]
    return kept if len(kept) else None


def _geometric(values: pd.Series) -> str:
    found = describe(values.to_numpy(float))
    spread = percent(found["geometric_cv_percent"])
    return number(found["geometric_mean"]) + ("" if spread == MISSING else f" (CV {spread})")


def _fit_sentences(results: Results) -> list[str]:
    sentences = []
    individual = results["individual"]
    if individual is not None and len(individual):
        status = [fit_status(part) for _, part in individual.groupby([*KEY], sort=False)]
        sentences.append(
            f"Individual fits: {status.count('ok')} of {len(status)} with every parameter identified, "
            + (f"{status.count('prior')} with some that say what the prior says, " if "prior" in status else "")
            + f"{status.count('not_identifiable')} in part, {status.count('failed')} without a fit."
        )
    fit = results.population
    if fit:
        objective: dict[str, Any] = fit.get("objective", {})
        text = f"The population fit ({method_name(fit)}) "
        text += "converged" if fit.get("converged") else "did not converge"
        if number(objective.get("minus2ll")) != "–":
            text += f"; −2LL {float(objective['minus2ll']):,.1f}"
        sentences.append(text + ".")
    return sentences


def _warnings(results: Results) -> list[str]:
    items = list(results.problems)
    check = results["check"]
    if check is not None:
        serious = check[check["effect"] != "note"]
        profiles = serious.loc[serious["effect"] == "profile", "subject"].nunique()
        rows = int((serious["effect"] == "row").sum())
        if profiles:
            items.append(f"Nothing could be calculated for {plural(profiles, 'patient')}; see Data.")
        if rows:
            items.append(f"{plural(rows, 'row')} of the input could not be used; see Data.")
    items += [
        f"The step {stage['name']} was not done: {stage['message']}"
        for stage in results.stages.values()
        if stage["status"] != "done"
    ]
    fit = results.population
    if fit and not fit.get("converged"):
        items.append("The population fit did not converge: its numbers are not an optimum; see Population fit.")
    items += [f"Population fit: {sentence(str(text), fit_parameters(fit))}" for text in fit.get("warnings", [])]
    return items
