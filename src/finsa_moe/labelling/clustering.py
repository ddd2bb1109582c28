"""Weighted k-means on unit vectors: groups of alike texts, drawn towards those that weigh most.

Vectors and weights in, a cluster for each vector and its distance to the centre out. It knows nothing of texts.
scikit-learn has k-means as well, but answering texts shall not need its 160 MB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]
ROUNDS = 20
_AT_ONCE = 1 << 24  # distances in memory together


def unit(vectors: Reals) -> Reals:
    """Vectors made of length 1, (n, d); one of no length stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Reals = (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return found


def weighted_kmeans(
    vectors: Reals, weights: NDArray[np.float64], k: int, seed: int, rounds: int = ROUNDS
) -> tuple[NDArray[np.int64], Reals]:
    """Lloyd's algorithm from a greedy k-means++ start (Arthur and Vassilvitskii 2007), vectors counted by weight.

    Args:
        vectors: (n, d).
        weights: (n,), at least 0, not all 0.
        k: Clusters, at most n; fewer come out where vectors coincide.
        seed: Random seed for where the clusters start.
        rounds: Most rounds.

    Returns:
        The cluster of each vector, (n,) in 0 … k - 1, and its squared distance to that cluster's mean, (n,).
    """
    centres = vectors[_spread(vectors, weights, k, np.random.default_rng(seed))]
    labels, distances = _nearest(vectors, centres)
    for _ in range(rounds):
        centres = _means(vectors, weights, labels, centres)
        before = labels
        labels, distances = _nearest(vectors, centres)
        if np.array_equal(labels, before):
            break
    return labels, distances


def _spread(vectors: Reals, weights: NDArray[np.float64], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """As many as k starting points, each the best of a few drawn by weight and distance from those before."""
    chosen = [int(rng.choice(len(vectors), p=weights / weights.sum()))]
    nearest = _to(vectors, vectors[chosen])[0]
    trials = 2 + int(np.log(k))
    while len(chosen) < k:
        chance = nearest * weights
        total = chance.sum()
        if total <= 0:  # every vector of any weight is one already
            break
        drawn = rng.choice(len(vectors), size=trials, p=chance / total)
        distances = np.minimum(nearest, _to(vectors, vectors[drawn]))
        best = int((distances @ weights).argmin())
        chosen.append(int(drawn[best]))
        nearest = distances[best]
        nearest[chosen[-1]] = 0.0
    return np.array(chosen, dtype=np.int64)


def _to(vectors: Reals, points: Reals) -> NDArray[np.float64]:
    """Squared distances of all vectors to some points, (points, vectors)."""
    squares = np.square(vectors).sum(axis=1, dtype=np.float64)
    products = (points @ vectors.T).astype(np.float64)
    found: NDArray[np.float64] = squares + np.square(points).sum(axis=1, dtype=np.float64)[:, None] - 2 * products
    return np.maximum(found, 0.0)


def _nearest(vectors: Reals, centres: Reals) -> tuple[NDArray[np.int64], Reals]:
    labels = np.empty(len(vectors), dtype=np.int64)
    distances = np.empty(len(vectors), dtype=np.float32)
    norms = np.square(centres).sum(axis=1)
    step = max(1, _AT_ONCE // len(centres))
    for start in range(0, len(vectors), step):
        part = vectors[start : start + step]
        squared = norms - 2 * part @ centres.T
        labels[start : start + step] = squared.argmin(axis=1)
        distances[start : start + step] = squared.min(axis=1) + np.square(part).sum(axis=1)
    return labels, np.maximum(distances, 0)


def _means(vectors: Reals, weights: NDArray[np.float64], labels: NDArray[np.int64], centres: Reals) -> Reals:
    """The weighted mean of each cluster; one that has lost all weight stays where it was."""
    order = np.argsort(labels, kind="stable")
    found, starts = np.unique(labels[order], return_index=True)
    sums = np.add.reduceat((vectors * weights[:, None])[order], starts, axis=0)
    totals = np.add.reduceat(weights[order], starts)
    moved = centres.copy()
    kept = totals > 0
    moved[found[kept]] = (sums[kept] / totals[kept, None]).astype(np.float32)
    return moved
