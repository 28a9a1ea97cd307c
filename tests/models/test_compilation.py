"""The on-disk compilation cache; each case in a process of its own, as it is set once a process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from cellkinetics.models import compilation
from cellkinetics.models.compilation import compiled

CODE = """
import jax, jax.numpy as jnp
{before}
from cellkinetics.models.compilation import use_compilation_cache
print(use_compilation_cache())
jax.jit(lambda x: jnp.sin(x) * 3)(1.0).block_until_ready()
"""


def run(before: str = "", **variables: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "CELLKINETICS_", "XDG_"))}
    code = CODE.format(before=before)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_programs_are_kept_in_the_folder_of_the_environment_variable(tmp_path: Path) -> None:
    # Also when JAX has compiled something before, and so has already decided that it has no cache.
    before = "jax.jit(lambda x: x + 1)(1.0)"
    assert run(before, CELLKINETICS_CACHE_DIR=str(tmp_path / "kept")) == str(tmp_path / "kept")
    assert any((tmp_path / "kept").iterdir())


def test_the_users_cache_folder_is_the_default_on_linux(tmp_path: Path) -> None:
    if sys.platform != "linux":
        return
    assert run(XDG_CACHE_HOME=str(tmp_path)) == str(tmp_path / "cellkinetics")


def test_a_cache_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    mine, ours = tmp_path / "mine", tmp_path / "ours"
    assert run(JAX_COMPILATION_CACHE_DIR=str(mine), CELLKINETICS_CACHE_DIR=str(ours)) == str(mine)
    assert not ours.exists()


def test_off_and_folders_that_cannot_be_made_mean_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run(CELLKINETICS_CACHE_DIR="off") == "None"
    assert run(CELLKINETICS_CACHE_DIR=str(tmp_path / "file" / "below")) == "None"


@pytest.fixture
def options_asked_anew() -> Iterator[None]:
    compilation._options.cache_clear()
    yield
    compilation._options.cache_clear()


def test_options_that_a_compiler_does_not_know_are_left_out(
    monkeypatch: pytest.MonkeyPatch, options_asked_anew: None
) -> None:
    monkeypatch.setattr(compilation, "_QUICK", {"xla_no_such_option": True})
    assert compilation._options() is None
    assert float(compiled(lambda x: 2 * x)(1.5)) == 3.0


def test_this_version_of_the_compiler_knows_the_quick_options(options_asked_anew: None) -> None:
    if jax.default_backend() == "cpu":
        assert compilation._options() == compilation._QUICK


@pytest.mark.parametrize(("most", "asked"), [(10, []), (1000, ["options"])])
def test_calls_with_many_numbers_are_compiled_with_care(
    most: int, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(compilation, "_LARGE", most)
    monkeypatch.setattr(compilation, "_options", lambda: seen.append("options"))
    total = compiled(lambda x, *, times: times * x.sum(), static_argnames="times")
    assert float(total(jnp.ones(100), times=2)) == 200.0
    assert seen == asked


def test_inside_another_compiled_function_its_options_hold() -> None:
    inner = compiled(lambda x: x**2)
    assert float(compiled(lambda x: jax.grad(inner)(x) + 1)(3.0)) == 7.0
