from __future__ import annotations

from itertools import permutations, product
from math import factorial

import numpy as np
import pytest

from finsa_moe.errors import ConfigError
from finsa_moe.explain.game import HIDDEN, Game
from finsa_moe.explain.shapley import EXACT, LEAST, SAMPLED, TREE, check_budget, method, neighbours, note, values
from finsa_moe.explain.words import Word

pytest.importorskip("shap", reason="the extra explain is not installed")


def letters(text: str) -> list[Word]:
    return [Word(at, at + 1, at, letter) for at, letter in enumerate(text)]


class Made(Game):
    """A game whose worth is a table or a function of the coalition, without a model."""

    def __init__(self, size: int, worth: object) -> None:
        text = "".join(chr(0x4E00 + at) for at in range(size))
        super().__init__(text, letters(text))
        self.ask = lambda texts: np.array([worth(tuple(c in t for c in text)) for t in texts])  # type: ignore[operator]


def random_game(size: int, seed: int = 0) -> tuple[Made, dict[tuple[bool, ...], np.ndarray]]:
    numbers = np.random.default_rng(seed)
    worth = {coalition: numbers.normal(size=3) for coalition in product((False, True), repeat=size)}
    return Made(size, worth.__getitem__), worth


def by_enumeration(size: int, worth: dict[tuple[bool, ...], np.ndarray]) -> np.ndarray:
    """Shapley's definition: the mean over all orders of what a player adds to those before it."""
    total = np.zeros((size, 3))
    for order in permutations(range(size)):
        present = [False] * size
        for player in order:
            before = worth[tuple(present)]
            present[player] = True
            total[player] += worth[tuple(present)] - before
    return total / factorial(size)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_exact_values_are_shapleys(size: int) -> None:
    game, worth = random_game(size)
    np.testing.assert_allclose(values(game, 2000, 13), by_enumeration(size, worth), atol=1e-12)
    assert game.asked == 2**size


def test_sampled_values_come_near_and_add_up() -> None:
    game, worth = random_game(6, seed=3)
    truth = by_enumeration(6, worth)
    coarse = values(Made(6, worth.__getitem__), 13, 13)  # one order, there and back
    fine = values(Made(6, worth.__getitem__), 63, 13)
    assert np.abs(fine - truth).mean() < np.abs(coarse - truth).mean()
    led = worth[(True,) * 6] - worth[(False,) * 6]
    for found in (coarse, fine):
        np.testing.assert_allclose(found.sum(axis=0), led, atol=1e-12)
    assert game.asked == 0


@pytest.mark.parametrize(
    ("size", "budget", "way"), [(8, 2000, EXACT), (40, 200, SAMPLED), (150, 100, TREE), (600, 700, TREE)]
)
def test_every_way_finds_what_words_add_by_themselves(size: int, budget: int, way: str) -> None:
    """In an additive game each value is the word's own part, sampled or not; the tree finds it as deep as it gets."""
    parts = np.random.default_rng(1).normal(size=(size, 3))
    game = Made(size, lambda shown: np.asarray(shown, dtype=float) @ parts)
    assert method(size, budget) == way
    note(game, budget, 5)
    found = values(game, budget, 5)
    np.testing.assert_allclose(found.sum(axis=0), parts.sum(axis=0), atol=1e-9)
    assert game.asked <= budget
    if way != TREE:
        np.testing.assert_allclose(found, parts, atol=1e-9)


def test_the_tree_reaches_single_words_within_twice_their_number() -> None:
    parts = np.zeros((100, 3))
    parts[37] = (1.0, -1.0, 0.0)
    found = values(Made(100, lambda shown: np.asarray(shown, dtype=float) @ parts), 199, 5)
    np.testing.assert_allclose(found, parts, atol=1e-12)


@pytest.mark.parametrize("budget", [2000, 13, 30])
def test_what_is_noted_is_all_that_is_needed(budget: int) -> None:
    """The stream is asked once: after it, neither the exact nor the sampled way finds anything unknown."""
    game, worth = random_game(6)
    asked, game.ask = game.ask, None
    note(game, budget, 13)
    assert asked is not None
    game.told(asked(game.wanted))
    known = game.asked
    found = values(game, budget, 13)
    assert game.asked == known <= max(budget, 2)
    game.ask = asked
    np.testing.assert_array_equal(values(game, budget, 13), found)
    assert game.asked == known
    assert worth


def test_the_seed_decides_and_the_callers_generator_is_left_alone() -> None:
    np.random.seed(77)
    expected = np.random.random(3)
    np.random.seed(77)
    one, two, other = (values(random_game(6)[0], 26, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(np.random.random(3), expected)
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 33])
def test_the_tree_joins_neighbours(size: int) -> None:
    tree = neighbours(size)
    assert tree.shape == (size - 1, 4)
    members = {at: [at] for at in range(size)}
    for at, (left, right, _, count) in enumerate(tree):
        joined = members.pop(int(left)) + members.pop(int(right))
        assert joined == list(range(joined[0], joined[0] + int(count)))
        members[size + at] = joined
    assert sorted(next(iter(members.values()))) == list(range(size))


def test_a_budget_has_a_floor() -> None:
    check_budget(LEAST)
    with pytest.raises(ConfigError, match="evaluations is 9; it must be 10 or more"):
        check_budget(9)


def test_a_run_of_hidden_words_is_one_mark() -> None:
    game = Game(
        "涨 跌,停板", [Word(0, 2, 0, "涨"), Word(2, 4, 2, "跌"), Word(4, 5, 4, "停", read=False), Word(5, 6, 5, "板")]
    )
    assert game.size == 3
    texts = [game.masked(np.array(mask)) for mask in product((False, True), repeat=3)]
    assert texts == [HIDDEN, "…板", "…跌,…", "…跌,…板", "涨 …", "涨 …板", "涨 跌,…", "涨 跌,停板"]
