"""Noncompartmental analysis: boxes and summary by group, every patient's values, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from cellkinetics.data.cohort import series_name
from cellkinetics.nca.column import Key
from cellkinetics.nca.summary import STATISTICS
from cellkinetics.printing import number, percent, unit_text, window_text
from cellkinetics.report.blocks import Block, Heading, Picture, Section, Text
from cellkinetics.report.figures.parameters import parameter_figure
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.results import Results
from cellkinetics.report.tables import Cell, Column, Table, listed, number_cell, sentence, text_cell

_LABELS = {
    "CMAX": "Cmax",
    "TMAX": "Tmax",
    "TFQ": "Tfirst",
    "TLST": "Tlast",
    "CLST": "Clast",
    "TLAG": "Tlag",
    "AUCLST": "AUClast",
    "AUCALL": "AUCall",
    "AUCIFO": "AUC0-∞",
    "AUCIFP": "AUC0-∞ pred",
    "AUCPEO": "AUC extrapolated",
    "AUCPEP": "AUC extrapolated pred",
    "LAMZ": "λz",
    "LAMZHL": "t½ λz",
    "LAMZNPT": "λz points",
    "R2ADJ": "R² adjusted",
    "LAMZSPN": "λz span",
    "AUCINTPE": "extrapolated part of the windows",
    "EXPDT": "doubling time",
    "EXPFOLD": "fold expansion",
    "ALPHAHL": "t½ contraction",
    "BETAHL": "t½ persistence",
    "BREAKT": "break between the phases",
}
_TERMINAL = frozenset(["LAMZ", "LAMZHL", "LAMZNPT", "LAMZLL", "LAMZUL", "LAMZSPN", "LAMZICPT", "R2", "R2ADJ", "CORRXY"])
"""What belongs to the terminal line; where all of it is concerned it is named once."""
_SHOWN = (
    *("CMAX", "TMAX", "TLST", "CLST", "AUCLST", "AUCINT", "AUCIFO", "AUCPEO", "LAMZHL", "LAMZNPT", "R2ADJ"),
    *("EXPDT", "EXPFOLD", "ALPHAHL", "BETAHL"),
)
_BOXES = ("CMAX", "TMAX", "AUCINT", "AUCLST", "TLST", "LAMZHL")
_MEDIAN_ONLY = ("TMAX", "TFQ", "TLST", "TLAG", "LAMZLL", "LAMZUL", "LAMZNPT", "AUCPEO")
MOST_PROFILES = 300


def nca_section(results: Results) -> Section | None:
    """Return the section on noncompartmental analysis."""
    nca, wide, summary = results["nca"], results["nca_wide"], results["nca_summary"]
    if nca is None and wide is None and summary is None:
        return None
    blocks: list[Block] = []
    units = _units(nca)
    if wide is not None and len(wide):
        blocks.extend(_boxes(wide, nca))
    if summary is not None and len(summary):
        blocks.append(Heading("Summary by group"))
        blocks.append(summary_table(summary))
    if wide is not None and len(wide):
        blocks.append(Heading("Patients"))
        blocks.append(_patient_table(wide, nca, units))
    if nca is not None:
        blocks.extend(_not_calculated(nca))
    return Section("nca", "Noncompartmental analysis", blocks)


def label(parameter: str) -> str:
    """Return a parameter's name as it is printed; a window ``AUCINT_0_28`` becomes AUC0-28.

    Example:
        >>> label("AUCINT_0_28"), label("LAMZHL"), label("XYZ")
        ('AUC0-28', 't½ λz', 'XYZ')
    """
    if parameter.startswith("AUCINT_"):
        return window_text(parameter)
    return _LABELS.get(parameter, parameter)


def _columns(wide: pd.DataFrame, wanted: Sequence[str]) -> list[str]:
    """Return the columns of the wide table that the wanted parameters name; a window stands in all its lengths."""
    found = []
    for name in wanted:
        found += [c for c in wide.columns if c == name or (name == "AUCINT" and c.startswith("AUCINT_"))]
    return found


def _units(nca: pd.DataFrame | None) -> dict[tuple[str, str], str]:
    if nca is None:
        return {}
    names = ["analyte", "specimen", "parameter"]
    rows = nca[[*names, "unit"]].drop_duplicates(names)
    return {(series_name(str(a), str(m)), str(p)): unit_text(str(u)) for a, m, p, u in rows.itertuples(index=False)}


def _unit(units: dict[tuple[str, str], str], series: str, column: str) -> str:
    return units.get((series, "AUCINT" if column.startswith("AUCINT_") else column), "")


def _boxes(wide: pd.DataFrame, nca: pd.DataFrame | None) -> list[Block]:
    blocks: list[Block] = []
    names = box_parameters(wide)
    if not names:
        return blocks
    for i, ((analyte, specimen), part) in enumerate(wide.groupby(["analyte", "specimen"], sort=False)):
        series = series_name(str(analyte), str(specimen))
        titles = box_titles(nca, series, names)
        blocks.append(
            Picture(
                svg_text(parameter_figure(part, names, labels=titles), f"boxes{i}"),
                (f"{series}. " if series else "")
                + "Parameters by group. Box: quartiles; line: median; points: patients.",
                "Boxes of parameters by group.",
            )
        )
    return blocks


def box_parameters(wide: pd.DataFrame) -> list[str]:
    """Return the parameters that boxes are drawn of: at most six, those that have a value."""
    return [name for name in _columns(wide, _BOXES) if wide[name].notna().any()][:6]


def box_titles(nca: pd.DataFrame | None, series: str, names: Sequence[str]) -> dict[str, str]:
    """Return the titles of boxes: names as printed, with units."""
    units = _units(nca)
    titles = {}
    for name in names:
        unit = _unit(units, series, name)
        titles[name] = f"{label(name)} ({unit})" if unit else label(name)
    return titles


def summary_table(summary: pd.DataFrame) -> Table:
    """Return the summary by group in the three styles of labels; times have a median only."""
    own = {*_SUMMARY_COLUMNS, *STATISTICS}
    grouping = [c for c in summary.columns if c not in own and summary[c].astype(str).str.len().gt(0).any()]
    columns = [
        Column("Parameter", numeric=False),
        *(Column(name.capitalize(), numeric=False) for name in grouping),
        Column("n"),
        Column("Geometric mean", "CV %"),
        Column("Mean", "SD"),
        Column("Median", "min; max"),
    ]
    wanted = [name for name in _SHOWN if name not in {"CLST", "LAMZNPT", "R2ADJ"}]
    order = {name: i for i, name in enumerate(wanted)}
    shown = summary[summary["parameter"].map(lambda name: str(name) in order)]
    shown = shown.assign(_order=shown["parameter"].map(lambda name: order[str(name)]))
    by = [c for c in ("_order", "interval_start", "interval_end") if c in shown]
    shown = shown.sort_values(by, kind="stable")
    rows = []
    last = ""
    for row in shown.to_dict("records"):
        only_median = row["parameter"] in _MEDIAN_ONLY
        name = _interval_name(row)
        unit = unit_text(str(row.get("unit") or ""))
        title = f"{name} ({unit})" if unit else name
        # A parameter is named once, above its groups.
        first, last = title != last, title
        rows.append(
            [
                text_cell(title) if first else Cell(""),
                *(text_cell(row[column]) for column in grouping),
                _count_cell(row),
                _pair("" if only_median else row.get("geometric_mean"), row.get("geometric_cv_percent"), percent),
                _pair("" if only_median else row.get("mean"), row.get("sd"), number),
                _range_cell(row),
            ]
        )
    return Table(
        columns,
        rows,
        note="Geometric mean (geometric CV), arithmetic mean (SD), median [min; max]. "
        "n counts the patients with a value; †: how many of these values an acceptance rule flagged (they take part). "
        "All parameters and statistics stand in nca_summary.csv.",
    )


_SUMMARY_COLUMNS = (
    "interval_start", "interval_end", "parameter", "unit", "n_flagged", "missing_reasons", "reason",
)  # fmt: skip


def _interval_name(row: Mapping[Any, Any]) -> str:
    parameter = str(row["parameter"])
    if parameter == "AUCINT" and number(row.get("interval_end")) != "–":
        return label(Key(parameter, float(row["interval_start"]), float(row["interval_end"])).column)
    return label(parameter)


def _count_cell(row: Mapping[Any, Any]) -> Cell:
    missing, flagged = _count(row.get("n_missing")), _count(row.get("n_flagged"))
    text = number(row.get("n"))
    if missing:
        text += f" of {int(row['n']) + missing}"
    return Cell(f"{text} ({flagged} †)" if flagged else text)


def _count(value: object) -> int:
    return 0 if value is None or pd.isna(value) else int(value)  # type: ignore[call-overload]


def _pair(first: object, second: object, written: Callable[[object], str]) -> Cell:
    if first == "" or number(first) == "–":
        return Cell("–", tone="faint")
    more = written(second)
    return Cell(f"{number(first)} ({more})" if more != "–" else number(first))


def _range_cell(row: Mapping[Any, Any]) -> Cell:
    if number(row.get("median")) == "–":
        return Cell("–", tone="faint")
    return Cell(f"{number(row['median'])} [{number(row.get('min'))}; {number(row.get('max'))}]")


def _patient_table(wide: pd.DataFrame, nca: pd.DataFrame | None, units: dict[tuple[str, str], str]) -> Table:
    names = _columns(wide, _SHOWN)
    several = len(wide[["analyte", "specimen"]].drop_duplicates()) > 1
    series = series_name(*(str(wide[name].iloc[0]) for name in ("analyte", "specimen")))
    keys = ["group"] if "group" in wide and wide["group"].any() else []
    keys += [key for key in ("analyte", "occasion", "specimen") if key in wide and len(wide[key].unique()) > 1]
    columns = [Column("Patient", numeric=False), *(Column(key.capitalize(), numeric=False) for key in keys)]
    columns += [Column(label(name), "" if several else _unit(units, series, name)) for name in names]
    flagged = _flagged(nca)
    rows = []
    for row in wide.head(MOST_PROFILES).to_dict("records"):
        cells = [text_cell(row["subject"]), *(text_cell(row[key]) for key in keys)]
        for name in names:
            cell = number_cell(row[name])
            mark = (row["subject"], row["analyte"], str(row.get("occasion", "")), row["specimen"], name) in flagged
            cells.append(Cell(cell.text + " †", tone="warn") if mark and cell.text != "–" else cell)
        rows.append(cells)
    notes = ["† flagged by an acceptance rule; the value stays." if flagged else ""]
    notes.append("All parameters stand in nca_wide.csv and, with their reasons, in nca.csv.")
    if len(wide) > MOST_PROFILES:
        notes.append(f"The first {MOST_PROFILES} of {len(wide):,} profiles are shown.")
    return Table(columns, rows, note=" ".join(note for note in notes if note))


def _flagged(nca: pd.DataFrame | None) -> set[tuple[str, str, str, str, str]]:
    if nca is None:
        return set()
    rows = nca[nca["status"] == "flagged"]
    occasions = rows["occasion"] if "occasion" in rows else pd.Series("", index=rows.index)
    places = (rows["subject"], rows["analyte"], occasions.astype(str), rows["specimen"])
    return set(zip(*places, _wide_names(rows), strict=True))


def _wide_names(rows: pd.DataFrame) -> list[str]:
    """Return the column of the wide table in which each row's value stands."""
    if "interval_end" not in rows:
        return [str(name) for name in rows["parameter"]]
    return [
        Key("AUCINT", start, end).column if name == "AUCINT" and end == end else str(name)
        for name, start, end in zip(rows["parameter"], rows["interval_start"], rows["interval_end"], strict=True)
    ]


