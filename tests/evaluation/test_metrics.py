from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from finsa_moe.errors import DataError
from finsa_moe.evaluation.metrics import (
    bootstrap_macro_f1,
    confusion,
    macro_f1_of_draws,
    present,
    ratios,
    score,
)
from finsa_moe.evaluation.reliability import calibration_error

ids = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


def one_hot(predicted: object) -> np.ndarray:
    return np.eye(3)[np.asarray(predicted)]


def test_by_hand() -> None:
    """Six texts; bearish 2 (1 found), neutral 1 (0 found), bullish 3 (2 found); said bearish 2, neutral 1, bullish 3."""
    truth, said = [0, 0, 1, 2, 2, 2], [0, 1, 2, 2, 2, 0]
    scores = score(truth, one_hot(said))
    assert scores.confusion == ((1, 1, 0), (0, 0, 1), (1, 0, 2))
    assert scores.accuracy == pytest.approx(3 / 6)
    bearish, neutral, bullish = scores.per_class.values()
    assert (bearish.precision, bearish.recall, bearish.f1) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert (neutral.precision, neutral.recall, neutral.f1) == (0, 0, 0)
    assert (bullish.precision, bullish.recall, bullish.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (bearish.tp, bearish.fp, bearish.fn, bearish.tn, bearish.support) == (1, 1, 1, 3, 2)
    assert (neutral.tp, neutral.fp, neutral.fn, neutral.tn, neutral.support) == (0, 1, 1, 4, 1)
    assert (bullish.tp, bullish.fp, bullish.fn, bullish.tn, bullish.support) == (2, 1, 1, 2, 3)
    assert scores.macro_f1 == pytest.approx((1 / 2 + 0 + 2 / 3) / 3)
    assert scores.weighted_f1 == pytest.approx((2 * 1 / 2 + 0 + 3 * 2 / 3) / 6)
    assert scores.ece == pytest.approx(0.5)  # always sure, right half of the time


@given(ids)
@settings(max_examples=150, deadline=None)
def test_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, said = map(list, zip(*pairs, strict=True))
    scores = score(truth, one_hot(said), resamples=10)
    for name, ours in (("precision", scores.macro_precision), ("recall", scores.macro_recall), ("f1", scores.macro_f1)):
        theirs = getattr(reference, f"{name}_score")(truth, said, average="macro", zero_division=0)
        assert ours == pytest.approx(theirs)
    assert scores.accuracy == pytest.approx(reference.accuracy_score(truth, said))
    assert scores.weighted_f1 == pytest.approx(reference.f1_score(truth, said, average="weighted", zero_division=0))
    assert np.array_equal(scores.confusion, reference.confusion_matrix(truth, said, labels=[0, 1, 2]))
    for c, (matrix, ours) in enumerate(
        zip(
            reference.multilabel_confusion_matrix(truth, said, labels=[0, 1, 2]), scores.per_class.values(), strict=True
        )
    ):
        assert [[ours.tn, ours.fp], [ours.fn, ours.tp]] == matrix.tolist(), c
    all_three = score(truth, one_hot(said), classes=(0, 1, 2), resamples=10)
    theirs = reference.f1_score(truth, said, labels=[0, 1, 2], average="macro", zero_division=0)
    assert all_three.macro_f1 == pytest.approx(theirs)


@pytest.mark.parametrize("classes", [3, 2])
def test_report_is_scikit_learns(classes: int) -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, classes, 200), rng.integers(0, classes, 200)
    names = ["bearish", "neutral", "bullish"][:classes]
    theirs = reference.classification_report(truth, said, target_names=names, digits=4, zero_division=0)
    assert score(truth, one_hot(said)).report().split() == theirs.split()


def test_calibration_by_hand() -> None:
    """Two bins: (0.6, 0.667] holds 0.62 right and 0.66 wrong, (0.867, 0.933] holds 0.9 right."""
    probs = [[0.62, 0.3, 0.08], [0.66, 0.3, 0.04], [0.05, 0.9, 0.05]]
    expected = (2 * abs(0.5 - 0.64) + 1 * abs(1 - 0.9)) / 3
    assert calibration_error([0, 1, 1], probs) == pytest.approx(expected)


def test_calibration_equals_a_loop_over_bins() -> None:
    rng = np.random.default_rng(1)
    probs, truth = rng.dirichlet([0.5] * 3, 500), rng.integers(0, 3, 500)
    total = 0.0
    for k in range(15):
        inside = [i for i in range(500) if k / 15 < probs[i].max() <= (k + 1) / 15]
        if inside:
            accuracy = np.mean([probs[i].argmax() == truth[i] for i in inside])
            total += len(inside) * abs(accuracy - np.mean([probs[i].max() for i in inside]))
    assert calibration_error(truth, probs) == pytest.approx(total / 500)


def test_bootstrap_equals_resampling_the_rows() -> None:
    """The multinomial over cells against drawing rows with replacement, both with many samples."""
    rng = np.random.default_rng(2)
    truth = rng.choice(3, 300, p=[0.3, 0.1, 0.6])
    said = np.where(rng.random(300) < 0.7, truth, rng.integers(0, 3, 300))
    matrix = confusion(truth, said)
    ours = bootstrap_macro_f1(matrix, (0, 1, 2), resamples=20_000)
    naive = []
    for _ in range(3000):
        rows = rng.integers(0, 300, 300)
        naive.append(float(ratios(confusion(truth[rows], said[rows]))[2].mean()))
    np.testing.assert_allclose(ours, np.quantile(naive, (0.025, 0.975)), atol=0.006)


