"""Runs commands in this process, with the exit code, what was printed, and the files that were written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str
    folder: Path


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    from cellkinetics.cli.app import app

    # A wide terminal: a message must not be cut where a test looks for it.
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path | Sequence[str]) -> Outcome:
        words = [str(argument) for argument in arguments]
        result = CliRunner().invoke(app, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        folder = tmp_path / (words[words.index("--out") + 1] if "--out" in words else "results")
        return Outcome(result.exit_code, result.stdout, result.stderr, folder)

    return run
