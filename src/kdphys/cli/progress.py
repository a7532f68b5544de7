"""The bar of the commands that go through many recordings or clips."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Tell(Protocol):
    """How far the work is."""

    def __call__(self, done: int, total: int, name: str = "") -> None:
        """``done`` of ``total``; ``name`` of what is being worked on."""


@contextmanager
def progress(what: str, quiet: bool = False) -> Iterator[Tell]:
    """A bar on standard error that appears with the first step, and only when a person is watching.

    Args:
        what: stands before it.
        quiet: never show it.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}"),
    )
    hidden = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=hidden, transient=True) as bar:
        task = bar.add_task("", total=None, name="", visible=False)

        def tell(done: int, total: int, name: str = "") -> None:
            bar.update(task, completed=done, total=total, name=name, visible=True)

        yield tell
