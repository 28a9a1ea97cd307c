"""Individual fits: one row a patient, and which fits cannot be trusted and why."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cellkinetics.fitting.pooled.result import WEAK_RSE
from cellkinetics.printing import number, percent, unit_text
from cellkinetics.report.blocks import Block, Heading, Notes, Section, Text
from cellkinetics.report.figures.profiles import KEY, Key
from cellkinetics.report.results import Results
from cellkinetics.report.tables import Cell, Column, Table, listed, number_cell, plural, sentence, text_cell

MOST_PROFILES = 300
_HEADINGS = {"sigma": "σ"}
_STATUS = {"ok": "ok", "remark": "remark", "not_identifiable": "in part", "failed": "no fit"}


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
    blocks: list[Block] = [
        Text(
            f"Model {model}, fitted to each patient alone by maximum likelihood on the ln scale, samples below "
            f"quantification as left-censored. Of {plural(len(fits), 'profile')}: {listed(counts)}."
        ),
        *model_names(names),
        _patient_table(fits, names),
    ]
    blocks.extend(_reasons(table[table["parameter"].isin(names)]))
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


def model_parameters(table: pd.DataFrame) -> list[str]:
    """Return the parameters of the model among the rows, without derived quantities and fit statistics."""
    from cellkinetics.errors import ModelError
    from cellkinetics.models.registry import get_model

    present = list(dict.fromkeys(table["parameter"]))
    try:
        names = [n for m in dict.fromkeys(table["model"]) for n in get_model(str(m)).names]
    except (KeyError, ModelError):
        return present[:8]
    return [name for name in [*names, "sigma"] if name in present]


def fit_status(rows: pd.DataFrame) -> str:
    """Return the status of a fit from its rows: ``failed``, ``not_identifiable`` or ``ok``."""
    found = set(rows["status"])
    return next((status for status in ("failed", "not_identifiable") if status in found), "ok")


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
        columns.append(Column(_HEADINGS.get(name, name), unit))
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


def _reasons(table: pd.DataFrame) -> list[Block]:
    rows = table[table["reason"] != ""]
    if rows.empty:
        return []
    rows = rows.assign(status=rows["status"].replace({"ok": "remark"}))
    grouped: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (subject, status, reason), part in rows.groupby(["subject", "status", "reason"], sort=False):
        names = () if status == "failed" else tuple(dict.fromkeys(part["parameter"]))
        grouped.setdefault((str(status), str(reason), names), []).append(str(subject))
    named = set(table["parameter"])
    lines = [
        [
            text_cell(_STATUS.get(status, status), "short"),
            text_cell(sentence(reason, named)),
            text_cell(
                listed([_HEADINGS.get(name, name) for name in names]) or "all", "short" if len(names) < 4 else ""
            ),
            text_cell(listed(subjects)),
        ]
        for (status, reason, names), subjects in sorted(grouped.items(), key=lambda item: item[0])
    ]
    columns = [
        Column("Status", numeric=False),
        Column("Reason", numeric=False),
        Column("Parameters", numeric=False),
        Column("Patients", numeric=False),
    ]
    return [
        Heading("What the samples do not tell"),
        Notes(
            [
                "A parameter that is not identifiable, or a patient without a fit, says something about the "
                "sampling of that patient, and is no fault of the data."
            ],
            tone="info",
        ),
        Table(columns, lines, sticky=False),
    ]
