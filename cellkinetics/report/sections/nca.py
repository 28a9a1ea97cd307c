"""Noncompartmental analysis: boxes and summary by group, every patient's values, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from cellkinetics.data.cohort import series_name
from cellkinetics.nca.column import Key
from cellkinetics.nca.labels import STYLES, grouping_of, label_table, printed_name
from cellkinetics.nca.parameters import BY_CODE
from cellkinetics.printing import MISSING, unit_text
from cellkinetics.report.blocks import Block, Folded, Heading, Picture, Section, Text
from cellkinetics.report.figures.parameters import parameter_figure
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.results import Results
from cellkinetics.report.sections.terminal import area_blocks, terminal_blocks
from cellkinetics.report.tables import Cell, Column, Table, listed, number_cell, sentence, text_cell

_TERMINAL = frozenset(["LAMZ", "LAMZHL", "LAMZNPT", "LAMZLL", "LAMZUL", "LAMZSPN", "LAMZICPT", "R2", "R2ADJ", "CORRXY"])
"""What belongs to the terminal line; where all of it is concerned it is named once."""
_DRUG = ("CLO", "CLFO", "VZO", "VZFO", "VSSO", "AUCTAU", "CAVG")
_SHOWN = (
    *("CMAX", "TMAX", "TLST", "CLST", "AUCLST", "AUCINT", "AUCIFO", "AUCPEO", "LAMZHL", "LAMZNPT", "R2ADJ"),
    *("EXPDT", "EXPFOLD", "ALPHAHL", "BETAHL"),
    *_DRUG,
)
_PATIENT_TABLES = (
    ("Peak and areas", ("CMAX", "TMAX", "AUCLST", "AUCINT", "AUCIFO", "AUCPEO")),
    ("Last sample and terminal line", ("TLST", "CLST", "LAMZHL", "LAMZNPT", "R2ADJ")),
    ("Expansion and phases of decline", ("EXPDT", "EXPFOLD", "ALPHAHL", "BETAHL", "BREAKT")),
    ("Clearance, volumes and steady state", _DRUG),
)
"""Tables of patients, each as wide as a page: its caption and its parameters."""
_BOXES = ("CMAX", "TMAX", "AUCINT", "AUCLST", "TLST", "LAMZHL")
MOST_PROFILES = 300
NAMES_SENTENCE = (
    "These numbers are read off the samples, without a model: Cmax is the highest sample and Tmax its time "
    "(CMAX and TMAX in the files). The peak of a fitted curve is another number, written cmax and tmax."
)


def nca_section(results: Results) -> Section | None:
    """Return the section on noncompartmental analysis."""
    nca, wide, summary = results["nca"], results["nca_wide"], results["nca_summary"]
    if nca is None and wide is None and summary is None:
        return None
    blocks: list[Block] = [Text(NAMES_SENTENCE)]
    units = _units(nca)
    if wide is not None and len(wide):
        blocks.extend(_boxes(wide, nca))
    if summary is not None and len(summary):
        blocks.append(Heading("Summary by group" if grouping_of(summary) else "Summary"))
        blocks.append(summary_table(summary))
    if wide is not None and len(wide):
        blocks.append(Heading("Patients"))
        blocks.extend(_patient_tables(wide, nca, units))
    blocks.extend(terminal_blocks(results))
    blocks.extend(area_blocks(results))
    if nca is not None:
        blocks.extend(_not_calculated(nca))
    return Section("nca", "Noncompartmental analysis", blocks)


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
    for i, ((analyte, specimen), part) in enumerate(wide.groupby(["analyte", "specimen"], sort=False)):
        series = series_name(str(analyte), str(specimen))
        names = box_parameters(part)
        if not names:
            continue
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
        titles[name] = f"{printed_name(name)} ({unit})" if unit else printed_name(name)
    return titles


def summary_table(summary: pd.DataFrame) -> Table:
    """Return the summary by group in the three styles of labels; times have a median only."""
    # Of a drug's parameters only those that could be had: without a dose or an interval there is none of them.
    known = set(summary.loc[(summary["n"] > 0) | ~summary["parameter"].isin(_DRUG), "parameter"])
    wanted = [name for name in _SHOWN if name in known and name not in {"CLST", "LAMZNPT", "R2ADJ"}]
    # Analyte and specimen stand with the parameter: as columns of their own they would be wider than a page.
    grouping = [name for name in grouping_of(summary) if name not in {"analyte", "specimen"}]
    several = len(summary[[name for name in ("analyte", "specimen") if name in summary]].drop_duplicates()) > 1
    columns = [
        Column("Parameter", numeric=False),
        *(Column(name.capitalize(), numeric=False) for name in grouping),
        Column("n"),
        Column("Geometric mean", "CV %"),
        Column("Mean", "SD"),
        Column("Median", "min; max"),
    ]
    rows = []
    last = ""
    for row in label_table(summary, wanted).to_dict("records"):
        series = series_name(str(row.get("analyte", "")), str(row.get("specimen", ""))) if several else ""
        title = " ".join(filter(None, (str(row["parameter"]), series, f"({row['unit']})" if row["unit"] else "")))
        # A parameter is named once, above its groups.
        first, last = title != last, title
        rows.append(
            [
                text_cell(title) if first else Cell(""),
                *(text_cell(row[column]) for column in grouping),
                Cell(f"{row['n']} ({row['flagged']} †)" if row["flagged"] else str(row["n"])),
                *(Cell(str(row[style]), tone="faint" if row[style] == MISSING else "") for style in STYLES),
            ]
        )
    return Table(
        columns,
        rows,
        note="Geometric mean (geometric CV), arithmetic mean (SD), median [min; max]. "
        "n counts the patients with a value; †: how many of these values an acceptance rule flagged (they take part). "
        "A geometric mean is that of the values above zero; where there are others, its own n stands with it. "
        "All parameters and statistics stand in nca_summary.csv.",
        sticky=False,
    )


def _patient_tables(wide: pd.DataFrame, nca: pd.DataFrame | None, units: dict[tuple[str, str], str]) -> list[Block]:
    """Return every patient's values, in tables that a page has room for, and what stands for which code."""
    flagged = _flagged(nca)
    chosen = []
    for caption, wanted in _PATIENT_TABLES:
        names = [name for name in _columns(wide, wanted) if name not in _DRUG or wide[name].notna().any()]
        if names:
            chosen.append((caption, names))
    notes = ["† flagged by an acceptance rule; the value stays." if flagged else ""]
    notes.append("All parameters stand in nca_wide.csv and, with their reasons, in nca.csv.")
    if len(wide) > MOST_PROFILES:
        notes.append(f"The first {MOST_PROFILES} of {len(wide):,} profiles are shown.")
    note = " ".join(filter(None, notes))
    tables: list[Table] = []
    for (analyte, specimen), part in wide.head(MOST_PROFILES).groupby(["analyte", "specimen"], sort=False):
        series = series_name(str(analyte), str(specimen))
        for caption, names in chosen:
            title = f"{series}: {caption[0].lower()}{caption[1:]}" if series else caption
            tables.append(_patient_table(part, names, flagged, units, title))
    if tables:
        tables[-1] = replace(tables[-1], note=note)
    codes = [name for _, names in chosen for name in names]
    return [*tables, Folded("Names in these tables and their codes in the files", [_code_table(codes)])]


