"""What a user sees: messages, progress bars, small tables."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Progress = Callable[[int, int], None]
_FILE_WIDTH = 1000


class Screen:
    """The terminal: results go to standard output, errors and progress to standard error.

    Args:
        quiet: show errors only.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console

        self.quiet = quiet
        self._out = Console(highlight=False, markup=False)
        if not self._out.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
            self._out.width = _FILE_WIDTH
        self._err = Console(stderr=True, highlight=False, markup=False)

    @property
    def width(self) -> int:
        """Columns that a table may have; in a file no table is cut, unless COLUMNS says how wide it is."""
        return self._out.width

    def say(self, text: str = "", *, style: str = "") -> None:
        """Print a line of the summary; paths and sentences are not cut when output is a file."""
        if not self.quiet:
            self._out.print(text, style=style, soft_wrap=True)

    def error(self, text: str) -> None:
        """Print an error; it is shown however quiet the command is."""
        from rich.text import Text

        message = Text("error: ", style="bold red")
        message.append(text, style="not bold default")
        self._err.print(message, soft_wrap=True)

    def fault(self, text: str) -> None:
        """Print what is wrong and shows in the exit code, while the command goes on."""
        self._announce("fault: ", "bold red", text)

    def warn(self, text: str) -> None:
        """Print something that the user should know before trusting the results."""
        self._announce("note: ", "yellow", text)

    def alarm(self, text: str) -> None:
        """Print what makes the results unfit for use as they are, while the exit code stays."""
        self._announce("warning: ", "bold yellow", text)

    def _announce(self, kind: str, style: str, text: str) -> None:
        from rich.text import Text

        if not self.quiet:
            message = Text(kind, style=style)
            message.append(text, style="not bold default")
            self._err.print(message, soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
        """Print a small table: the first ``left`` columns are text, the others numbers."""
        if self.quiet:
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for i, column in enumerate(columns):
            table.add_column(Text(column), justify="left" if i < left else "right", no_wrap=i >= left)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._out.print(table)

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Progress | None]:
        """Show a progress bar while the block runs, and give the function that moves it on.

        Nothing is shown, and the function is None, when output is not a terminal.
        """
        if self.quiet or not self._err.is_terminal:
            yield None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Bar(*columns, TimeElapsedColumn(), console=self._err, transient=True) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
