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

BREADTH = 50
"""Texts that stand for choice, for each one chosen."""
_LEAST = 1e-3  # worth of a text that the model is sure of: it can still be chosen where nothing else is left


@dataclass(frozen=True)
class Chosen:
    """One text chosen.

    Attributes:
        at: Its position.
        worth: See `worth`, in [0, 1].
        group: How many of the texts that stood for choice are of its cluster, itself among them.
    """

    at: int
    worth: float
    group: int


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
    """Geometric mean of uncertainty and a factor that grows with novelty, from a half (a known text) to 1; (n,).

    Not the plain product: sharper weights cost labels in every file we tried (EXPERIMENTS.md).

    Args:
        probs: Class probabilities, (n, classes).
        novelty: How unlike every known text each is, (n,) in [0, 1]; None where a model cannot say.
    """
    factor = 1.0 if novelty is None else (1.0 + np.asarray(novelty, dtype=np.float64)) / 2
    found: NDArray[np.float64] = np.sqrt(uncertainty(probs) * factor)
    return found


def gumbel(n: int, seed: int) -> NDArray[np.float64]:
    """Gumbel noise for n texts."""
    found: NDArray[np.float64] = np.random.default_rng(seed).gumbel(size=n)
    return found


def standing(
    worths: NDArray[np.floating],
    n: int,
    *,
    breadth: float = BREADTH,
    clusters: NDArray[np.int64] | None = None,
    seed: int = 13,
    noise: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Positions of the candidates: `breadth` · n drawn with a chance that grows with worth, one of each cluster.

    Drawn, not the worthiest of all: those are alike in what makes them hard, and often nobody could tell their class.

    Args:
        worths: (texts,).
        n: How many will be chosen of them.
        breadth: Candidates for each text to be chosen, at least 1; infinite makes every text a candidate.
        clusters: A number for each text, equal for near texts; None where no two are near.
        seed: Random seed for the draw.
        noise: What was drawn for each text before, as `gumbel` gives it, so that a draw of a draw is one of the whole;
            None draws it by the seed.

    Raises:
        ConfigError: If n or breadth is under 1.
    """
    if n < 1 or not breadth >= 1:
        raise ConfigError(f"--n {n}, --breadth {breadth:g}: both must be 1 or more")
    # the largest of log weight plus Gumbel noise are a weighted draw without replacement
    noise = gumbel(len(worths), seed) if noise is None else noise
    order = np.argsort(-(np.log(np.maximum(worths, _LEAST)) + noise), kind="stable")
    if clusters is not None:
        order = order[np.sort(np.unique(clusters[order], return_index=True)[1])]
    return order[: int(min(len(order), max(n, breadth * n)))]


def choose(
    worths: NDArray[np.floating],
    vectors: NDArray[np.float32],
    n: int,
    *,
    kinds: NDArray[np.int64] | None = None,
    seed: int = 13,
) -> list[Chosen]:
    """Choose n texts that differ from the candidates, as many of each kind as there are.

    The texts of a kind are parted into as many clusters as are to be chosen of it, drawn towards texts of high worth
    (Zhdanov 2019, "Diverse mini-batch active learning"), and the text nearest the middle of each is chosen: the middle
    stands for many, where the worthiest would often be an outlier. With the model's guess as the kind, rare classes are
    not drowned, which saved more labels than doubt did (EXPERIMENTS.md).

    Args:
        worths: (m,), as `worth` gives them.
        vectors: (m, d), alike for texts that are.
        n: How many; all of them when there are no more.
        kinds: A number for each text, such as its guessed class; None where all are of one kind.
        seed: Random seed for where the clusters start.

    Returns:
        At most n, the worthiest first.
    """
    kinds = np.zeros(len(worths), dtype=np.int64) if kinds is None else kinds
    parts = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    found: list[Chosen] = []
    for part, count in zip(parts, shares([len(part) for part in parts], n), strict=True):
        if count:
            found += _of_kind(np.asarray(worths, dtype=np.float64), vectors, part, count, seed)
    return sorted(found, key=lambda one: (-one.worth, one.at))


def _of_kind(
    worths: NDArray[np.float64], vectors: NDArray[np.float32], part: NDArray[np.int64], n: int, seed: int
) -> list[Chosen]:
    """The middles of n clusters of the texts at some positions, n being at most their number."""
    weights = np.maximum(worths[part], _LEAST)
    labels, distances = weighted_kmeans(unit(vectors[part]), weights, n, seed)
    order = np.lexsort((-weights, distances, labels))
    first, sizes = np.unique(labels[order], return_index=True, return_counts=True)[1:]
    middles = part[order[first]]
    found = [Chosen(int(at), float(worths[at]), int(size)) for at, size in zip(middles, sizes, strict=True)]
    if len(found) < n:  # vectors that coincide make fewer clusters: the worthiest that are left fill up
        rest = np.setdiff1d(part, middles)
        rest = rest[np.argsort(-worths[rest], kind="stable")][: n - len(found)]
        found += [Chosen(int(at), float(worths[at]), 1) for at in rest]
    return found


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
