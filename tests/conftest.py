"""Fixtures that every test may use."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data that stands beside the checkout; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("reference data ../shared is not there")
    return SHARED


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code, what it printed, and the folder it wrote to."""

    code: int
    out: str
    err: str
    folder: Path


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run commands in this process, inside a temporary folder; a traceback fails the test."""
    from typer.testing import CliRunner

    from cellkinetics.cli.app import app

    # A wide terminal: a message must not be cut where a test looks for it.
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Outcome:
        words = [str(argument) for argument in arguments]
        result = CliRunner().invoke(app, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        folder = tmp_path / (words[words.index("--out") + 1] if "--out" in words else "results")
        return Outcome(result.exit_code, result.stdout, result.stderr, folder)

    return run
