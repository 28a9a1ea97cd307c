"""How our functions are compiled: quickly, and once, as what is compiled is kept on disk."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

import jax

_QUICK = {"xla_cpu_use_fusion_emitters": False}
"""XLA's newer generator of code for CPUs takes twice as long over our programs, which take a third less time to run."""
_LARGE = 2_000_000
"""Numbers among the arguments of a call that takes so long that the slower compilation is worth its while."""
_FOLDER = "cellkinetics"
_VARIABLE = "CELLKINETICS_CACHE_DIR"


def compiled(function: Callable[..., Any], static_argnames: str | tuple[str, ...] = ()) -> Callable[..., Any]:
    """Return `jax.jit` of a function, with the options that make it quick to compile on a CPU.

    Where the arguments hold millions of numbers it is a plain `jax.jit`, whose programs run faster, and so it is for
    arguments that are traced, inside another compiled function, whose options hold there.

    Args:
        function: of arrays.
        static_argnames: its arguments that are no arrays; they must be hashable.

    Example:
        >>> double = compiled(lambda x: 2 * x)
        >>> float(double(1.5)), float(jax.grad(double)(1.5))
        (3.0, 2.0)
    """
    plain = jax.jit(function, static_argnames=static_argnames)

    @cache  # not before the first call: it starts the device
    def quick() -> Callable[..., Any]:
        return jax.jit(function, static_argnames=static_argnames, compiler_options=_options())

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        leaves = jax.tree.leaves((args, kwargs))
        large = sum(getattr(leaf, "size", 1) for leaf in leaves) > _LARGE
        return (plain if large or any(isinstance(leaf, jax.core.Tracer) for leaf in leaves) else quick())(
            *args, **kwargs
        )

    return run


@cache
def _options() -> dict[str, Any] | None:
    """Return options of the compiler, or None where it does not know them: another device, or another version."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=_QUICK).lower().compile()
    except Exception:  # what is raised for an unknown option is no public type
        return None
    return _QUICK


def use_compilation_cache() -> Path | None:
    """Keep compiled programs on disk between runs; return the folder, or None where there is none.

    The folder is ``$CELLKINETICS_CACHE_DIR`` (``off`` switches the cache off), else ``cellkinetics`` in
    the user's cache folder of the platform. A cache that the user has set up for JAX is left as it is,
    and a folder that cannot be written means no cache: the only cost is time.

    Example:
        >>> folder = use_compilation_cache()
        >>> folder is None or folder.is_dir()
        True
    """
    configured = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if configured is not None:
        return Path(configured)
    folder = _cache_folder()
    if folder is None or not _is_writable(folder):
        return None
    from jax.experimental.compilation_cache import compilation_cache

    jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
    # Our programs are many and small; the defaults would only keep what took a second to compile.
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)  # type: ignore[no-untyped-call]
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # type: ignore[no-untyped-call]
    # JAX decides at its first compilation whether it has a cache; that may have been before now.
    compilation_cache.reset_cache()
    return folder


def program_folder() -> Path | None:
    """Return where compiled programs are kept (`cellkinetics.models.programs`), or None where there is no cache.

    It is a folder of the compilation cache, of the user and writable by nobody else (and no link to another folder):
    a program in it is run.
    """
    configured = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if configured is None:
        return None
    folder = Path(configured) / "programs"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.lstat()
    except OSError:
        return None
    own = stat.S_ISDIR(state.st_mode)
    if hasattr(os, "getuid"):  # elsewhere owners and modes say nothing
        own = own and state.st_uid == os.getuid() and not state.st_mode & 0o022
    return folder if own and _is_writable(folder) else None


def _cache_folder() -> Path | None:
    chosen = os.environ.get(_VARIABLE, "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
        return Path(base) / _FOLDER / "cache" if base else None
    try:
        home = Path.home()
    except RuntimeError:  # no home folder, as in some containers
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / _FOLDER
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / _FOLDER


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
