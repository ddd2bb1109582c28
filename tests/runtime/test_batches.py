from __future__ import annotations

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
def test_rows_are_the_largest_power_of_two_that_fits(sizes: list[int], budget: int) -> None:
    batches = list(by_length(sizes, budget))
    done = 0
    for batch in batches:
        left, rows = len(sizes) - done, len(batch)
        done += rows
        assert rows & (rows - 1) == 0 or (rows < 8 and rows == left)
        if rows < left:
            width = -(-sorted(sizes)[done - rows + 2 * rows - 1] // 4) * 4 if 2 * rows <= left else budget + 1
            assert 2 * rows * width > budget or 2 * rows > left


def test_few_shapes_for_many_texts() -> None:
    sizes = np.random.default_rng(0).integers(3, 200, 5000).tolist()
    shapes = {(len(b), -(-max(sizes[at] for at in b) // 4) * 4) for b in by_length(sizes, 4096)}
    assert len(list(by_length(sizes, 4096))) > 2 * len(shapes)


def test_pad_by_hand() -> None:
    ids, mask = pad([[5, 6, 7], [8]], pad_id=9)
    assert ids.tolist() == [[5, 6, 7, 9], [8, 9, 9, 9]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64
    assert pad([[1] * 5] * 2, 0, most=6)[0].shape == (2, 6)
    assert pad([[1] * 5] * 2, 0, most=5)[0].shape == (2, 5)
    assert pad([[1] * 5], 0)[0].shape == (1, 5)
