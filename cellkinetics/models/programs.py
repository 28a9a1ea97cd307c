"""Functions that are traced once and kept on disk in lowered form, so that a later run does not trace them again.

JAX's own cache on disk saves the compiler's work, but a function must be traced and lowered before it is looked up,
which for the likelihoods of a population takes longer than running them. A `Program` looks for its lowered form
first (StableHLO, by `jax.export`), under the shapes of its arguments and the versions of this package and of JAX.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial, update_wrapper
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from cellkinetics.models.compilation import program_folder

_SUFFIX = ".program"


class Program:
    """A function of arrays, traced once for the shapes it is called with; see `program`.

    Attributes:
        static: names of the arguments, given by keyword, that are not arrays but choose the program. Each must be
            hashable. A value is known in another run by its ``identity``, a text, if it has one, else by its repr;
            an ``identity`` of None keeps the program out of the disk.
    """

    def __init__(self, function: Callable[..., Any], static: tuple[str, ...]) -> None:
        update_wrapper(self, function)
        self.static = static
        self._function = function
        self._jitted = jax.jit(function, static_argnames=static)
        self._ready: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *arrays: Any, **chosen: Any) -> Any:
        leaves, tree = jax.tree.flatten(arrays)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return self._jitted(*arrays, **chosen)
        shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
        key = (tuple(chosen[name] for name in self.static), tree, shapes, _double())
        if key not in self._ready:
            self._ready[key] = self._load_or_lower(arrays, chosen, tree, shapes)
        return self._ready[key](*arrays)

    def _load_or_lower(
        self, arrays: tuple[Any, ...], chosen: dict[str, Any], tree: Any, shapes: tuple[Any, ...]
    ) -> Callable[..., Any]:
        path = self._path(chosen, tree, shapes)
        if path is None:
            return partial(self._jitted, **chosen)
        kept = _load(path)
        if kept is None:
            kept = self._lowered(arrays, chosen, tree)
            _store(path, kept)
        code, outward = kept
        flat = jax.jit(jax.export.deserialize(bytearray(code)).call)

        def run(*arguments: Any) -> Any:
            return jax.tree.unflatten(outward, flat(*jax.tree.leaves(arguments)))

        return run

    def _lowered(self, arrays: tuple[Any, ...], chosen: dict[str, Any], tree: Any) -> tuple[bytes, Any]:
        outward: list[Any] = []

        def flat(*leaves: Any) -> list[Any]:
            result, shape = jax.tree.flatten(self._function(*jax.tree.unflatten(tree, leaves), **chosen))
            outward.append(shape)
            return result

        exported = jax.export.export(jax.jit(flat))(*jax.tree.leaves(arrays))
        return bytes(exported.serialize()), outward[0]

    def _path(self, chosen: dict[str, Any], tree: Any, shapes: tuple[Any, ...]) -> Path | None:
        folder = program_folder()
        if folder is None:
            return None
        known = []
        for name in self.static:
            value = chosen[name]
            text = value.identity if hasattr(value, "identity") else repr(value)
            if text is None:
                return None
            known.append(f"{name}={text}")
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        parts = [name, *known, str(tree), repr(shapes), str(_double()), _surroundings()]
        return folder / (hashlib.sha256("\n".join(parts).encode()).hexdigest() + _SUFFIX)


def program(*static: str) -> Callable[[Callable[..., Any]], Program]:
    """Make a function a `Program`: the arguments ``static`` are given by keyword, the others are arrays.

    Example:
        >>> import jax.numpy as jnp
        >>> @program("power")
        ... def raised(x, *, power):
        ...     return x**power
        >>> raised(jnp.array([1.0, 2.0]), power=3).tolist()
        [1.0, 8.0]
    """
    return lambda function: Program(function, static)


@cache
def _surroundings() -> str:
    """Return what a program depends on beside its arguments: our source, versions, kind of device."""
    source = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].glob("[mf]*/**/*.py")):
        source.update(path.read_bytes())
    return "\n".join([source.hexdigest(), jax.__version__, sys.version, jax.devices()[0].platform])


def _load(path: Path) -> tuple[bytes, Any] | None:
    try:
        code, outward = pickle.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except Exception:  # whatever is wrong with a file of the cache, the function is traced anew
        path.unlink(missing_ok=True)
        return None
    return code, outward


def _store(path: Path, kept: tuple[bytes, Any]) -> None:
    try:
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            pickle.dump(kept, file)
        os.replace(name, path)
    except OSError:  # a cache that cannot be written costs time, nothing else
        return


def _double() -> bool:
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64
