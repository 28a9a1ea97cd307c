"""Programs that are kept on disk: the same numbers with and without, and nothing lost with a broken file."""

import hashlib
import json
import os
import pickle
import stat
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellkinetics.models import compilation, programs
from cellkinetics.models.programs import Program, program


class Pair(NamedTuple):
    total: jax.Array
    factor: jax.Array


CALLS: list[int] = []


@program("power")
def decomposed(pair: Pair, matrix: jax.Array, *, power: int) -> Pair:
    CALLS.append(power)
    return Pair(pair.total**power + matrix.sum(), jnp.linalg.cholesky(matrix))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(programs, "program_folder", lambda: tmp_path)
    CALLS.clear()
    return tmp_path


def another_run() -> Program:
    """The same function as a later process knows it."""
    return Program(decomposed._function, ("power",))


MATRIX = np.array([[4.0, 2.0], [2.0, 5.0]])
PAIR = Pair(np.array([1.0, 3.0]), np.zeros(1))


def test_a_later_run_does_not_trace_and_gets_the_same_bits(folder: Path) -> None:
    with jax.enable_x64(True):
        first = another_run()(PAIR, MATRIX, power=2)
        again = another_run()(PAIR, MATRIX, power=2)
    assert CALLS == [2]
    assert isinstance(again, Pair)
    np.testing.assert_array_equal(first.factor, np.linalg.cholesky(MATRIX))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
        assert other.dtype == np.float64


def test_another_choice_another_shape_and_another_precision_are_other_programs(folder: Path) -> None:
    with jax.enable_x64(True):
        another_run()(PAIR, MATRIX, power=2)
        assert another_run()(PAIR, MATRIX, power=3).total.tolist() == [14.0, 40.0]
        another_run()(Pair(np.ones(3), np.zeros(1)), MATRIX, power=2)
    another_run()(PAIR, MATRIX, power=2)
    assert CALLS == [2, 3, 2, 2]
    assert len(list(folder.glob("*.program"))) == 4


def test_a_broken_file_is_replaced(folder: Path) -> None:
    with jax.enable_x64(True):
        first = another_run()(PAIR, MATRIX, power=2)
        (path,) = folder.glob("*.program")
        path.write_bytes(b"nonsense")
        again = another_run()(PAIR, MATRIX, power=2)
    np.testing.assert_array_equal(first.total, again.total)
    assert path.read_bytes() != b"nonsense"


def test_what_another_run_could_not_name_stays_out_of_the_disk(folder: Path) -> None:
    class Unnamed:
        identity = None

    def shifted(x: jax.Array, *, by: Unnamed) -> jax.Array:
        return x + 1.0

    assert Program(shifted, ("by",))(np.ones(2, np.float32), by=Unnamed()).tolist() == [2.0, 2.0]
    assert not list(folder.iterdir())


def test_a_program_inside_another_function_is_traced_with_it(folder: Path) -> None:
    with jax.enable_x64(True):
        slope = jax.grad(lambda x: decomposed(Pair(x, x), jnp.asarray(MATRIX), power=2).total.sum())(jnp.ones(2))
    assert slope.tolist() == [2.0, 2.0]


def test_a_whole_file_that_does_not_deserialise_is_replaced(folder: Path) -> None:
    with jax.enable_x64(True):
        first = another_run()(PAIR, MATRIX, power=2)
        (path,) = folder.glob("*.program")
        head = json.loads(path.read_bytes().partition(b"\n")[0])
        code = b"a program of another version"
        head["sha256"] = hashlib.sha256(code).hexdigest()
        path.write_bytes(json.dumps(head).encode() + b"\n" + code)
        again = another_run()(PAIR, MATRIX, power=2)
        another_run()(PAIR, MATRIX, power=2)
    np.testing.assert_array_equal(first.total, again.total)
    assert CALLS == [2, 2]


class Opened:
    """What a file of a stranger would run when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (CALLS.append, (-1,))


def test_a_file_cannot_run_code(folder: Path) -> None:
    with jax.enable_x64(True):
        another_run()(PAIR, MATRIX, power=2)
        (path,) = folder.glob("*.program")
        path.write_bytes(pickle.dumps(Opened()))
        another_run()(PAIR, MATRIX, power=2)
        head, _, code = path.read_bytes().partition(b"\n")
        strange = json.loads(head)
        strange["result"] = {"tuple": [0, 0], "module": "subprocess", "name": "Popen"}
        path.write_bytes(json.dumps(strange).encode() + b"\n" + code)
        assert isinstance(another_run()(PAIR, MATRIX, power=2), Pair)
    assert CALLS == [2, 2, 2]
    with pytest.raises(ValueError, match="subprocess is not of the package"):
        programs._rebuilt(strange["result"], "cellkinetics.models")
    with pytest.raises(TypeError, match="Program is no named tuple"):
        programs._named("cellkinetics.models.programs", "Program", "cellkinetics.models")


def test_programs_that_were_not_used_for_ninety_days_are_removed(folder: Path) -> None:
    with jax.enable_x64(True):
        for power in (2, 3):
            another_run()(PAIR, MATRIX, power=power)
        long_ago = time.time() - 91 * 86_400
        for path in folder.glob("*.program"):
            os.utime(path, (long_ago, long_ago))
        another_run()(PAIR, MATRIX, power=2)  # used: stays
        another_run()(PAIR, MATRIX, power=4)  # stored: the other one goes
        assert len(list(folder.iterdir())) == 2
        another_run()(PAIR, MATRIX, power=2)
    assert CALLS == [2, 3, 4]


def test_without_flatbuffers_a_function_is_compiled_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with jax.enable_x64(True):
        assert another_run()(PAIR, MATRIX, power=2).total.tolist() == [14.0, 22.0]
    assert not list(folder.iterdir())


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes of files are those of POSIX")
def test_a_folder_that_others_can_write_or_a_link_to_one_holds_no_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(name: str) -> Path | None:
        config = SimpleNamespace(jax_compilation_cache_dir=str(tmp_path / name))
        monkeypatch.setattr(compilation, "jax", SimpleNamespace(config=config))
        return compilation.program_folder()

    assert found("own") == tmp_path / "own" / "programs"
    assert stat.S_IMODE((tmp_path / "own" / "programs").stat().st_mode) == 0o700
    for mode in (0o720, 0o702, 0o777):
        (tmp_path / "own" / "programs").chmod(mode)
        assert found("own") is None
    (tmp_path / "own" / "programs").chmod(0o755)
    assert found("own") == tmp_path / "own" / "programs"
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "programs").symlink_to(tmp_path / "own" / "programs")
    assert found("linked") is None
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / "own").stat().st_uid + 1)
    assert found("own") is None
