"""What was read, what was left out and why."""

from __future__ import annotations

import pandas as pd

from cellkinetics.printing import number, percent, unit_text
from cellkinetics.report.blocks import Block, Folded, Heading, Notes, Picture, Section, Text
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.figures.times import times_figure, with_both_times
from cellkinetics.report.results import Results
from cellkinetics.report.tables import (
    Cell,
    Column,
    Table,
    listed,
    number_cell,
    plural,
    sentence,
    text_cell,
    time_plural,
)

MOST_ROWS = 200
"""Rows of a long list that the page shows; the file holds all of them."""

_EFFECTS = {
    "file": "nothing could be read",
    "profile": "nothing is calculated for the profile",
    "row": "the row is left out",
    "note": "nothing is lost",
}


def data_section(results: Results) -> Section | None:
    """Return the section on the input: rows, groups, faults and excluded samples."""
    samples, check = results["samples"], results["check"]
    if samples is None and check is None:
        return None
    blocks: list[Block] = []
    if results.manifest:
        blocks.append(Text(_reading_sentence(results)))
    if samples is not None and len(samples):
        blocks.extend(_cohort_table(results, samples))
        blocks.extend(_times(results, samples))
        blocks.extend(_touched(samples))
    if check is not None:
        blocks.extend(_faults(check))
    return Section("data", "Data", blocks)


def _reading_sentence(results: Results) -> str:
    source, rows = results.manifest.get("input", {}), results.manifest.get("rows", {})
    parts = [f"{source.get('name') or 'The input'} was read"]
    if source.get("dialect"):
        parts.append(f" as a table of the {source['dialect']} dialect")
    parts.append(f": {plural(int(rows.get('read', 0)), 'row')}, {number(rows.get('used'))} used")
    parts.append(f", {number(rows.get('excluded'))} left out." if rows.get("excluded") else ", none left out.")
    others = int(rows.get("read", 0)) - int(rows.get("used", 0) or 0) - int(rows.get("excluded", 0) or 0)
    if others > 0:
        verb = "is no sample" if others == 1 else "are no samples"
        parts.append(f" {plural(others, 'row')} {verb} (doses, events or copies).")
    return "".join(parts)


def _cohort_table(results: Results, samples: pd.DataFrame) -> list[Block]:
    several = [name for name in ("analyte", "specimen") if len(samples[name].unique()) > 1]
    columns = [Column("Group", numeric=False), *(Column(name.capitalize(), numeric=False) for name in several)]
    columns += [
        Column("Patients"),
        Column("Samples"),
        Column("per patient", "median [min; max]"),
        Column("Below quantification"),
        Column("Left out"),
        Column("LLOQ", "by row"),
        Column("Last sample", f"{results.time_unit}, median [min; max]"),
    ]
    rows = []
    parts = [part for _, part in samples.groupby(["group", "analyte", "specimen"], sort=False)]
    for part in parts:
        first = part.iloc[0]
        names = (text_cell(first[name]) for name in several)
        rows.append([text_cell(first["group"] or "no group"), *names, *_cells(part)])
    if len(parts) > 1 and not several:
        rows.append([text_cell("all"), *_cells(samples)])
    return [Heading("Patients and samples"), Table(columns, rows)]


def _cells(part: pd.DataFrame) -> list[Cell]:
    used = part[part["status"] != "excluded"]
    counts = used.groupby("subject", sort=False).size()
    last = used.groupby("subject", sort=False)["time"].max()
    blq = int((used["censored"] == 1).sum())
    limits = sorted(part["lloq"].dropna().unique())
    limit = "not given" if not limits else listed([number(x) for x in limits], most=3)
    return [
        number_cell(part.loc[part["subject"] != "", "subject"].nunique()),
        number_cell(len(used)),
        text_cell(_spread(counts)),
        text_cell(f"{blq} ({percent(100 * blq / len(used))})" if len(used) else None),
        number_cell(len(part) - len(used)),
        text_cell(limit),
        text_cell(_spread(last)),
    ]


def _spread(values: pd.Series) -> str:
    if values.empty:
        return ""
    return f"{number(values.median())} [{number(values.min())}; {number(values.max())}]"


def _touched(samples: pd.DataFrame) -> list[Block]:
    """Return the samples that were left out, and those that were not used as the file has them."""
    blocks: list[Block] = []
    for status, title in (("excluded", "Samples left out"), ("changed", "Samples changed")):
        rows = samples[samples["status"] == status]
        if len(rows):
            blocks += [Heading(title), _sample_table(rows)]
    return blocks


