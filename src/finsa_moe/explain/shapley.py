"""Shapley values of a game by the shap library, by the way that the budget allows.

All coalitions where the budget reaches, so that the values are exact; else sampled orders, forwards and backwards;
else, for texts with more words than that, Owen values down a tree of neighbouring words. It knows games, no texts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from finsa_moe.errors import ConfigError, require
from finsa_moe.explain.game import CLASSES, Game, Masks, Reals

EXACT, SAMPLED, TREE = "exact", "permutation", "partition"
LEAST = 10
"""Fewest evaluations of a text that can say anything."""
_DRAWING = threading.Lock()
_ROUND = 64  # coalitions that a tree is asked for at once: more is faster, fewer go deeper where it matters


def check_budget(evaluations: int) -> None:
    """Refuse a budget that cannot say anything.

    Raises:
        ConfigError: If it is under `LEAST`.
    """
    if evaluations < LEAST:
        raise ConfigError(f"evaluations is {evaluations}; it must be {LEAST} or more (2000 is the default)")


def method(players: int, evaluations: int) -> str:
    """The way to the values that a budget allows: ``exact``, ``permutation`` or ``partition``."""
    if players < 31 and 2**players <= evaluations:
        return EXACT
    return SAMPLED if 2 * players + 1 <= evaluations else TREE


def note(game: Game, evaluations: int, seed: int) -> None:
    """Have the game note the coalitions that `values` will need, as far as they are known beforehand.

    Which coalitions a sample of orders visits hangs on the seed alone, so the explainer is run once without answers. A
    tree goes where the answers lead it; of it only the two ends are known.
    """
    game.want(game.ends())
    if method(game.size, evaluations) != TREE:
        values(game, evaluations, seed)


def values(game: Game, evaluations: int, seed: int) -> Reals:
    """Shapley values (players, 3) of a game.

    They sum, over the players, to the worth of the whole coalition less that of the empty one.

    Args:
        game: What is asked.
        evaluations: Most coalitions to look at.
        seed: Random seed for the sampled orders of words; the same seed gives the same coalitions.
    """
    shap = require("shap", "explain", "explaining an answer")
    how, masker = method(game.size, evaluations), _Masker(game.size)
    row = np.ones((1, game.size), dtype=bool)
    with _drawn_from(seed):
        if how == EXACT:
            explainer = shap.ExactExplainer(game, masker)
            found = explainer(row, max_evals=evaluations, batch_size=evaluations, silent=True)
        elif how == SAMPLED:
            explainer = shap.PermutationExplainer(game, masker, seed=seed)
            found = explainer(row, max_evals=evaluations, batch_size=evaluations, silent=True)
        else:
            masker.clustering = neighbours(game.size)
            explainer = shap.PartitionExplainer(game, masker)
            most = evaluations - evaluations % 2  # it asks two at a time, one over an odd number
            found = explainer(row, max_evals=most, batch_size=_ROUND, fixed_context=1, silent=True)
    return np.asarray(found.values, dtype=np.float64).reshape(game.size, CLASSES)


class _Masker:
    """What shap asks for masked inputs: here the coalition itself, which the game understands."""

    immutable_outputs = True
    clustering: Reals | None = None

    def __init__(self, size: int) -> None:
        self.shape = (1, size)

    def __call__(self, mask: Masks, _row: Masks) -> tuple[Masks]:
        return (mask.reshape(1, -1).copy(),)


def neighbours(size: int) -> Reals:
    """A balanced binary tree over players in a row, as `scipy.cluster.hierarchy` writes one: (size - 1, 4)."""
    merges: list[tuple[int, int, int, int]] = []
    level, height = [(at, 1) for at in range(size)], 0
    while len(level) > 1:
        height += 1
        joined = []
        for at in range(0, len(level) - 1, 2):
            (left, fewer), (right, more) = level[at], level[at + 1]
            merges.append((left, right, height, fewer + more))
            joined.append((size + len(merges) - 1, fewer + more))
        level = joined + level[len(joined) * 2 :]
    return np.array(merges, dtype=np.float64).reshape(-1, 4)


@contextmanager
def _drawn_from(seed: int) -> Iterator[None]:
    """The library draws from numpy's global generator: seed it for one of us at a time, and leave it as it was."""
    with _DRAWING:
        before: Any = np.random.get_state()
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)
