"""Which parameters the samples identify, for whom, and why not for the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from cellkinetics.fitting.identifiability import identifiability_table
from cellkinetics.report.blocks import Block, Folded, Heading, Notes
from cellkinetics.report.figures.profiles import KEY
from cellkinetics.report.tables import Cell, Column, Table, listed, plural, sentence, text_cell

HEADINGS = {"sigma": "σ"}
MOST_ROWS = 300
_STATUS = {"ok": "remark", "prior": "prior", "not_identifiable": "in part", "failed": "no fit"}
_MARK = {"ok": ("✓", ""), "prior": ("prior", "faint"), "": ("–", "faint")}


def identifiability_blocks(table: pd.DataFrame, names: Sequence[str]) -> list[Block]:
    """Return what the samples do not tell: counts by parameter, all patients by parameter, and the reasons in words.

    Args:
        table: rows of ``individual.csv``.
        names: the parameters of the model.
    """
    wide = identifiability_table(table, names)
    blocks: list[Block] = [
        Heading("What the samples tell, and what they do not"),
        _counts(wide, names),
        Folded(f"Parameter by parameter: {plural(len(wide), 'profile')}", [_matrix(wide, names)]),
    ]
    words = _reasons(table[table["parameter"].isin(list(names))])
    if words:
        blocks.append(Folded("The reasons in words, and remarks", words))
    return blocks


def words_of(code: str) -> str:
    """Return reason codes as people read them.

    Example:
        >>> words_of("flat_likelihood;flat_profile")
        'flat likelihood; flat profile'
    """
    return code.replace("_", " ").replace(";", "; ")


def _counts(wide: pd.DataFrame, names: Sequence[str]) -> Table:
    rows = []
    for name in names:
        cells = [cell for cell in wide[name] if cell]
        counts = Counter(cell for cell in cells if cell not in ("ok", "prior"))
        why = "; ".join(f"{words_of(code).replace(';', ' and')} ({n})" for code, n in counts.most_common())
        line = [text_cell(HEADINGS.get(name, name)), Cell(f"{cells.count('ok')} of {len(cells)}")]
        if "prior" in set(wide[list(names)].to_numpy().ravel()):
            line.append(Cell(str(cells.count("prior"))))
        rows.append([*line, text_cell(why)])
    columns = [Column("Parameter", numeric=False), Column("Identified in")]
    if rows and len(rows[0]) == 4:
        columns.append(Column("Says what the prior says"))
    columns.append(Column("Not in the others, because of (patients)", numeric=False))
    return Table(columns, rows, sticky=False)


def _matrix(wide: pd.DataFrame, names: Sequence[str]) -> Table:
    told_apart = [name for name in (*KEY[1:], "model") if len(set(wide[name])) > 1]
    columns = [Column("Patient", numeric=False), *(Column(name.capitalize(), numeric=False) for name in told_apart)]
    columns += [Column(HEADINGS.get(name, name), numeric=False) for name in names]
    rows = []
    for record in wide.iloc[:MOST_ROWS].to_dict("records"):
        cells = []
        for name in names:
            code = str(record[name])
            text, tone = _MARK.get(code, (words_of(code), "warn"))
            cells.append(Cell(text, tone=tone))
        rows.append([text_cell(record["subject"]), *(text_cell(record[name]) for name in told_apart), *cells])
    note = "✓: the samples identify it; else why there is no estimate. Codes stand in individual_identifiability.csv."
    if len(wide) > MOST_ROWS:
        note += f" The first {MOST_ROWS} of {len(wide):,} profiles are shown."
    return Table(columns, rows, note=note)


def _reasons(table: pd.DataFrame) -> list[Block]:
    rows = table[table["reason"] != ""]
    if rows.empty:
        return []
    grouped: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (subject, status, reason), part in rows.groupby(["subject", "status", "reason"], sort=False):
        names = () if status == "failed" else tuple(dict.fromkeys(part["parameter"]))
        grouped.setdefault((_STATUS.get(str(status), str(status)), str(reason), names), []).append(str(subject))
    named = set(table["parameter"])
    lines = [
        [
            text_cell(status, "short"),
            text_cell(sentence(reason, named)),
            text_cell(listed([HEADINGS.get(name, name) for name in names]) or "all", "short" if len(names) < 4 else ""),
            text_cell(listed(subjects)),
        ]
        for (status, reason, names), subjects in sorted(grouped.items(), key=lambda item: item[0])
    ]
    columns = [Column(label, numeric=False) for label in ("Status", "Reason", "Parameters", "Patients")]
    return [
        Notes(
            [
                "A parameter that is not identifiable, or a patient without a fit, says something about the "
                "sampling of that patient, and is no fault of the data."
            ],
            tone="info",
        ),
        Table(columns, lines, sticky=False),
    ]
