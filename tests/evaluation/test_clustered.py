"""Intervals over clusters: against the bootstrap done row by row, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from finsa_moe.evaluation.clustered import Draws, difference, interval

RNG = np.random.default_rng(5)
TRUTH = RNG.integers(0, 3, 120)
SAID = np.where(RNG.random(120) < 0.7, TRUTH, RNG.integers(0, 3, 120))
CLUSTERS = np.sort(RNG.integers(0, 40, 120))


def macro(truth: np.ndarray, said: np.ndarray) -> float:
    return float(f1_score(truth, said, labels=[0, 1, 2], average="macro", zero_division=0))


def test_every_draw_is_the_score_of_its_clusters_texts() -> None:
    draws = Draws(CLUSTERS, resamples=300, seed=1)
    value, found = draws.macro_f1(TRUTH, SAID, (0, 1, 2))
    assert value == pytest.approx(macro(TRUTH, SAID))
    own = [np.flatnonzero(name == CLUSTERS) for name in np.unique(CLUSTERS)]
    for at in (0, 7, 150, 299):
        rows = np.concatenate([np.repeat(rows, int(w)) for rows, w in zip(own, draws.weights[at], strict=True)])
        assert found[at] == pytest.approx(macro(TRUTH[rows], SAID[rows]))
    assert draws.weights.sum(axis=1) == pytest.approx(len(own))


def test_models_meet_the_same_draws() -> None:
    draws = Draws(CLUSTERS, resamples=200)
    _, one = draws.macro_f1(TRUTH, SAID, (0, 1, 2))
    _, same = draws.macro_f1(TRUTH, SAID, (0, 1, 2))
    assert np.array_equal(one, same)
    assert difference(0.0, one - same).p == 1.0
    assert not difference(0.0, one - same).sure
    other = np.where(np.arange(120) % 3 == 0, (TRUTH + 1) % 3, SAID)
    value, worse = draws.macro_f1(TRUTH, other, (0, 1, 2))
    gap = difference(macro(TRUTH, SAID) - value, one - worse)
    assert gap.sure
    assert gap.low < gap.value < gap.high
    assert gap.p == pytest.approx(1 / 200)  # no draw on the other side: no less can be said


def test_copies_widen_the_interval() -> None:
    """Ten copies of each text, drawn apart, would make it narrower by the square root of ten."""
    truth, said = np.repeat(TRUTH, 10), np.repeat(SAID, 10)
    alone, _ = Draws(np.arange(120)), None
    copies, apart = Draws(np.repeat(np.arange(120), 10)), Draws(np.arange(1200))
    widths = []
    for draws, t, s in ((alone, TRUTH, SAID), (copies, truth, said), (apart, truth, said)):
        found = interval(*draws.macro_f1(t, s, (0, 1, 2)))
        widths.append(found.high - found.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.05)
    assert widths[2] < widths[0] / 2.5


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Sets of 60 clusters of one to five equal texts are drawn from a known law; its own macro-F1 should lie inside."""
    rng = np.random.default_rng(3)
    sizes = (1, 2, 5)

    def drawn(clusters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        truth = rng.choice(3, clusters, p=(0.3, 0.4, 0.3))
        said = np.where(rng.random(clusters) < 0.75, truth, rng.integers(0, 3, clusters))
        times = rng.choice(sizes, clusters)
        return np.repeat(truth, times), np.repeat(said, times), np.repeat(np.arange(clusters), times)

    truth, said, _ = drawn(2_000_00)
    value = macro(truth, said)
    inside = 0
    for trial in range(400):
        truth, said, clusters = drawn(60)
        found = interval(*Draws(clusters, 500, seed=trial).macro_f1(truth, said, (0, 1, 2)))
        inside += found.low <= value <= found.high
    assert 0.90 <= inside / 400 <= 0.98
