"""Which pairs of texts are worth comparing: those that share a band's number, or a gram that few of their family have.

Numbers and positions go in, pairs of positions come out, of which some may come twice. Whatever many texts share, the
pairs grow with the number of texts alone. It compares nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.duplicates.grams import hashed, parts
from finsa_moe.data.hashing import U64, mixed

CROWD = 8
"""The most texts of a bucket that all meet one another."""
_TEXTS, _CHARACTERS = 1 << 16, 8_000_000  # of families that are gone through together
_TAKEN = 1 << 20  # texts in memory together: to take them goes through all rows that are staged
I64 = NDArray[np.int64]
Pairs = tuple[I64, I64]


def starts(number: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Where a bucket begins, in numbers that are in order."""
    fresh = np.ones(len(number), dtype=np.bool_)
    fresh[1:] = number[1:] != number[:-1]
    return fresh


def met(order: I64, bucket: I64, crowded: NDArray[np.bool_]) -> Iterator[Pairs]:
    """Pairs within buckets: all of them, in crowded ones each text with its next two.

    Args:
        order: int64 (texts,), positions, those of a bucket in a row.
        bucket: int64 (texts,), the bucket of each.
        crowded: bool (texts,), whether its bucket is.
    """
    for step in range(1, CROWD):
        together = bucket[step:] == bucket[:-step]
        if step > 2:
            together &= ~crowded[step:]
        at = np.flatnonzero(together)
        yield order[at], order[at + step]


def kindred(take: Callable[[I64], Sequence[str]], texts: I64, family: I64, n: int) -> Iterator[Pairs]:
    """Pairs of a family's texts that share a gram which at most half of the family has.

    What joins a family is its form; two texts of it that are nearer to each other than to the others share more than
    that, which no band may show. A family of more than some 65,000 texts is cut, and its parts do not meet here.

    Args:
        take: Gives the keys at some positions.
        texts: int64 (texts,), positions, those of a family in a row.
        family: int64 (texts,), the family of each.
        n: Length of a gram.
    """
    for start in range(0, len(texts), _TAKEN):
        some, own = texts[start : start + _TAKEN], family[start : start + _TAKEN]
        keys = take(some)
        for part in parts(np.fromiter(map(len, keys), dtype=np.int64, count=len(keys)), _TEXTS, _CHARACTERS):
            order, bucket = _by_gram(keys[part], own[part], n)
            sizes = np.bincount(bucket, minlength=1)
            for left, right in met(order, bucket, (sizes > CROWD)[bucket]):
                yield some[part][left], some[part][right]


def _by_gram(keys: Sequence[str], family: I64, n: int) -> Pairs:
    """The texts of each gram that several, but at most half of a family have: their places, and a bucket for each."""
    grams = hashed(keys, n)
    owner = np.repeat(np.arange(len(keys), dtype=np.int64), np.diff(grams.ends, prepend=0))
    number: U64 = mixed(grams.flat ^ mixed(family[owner].astype(np.uint64)))
    order = np.argsort(number, kind="stable")
    number, owner = number[order], owner[order]
    once = np.ones(len(owner), dtype=np.bool_)
    once[1:] = (number[1:] != number[:-1]) | (owner[1:] != owner[:-1])  # a gram that stands in a text twice
    number, owner = number[once], owner[once]
    bucket = np.cumsum(starts(number)) - 1
    size = np.bincount(bucket, minlength=1)[bucket]
    _, place, members = np.unique(family, return_inverse=True, return_counts=True)
    kept = (size > 1) & (2 * size <= members[place[owner]])
    return owner[kept], bucket[kept]
