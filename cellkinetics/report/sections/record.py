"""How it was done, and the record that makes it repeatable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellkinetics.nca.column import Key
from cellkinetics.printing import window_text
from cellkinetics.report.blocks import Block, Folded, Heading, Notes, Section, Text
from cellkinetics.report.recorded import POPULATION
from cellkinetics.report.results import Results
from cellkinetics.report.sections.data import units_sentence
from cellkinetics.report.sections.population import method_name
from cellkinetics.report.sections.population_structure import (
    residual_in_words,
    residual_parameters,
    structure_in_words,
)
from cellkinetics.report.tables import Column, Table, listed, text_cell

_AUC = {
    "linear-up-log-down": "linear where the value rises, logarithmic where it falls",
    "linear": "linear throughout",
    "linear-log": "linear until Tmax, logarithmic after",
    "log": "logarithmic throughout",
}

_WINDOW_END = {
    "observed": "is extrapolated with λz from the last quantified value where λz is accepted, and empty otherwise",
    "predicted": "is extrapolated with λz from the terminal line's value at Tlast where λz is accepted, and empty "
    "otherwise",
    "zero": "counts as zero from there on",
    "missing": "is empty",
}

_PLACES = frozenset({"data", "out", "force", "quiet", "settings"})
"""Options that change no number. They stay out of the page, which depends on nothing but data and analysis."""


def method_section(results: Results) -> Section | None:
    """Return the section that says in words how the numbers were made."""
    blocks: list[Block] = []
    if results["nca"] is not None or results["nca_wide"] is not None:
        blocks += [Heading("Noncompartmental analysis"), Text(_nca_method(results.nca_options))]
    if results["individual"] is not None:
        blocks += [
            Heading("Individual fits"),
            Text(_fit_method(results)),
        ]
    if results.population:
        blocks += [Heading("Population fit"), Text(_pool_method(results.population))]
    return Section("method", "Methods", blocks) if blocks else None


def _fit_method(results: Results) -> str:
    """Say how the individual fits were made, by the recorded options and by what is in the folder."""
    options = _fit_options(results.manifest)
    individual = results["individual"]
    borrowed = individual is not None and "sd_ratio" in individual and bool(individual["sd_ratio"].notna().any())
    prior = str(options.get("prior") or "")
    sentences = [
        f"Each patient's samples with a population{f' ({prior})' if prior else ''} as prior, by the mode of the "
        "posterior (MAP)"
        if borrowed
        else "Each patient's samples alone, by maximum likelihood",
    ]
    sentences[0] += (
        f": {residual_in_words(options.get('residual'))}, samples below "
        "quantification by the probability of lying below their LLOQ (method M3; a sample without an LLOQ is "
        "left out)."
    )
    sentences.append(
        "The search begins at several points, read off the samples around the observed peak, and at typical "
        f"{'values of the prior' if borrowed else 'published values where the samples say nothing'}."
    )
    if borrowed:
        sentences.append("Standard errors are those of the posterior, by Laplace's approximation.")
    else:
        sentences.append("Standard errors come from the curvature of the likelihood at its optimum.")
    sentences.append("Intervals are on each parameter's transformed scale.")
    if results["individual_profiles"] is not None:
        sentences.append(
            "Intervals by profile likelihood end where -2LL, the other parameters at their best, has risen to its "
            "95 % limit, which is widened for the degrees of freedom that few samples leave."
        )
    if results["individual_models"] is not None:
        sentences.append("Of several models, the one with the least AICc stands for each patient.")
    return " ".join(sentences)


def _fit_options(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options of the last command that fitted patients; a whole run has no more than the model."""
    for entry in [manifest, *reversed(manifest.get("earlier", []))]:
        if any(stage.get("name") == "fit" for stage in entry.get("stages", [])):
            options: Mapping[str, Any] = entry.get("options", {})
            return options if entry.get("command") == "fit" else {}
    return {}


def _nca_method(options: Mapping[str, Any]) -> str:
    if not options:
        return "The rules of this analysis were not recorded in manifest.json."
    sentences = [
        f"Area: {_AUC.get(str(options.get('auc_method')), 'trapezoidal rule')}; "
        f"{options.get('time', 'actual')} sampling times.",
        _terminal_rule(options),
    ]
    windows = options.get("windows") or []
    if windows and (end := _WINDOW_END.get(str(options.get("window_end")))):
        names = [window_text(Key("AUCINT", *window).column) for window in windows]
        sentences.append(f"Windows: {listed(names)}. A window that ends after the last sample {end}.")
    rules = options.get("blq")
    if isinstance(rules, Mapping):
        words = {"zero": "0", "drop": "left out", "lloq": "the LLOQ", "lloq/2": "half the LLOQ"}
        places = {
            "before": "before the first quantifiable sample",
            "between": "between quantifiable samples",
            "first_between": "the first of a run between them",
            "first_after": "the first after the last quantifiable sample",
            "later": "those that follow",
        }
        told = [
            f"{place} {words.get(str(rules[key]), f'{rules[key]} × LLOQ')}"
            for key, place in places.items()
            if rules.get(key) is not None
        ]
        sentences.append(f"Samples below quantification count as: {'; '.join(told)}.")
    acceptance = options.get("acceptance")
    if isinstance(acceptance, Mapping):
        limits = {
            "r2adj_min": "adjusted R² below {:g}",
            "span_min": "span below {:g} half-lives",
            "extrapolated_max": "more than {:g} % of the area extrapolated",
            "tmax_min": "Tmax before day {:g}",
        }
        told = [text.format(acceptance[key]) for key, text in limits.items() if acceptance.get(key) is not None]
        if acceptance.get("straddle") and options.get("route") == "cells":
            told.append("a terminal line across the break between contraction and persistence")
        if told:
            sentences.append(f"Flagged, with the value kept: {'; '.join(told)}.")
    return " ".join(sentences)


