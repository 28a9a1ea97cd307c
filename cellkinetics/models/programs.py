"""Functions that are traced once and kept on disk in lowered form, so that a later run does not trace them again.

JAX's own cache on disk saves the compiler's work, but a function must be traced and lowered before it is looked up,
which for the likelihoods of a population takes longer than running them. A `Program` looks for its lowered form
first (StableHLO, by `jax.export`), under the shapes of its arguments and the versions of this package and of JAX.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial, update_wrapper
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from cellkinetics.models.compilation import compiled, program_folder

MOST_READY = 12
"""Compiled forms of one function that a process holds: each takes hundreds of memory maps, of which a process may
have some ten thousand, and beyond them it crashes."""
_SUFFIX = ".program"
_UNUSED_DAYS = 90.0
"""Programs that nothing has loaded for so long are removed: mostly those of older sources."""


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
        self._jitted = compiled(function, static)
        self._ready: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *arrays: Any, **chosen: Any) -> Any:
        leaves, tree = jax.tree.flatten(arrays)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return self._jitted(*arrays, **chosen)
        shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
        key = (tuple(chosen[name] for name in self.static), tree, shapes, _double())
        ready = self._ready.pop(key, None) or self._load_or_lower(arrays, chosen, tree, shapes)
        self._ready[key] = ready  # behind the others, the longest unused one is first
        if len(self._ready) > MOST_READY:
            del self._ready[next(iter(self._ready))]
        return ready(*arrays)

    def _load_or_lower(
        self, arrays: tuple[Any, ...], chosen: dict[str, Any], tree: Any, shapes: tuple[Any, ...]
    ) -> Callable[..., Any]:
        path = self._path(chosen, tree, shapes)
        if path is None:
            return partial(self._jitted, **chosen)
        kept = _load(path, self._function.__module__)
        if kept is None:
            exported, result = self._lowered(arrays, chosen, tree)
            kept = exported, jax.tree.structure(result)
            _store(path, exported, result, self._function.__module__)
        flat, outward = compiled(kept[0].call), kept[1]

        def run(*arguments: Any) -> Any:
            return jax.tree.unflatten(outward, flat(*jax.tree.leaves(arguments)))

        return run

    def _lowered(self, arrays: tuple[Any, ...], chosen: dict[str, Any], tree: Any) -> tuple[jax.export.Exported, Any]:
        """Return the program, from a list of leaves to a list of leaves, and its result with 0 as leaves."""
        results: list[Any] = []

        def flat(*leaves: Any) -> list[Any]:
            result = self._function(*jax.tree.unflatten(tree, leaves), **chosen)
            results.append(jax.tree.map(lambda leaf: 0, result))
            return jax.tree.leaves(result)

        return jax.export.export(jax.jit(flat))(*jax.tree.leaves(arrays)), results[0]

    def _path(self, chosen: dict[str, Any], tree: Any, shapes: tuple[Any, ...]) -> Path | None:
        folder = program_folder()
        if folder is None or find_spec("flatbuffers") is None:  # which JAX writes programs with, and does not ask for
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
    versions = [jax.__version__, version("jaxlib"), sys.version]
    return "\n".join([source.hexdigest(), *versions, jax.devices()[0].platform])


def _load(path: Path, module: str) -> tuple[jax.export.Exported, Any] | None:
    """Return a program and the tree of its result, or None where there is none that can be read."""
    try:
        first, _, code = path.read_bytes().partition(b"\n")
        head = json.loads(first)
        if head["sha256"] != hashlib.sha256(code).hexdigest():  # the file is not whole
            return None
        found = jax.export.deserialize(bytearray(code)), jax.tree.structure(_rebuilt(head["result"], module))
        os.utime(path)  # the oldest are removed: see `_remove_unused`
    except FileNotFoundError:
        return None
    except Exception:  # whatever is wrong with a file of the cache, the function is traced anew, and replaces it
        return None
    return found


def _store(path: Path, exported: jax.export.Exported, result: Any, module: str) -> None:
    try:
        code = bytes(exported.serialize())
        head = {"sha256": hashlib.sha256(code).hexdigest(), "result": _described(result, module)}
    except (TypeError, ValueError):  # a result that cannot be described stays out of the disk
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=_SUFFIX)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + code)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise
        _remove_unused(path.parent)
    except OSError:  # a cache that cannot be written costs time, nothing else
        return


def _remove_unused(folder: Path) -> None:
    oldest = time.time() - _UNUSED_DAYS * 86_400
    for path in folder.glob("*" + _SUFFIX):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


def _described(result: Any, module: str) -> Any:
    """Return how tuples are nested in a result, for JSON: plain values, as a file of the cache must not run code.

    A named tuple stands under its module and name. It must be of the package of ``module``: no other is imported.
    """
    if isinstance(result, tuple):
        parts = [_described(part, module) for part in result]
        kind = type(result)
        if kind is tuple:
            return {"tuple": parts}
        if _named(kind.__module__, kind.__qualname__, module) is kind:
            return {"tuple": parts, "module": kind.__module__, "name": kind.__qualname__}
    if result is None or type(result) is int:
        return result
    raise TypeError(f"{type(result).__name__} is no tuple")


def _rebuilt(description: Any, module: str) -> Any:
    """Return nested tuples from what `_described` returns, with 0 as leaves."""
    if description is None or type(description) is int:
        return description
    parts = [_rebuilt(part, module) for part in description["tuple"]]
    if "name" not in description:
        return tuple(parts)
    return _named(description["module"], description["name"], module)(*parts)


def _named(where: str, name: str, module: str) -> Any:
    """Return the named tuple of a name in a module of the package of ``module``."""
    if where.partition(".")[0] != module.partition(".")[0]:
        raise ValueError(f"{where} is not of the package of {module}")
    kind = getattr(import_module(where), name)
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")):
        raise TypeError(f"{name} is no named tuple")
    return kind


def _double() -> bool:
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64
