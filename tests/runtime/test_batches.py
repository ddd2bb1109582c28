from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finsa_moe.runtime.batches import by_length, pad

lengths = st.lists(st.integers(min_value=1, max_value=300), max_size=60)


@given(lengths, st.integers(min_value=1, max_value=400))
def test_every_position_once_and_within_budget(sizes: list[int], budget: int) -> None:
    batches = [batch.tolist() for batch in by_length(sizes, budget)]
    assert sorted(at for batch in batches for at in batch) == list(range(len(sizes)))
    for batch in batches:
        longest = max(sizes[at] for at in batch)
        assert len(batch) * longest <= budget or len(batch) == 1
    flat = [sizes[at] for batch in batches for at in batch]
    assert flat == sorted(flat)


@given(lengths, st.integers(min_value=1, max_value=400))
def test_no_batch_could_take_its_successor(sizes: list[int], budget: int) -> None:
    batches = list(by_length(sizes, budget))
    for one, two in pairwise(batches):
        assert (len(one) + 1) * sizes[two[0]] > budget


def test_pad_by_hand() -> None:
    ids, mask = pad([[5, 6, 7], [8]], pad_id=9)
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64
