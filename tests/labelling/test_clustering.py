"""k-means against scikit-learn's and against worked cases."""

from __future__ import annotations

import numpy as np
import pytest

from finsa_moe.labelling.clustering import unit, weighted_kmeans


def groups(seed: int = 5, spread: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Four well-parted groups of 30 vectors in 6 dimensions, and which group each is of."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(4), 30)
    return (np.eye(6)[of] + rng.normal(0, spread, (120, 6))).astype(np.float32), of


def same_partition(left: np.ndarray, right: np.ndarray) -> bool:
    return (
        len(set(zip(left.tolist(), right.tolist(), strict=True))) == len(set(left.tolist())) == len(set(right.tolist()))
    )


def test_it_finds_groups_that_are_there() -> None:
    vectors, of = groups()
    labels, distances = weighted_kmeans(vectors, np.ones(120), 4, seed=1)
    assert same_partition(labels, of)
    middle = np.array([vectors[labels == label].mean(axis=0) for label in labels])
    np.testing.assert_allclose(distances, np.square(vectors - middle).sum(axis=1), atol=1e-5)


def test_it_is_as_tight_as_scikit_learns() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(400, 8)).astype(np.float32)
    weights = rng.random(400)
    theirs = cluster.KMeans(10, n_init=10, random_state=0).fit(vectors, sample_weight=weights).inertia_
    ours = []
    for seed in range(10):
        _, distances = weighted_kmeans(vectors, weights, 10, seed=seed, rounds=100)
        ours.append(float(distances @ weights))
    assert min(ours) == pytest.approx(theirs, rel=0.02)


def test_weight_draws_the_middle() -> None:
    vectors = np.array([[0.0], [1.0]], dtype=np.float32)
    _, distances = weighted_kmeans(vectors, np.array([3.0, 1.0]), 1, seed=0)
    np.testing.assert_allclose(distances, [0.0625, 0.5625])  # the middle lies at 0.25


def test_vectors_that_coincide_make_fewer_clusters() -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float32), 5, axis=0)
    labels, distances = weighted_kmeans(vectors, np.ones(10), 4, seed=0)
    assert len(set(labels.tolist())) == 2
    assert not distances.any()


def test_unit_vectors() -> None:
    found = unit(np.array([[3.0, 0.0], [-1.0, 0.0], [3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(found, [[1, 0], [-1, 0], [0.6, 0.8], [0, 0]], atol=1e-7)
