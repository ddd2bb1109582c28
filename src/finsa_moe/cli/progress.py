"""How far the work is: one line on stderr, only where a person looks at it."""

from __future__ import annotations

import sys


class Bar:
    """What is under way and how much of it is done; it goes when the work is over.

    Args:
        title: What it says until `show` is called.
        ends: Whether it is known how much there is: a bar and the time left; else the time gone.
        hidden: Whether nothing is shown though a person looks, as where the work writes to the same screen.
    """

    def __init__(self, title: str = "reading", *, ends: bool = True, hidden: bool = False) -> None:
        self._title, self._ends, self._hidden = title, ends, hidden

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        said, note = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[note]}"))
        known = (said, BarColumn(), TaskProgressColumn(), note, TimeRemainingColumn(elapsed_when_finished=True))
        self._progress = Progress(
            *(known if self._ends else (SpinnerColumn(), said, TimeElapsedColumn())), console=Console(stderr=True),
            disable=self._hidden or not sys.stderr.isatty(), transient=True, speed_estimate_period=120,
        )  # fmt: skip
        self._task = self._progress.add_task(self._title, total=None, note="")
        self._done = 0
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def show(self, step: str, done: int, total: int | None = None, note: str = "") -> None:
        """Say what is under way, how much of it is done, and what else there is to say of it.

        Less done than was said before is the next thing's beginning.
        """
        if done < self._done:
            self._progress.reset(self._task)
        self._done = done
        self._progress.update(self._task, description=step, completed=done, total=total, note=note)
