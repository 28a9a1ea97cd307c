"""Individual fits: one row a patient, and which fits cannot be trusted and why."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from cellkinetics.errors import ModelError
from cellkinetics.fitting.pooled.result import WEAK_RSE
from cellkinetics.printing import number, percent, unit_text
from cellkinetics.report.blocks import Block, Section, Text
from cellkinetics.report.figures.profiles import KEY, Key
from cellkinetics.report.results import Results
from cellkinetics.report.sections.identifiability import HEADINGS, identifiability_blocks
from cellkinetics.report.sections.individual_figures import (
    beside_nca_blocks,
    estimate_blocks,
    likelihood_blocks,
    ranking_blocks,
)
from cellkinetics.report.tables import Cell, Column, Table, listed, number_cell, plural, text_cell

if TYPE_CHECKING:
    from cellkinetics.models.base import Model

MOST_PROFILES = 300
_STATUS = {"ok": "ok", "prior": "prior", "not_identifiable": "in part", "failed": "no fit"}
_STATISTICS = ("minus2ll", "aic", "bic", "n_samples", "n_blq")


def individual_section(results: Results) -> Section | None:
    """Return the section on one fit per patient."""
    table = results["individual"]
    if table is None or table.empty:
        return None
    names = model_parameters(table)
    fits = [((str(s), str(a), str(o), str(m)), rows) for (s, a, o, m), rows in table.groupby([*KEY], sort=False)]
    status = [fit_status(rows) for _, rows in fits]
    model = listed(list(dict.fromkeys(table["model"]))) if "model" in table else ""
    counts = [
        f"{plural(status.count('ok'), 'fit')} with every parameter identified",
        f"{status.count('not_identifiable')} with at least one parameter that the samples do not identify",
        f"{status.count('failed')} without a fit",
    ]
    with_prior = "sd_ratio" in table and table["sd_ratio"].notna().any()
    if with_prior:
        counts.insert(1, f"{status.count('prior')} with some that say what the prior says")
    way = "with a population as prior (MAP)" if with_prior else "alone by maximum likelihood"
    linear = linear_parameters(table)
    blocks: list[Block] = [
        Text(
            f"Model {model}, fitted to each patient {way}, samples below "
            f"quantification as left-censored. Of {plural(len(fits), 'profile')}: {listed(counts)}."
        ),
        *model_names(names),
        _patient_table(fits, names),
        *identifiability_blocks(table, names),
        *ranking_blocks(results),
        *estimate_blocks(results, names, linear),
        *beside_nca_blocks(results),
        *likelihood_blocks(results, linear),
    ]
    return Section("individual", "Individual fits", blocks)


def model_names(names: Sequence[str]) -> list[Block]:
    """Return what sets a model's cmax and tmax apart from the observed ones, where it has them."""
    if not {"cmax", "tmax"} <= set(names):
        return []
    text = (
        "cmax and tmax, in lower case, are parameters of the model: height and time of the peak of the fitted curve. "
        "Cmax and Tmax of the noncompartmental analysis are the highest sample and its time."
    )
    return [Text(text)]


def model_parameters(table: pd.DataFrame, parameters: Sequence[str] = ()) -> list[str]:
    """Return the parameters of the model and of the residual among the rows, without what is derived from them.

    Args:
        table: rows of ``individual.csv``.
        parameters: of the model, where it is known; by default by the model's name.
    """
    present = list(dict.fromkeys(table["parameter"]))
    known = [name for model in _models(table) for name in model.names]
    if parameters or known:
        wanted = dict.fromkeys([*(parameters or known), *(name for name in present if name.startswith("sigma"))])
        return [name for name in wanted if name in present]
    return [name for name in present if name not in _STATISTICS][:8]


def linear_parameters(table: pd.DataFrame) -> list[str]:
    """Return the parameters that are drawn on a linear axis: those that a model does not transform."""
    transforms = {p.name: p.transform for model in _models(table) for p in model.parameters}
    return [name for name, transform in transforms.items() if transform == "identity"]


def _models(table: pd.DataFrame) -> list[Model]:
    """Return the models of the fits, as far as their names are known."""
    from cellkinetics.models.registry import get_model

    found = []
    for name in dict.fromkeys(table["model"]) if "model" in table else ():
        with contextlib.suppress(ModelError):
            found.append(get_model(str(name)))
    return found


def fit_status(rows: pd.DataFrame) -> str:
    """Return the status of a fit from its rows: ``failed``, ``not_identifiable``, ``prior`` or ``ok``."""
    found = set(rows["status"])
    return next((status for status in ("failed", "not_identifiable", "prior") if status in found), "ok")


def _patient_table(fits: list[tuple[Key, pd.DataFrame]], names: list[str]) -> Table:
    keys = [key for key, _ in fits]
    told_apart = [k for k in range(1, len(KEY)) if len({key[k] for key in keys}) > 1]
    several = len({(key[1], key[3]) for key in keys}) > 1
    columns = [Column("Patient", numeric=False)]
    columns += [Column(KEY[k].capitalize(), numeric=False) for k in told_apart]
    columns.append(Column("Fit", numeric=False))
    first = fits[0][1].drop_duplicates("parameter").set_index("parameter")
    for name in names:
        unit = unit_text(str(first["unit"].get(name, ""))) if not several else ""
        columns.append(Column(HEADINGS.get(name, name), unit))
    rows = []
    for key, part in fits[:MOST_PROFILES]:
        by_name = part.drop_duplicates("parameter").set_index("parameter")
        status = fit_status(part)
        rows.append(
            [
                text_cell(key[0]),
                *(text_cell(key[k]) for k in told_apart),
                text_cell(
                    _STATUS.get(status, status),
                    tone={"failed": "bad short", "not_identifiable": "warn short"}.get(status, ""),
                ),
                *(_estimate(by_name, name) for name in names),
            ]
        )
    note = (
        "Estimate, and below it the relative standard error; σ: residual SD. n.i.: not identifiable from this "
        f"patient's samples; with ‡, the value is one of many that fit as well. !: relative standard error above "
        f"{WEAK_RSE:.0f} %. Derived quantities and intervals stand in individual.csv."
    )
    if len(fits) > MOST_PROFILES:
        note += f" The first {MOST_PROFILES} of {len(fits):,} profiles are shown."
    return Table(columns, rows, note=note)


def _estimate(by_name: pd.DataFrame, name: str) -> Cell:
    if name not in by_name.index:
        return number_cell(None)
    if number(by_name.loc[name, "estimate"]) == "–":
        return Cell("n.i.", tone="faint") if by_name.loc[name, "status"] == "not_identifiable" else number_cell(None)
    text = number(by_name.loc[name, "estimate"])
    if by_name.loc[name, "status"] == "not_identifiable":
        return Cell(text + " ‡", tone="warn")
    rse = by_name.loc[name, "rse_percent"] if "rse_percent" in by_name else None
    if number(rse) == "–":
        return Cell(text)
    shown = percent(rse) if float(rse) < 1000 else ">1,000 %"  # type: ignore[arg-type]
    if float(rse) > WEAK_RSE:  # type: ignore[arg-type]
        return Cell(text, tone="warn", below=f"{shown} !")
    return Cell(text, below=shown)
