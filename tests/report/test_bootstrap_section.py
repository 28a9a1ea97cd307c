"""The bootstrap in the report."""

from pathlib import Path

import pandas as pd
from handmade_results import write_results

from cellkinetics.fitting.pooled.bootstrap import COLUMNS, REPLICATE_COLUMNS
from cellkinetics.report.blocks import Notes, Table, Text
from cellkinetics.report.page import write_report
from cellkinetics.report.results import read_results
from cellkinetics.report.sections.bootstrap import bootstrap_section


def write_bootstrap(folder: Path, failed: int) -> None:
    ends = (20000.0, 30000.0, 21000.0, None)
    rows = [
        ("cmax", "typical", "copies/ug", 24e3, -150.0, 2500.0, 10.4, *ends, 10 - failed, "bootstrap (parametric)", "")
    ]
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(folder / "bootstrap.csv", index=False)
    statuses = ["failed"] * failed + ["converged"] * (10 - failed)
    each = [
        (k, status, name, None if status == "failed" else 1.0, "", "flat" if status == "failed" else "")
        for k, status in enumerate(statuses, 1)
        for name in ("cmax", "tmax")
    ]
    pd.DataFrame(each, columns=list(REPLICATE_COLUMNS)).to_csv(folder / "bootstrap_replicates.csv", index=False)


def test_a_bootstrap_is_shown_with_how_many_replicates_converged(tmp_path: Path) -> None:
    folder = write_results(tmp_path)
    assert bootstrap_section(read_results(folder)) is None
    write_bootstrap(folder, failed=0)
    section = bootstrap_section(read_results(folder))
    assert section is not None
    text, table = section.blocks
    assert isinstance(text, Text)
    assert text.text == "10 of 10 replicates converged: bootstrap (parametric)."
    assert isinstance(table, Table)
    assert [cell.text for cell in table.rows[0]] == [
        *("cmax", "copies/µg", "24,000", "−150", "2,500", "20,000 to 30,000", "–"),
    ]
    assert "Bootstrap of the population fit" in (write_report(folder) / "report.html").read_text()


def test_an_interval_that_is_missing_has_its_reason(tmp_path: Path) -> None:
    folder = write_results(tmp_path)
    write_bootstrap(folder, failed=0)
    table = pd.read_csv(folder / "bootstrap.csv")
    table.assign(ci_low=None, ci_high=None, reason="too few for an interval").to_csv(folder / "bootstrap.csv")
    section = bootstrap_section(read_results(folder))
    assert section is not None
    shown = section.blocks[-1]
    assert isinstance(shown, Table)
    assert [cell.text for cell in shown.rows[0]][-3:] == ["–", "–", "Too few for an interval."]


def test_replicates_that_are_left_out_are_told_with_their_reasons(tmp_path: Path) -> None:
    folder = write_results(tmp_path)
    write_bootstrap(folder, failed=3)
    section = bootstrap_section(read_results(folder))
    assert section is not None
    notes = section.blocks[1]
    assert isinstance(notes, Notes)
    assert notes.items[1] == "3 times: flat"