def _terminal_rule(options: Mapping[str, Any]) -> str:
    # Only a bolus has its peak on the declining line.
    peak = "Cmax may be one of them" if options.get("route") == "bolus" else "none of them Cmax"
    tolerance = options.get("lambda_z_tolerance")
    return (
        f"λz: least squares on ln C through the last {options.get('lambda_z_min_points', 3)} or more quantifiable "
        f"samples, {peak}, the set with the largest adjusted R²"
        + (f" (more points where it is at most {tolerance:g} lower)." if tolerance else ".")
        + _restrictions(options)
    )


def _restrictions(options: Mapping[str, Any]) -> str:
    """Return what else the terminal points had to satisfy, a sentence with a space before it."""
    limits = {
        "lambda_z_max_points": "at most {} points",
        "lambda_z_not_before": "no point before time {}",
        "lambda_z_not_after": "no point after time {}",
        "lambda_z_min_span": "a span of at least {} half-lives",
        "lambda_z_weights": "weights {}",
        "lambda_z_order": "in the order of {}",
    }
    usual = {"lambda_z_min_span": 0.0, "lambda_z_weights": "1", "lambda_z_order": "winnonlin"}
    told = [
        text.format(options[key])
        for key, text in limits.items()
        if options.get(key) is not None and options[key] != usual.get(key)
    ]
    if options.get("slopes"):
        told.append("chosen by hand for the profiles that the table of choices names")
    return f" Also: {'; '.join(told)}." if told else ""


def _pool_method(fit: Mapping[str, Any]) -> str:
    method = str(fit.get("method", ""))
    how = {
        "focei": "by first-order conditional estimation with interaction (FOCEI), an approximation at the change "
        "point of the model; the −2LL reported is that of the exact likelihood, by importance sampling",
        "importance": "by maximum likelihood, the integrals over the random effects by importance sampling; the "
        "start is a first-order conditional estimation (FOCEI)",
        "saem": "by maximum likelihood, by stochastic approximation expectation maximisation (SAEM); the −2LL reported "
        "is by importance sampling",
        "laplace": "by the Laplace approximation of the likelihood; the −2LL reported is that of the exact "
        "likelihood, by importance sampling",
        "two-stage": "by two stages: each patient's fit, then the distribution of their parameters",
        "naive": "as if they were one (naive pooling): no parameter differs between patients",
        "bayes": "by draws from the posterior distribution (NUTS)",
    }
    uncertainty = str(fit.get("uncertainty", ""))
    told = f" Standard errors: {uncertainty}." if uncertainty else ""
    words = how.get(method, f"by {method_name(fit)}")
    residual = fit.get("residual", {}).get("name")
    parameters = residual_parameters(fit)
    return (
        f"All patients together {words}. {structure_in_words(fit)} Samples have {residual_in_words(residual)}"
        f"{f' ({parameters})' if parameters else ''}, those below quantification are left-censored (M3)."
        f"{told} Seed {fit.get('seed', 0)}."
    )


def record_section(results: Results) -> Section | None:
    """Return the section with input hash, options, versions and output hashes."""
    manifest = results.manifest
    if not manifest:
        return None
    blocks: list[Block] = [_facts_table(results)]
    failed = [f"{s['name']}: {s['message']}" for s in results.stages.values() if s["status"] != "done"]
    if failed:
        blocks.append(Notes([f"A step was not done. {text}" for text in failed]))
    options = {name: value for name, value in manifest.get("options", {}).items() if name not in _PLACES}
    others = Text("Where the input and the results lie, and what was printed, stands in manifest.json.")
    blocks.append(Folded("Options", [_pairs("Option", "Value", _flat(options)), others]))
    blocks.append(Folded("Versions", [_pairs("Package", "Version", _flat(manifest.get("packages", {})))]))
    outputs: dict[str, str] = {}
    for entry in [*manifest.get("earlier", []), manifest]:
        outputs.update({name: str(value.get("sha256", "")) for name, value in entry.get("outputs", {}).items()})
    # A page cannot hold its own hash, and is the same whether it is the first one or is made again.
    outputs = {name: digest for name, digest in outputs.items() if name.endswith((".csv", POPULATION))}
    if outputs:
        blocks.append(Folded("SHA-256 of the files", [_pairs("File", "SHA-256", outputs, mono=True)]))
    return Section("record", "Record", blocks)


def _facts_table(results: Results) -> Table:
    manifest = results.manifest
    source = manifest.get("input", {})
    earlier = [str(entry.get("command", "")) for entry in manifest.get("earlier", [])]
    facts = {
        "Command": " → ".join([*earlier, str(manifest.get("command", ""))]),
        "Input": str(source.get("name", "")),
        "SHA-256 of the input": str(source.get("sha256", "")),
        "Units": units_sentence(results),
        "Dates and durations": "in manifest.json",
        "Seed": str(manifest.get("seed", "")),
        "cellkinetics": str(manifest.get("packages", {}).get("cellkinetics", "")),
        "Python, platform": f"{manifest.get('python', '')}, {manifest.get('platform', '')}",
    }
    return _pairs("", "", {name: value for name, value in facts.items() if value not in {"", "None"}})


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested options as one level, ``nca_options.blq.before`` to its text."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = "not given" if value is None else str(value)
    return flat


def _pairs(left: str, right: str, values: Mapping[str, str], *, mono: bool = False) -> Table:
    tone = "mono" if mono else ""
    columns = [Column(left, numeric=False), Column(right, numeric=False)]
    rows = [
        [text_cell(name), text_cell(value, "mono" if "SHA-256" in name else tone)] for name, value in values.items()
    ]
    return Table(columns, rows, sticky=False)
