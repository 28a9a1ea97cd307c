"""Starting must be cheap: what a command does not need is not imported."""

import importlib.resources
import subprocess
import sys
from pathlib import Path

import pytest

BUNDLED = importlib.resources.files("cellkinetics") / "data" / "bundled" / "dose_exploration.csv"
HEAVY = ("jax", "lmfit", "scipy.stats", "matplotlib")

SCRIPT = """
import sys
sys.argv = ["cellkinetics", *sys.argv[1:]]
from cellkinetics.cli import main
code = None
try:
    main()
except SystemExit as stop:
    code = stop.code
assert code in (0, None), code
print("MODULES", *sorted(sys.modules))
"""


def modules_after(*arguments: str, cwd: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


def test_help_imports_nothing_that_computes(tmp_path: Path) -> None:
    loaded = modules_after("--help", cwd=tmp_path)
    assert "typer" in loaded
    assert not loaded & {"numpy", "pandas", "scipy", "pydantic", *HEAVY}


@pytest.mark.parametrize("command", ["nca", "pool", "run", "demo", "report", "models", "schedule"])
def test_help_of_a_command_imports_nothing_that_computes(command: str, tmp_path: Path) -> None:
    loaded = modules_after(command, "--help", cwd=tmp_path)
    assert not loaded & {"numpy", "pandas", "scipy", *HEAVY}


@pytest.mark.parametrize("command", ["check", "nca"])
def test_real_work_without_a_model_imports_neither_jax_nor_lmfit_nor_matplotlib(command: str, tmp_path: Path) -> None:
    loaded = modules_after(command, str(BUNDLED), "--out", "results", cwd=tmp_path)
    assert (tmp_path / "results" / "samples.csv").stat().st_size > 1000
    assert (tmp_path / "results" / "nca.csv").exists() == (command == "nca")
    assert "pandas" in loaded
    assert not loaded & set(HEAVY)


def test_the_module_runs_as_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cellkinetics", "--version"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.startswith("cellkinetics ")
