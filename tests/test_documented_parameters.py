"""docs/parameters.md is what the registry says."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from cellkinetics.nca.parameters import PARAMETERS

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "parameters.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_the_page_is_made_from_the_registry_as_it_is(script: dict[str, Any]) -> None:
    page = SCRIPT.with_suffix(".md").read_text(encoding="utf-8")
    assert page == script["page"](), "run python docs/parameters.py"


def test_every_parameter_has_a_group_and_a_source_that_the_page_explains(script: dict[str, Any]) -> None:
    for parameter in PARAMETERS:
        assert parameter.group in script["GROUPS"]
        assert parameter.source in script["SOURCES"]
        assert parameter.formula
        assert f"| `{parameter.code}` |" in script["page"]()
