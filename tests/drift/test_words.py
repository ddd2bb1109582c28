"""Log-odds with a Dirichlet prior, against the formula worked in plain Python and against what it must do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from finsa_moe.drift.words import PRIOR, log_odds, prior_of, strongest, word_counts, z_scores


def test_the_formula_word_by_word() -> None:
    old, new = [30.0, 5.0, 65.0], [10.0, 40.0, 150.0]
    before, now = np.array(old), np.array(new)
    prior = prior_of(before, now)
    assert prior.sum() == pytest.approx(PRIOR)
    ratios = log_odds(before, now, 100.0, 200.0, prior)
    z = z_scores(before, now, ratios, prior)
    for at in range(3):
        a = PRIOR * (old[at] + new[at]) / 300
        there = (old[at] + a) / (100 + PRIOR - old[at] - a)
        here = (new[at] + a) / (200 + PRIOR - new[at] - a)
        delta = math.log(here) - math.log(there)
        assert ratios[at] == pytest.approx(delta)
        assert z[at] == pytest.approx(delta / math.sqrt(1 / (old[at] + a) + 1 / (new[at] + a)))
    assert ratios[0] < 0 < ratios[1]


def test_many_bodies_at_once() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.integers(0, 50, (4, 6)).astype(float), rng.integers(0, 50, (4, 6)).astype(float)
    prior = prior_of(old[0], new[0])
    together = log_odds(old, new, old.sum(axis=1, keepdims=True), new.sum(axis=1, keepdims=True), prior)
    for at in range(4):
        np.testing.assert_allclose(together[at], log_odds(old[at], new[at], old[at].sum(), new[at].sum(), prior))


def test_the_same_use_is_no_shift_whatever_the_sizes() -> None:
    old = np.array([10.0, 20.0, 70.0])
    ratios = log_odds(old, 7 * old, 100.0, 700.0, prior_of(old, 7 * old))
    np.testing.assert_allclose(ratios, 0, atol=1e-12)


def test_only_what_chance_seldom_reaches_is_strong() -> None:
    z = np.array([5.0, -6.0, 2.5, -2.5, 4.6])
    assert strongest(z, 10, tests=10_000).tolist() == [0, 4, 1]  # 4.56 is the least of ten thousand
    assert strongest(z, 1, tests=10_000).tolist() == [0, 1]
    assert strongest(z, 10, tests=1).tolist() == [0, 4, 2, 1, 3]
    assert strongest(z, 0, tests=1).tolist() == []


def test_words_of_a_text() -> None:
    pytest.importorskip("rjieba")
    assert word_counts("主力砸盘,主力又砸盘!涨3.5% ok OK 的") == {"主力": 2, "砸盘": 2, "ok": 2}
