"""Long pieces of work that wait for an engine thread: which is next, whether one more may wait, and how long it would.

It knows neither what they do nor the threads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

FIRST_SECONDS = 1.0  # of one, until they are measured


class Jobs:
    """They wait in one line; one thread is left to texts where there are several.

    Args:
        threads: How many there are.

    Attributes:
        seconds: What one takes, as the last few did.
        running: How many threads are at one.
        rest: How many more will come after those that wait or run, one after another.
    """

    def __init__(self, threads: int) -> None:
        self.threads, self.at_once = threads, max(1, threads - 1)
        self.seconds, self.running, self.rest = FIRST_SECONDS, 0, 0
        self._waiting: deque[tuple[Callable[[], None], asyncio.Future[Any]]] = deque()

    def _alive(self) -> int:
        return sum(not done.cancelled() for _, done in self._waiting)

    @property
    def full(self) -> bool:
        """Whether there are as many waiting as threads, twice over."""
        return self._alive() >= 2 * self.threads

    def wait(self) -> float:
        """Seconds until all is done that was taken."""
        return (self._alive() + self.running + self.rest) * self.seconds / self.at_once

    def add(self, start: Callable[[], None], done: asyncio.Future[Any], then: int = 0) -> None:
        """Let one wait: `start` begins it, unless nobody waits for `done` any more; `then` more come after it."""
        self._waiting.append((start, done))
        self.rest += then
        done.add_done_callback(lambda _: self._less(then))

    def _less(self, then: int) -> None:
        self.rest -= then

    def begin(self) -> bool:
        """Begin the next one; False where none waits or as many are under way as may be."""
        while self._waiting and self.running < self.at_once:
            start, done = self._waiting.popleft()
            if not done.cancelled():
                self.running += 1
                start()
                return True
        return False

    def ended(self, seconds: float) -> None:
        """One is done, and took so long."""
        self.running -= 1
        self.seconds += 0.2 * (seconds - self.seconds)
