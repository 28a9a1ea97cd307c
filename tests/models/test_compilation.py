"""The on-disk compilation cache; each case in a process of its own, as it is set once a process."""

import os
import subprocess
import sys
from pathlib import Path

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