def _times(results: Results, samples: pd.DataFrame) -> list[Block]:
    """Return the deviation of actual from nominal times, where the data have both and they differ."""
    both = with_both_times(samples)
    if both.empty or (both["time"] == both["nominal_time"]).all():
        return []
    # Samples of several analytes were taken together: each stands once.
    once = both.drop_duplicates(["subject", "occasion", "specimen", "time", "nominal_time"])
    picture = Picture(
        svg_text(times_figure(once, time_unit=results.time_unit), "times"),
        "Actual less nominal time of each sample; the largest deviations are named.",
        "Deviation of actual from nominal times over the nominal time.",
    )
    return [Heading("Actual and nominal times"), picture]


def _sample_table(samples: pd.DataFrame) -> Table:
    columns = [
        Column("Row"),
        Column("Patient", numeric=False),
        Column("Time"),
        Column("Value"),
        Column("Reason", numeric=False),
    ]
    rows = [
        [
            text_cell(_row(row.row)),
            text_cell(row.subject),
            number_cell(row.time),
            number_cell(row.value),
            text_cell(sentence(str(row.reason))),
        ]
        for row in samples.head(MOST_ROWS).itertuples()
    ]
    return Table(columns, rows, note=_rest(len(samples), "samples.csv"), sticky=False)


def _faults(check: pd.DataFrame) -> list[Block]:
    if check.empty:
        return [Text("The check of the input found no fault.")]
    faults, notes = check[check["effect"] != "note"], check[check["effect"] == "note"]
    blocks: list[Block] = [Heading("What the check of the input found")]
    if faults.empty:
        blocks.append(Text("No fault; only remarks that cost nothing."))
    else:
        blocks.append(Notes([_count_sentence(faults)]))
        blocks.append(_fault_table(faults))
    if not notes.empty:
        kinds = notes.groupby("code" if "code" in notes else "message", sort=False)
        summary = Table(
            [Column("Remark", numeric=False), Column("Times"), Column("Example", numeric=False)],
            [
                [
                    text_cell(sentence(str(part["message"].iloc[0]))),
                    number_cell(len(part)),
                    text_cell(_place(part.iloc[0])),
                ]
                for _, part in kinds
            ],
            sticky=False,
        )
        blocks.append(summary)
        if len(notes) > len(summary.rows):
            blocks.append(Folded(f"All {len(notes)} remarks", [_fault_table(notes)]))
    return blocks


def _count_sentence(faults: pd.DataFrame) -> str:
    counts = faults["effect"].value_counts()
    return "; ".join(
        f"{plural(int(counts[effect]), 'fault')}: {meaning}" for effect, meaning in _EFFECTS.items() if effect in counts
    )


def _fault_table(faults: pd.DataFrame) -> Table:
    columns = [
        Column("Row"),
        Column("Patient", numeric=False),
        Column("Column", numeric=False),
        Column("What was found", numeric=False),
        Column("What to do", numeric=False),
        Column("Effect", numeric=False),
    ]
    rows = [
        [
            text_cell(_row(row.row)),
            text_cell(row.subject),
            text_cell(row.column),
            text_cell(sentence(str(row.message))),
            text_cell(sentence(str(row.action))),
            text_cell(_EFFECTS.get(str(row.effect), row.effect)),
        ]
        for row in faults.head(MOST_ROWS).itertuples()
    ]
    return Table(columns, rows, note=_rest(len(faults), "check.csv"), sticky=False)


def _place(fault: pd.Series) -> str:
    row = _row(fault["row"])
    parts = [f"row {row}" if row else "", f"patient {fault['subject']}" if fault["subject"] else ""]
    return ", ".join(part for part in parts if part)


def _row(row: object) -> str:
    return "" if row is None or pd.isna(row) else f"{float(row):.0f}"  # type: ignore[call-overload, arg-type]


def _rest(count: int, file: str) -> str:
    return f"The first {MOST_ROWS} of {count:,}; the others stand in {file}." if count > MOST_ROWS else ""


def units_sentence(results: Results) -> str:
    """Return the units of the analytes as a sentence, or an empty text."""
    units = results.manifest.get("cohort", {}).get("value_unit", {})
    named = [f"{name or 'values'} in {unit_text(unit)}" for name, unit in units.items() if unit]
    return f"{listed(named)}; time in {time_plural(results.time_unit)} from infusion." if named else ""
