"""Which texts of a set are the same or nearly so: clusters joined by pairs of a true Jaccard similarity.

Texts go in, a cluster for each comes out, with the pairs that join them. Equal texts (`text.duplicate_key`) meet first;
of the others MinHash proposes pairs and the true similarity of their character n-grams decides. It knows neither files
nor labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.duplicates.buckets import CROWD, I64, Pairs, kindred, met, starts
from finsa_moe.data.duplicates.grams import Sketches, banding, similarities, sketched
from finsa_moe.data.hashing import U64
from finsa_moe.data.keys import duplicate_keys
from finsa_moe.errors import ConfigError

N, CLUSTER_THRESHOLD = 4, 0.7
_ROUNDING = 1e-6  # of float32
_AT_ONCE = 1 << 21  # pairs whose keys are in memory together
Take = Callable[[I64], list[str]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Clusters:
    """Texts joined by pairs that are near, and by pairs of such pairs.

    Attributes:
        ids: int64 (texts,), of each text the smallest position in its cluster.
        exact: int64 (texts,), of each text the first position of an equal one.
        left: int64 (pairs,), positions of first texts among equal ones.
        right: int64 (pairs,), likewise; always greater than `left`.
        similarity: float32 (pairs,), true Jaccard, from the threshold to 1.
        threshold: Least similarity of a pair.
    """

    ids: I64
    exact: I64
    left: I64
    right: I64
    similarity: NDArray[np.float32]
    threshold: float

    @property
    def count(self) -> int:
        """How many clusters, those of one text included."""
        return len(np.unique(self.ids))

    @property
    def largest(self) -> int:
        """Texts in the largest cluster."""
        return int(np.bincount(self.ids).max()) if len(self.ids) else 0

    def rethreshold(self, threshold: float) -> Clusters:
        """The clusters that pairs of a higher similarity make; nothing is compared anew.

        Raises:
            ConfigError: If the threshold is below that of the pairs kept.
        """
        if not self.threshold <= threshold <= 1:
            raise ConfigError(f"threshold {threshold:g}: these pairs were compared from {self.threshold:g} to 1")
        kept = self.similarity >= threshold - _ROUNDING
        left, right = self.left[kept], self.right[kept]
        ids = joined(len(self.ids), left, right)[self.exact]
        return Clusters(ids, self.exact, left, right, self.similarity[kept], threshold)


def near_clusters(
    texts: Sequence[str], *, threshold: float = CLUSTER_THRESHOLD, n: int = N, progress: Progress | None = None
) -> Clusters:
    """Cluster texts.

    Args:
        texts: Any strings.
        threshold: Least Jaccard similarity of two texts' sets of n-grams that joins them, above 0 to 1.
        n: Length of an n-gram, characters.
        progress: Called with the bands done and the bands in all.

    Raises:
        ConfigError: If the threshold or n is not allowed.
        MissingExtra: If rensa is not installed.
    """
    checked(threshold, n)
    keys = duplicate_keys(texts)
    first: dict[str, int] = {}
    exact = np.fromiter((first.setdefault(key, at) for at, key in enumerate(keys)), dtype=np.int64, count=len(keys))
    places = np.fromiter(first.values(), dtype=np.int64, count=len(first))
    cut = banding(threshold)
    distinct = list(first)
    left, right, similarity = near_pairs(
        sketched(distinct, n, cut), lambda at: [distinct[i] for i in at.tolist()], threshold, n, progress
    )
    left, right = places[left], places[right]
    return Clusters(joined(len(keys), left, right)[exact], exact, left, right, similarity, threshold)


def near_pairs(
    sketches: Sketches, take: Take, threshold: float, n: int, progress: Progress | None = None
) -> tuple[I64, I64, NDArray[np.float32]]:
    """Pairs of distinct keys at least as similar as the threshold: positions and true Jaccard.

    In a bucket of up to `CROWD` keys all pairs are thought of. In a larger one each key meets the bucket's first and
    its next two in the order of the other bands, where those that agree on more are neighbours; then, once for all
    bands, those of its family with which it shares a rare gram (`buckets.kindred`). So the work grows with the number
    of texts however many share a form. A pair that meets nowhere is joined only through others.

    Args:
        sketches: What `grams.sketched` gives for the keys.
        take: Gives the keys at some positions; called with millions of pairs' at a time.
        threshold: Least similarity.
        n: Length of an n-gram.
        progress: Called with the bands done and the bands in all.
    """
    found = np.empty(0, dtype=np.uint64)

    def think_of(pairs: Iterable[Pairs]) -> None:
        nonlocal found
        each = [found]
        for left, right in pairs:
            likely = sketches.promising(left, right, threshold) & (left != right)
            low, high = np.minimum(left, right)[likely], np.maximum(left, right)[likely]
            each.append((low << 32 | high).astype(np.uint64))
        found = np.sort(np.concatenate(each))
        found = found[starts(found)]

    bands = sketches.cut.bands
    family = np.arange(len(sketches.table), dtype=np.int64)
    for band in range(bands):
        order, bucket, head, inside = _bucketed(sketches, band)
        crowded = np.zeros(len(order), dtype=np.bool_)
        crowded[inside] = True
        think_of(met(order, bucket, crowded))
        think_of([(head, order[inside])])
        family = joined(len(family), family[head], family[order[inside]])[family]
        if progress is not None:
            progress(band + 1, bands)
    crowd = np.flatnonzero((np.bincount(family, minlength=1) > CROWD)[family])
    crowd = crowd[np.argsort(family[crowd], kind="stable")]
    think_of(kindred(take, crowd, family[crowd], n))
    portions = [found[start : start + _AT_ONCE] for start in range(0, max(1, len(found)), _AT_ONCE)]
    near = [_compared(part, take, threshold, n) for part in portions]
    left, right = (np.concatenate([part[end] for part in near]) for end in (0, 1))
    return left, right, np.concatenate([part[2] for part in near])


def _compared(pairs: U64, take: Take, threshold: float, n: int) -> tuple[I64, I64, NDArray[np.float32]]:
    """The near ones of some pairs, the smaller position in the high 32 bits."""
    left, right = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    places, at = np.unique(np.concatenate([left, right]), return_inverse=True)
    similarity = similarities(take(places), at[: len(left)], at[len(left) :], n)
    near = similarity >= threshold - _ROUNDING
    return left[near], right[near], similarity[near]


def joined(count: int, left: I64, right: I64) -> I64:
    """Connected components: of each of `count` things the smallest in its component, int64 (count,).

    Each round hands every thing the smallest name among its neighbours and follows names to their own names; the number
    of rounds grows with the logarithm of a chain's length.
    """
    name = np.arange(count, dtype=np.int64)
    while len(left):
        low = np.minimum(name[left], name[right])
        before = name.copy()
        np.minimum.at(name, name[left], low)
        np.minimum.at(name, name[right], low)
        while not np.array_equal(shorter := name[name], name):
            name = shorter
        if np.array_equal(before, name):
            break
    return name


def checked(threshold: float, n: int) -> None:
    """Refuse a threshold or an n that means nothing.

    Raises:
        ConfigError: If the threshold is not above 0 to 1, or n is not from 1 to 16.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold {threshold:g}: allowed is a similarity above 0, at most 1, as in 0.7")
    if not 1 <= n <= 16:
        raise ConfigError(f"n {n}: allowed are n-grams of 1 to 16 characters")


def _bucketed(sketches: Sketches, band: int) -> tuple[I64, I64, I64, I64]:
    """Positions that share a band's number, in a row, and the bucket of each.

    Those of a bucket over `CROWD` are in the order of the other bands. Beside: the first of the bucket of each of
    these, and where they stand in the row.
    """
    places = np.arange(len(sketches.table), dtype=np.uint64)
    packed = np.sort(sketches.band(band).astype(np.uint64) << np.uint64(32) | places)
    number = packed >> np.uint64(32)
    same = number[1:] == number[:-1]
    shared = np.zeros(len(packed), dtype=np.bool_)
    shared[1:] |= same
    shared[:-1] |= same
    order, number = (packed[shared] & np.uint64(0xFFFFFFFF)).astype(np.int64), number[shared]
    fresh = starts(number)
    bucket = np.cumsum(fresh) - 1
    inside = np.flatnonzero(np.bincount(bucket, minlength=1)[bucket] > CROWD)
    others = [sketches.band(band + step)[order[inside]] for step in (3, 2, 1)]
    order[inside] = order[inside[np.lexsort([*others, bucket[inside]])]]
    return order, bucket, order[np.flatnonzero(fresh)[bucket[inside]]], inside
