"""Batches of texts of like length under a token budget, padded to their own longest, not to the model's limit.

Lengths in, lists of positions out; ids in, padded arrays out. It knows nothing of texts, engines or answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def by_length(lengths: Sequence[int], budget: int) -> Iterator[NDArray[np.int64]]:
    """Group positions so that a batch padded to its longest text holds at most `budget` tokens.

    Sorted from short to long and cut greedily, so neighbours differ little in length and little is padded. A text
    longer than the budget is a batch of its own. Ties keep their order: the same lengths give the same batches.

    Args:
        lengths: Tokens of each text, (n,).
        budget: Most tokens of a batch, padding counted.

    Yields:
        Positions into `lengths`; over all batches each position occurs once.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(sizes, kind="stable")
    start = 0
    for at in range(1, len(order) + 1):
        # sorted ascending, so the next text would be the batch's longest
        if at == len(order) or (at + 1 - start) * int(sizes[order[at]]) > budget:
            yield order[start:at]
            start = at


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids filled up on the right to the longest row, and the mask of real tokens; both (b, t) int64."""
    width = max(map(len, rows))
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
        mask[at, : len(row)] = 1
    return ids, mask
