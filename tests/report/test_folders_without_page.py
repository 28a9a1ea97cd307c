"""Folders whose results a report does not show."""

import json
from pathlib import Path

import pytest
from handmade_results import write_results

from cellkinetics.errors import OutputError
from cellkinetics.report.results import read_results


@pytest.mark.parametrize(
    ("command", "said"),
    [("forecast", "does not show forecasts.*forecast.csv"), ("simulate", "simulated trials"), ("export", "exports")],
)
def test_results_that_have_no_page_are_refused_with_where_they_are(tmp_path: Path, command: str, said: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"command": command}))
    (tmp_path / "samples.csv").write_text("subject,analyte,occasion,group,time,value,censored,lloq,status,reason\n")
    with pytest.raises(OutputError, match=said):
        read_results(tmp_path)


def test_a_folder_with_other_results_has_its_page_all_the_same(tmp_path: Path) -> None:
    folder = write_results(tmp_path)
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**content, "command": "forecast"}))
    assert read_results(folder).population
