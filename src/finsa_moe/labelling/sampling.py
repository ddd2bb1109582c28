"""Which texts teach most when labelled: uncertain ones, of a new kind, no two alike.

Numbers about texts go in (probabilities, novelty, vectors, clusters of near texts), positions come out, the best first,
each with what spoke for it. It knows neither files nor models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finsa_moe.errors import ConfigError
from finsa_moe.labelling.clustering import unit, weighted_kmeans

BREADTH = 10
"""Texts that stand for choice, for each one chosen (measured: EXPERIMENTS.md)."""
_LEAST = 1e-3  # worth of a text that the model is sure of: it can still be chosen where nothing else is left


@dataclass(frozen=True)
class Chosen:
    """One text chosen.

    Attributes:
        at: Its position.
        worth: Uncertainty times novelty, in [0, 1].
        alike: Texts that stood for choice and that it stands for, itself among them.
    """

    at: int
    worth: float
    alike: int


def uncertainty(probs: NDArray[np.floating]) -> NDArray[np.float64]:
    """Entropy as a share of the most there can be, (n,) in [0, 1].

    Args:
        probs: Class probabilities, (n, classes).
    """
    shares = np.asarray(probs, dtype=np.float64)
    entropy: NDArray[np.float64] = -(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=1)
    found: NDArray[np.float64] = np.clip(entropy / np.log(shares.shape[1]), 0.0, 1.0)
    return found


def worth(probs: NDArray[np.floating], novelty: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
    """Uncertainty times a factor that grows with novelty, from a half (known through and through) to 1; (n,).

    Args:
        probs: Class probabilities, (n, classes).
        novelty: How unlike every known text each is, (n,) in [0, 1]; None where a model cannot say.
    """
    unsure = uncertainty(probs)
    if novelty is None:
        return unsure
    found: NDArray[np.float64] = unsure * (1.0 + np.asarray(novelty, dtype=np.float64)) / 2
    return found


def standing(
    worths: NDArray[np.floating], n: int, *, breadth: float = BREADTH, clusters: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Positions that stand for choice: the `breadth` · n worthiest, one of each cluster, the worthiest first.

    Args:
        worths: (texts,).
        n: How many will be chosen of them.
        breadth: At least 1; more of it chooses more by kind and less by worth.
        clusters: A number for each text, equal for near texts; None where no two are near.

    Raises:
        ConfigError: If n or breadth is under 1.
    """
    if n < 1 or not breadth >= 1:
        raise ConfigError(f"--n {n}, --breadth {breadth:g}: both must be 1 or more")
    order = np.argsort(-np.asarray(worths), kind="stable")
    if clusters is not None:
        order = order[np.sort(np.unique(clusters[order], return_index=True)[1])]
    return order[: int(min(len(order), max(n, breadth * n)))]


def choose(worths: NDArray[np.floating], vectors: NDArray[np.float32], n: int, *, seed: int = 13) -> list[Chosen]:
    """Of the texts that stand for choice, n that differ: from each of n weighted clusters the one nearest its middle.

    Clusters are drawn towards texts of high worth (Zhdanov 2019, "Diverse mini-batch active learning"); the middle of
    one stands for many, where its worthiest would often be an outlier.

    Args:
        worths: (m,), as `worth` gives them.
        vectors: (m, d), alike for texts that are.
        n: How many; all of them when there are no more.
        seed: Of the clusters' start.

    Returns:
        At most n, the worthiest first.
    """
    weights = np.maximum(np.asarray(worths, dtype=np.float64), _LEAST)
    n = min(n, len(weights))
    if n == 0:
        return []
    labels, distances = weighted_kmeans(unit(np.asarray(vectors, dtype=np.float32)), weights, n, seed)
    order = np.lexsort((-weights, distances, labels))
    kinds, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    found = [Chosen(int(order[at]), float(worths[order[at]]), int(size)) for at, size in zip(first, sizes, strict=True)]
    if len(kinds) < n:  # vectors that coincide make fewer clusters: the worthiest that are left fill up
        taken = {one.at for one in found}
        rest = [at for at in np.argsort(-weights, kind="stable").tolist() if at not in taken]
        found += [Chosen(at, float(worths[at]), 1) for at in rest[: n - len(found)]]
    return sorted(found, key=lambda one: (-one.worth, one.at))


def shares(sizes: Sequence[int], n: int) -> list[int]:
    """Deal n to groups of some sizes, as evenly as the sizes allow; those met first get what does not divide."""
    dealt = [0] * len(sizes)
    left = min(n, sum(sizes))
    while left:
        open_groups = [at for at, size in enumerate(sizes) if dealt[at] < size]
        portion = max(1, left // len(open_groups))
        for at in open_groups:
            more = min(portion, sizes[at] - dealt[at], left)
            dealt[at] += more
            left -= more
    return dealt
