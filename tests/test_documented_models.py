"""docs/models.md is what the registry and the library say, and its example runs."""

import re
import runpy
from pathlib import Path

import pytest

from cellkinetics.models.published import library
from cellkinetics.models.registry import MODEL_NAMES

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "models.py"
PAGE = SCRIPT.with_suffix(".md").read_text(encoding="utf-8")


def test_the_page_is_made_from_the_registry_as_it_is() -> None:
    assert runpy.run_path(str(SCRIPT))["page"]() == PAGE, "run python docs/models.py"


def test_every_model_and_every_library_entry_stands_on_the_page() -> None:
    for name in MODEL_NAMES:
        assert f"`{name}`" in PAGE or f"### {name}" in PAGE
    for entry in library.values():
        assert entry.doi in PAGE
        assert entry.not_published


def test_the_model_of_ones_own_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(code, "docs/models.md", "exec"), {})
    assert "36.78" in capsys.readouterr().out
