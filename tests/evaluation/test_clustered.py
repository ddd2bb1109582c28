"""Intervals over clusters: against the bootstrap done row by row, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import f1_score

from finsa_moe.evaluation.comparison.clustered import Draws, difference, interval

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


def test_a_rare_class_widens_no_interval_of_a_model_without_an_error() -> None:
    truth = np.repeat([0, 1, 2], (60, 2, 60))
    found = interval(*Draws(np.arange(122), 500).macro_f1(truth, truth, (0, 1, 2)))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def counted(truth: np.ndarray, said: np.ndarray) -> float:
    """Macro-F1 over three classes, from sums over rows alone."""
    found = []
    for c in range(3):
        hits, wrong = ((truth == c) & (said == c)).sum(), ((truth == c) != (said == c)).sum()
        found.append(2 * hits / max(1, 2 * hits + wrong))
    return float(np.mean(found))


@pytest.mark.parametrize("better", [0.02, 0.12])
def test_the_paired_bootstrap_is_the_one_done_by_hand(better: float) -> None:
    """Clusters' rows drawn with replacement, both models scored on them, by a generator of its own."""
    rng = np.random.default_rng(21)
    near = np.repeat(np.arange(150), rng.choice((1, 2, 4), 150))
    truth = rng.integers(0, 3, 150)[near]
    one, other = (
        np.where(rng.random(len(near)) < right, truth, rng.integers(0, 3, len(near))) for right in (0.7, 0.7 - better)
    )
    draws = Draws(near, 20_000)
    (value, drawn), (less, drawn_less) = (draws.macro_f1(truth, said, (0, 1, 2)) for said in (one, other))
    told = difference(value - less, drawn - drawn_less)
    own = [np.flatnonzero(near == name) for name in range(150)]
    naive = []
    for _ in range(6000):
        rows = np.concatenate([own[at] for at in rng.integers(0, 150, 150)])
        naive.append(counted(truth[rows], one[rows]) - counted(truth[rows], other[rows]))
    gaps = np.array(naive)
    assert told.value == pytest.approx(macro(truth, one) - macro(truth, other))
    np.testing.assert_allclose((told.low, told.high), np.quantile(gaps, (0.025, 0.975)), atol=0.006)
    assert told.p == pytest.approx(2 * min((gaps <= 0).mean(), (gaps >= 0).mean()), abs=0.02)
    assert told.sure == (np.quantile(gaps, 0.025) > 0)


def test_on_many_texts_it_is_the_normal_test_of_the_jackknife() -> None:
    """With 6,000 texts the interval is the difference ± 1.96 jackknife errors, and p that of the normal law."""
    rng = np.random.default_rng(23)
    n = 6000
    truth = rng.integers(0, 3, n)
    one, other = (np.where(rng.random(n) < right, truth, rng.integers(0, 3, n)) for right in (0.720, 0.708))
    draws = Draws(np.arange(n), 4000)
    (value, drawn), (less, drawn_less) = (draws.macro_f1(truth, said, (0, 1, 2)) for said in (one, other))
    told = difference(value - less, drawn - drawn_less)

    def left_out(said: np.ndarray) -> np.ndarray:
        """Macro-F1 without each text in turn."""
        found = np.zeros(n)
        for c in range(3):
            hit, true, given = (truth == c) & (said == c), truth == c, said == c
            found += 2 * (hit.sum() - hit) / (true.sum() - true + given.sum() - given) / 3
        return found

    gaps = left_out(one) - left_out(other)
    error = float(np.sqrt((n - 1) / n * ((gaps - gaps.mean()) ** 2).sum()))
    assert told.low == pytest.approx(told.value - 1.96 * error, abs=0.08 * error)
    assert told.high == pytest.approx(told.value + 1.96 * error, abs=0.08 * error)
    assert told.p == pytest.approx(2 * norm.sf(abs(told.value) / error), abs=0.02)


def test_the_interval_of_a_difference_holds_the_true_one_as_often_as_it_says() -> None:
    """Two models on sets of 100 clusters of one to four equal texts, the harder a text the likelier both err."""
    rng = np.random.default_rng(9)

    def drawn(clusters: int) -> tuple[np.ndarray, ...]:
        truth, hard = rng.choice(3, clusters, p=(0.3, 0.4, 0.3)), rng.random(clusters)
        said = [
            np.where(hard + 0.4 * rng.random(clusters) < right, truth, rng.integers(0, 3, clusters))
            for right in (0.95, 0.85)
        ]
        times = rng.choice((1, 2, 4), clusters)
        return tuple(np.repeat(part, times) for part in (truth, *said, np.arange(clusters)))

    truth, one, other, _ = drawn(400_000)
    true = macro(truth, one) - macro(truth, other)
    assert true > 0.03
    inside = 0
    for trial in range(400):
        truth, one, other, near = drawn(100)
        draws = Draws(near, 400, seed=trial)
        (value, a), (less, b) = (draws.macro_f1(truth, said, (0, 1, 2)) for said in (one, other))
        told = difference(value - less, a - b)
        inside += told.low <= true <= told.high
    assert 0.91 <= inside / 400 <= 0.98


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