def test_bootstrap_covers_the_truth() -> None:
    """Of 95 % intervals from samples of a known confusion, about 95 % hold its macro-F1."""
    cells = np.array([[0.25, 0.03, 0.05], [0.04, 0.15, 0.06], [0.06, 0.04, 0.32]])
    true = float(ratios(np.rint(cells * 100).astype(int))[2].mean())
    rng = np.random.default_rng(3)
    held = 0
    for sample in rng.multinomial(400, cells.ravel(), size=400):
        low, high = bootstrap_macro_f1(sample.reshape(3, 3), (0, 1, 2), resamples=400, seed=int(rng.integers(1 << 30)))
        held += low <= true <= high
    assert 0.91 <= held / 400 <= 0.98


@pytest.mark.parametrize("few", [1, 3])
def test_a_model_without_an_error_has_no_interval(few: int) -> None:
    """Of a class of few texts many a draw has none; that is no error of the model."""
    truth = np.repeat([0, 1, 2], (150, few, 150))
    for clusters in (None, np.arange(len(truth))):
        scores = score(truth, one_hot(truth), clusters=clusters)
        assert (scores.macro_f1, scores.macro_f1_interval) == (1.0, (1.0, 1.0))
        never = score(truth[truth != 1], one_hot(truth[truth != 1]), classes=(0, 1, 2)).macro_f1_interval
        assert never == pytest.approx((2 / 3, 2 / 3))  # a class that no text has counts as in the score itself


def test_a_model_blind_to_a_rare_class_is_perfect_in_no_draw() -> None:
    scores = score([0, 2, 2], one_hot([2, 2, 2]))  # a third of the draws has no text of the class
    assert scores.macro_f1_interval[1] == pytest.approx(1 / 2)


def test_a_class_that_a_draw_lacks_keeps_its_score_of_the_sample() -> None:
    """By scikit-learn on the texts of every draw; where all classes occur, the very bits of the plain mean."""
    rng = np.random.default_rng(6)
    truth, said = (rng.choice(3, (400, 12), p=(0.1, 0.2, 0.7)) for _ in range(2))
    draws = np.stack([confusion(t, s) for t, s in zip(truth, said, strict=True)])
    whole = draws.sum(axis=0)
    sample = reference.f1_score(truth.ravel(), said.ravel(), average=None)
    theirs = []
    for t, s in zip(truth, said, strict=True):
        own = reference.f1_score(t, s, labels=[0, 1, 2], average=None, zero_division=0)
        theirs.append(np.mean([own[c] if c in t or c in s else sample[c] for c in range(3)]))
    np.testing.assert_allclose(macro_f1_of_draws(draws, (0, 1, 2), whole), theirs, rtol=1e-12)
    full = (draws.sum(axis=1) + draws.sum(axis=2) > 0).all(axis=1)
    assert 0 < full.sum() < 400
    for classes in ([0, 1, 2], [0, 2], [1]):
        plain = ratios(draws[full])[2][:, classes].mean(axis=1)
        assert np.array_equal(macro_f1_of_draws(draws, classes, whole)[full], plain)


@pytest.mark.slow
def test_cluster_bootstrap_equals_resampling_the_clusters() -> None:
    """Kinds of clusters against drawing the clusters' rows with replacement, both with many samples."""
    rng = np.random.default_rng(4)
    sizes = rng.choice((1, 2, 6), 90)
    truth, right = (np.repeat(part, sizes) for part in (rng.choice(3, 90), rng.random(90) < 0.7))
    said, clusters = np.where(right, truth, (truth + 1) % 3), 7 * np.repeat(np.arange(90), sizes)
    scores = score(truth, one_hot(said), clusters=clusters, resamples=20_000)
    own = [np.flatnonzero(clusters == name) for name in np.unique(clusters)]
    naive = []
    for _ in range(3000):
        rows = np.concatenate([own[at] for at in rng.integers(0, 90, 90)])
        naive.append(reference.f1_score(truth[rows], said[rows], labels=[0, 1, 2], average="macro", zero_division=0))
    np.testing.assert_allclose(scores.macro_f1_interval, np.quantile(naive, (0.025, 0.975)), atol=0.008)
    assert scores.clusters == 90
    rows_apart = score(truth, one_hot(said), resamples=20_000)
    assert rows_apart.clusters is None
    assert np.ptp(rows_apart.macro_f1_interval) < 0.75 * np.ptp(scores.macro_f1_interval)


def test_seed_decides_the_interval() -> None:
    truth, said = [0, 1, 2] * 30, [0, 1, 1] * 30
    one, same, other = (score(truth, one_hot(said), seed=s).macro_f1_interval for s in (1, 1, 2))
    assert one == same != other
    assert one[0] <= score(truth, one_hot(said)).macro_f1 <= one[1]


def test_classes_of_the_average() -> None:
    assert present(confusion([0, 2], [0, 2])) == (0, 2)
    assert score([0, 2], one_hot([0, 2])).macro_f1 == 1
    assert score([0, 2], one_hot([0, 2]), classes=(0, 1, 2)).macro_f1 == pytest.approx(2 / 3)


def test_as_dict_is_json() -> None:
    kept = json.loads(json.dumps(score([0, 1, 2], one_hot([0, 1, 1])).as_dict()))
    assert kept["per_class"]["neutral"]["recall"] == 1
    assert kept["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("truth", "probs", "says"),
    [
        ([], np.zeros((0, 3)), "n ≥ 1"),
        ([0, 1], one_hot([0]), r"\(2,\) and probabilities \(1, 3\)"),
        ([0, 3], one_hot([0, 1]), "row 1: class id 3"),
        ([0, 1], [[1, 0, 0], [float("nan"), 0, 1]], "row 1.*damaged"),
    ],
)
def test_what_cannot_be_scored(truth: list[int], probs: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        score(truth, probs)  # type: ignore[arg-type]
