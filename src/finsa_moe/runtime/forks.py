"""What a forked child starts anew: it has its parent's memory and none of its threads.

A lock that one of those threads held stays shut for ever, and an engine with threads of its own waits for them. Things
say here that they have such parts; the child calls each once, before anything else runs in it.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """A thing with parts that do not outlive a fork."""

    def after_fork(self) -> None:
        """Start those parts anew; called in the child, on its only thread."""
        ...


_KNOWN: WeakSet[Forked] = WeakSet()
_LEFT: list[object] = []


def in_child(thing: Forked) -> None:
    """Have `thing.after_fork` called in every child forked from here on, as long as the thing is there."""
    _KNOWN.add(thing)


def leave(parts: object) -> None:
    """Keep what the parent opened from ever being closed in the child: closing waits for threads as well, or faults."""
    _LEFT.append(parts)


def _after_fork() -> None:
    for thing in list(_KNOWN):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_after_fork)
