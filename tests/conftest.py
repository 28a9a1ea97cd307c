"""Fixtures that every test may use."""

import sys
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="module", autouse=True)
def _few_memory_maps() -> Iterator[None]:
    """Forget compiled programs before a process has more memory maps than Linux allows (65,530): it would crash."""
    yield
    maps = Path("/proc/self/maps")
    if "jax" in sys.modules and maps.exists() and len(maps.read_bytes().splitlines()) > 25_000:
        sys.modules["jax"].clear_caches()


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
