"""Batches out of waiting texts: everything leaves once, the oldest first, and nobody is padded for nothing."""

from __future__ import annotations

import random

from finsa_moe.service.gather import CALL, Item, Lane


def lane(lengths: list[int], most: int = 768, **more: bool) -> Lane:
    found = Lane(most, **more)
    for at, length in enumerate(lengths):
        found.add(Item(at, length, None, at))
    return found


def drained(found: Lane, share: float = 1.0) -> list[list[Item]]:
    batches = []
    while batch := found.take(share):
        batches.append(batch)
    return batches


def test_every_text_leaves_once_and_within_the_budget() -> None:
    rng = random.Random(5)
    lengths = [rng.choice([8, 20, 21, 60, 250]) + rng.randrange(6) for _ in range(500)]
    for even in (False, True):
        waiting = lane(lengths, even=even)
        batches = drained(waiting)
        assert sorted(item.at for batch in batches for item in batch) == list(range(500))
        for batch in batches:
            assert len(batch) == 1 or len(batch) * max(item.width for item in batch) <= 768
        assert waiting.tokens == waiting.texts == 0


def test_the_oldest_leads_every_batch() -> None:
    batches = drained(lane([200, 8, 8, 200, 90, 8]))
    first = [batch[0].at for batch in batches]
    assert first == sorted(first)
    assert sorted(item.at for item in batches[0]) == [0, 3]
    assert sorted(item.at for item in batches[1]) == [1, 2, 5]


def test_padding_costs_less_than_the_calls_it_saves() -> None:
    """The price of every batch, by the same arithmetic, against each of its texts alone: never more."""
    rng = random.Random(7)
    for _ in range(200):
        waiting = lane([rng.randrange(4, 256) for _ in range(rng.randrange(1, 60))])
        for batch in drained(waiting):
            together = CALL + len(batch) * max(item.width for item in batch)
            alone = sum(CALL + item.width for item in batch)
            assert together <= alone


def test_a_share_is_left_for_the_other_thread() -> None:
    waiting = lane([16] * 40)
    assert len(waiting.take(0.5)) == 20


def test_even_lanes_have_few_shapes() -> None:
    sizes = [len(batch) for batch in drained(lane([16] * 45, even=True))]
    assert sizes == [32, 8, 5]


def test_whom_nobody_waits_for_is_not_taken() -> None:
    waiting = Lane(768)
    items = [Item(at, 16, None, at) for at in range(6)]
    for item in items:
        waiting.add(item)
    for item in items[::2]:
        waiting.drop(item)
        waiting.drop(item)  # a second time changes nothing
    assert waiting.texts == 3
    assert waiting.tokens == 48
    assert [item.at for item in waiting.take()] == [1, 3, 5]
    assert waiting.take() == []
