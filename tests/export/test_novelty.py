from __future__ import annotations

import numpy as np
import pytest
import torch

from finsa_moe.export import graphs
from finsa_moe.export.known import Known, token_counts
from finsa_moe.export.novelty import DAMPING, WEIGHT, fit
from finsa_moe.runtime.novelty import Novelty

RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(6, 6)).astype(np.float32)


def rows(low: int, high: int, count: int) -> list[list[int]]:
    return [RNG.integers(low, high, RNG.integers(4, 12)).tolist() for _ in range(count)]


SEEN = rows(0, 20, 400) + rows(10, 30, 300)
STATES = np.concatenate([RNG.normal(size=(400, 6)) @ MIX, RNG.normal(size=(300, 6)) @ MIX + 9]).astype(np.float32)
WHOSE = np.repeat([0, 1], [400, 300])
HELD = rows(0, 20, 200) + rows(10, 30, 200)
HELD_STATES = np.concatenate([RNG.normal(size=(200, 6)) @ MIX, RNG.normal(size=(200, 6)) @ MIX + 9]).astype(np.float32)
HELD_WHOSE = [0] * 200 + [1] * 200
BACKGROUND = token_counts(rows(0, 50, 500), 50)


def naive(row: list[int], state: np.ndarray, background: np.ndarray | None) -> list[float]:
    """The three measures from their definitions."""
    counts = [token_counts([SEEN[i] for i in np.flatnonzero(d == WHOSE)], 50).astype(float) for d in (0, 1)]
    overall = (sum(counts) if background is None else background.astype(float)) + 1
    overall = overall / overall.sum()
    logs = [np.log((c + WEIGHT * overall) / (c.sum() + WEIGHT)) for c in counts]
    surprise = min(-np.mean([log[t] for t in row]) for log in logs)
    excess = min(sum(np.log(overall[t]) - log[t] for t in row) / (len(row) + DAMPING) for log in logs)
    means = [STATES[d == WHOSE].mean(0) for d in (0, 1)]
    centred = np.concatenate([STATES[d == WHOSE] - means[d] for d in (0, 1)]).astype(float)
    covariance = centred.T @ centred / (len(STATES) - 2)
    inverse = np.linalg.inv(0.9 * covariance + 0.1 * np.trace(covariance) / 6 * np.eye(6))
    return [surprise, excess, min(float(np.sqrt((state - m) @ inverse @ (state - m))) for m in means)]


@pytest.mark.parametrize("background", [None, BACKGROUND])
def test_the_graph_gives_the_share_of_known_texts_that_lie_nearer(background: np.ndarray | None) -> None:
    reference, _ = fit(Known.of(("a", "b"), SEEN, STATES, WHOSE, background, 50), HELD, HELD_STATES, HELD_WHOSE)
    known = np.array([naive(row, state, background) for row, state in zip(HELD, HELD_STATES, strict=True)])
    weights = np.array([1, 0 if background is None else 1, 1])

    def distance(measures: np.ndarray) -> np.ndarray:
        above = np.maximum((measures - known.mean(0)) / known.std(0, ddof=1), 0)
        return (above**2 * weights).sum(-1)

    example = (*graphs.example_ids(), torch.randn(2, 6))
    traced = graphs.trace(reference, example, ("ids", "mask", "states"), ("distances", "knots"))
    novelty = Novelty(traced.SerializeToString())
    strange = ([45] * 8, np.full(6, 30, dtype=np.float32))
    for row, state in (*zip(HELD[::50], HELD_STATES[::50], strict=True), strange):
        ids = np.array([[*row, 0, 0]])
        mask = np.array([[1] * len(row) + [0, 0]])
        expected = (distance(known) < distance(np.array(naive(row, state, background)))).mean()
        assert novelty(ids, mask, state[None])[0] == pytest.approx(expected, abs=0.01)
    assert novelty(np.array([strange[0]]), np.ones((1, 8), dtype=np.int64), strange[1][None])[0] == 1.0


def test_tokens_of_another_kind_tell_where_states_do_not() -> None:
    reference, _ = fit(Known.of(("a", "b"), SEEN, STATES, WHOSE, BACKGROUND, 50), HELD, HELD_STATES, HELD_WHOSE)
    state = torch.from_numpy(HELD_STATES[:1])
    ids = torch.tensor([[3, 5, 7, 9, 11, 2], [43, 45, 47, 49, 41, 42]])
    distances, _ = reference(ids, torch.ones_like(ids), state.repeat(2, 1))
    assert distances[1] > 10 * distances[0] + 1
