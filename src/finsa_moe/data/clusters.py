"""Which texts of a set are the same or nearly so: clusters joined by pairs of a true Jaccard similarity.

Texts go in, a cluster for each comes out, with the pairs that join them. Equal texts (`text.duplicate_key`) meet first;
of the others MinHash proposes pairs and the true similarity of their character n-grams decides. It knows neither files
nor labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.grams import banding, bands, similarities
from finsa_moe.data.hashing import U64
from finsa_moe.data.keys import duplicate_keys
from finsa_moe.errors import ConfigError

N, THRESHOLD = 4, 0.7
_ROUNDING = 1e-6  # of float32
I64 = NDArray[np.int64]
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
    texts: Sequence[str], *, threshold: float = THRESHOLD, n: int = N, progress: Progress | None = None
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
        bands(distinct, n, cut), lambda at: [distinct[i] for i in at.tolist()], threshold, n, progress
    )
    left, right = places[left], places[right]
    return Clusters(joined(len(keys), left, right)[exact], exact, left, right, similarity, threshold)


def near_pairs(
    signed: U64, take: Take, threshold: float, n: int, progress: Progress | None = None
) -> tuple[I64, I64, NDArray[np.float32]]:
    """Pairs of distinct keys at least as similar as the threshold: positions and true Jaccard.

    In a bucket of a band each key is compared with the bucket's first and with its neighbour, so that the work grows
    with the number of texts however many share a form; a pair compared in no band is joined only through others.

    Args:
        signed: What `grams.bands` gives for the keys.
        take: Gives the keys at ascending positions; called once, with those that a pair is made of.
        threshold: Least similarity.
        n: Length of an n-gram.
        progress: Called with the bands done and the bands in all.
    """
    found = np.empty(0, dtype=np.uint64)
    for band in range(signed.shape[1]):
        found = np.union1d(found, _proposed(signed[:, band]))
        if progress is not None:
            progress(band + 1, signed.shape[1])
    left, right = (found >> np.uint64(32)).astype(np.int64), (found & np.uint64(0xFFFFFFFF)).astype(np.int64)
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


def _proposed(band: U64) -> U64:
    """Pairs of positions in one bucket, each with the first and with the next; the smaller in the high 32 bits."""
    order = np.argsort(band, kind="stable").astype(np.uint64)
    sorted_ = band[order]
    same = np.concatenate([[False], sorted_[1:] == sorted_[:-1]])
    heads = np.maximum.accumulate(np.where(same, 0, np.arange(len(band))))
    inside = np.flatnonzero(same)
    with_first = (order[heads[inside]] << np.uint64(32)) | order[inside]
    with_next = (order[inside - 1] << np.uint64(32)) | order[inside]
    return np.unique(np.concatenate([with_first, with_next]))
