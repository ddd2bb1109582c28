"""A bar that shows how far the work is, on stderr, only where a person looks at it."""

from __future__ import annotations

import sys


class Bar:
    """A bar of what is under way, on stderr and only where a person looks at it."""

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.progress import Progress

        self._progress = Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
        self._task = self._progress.add_task("reading", total=None)
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def show(self, step: str, done: int, total: int) -> None:
        """Say what is under way, and how much of it is done."""
        self._progress.update(self._task, description=step, completed=done, total=total)
