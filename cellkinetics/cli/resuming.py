"""Work of many fits that keeps a record of each, so that an interrupted run can be gone on with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellkinetics.cli.screen import Screen


def count_records(folder: Path) -> int:
    """Return how many fits have left their record in a folder."""
    return len(list(folder.glob("records/*.json")))


@contextlib.contextmanager
def resumable(screen: Screen, folder: Path, what: str) -> Iterator[None]:
    """Say of work that was broken off how much of it is done, and how to go on.

    Args:
        screen: where to say it.
        folder: of the records.
        what: the words after the number, such as ``fits``.
    """
    try:
        yield
    except BaseException:
        if done := count_records(folder):
            screen.warn(f"{done} {what} are done; --resume goes on from there")
        raise