def _code_table(names: Sequence[str]) -> Table:
    """Return what each printed name is: its code, its label and how it is had."""
    columns = [Column(name, numeric=False) for name in ("Name", "Code", "What it is", "How it is had")]
    rows = []
    for name in names:
        parameter = BY_CODE[name.split("_")[0]]
        whose = "CDISC" if parameter.cdisc else "ours"
        cells = (printed_name(name), f"{parameter.code} ({whose})", parameter.label, parameter.formula)
        rows.append([text_cell(cell) for cell in cells])
    return Table(columns, rows, sticky=False)


def _patient_table(
    wide: pd.DataFrame,
    names: Sequence[str],
    flagged: set[tuple[str, str, str, str, str]],
    units: dict[tuple[str, str], str],
    caption: str,
) -> Table:
    """Return the values of one analyte and specimen."""
    series = series_name(*(str(wide[name].iloc[0]) for name in ("analyte", "specimen")))
    keys = ["group"] if "group" in wide and wide["group"].any() else []
    keys += ["occasion"] if "occasion" in wide and len(wide["occasion"].unique()) > 1 else []
    columns = [Column("Patient", numeric=False), *(Column(key.capitalize(), numeric=False) for key in keys)]
    columns += [Column(printed_name(name), _unit(units, series, name)) for name in names]
    rows = []
    for row in wide.to_dict("records"):
        cells = [text_cell(row["subject"]), *(text_cell(row[key]) for key in keys)]
        for name in names:
            cell = number_cell(row[name])
            mark = (row["subject"], row["analyte"], str(row.get("occasion", "")), row["specimen"], name) in flagged
            cells.append(Cell(cell.text + " †", tone="warn") if mark and cell.text != "–" else cell)
        rows.append(cells)
    return Table(columns, rows, caption=caption)


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
    shown = ["λz, t½ and all of the terminal line"] if len(terminal) > 3 else [printed_name(name) for name in terminal]
    return shown + list(dict.fromkeys(printed_name(name) for name in names if name not in _TERMINAL))
