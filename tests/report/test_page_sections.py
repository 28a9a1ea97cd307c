"""The report of a whole analysis: terminal lines, areas and times where the folder has them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

DAYS = (0, 7, 10, 14, 21, 28, 42)
VALUES = ("<50", 900, 880, 400, 200, 100, "<50")


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    """Two patients, one of them never quantifiable, sampled a little off the plan."""
    rows = [
        f"{name},{group},{day + 0.25 * (day > 7)},{day},{value if name == 'A' else '<50'},50"
        for name, group in (("A", "low"), ("B", "high"))
        for day, value in zip(DAYS, VALUES, strict=True)
    ]
    path = tmp_path / "trial.csv"
    path.write_text("\n".join(["subject,group,time,nominal_time,value,lloq", *rows]) + "\n")
    return path


def page_of(cli: Callable, trial: Path, *arguments: str) -> tuple[str, set[str]]:
    done = cli("nca", trial, "--windows", "0-28", *arguments)
    assert done.code == 0, done.err
    assert cli("report", done.folder).code == 0
    figures = {path.name for path in (done.folder / "figures").iterdir()}
    return (done.folder / "report.html").read_text(encoding="utf-8"), figures


def test_terminal_lines_and_times_stand_in_the_report(cli: Callable, trial: Path) -> None:
    page, figures = page_of(cli, trial)
    assert "Terminal lines (λz): 2 profiles" in page
    assert 'aria-label="Terminal line of A · low"' in page
    assert "Actual and nominal times" in page
    assert "Areas and windows" not in page
    assert {"lambda_z_01.png", "overview.png", "profiles_01.png"} <= figures
    assert "areas_01.png" not in figures


def test_areas_stand_in_the_report_where_intervals_were_asked_for(cli: Callable, trial: Path) -> None:
    page, figures = page_of(cli, trial, "--intervals")
    assert "Areas and windows: 2 profiles" in page
    assert "areas_01.png" in figures
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_says_what_each_name_is_and_which_peak_is_meant(cli: Callable, trial: Path) -> None:
    page, _ = page_of(cli, trial)
    assert "written cmax and tmax" in page
    assert "CMAX (CDISC)" in page
    assert "AUCINT (CDISC)" in page


def test_a_panel_does_not_weigh_more_than_a_photograph_of_it(cli: Callable, trial: Path) -> None:
    page, _ = page_of(cli, trial, "--intervals")
    panels = re.findall(r'<div class="panel".*?</svg>\s*</div>', page, flags=re.DOTALL)
    assert len(panels) == 6
    assert max(map(len, panels)) < 60_000


def test_a_page_has_tables_of_patients_for_each_analyte_with_its_units(cli: Callable, tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    rows = [
        f"A,{day},{value},{lloq},{unit},{analyte}"
        for analyte, unit, lloq, values in (
            ("qPCR", "copies/ug", 50, VALUES),
            ("flow", "cells/uL", 1, (0, 12, 9, 4, 3, 2, 0)),
        )
        for day, value in zip(DAYS, values, strict=True)
    ]
    path.write_text("\n".join(["subject,time,value,lloq,unit,analyte", *rows]) + "\n")
    page, _ = page_of(cli, path)
    captions = re.findall(r"<caption>(.*?)</caption>", page)
    assert captions[:2] == ["qPCR: peak and areas", "qPCR: last sample and terminal line"]
    tables = re.findall(r"<caption>(?:qPCR|flow): peak.*?</table>", page, flags=re.DOTALL)
    assert ["copies/<wbr>µg" in table for table in tables] == [True, False]
    assert ["cells/<wbr>µL" in table for table in tables] == [False, True]
    assert "Cmax qPCR (copies/µg)" in page


def test_parameters_of_a_drug_have_their_own_table_where_they_could_be_had(cli: Callable, trial: Path) -> None:
    page, _ = page_of(cli, trial, "--route", "extravascular", "--dose", "100", "--parameters", "core,drug")
    (table,) = re.findall(r"<caption>Clearance.*?</table>", page, flags=re.DOTALL)
    heads = re.sub(r"<[^>]+>", "", table.split("</thead>")[0])
    assert "CL/F" in heads
    assert "Cavg" not in heads  # there is no dosing interval
