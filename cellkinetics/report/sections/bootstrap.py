"""The bootstrap of the population fit: bias, standard errors and intervals from its replicates."""

from __future__ import annotations

from cellkinetics.printing import unit_text
from cellkinetics.report.blocks import Block, Notes, Section, Text
from cellkinetics.report.results import Results
from cellkinetics.report.tables import Column, Table, interval_cell, number_cell, sentence, text_cell

WORTH_SAYING = 0.1
"""Share of replicates left out above which it is said as a warning."""


def bootstrap_section(results: Results) -> Section | None:
    """Return the section on the bootstrap, or None where a folder holds none."""
    table, replicates = results["bootstrap"], results["bootstrap_replicates"]
    if table is None or replicates is None or not len(table):
        return None
    of_each = replicates.drop_duplicates("replicate")
    count, used = len(of_each), int((of_each["status"] == "converged").sum())
    said = f"{used} of {count} replicates converged: {table['uncertainty'].iloc[0]}."
    blocks: list[Block] = [Text(said)]
    gone = of_each[of_each["status"] != "converged"]
    if len(gone) > WORTH_SAYING * count:
        reasons = gone["reason"].value_counts()
        blocks.append(
            Notes(
                [
                    "The intervals rest on the replicates that converged, and may be too narrow.",
                    *(f"{times} times: {reason}" for reason, times in reasons.items()),
                ]
            )
        )
    columns = [
        Column("Parameter", numeric=False),
        Column("Unit", numeric=False),
        *(Column(text) for text in ("Estimate", "Bias", "SE", "95 % (percentile)", "95 % (BCa)")),
    ]
    reasons = table["reason"] if "reason" in table else table["uncertainty"].map(lambda _: "")
    told = bool(reasons.ne("").any())
    if told:
        columns.append(Column("Remark", numeric=False))
    rows = [
        [
            text_cell(row["parameter"]),
            text_cell(unit_text(str(row["unit"] or ""))),
            *(number_cell(row[name]) for name in ("estimate", "bias", "se")),
            interval_cell(row["ci_low"], row["ci_high"]),
            interval_cell(row["bca_low"], row["bca_high"]),
            *([text_cell(sentence(str(reason)))] if told else []),
        ]
        for row, reason in zip(table.to_dict("records"), reasons, strict=True)
    ]
    note = (
        "Bias: mean of the replicates less the estimate. BCa: bias-corrected and accelerated. bootstrap_replicates.csv "
        "holds every replicate."
    )
    blocks.append(Table(columns, rows, note=note))
    return Section("bootstrap", "Bootstrap of the population fit", blocks)
