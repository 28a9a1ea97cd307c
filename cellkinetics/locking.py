"""A lock that keeps a second run out of a folder, and ends with the process that holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cellkinetics.errors import OutputError


@contextlib.contextmanager
def locked(path: Path, message: str) -> Iterator[None]:
    """Hold a lock file; it ends with the process, however that ends, and the file is removed.

    Args:
        path: the file; its folder exists.
        message: what to say where another process holds it.

    Raises:
        OutputError: with the message.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with locked(folder / "lock", "another run is at work"):
        ...     pass
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    while True:
        with path.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise OutputError(message) from error
            # Whoever held it may have removed the file between the two calls: that lock keeps nobody out.
            if not _is_still(path, stream.fileno()):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_still(path: Path, handle: int) -> bool:
    """Tell whether an open file is the one that has this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
