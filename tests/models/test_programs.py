"""Programs that are kept on disk: the same numbers with and without, and nothing lost with a broken file."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellkinetics.models import programs
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
