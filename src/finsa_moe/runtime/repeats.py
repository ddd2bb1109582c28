"""Texts that come again: the numbers for a text are worked out once and handed to its copies.

Texts and experts in, a row of numbers each out, in order; what works them out is the caller's. It does not know what
the numbers mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.void]
ROOM = 1 << 25
"""Characters of the texts kept, each counted with `OVERHEAD` more for what stands beside it: at most some 64 MB, which
hold 130,000 posts."""
OVERHEAD = 200
LONGEST = 4_096
"""Characters of a text that is kept for later calls; copies within one call share their numbers however long."""


class Repeats:
    """The rows of texts met lately; of one engine, and for one thread.

    Two generations bound it: the younger is filled up, then takes the place of the older, which is let go. A text of
    the older that is met again moves to the younger.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room, self._size = room // 2, 0
        self._young: dict[tuple[str, int], bytes] = {}
        self._old: dict[tuple[str, int], bytes] = {}

    def rows(
        self, texts: Sequence[str], experts: NDArray[np.int64], kind: np.dtype[Any],
        work: Callable[[NDArray[np.int64]], Rows],
    ) -> Rows:  # fmt: skip
        """The row of every text, (n,) of type `kind`, read-only.

        Args:
            texts: The texts.
            experts: The expert asked for each, (n,): the same words to another expert are another question.
            kind: Type of a row.
            work: Gives the rows of the texts at some positions; asked once a call, for those that are new.
        """
        keys = list(zip(texts, experts.tolist(), strict=True))
        found: dict[tuple[str, int], bytes] = {}
        fresh: list[int] = []
        for at, key in enumerate(keys):
            if key not in found:
                row = self._young.get(key) or self._old.get(key)
                found[key] = row or b""
                if row is None:
                    fresh.append(at)
        if fresh:
            found |= zip((keys[at] for at in fresh), map(bytes, work(np.array(fresh))), strict=True)
        self._keep(found)
        return np.frombuffer(b"".join([found[key] for key in keys]), dtype=kind)

    def _keep(self, found: dict[tuple[str, int], bytes]) -> None:
        for key, row in found.items():
            if key not in self._young and len(key[0]) <= LONGEST:
                self._young[key] = row
                self._size += len(key[0]) + OVERHEAD
        if self._size > self._room:
            self._young, self._old, self._size = {}, self._young, 0