def _not_calculated(nca: pd.DataFrame) -> list[Block]:
    """Return flags and missing values, grouped so that each reason is read once."""
    blocks: list[Block] = []
    for status, title in (("not_calculated", "Not calculated"), ("flagged", "Flagged, value kept")):
        rows = nca[nca["status"] == status]
        if len(rows):
            blocks += [Heading(title), _reason_table(rows)]
    if not blocks:
        blocks.append(Text("Every parameter of every patient was calculated, and none was flagged."))
    return blocks


def _reason_table(rows: pd.DataFrame) -> Table:
    names: dict[str, dict[str, None]] = {}
    subjects: dict[str, dict[str, None]] = {}
    for subject, reasons, name in zip(rows["subject"], rows["reason"], _wide_names(rows), strict=True):
        # Several marks of one value stand in one cell, set apart by semicolons.
        for reason in str(reasons).split("; ") if rows["status"].iloc[0] == "flagged" else [str(reasons)]:
            names.setdefault(reason, {})[name] = None
            subjects.setdefault(reason, {})[str(subject)] = None
    columns = [
        Column("Reason", numeric=False),
        Column("Parameters", numeric=False),
        Column("Patients"),
        Column("Who", numeric=False),
    ]
    lines = [
        [
            text_cell(sentence(reason)),
            text_cell(listed(_families(list(names[reason])), 14)),
            number_cell(len(who)),
            text_cell(listed(list(who), 40)),
        ]
        for reason, who in sorted(subjects.items(), key=lambda item: -len(item[1]))[:100]
    ]
    return Table(columns, lines, sticky=False, note="For which parameter of which patient: nca.csv.")


def _families(names: list[str]) -> list[str]:
    """Return the printed names of parameters, those of the terminal line as one where there are several."""
    terminal = [name for name in names if name in _TERMINAL]
    shown = ["λz, t½ and all of the terminal line"] if len(terminal) > 3 else [label(name) for name in terminal]
    return shown + list(dict.fromkeys(label(name) for name in names if name not in _TERMINAL))
