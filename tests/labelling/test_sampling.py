"""Choosing: uncertain, novel, no two alike; against numbers worked by hand and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsa_moe.errors import ConfigError
from finsa_moe.labelling.sampling import choose, shares, standing, uncertainty, worth


def test_uncertainty_is_entropy_over_the_most_there_is() -> None:
    stats = pytest.importorskip("scipy.stats")
    probs = np.random.default_rng(1).dirichlet(np.ones(3), size=50)
    np.testing.assert_allclose(uncertainty(probs), stats.entropy(probs, axis=1) / math.log(3))
    np.testing.assert_allclose(uncertainty(np.array([[1, 0, 0], [1 / 3] * 3])), [0, 1], atol=1e-9)


def test_worth_is_the_geometric_mean_of_doubt_and_novelty() -> None:
    probs = np.array([[0.5, 0.5, 0.0]] * 3)
    unsure = math.log(2) / math.log(3)
    np.testing.assert_allclose(worth(probs, np.array([0.0, 0.5, 1.0])), np.sqrt([unsure / 2, unsure * 0.75, unsure]))
    np.testing.assert_allclose(worth(probs), [math.sqrt(unsure)] * 3)


def test_standing_is_a_draw_by_worth_without_replacement() -> None:
    """How often each of three texts is drawn first, and second, against the chances worked by hand."""
    worths = np.array([0.6, 0.3, 0.1])
    drawn = np.array([standing(worths, 1, breadth=2, seed=seed) for seed in range(4000)])
    first = np.bincount(drawn[:, 0], minlength=3) / 4000
    np.testing.assert_allclose(first, worths, atol=0.03)
    second = [0.3 * 0.6 / 0.7 + 0.1 * 0.6 / 0.9, 0.6 * 0.3 / 0.4 + 0.1 * 0.3 / 0.9, 0.6 * 0.1 / 0.4 + 0.3 * 0.1 / 0.7]
    np.testing.assert_allclose(np.bincount(drawn[:, 1], minlength=3) / 4000, second, atol=0.03)


def test_standing_takes_one_of_each_cluster() -> None:
    clusters = np.array([0, 1, 1, 3, 3, 5])
    for seed in range(20):
        found = standing(np.ones(6), 2, breadth=9, clusters=clusters, seed=seed)
        assert sorted(clusters[found].tolist()) == [0, 1, 3, 5]
        assert len(standing(np.ones(6), 2, breadth=1.5, clusters=clusters, seed=seed)) == 3
    assert sorted(standing(np.ones(6), 9, breadth=math.inf).tolist()) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("n", "breadth"), [(0, 10), (3, 0.5), (3, math.nan)])
def test_settings_that_mean_nothing(n: int, breadth: float) -> None:
    with pytest.raises(ConfigError, match="must be 1 or more"):
        standing(np.ones(4), n, breadth=breadth)


def test_one_of_each_kind_is_chosen_and_the_middle_stands_for_it() -> None:
    """Three kinds of 20, 10 and 5 texts: one of each, never an outlier, and it says how many its group has."""
    rng = np.random.default_rng(2)
    kind = np.repeat([0, 1, 2], [20, 10, 5])
    vectors = (np.eye(4)[kind] * 3 + rng.normal(0, 0.1, (35, 4))).astype(np.float32)
    vectors[3] = [6.0, 2.0, 2.0, 2.0]  # of the first kind, far out
    worths = np.full(35, 0.5)
    worths[3] = 0.6
    chosen = choose(worths, vectors, 3, seed=4)
    assert sorted(kind[one.at] for one in chosen) == [0, 1, 2]
    assert 3 not in [one.at for one in chosen]
    assert {int(kind[one.at]): one.group for one in chosen} == {0: 20, 1: 10, 2: 5}


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 5))
def test_as_many_as_asked_each_once_and_the_worthiest_first(texts: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 3, (texts, 2)).astype(np.float32)  # many coincide
    worths = rng.random(texts)
    chosen = choose(worths, vectors, n, seed=seed)
    assert len(chosen) == len({one.at for one in chosen}) == min(n, texts)
    assert [one.worth for one in chosen] == sorted((one.worth for one in chosen), reverse=True)
    assert all(one.worth == worths[one.at] for one in chosen)
    assert chosen == choose(worths, vectors, n, seed=seed)


def test_unworthy_texts_are_left_when_others_are_there() -> None:
    """Of two kinds a weightless one draws no cluster to itself."""
    vectors = np.concatenate([np.eye(3)[[0] * 30], np.eye(3)[[1, 2] * 10]]).astype(np.float32)
    worths = np.concatenate([np.zeros(30), np.ones(20)])
    assert all(one.at >= 30 for one in choose(worths, vectors, 2, seed=0))


def test_rare_kinds_get_their_share() -> None:
    rng = np.random.default_rng(1)
    kinds = np.repeat([0, 1, 2], [80, 17, 3])
    chosen = choose(rng.random(100), rng.normal(size=(100, 5)).astype(np.float32), 15, kinds=kinds)
    assert np.bincount(kinds[[one.at for one in chosen]]).tolist() == [6, 6, 3]
    assert len({one.at for one in chosen}) == 15


def test_nothing_to_choose_from() -> None:
    assert choose(np.zeros(0), np.zeros((0, 4), dtype=np.float32), 3) == []


@pytest.mark.parametrize(
    ("sizes", "n", "dealt"),
    [([10, 10], 6, [3, 3]), ([2, 10], 8, [2, 6]), ([5, 5, 5], 7, [3, 2, 2]), ([1, 1], 9, [1, 1]), ([], 3, [])],
)
def test_shares_are_even_as_far_as_they_go(sizes: list[int], n: int, dealt: list[int]) -> None:
    assert shares(sizes, n) == dealt
