"""Batches of texts of like length under a token budget, in few shapes, padded to little more than their own longest.

Lengths in, lists of positions out; ids in, padded arrays out. It knows nothing of texts, engines or answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

STEP = 4
"""Widths are rounded up to a multiple of this. OpenVINO prepares its kernels anew for every shape it has not met, which
took longer than the work when each batch had a shape of its own (EXPERIMENTS.md)."""
_FEW = 8


def by_length(lengths: Sequence[int], budget: int) -> Iterator[NDArray[np.int64]]:
    """Group positions so that a batch padded to its width holds at most `budget` tokens.

    Sorted from short to long, so neighbours differ little in length and little is padded. A batch has the largest power
    of two of rows that fits, so that few shapes occur; under eight rows what is left goes together. A text longer than
    the budget is a batch of its own. Ties keep their order: the same lengths give the same batches.

    Args:
        lengths: Tokens of each text, (n,).
        budget: Most tokens of a batch, padding counted.

    Yields:
        Positions into `lengths`; over all batches each position occurs once.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(sizes, kind="stable")
    widths = rounded(sizes[order])
    start = 0
    while start < len(order):
        left = len(order) - start
        rows = 1
        while 2 * rows <= left and 2 * rows * widths[start + 2 * rows - 1] <= budget:
            rows *= 2
        if left < _FEW and left * widths[-1] <= budget:
            rows = left
        yield order[start : start + rows]
        start += rows


def rounded(width: NDArray[np.int64]) -> NDArray[np.int64]:
    """The next multiple of `STEP`."""
    return -(-width // STEP) * STEP


def pad(
    rows: Sequence[Sequence[int]], pad_id: int, most: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids filled up on the right, and the mask of real tokens; both (b, t) int64.

    The width is the longest row's, rounded up to a multiple of `STEP` but not over `most`, the model's limit. A row
    alone is not filled up: it is a request that someone waits for.
    """
    longest = max(map(len, rows))
    width = longest if len(rows) == 1 else -(-longest // STEP) * STEP
    width = width if most is None else max(longest, min(width, most))
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
        mask[at, : len(row)] = 1
    return ids, mask
