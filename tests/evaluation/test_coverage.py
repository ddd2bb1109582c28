from __future__ import annotations

import numpy as np
import pytest

from finsa_moe.evaluation.coverage import COVERAGES, area, risk_coverage


def test_by_hand() -> None:
    confidence = np.linspace(0.99, 0.5, 20)  # the surest first; every text from the eleventh on is wrong
    probs = np.stack([confidence, (1 - confidence) / 2, (1 - confidence) / 2], axis=1)
    truth = [0] * 10 + [1] * 10
    shuffled = np.random.default_rng(0).permutation(20)
    points = risk_coverage(np.array(truth)[shuffled], probs[shuffled])
    assert [p.coverage for p in points] == list(COVERAGES)
    assert [p.risk for p in points] == pytest.approx([max(0, k - 10) / k for k in range(1, 21)])
    assert [p.threshold for p in points] == pytest.approx(confidence)
    assert area(points) == pytest.approx(np.mean([max(0, k - 10) / k for k in range(1, 21)]))


def test_the_threshold_is_the_one_to_abstain_below() -> None:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet([1, 1, 1], 500)
    truth = rng.integers(0, 3, 500)
    for point in risk_coverage(truth, probs):
        answered = probs.max(1) >= point.threshold
        assert answered.mean() == pytest.approx(point.coverage, abs=0.002)
        assert (probs.argmax(1) != truth)[answered].mean() == pytest.approx(point.risk)
    assert risk_coverage(truth, probs)[-1].risk == pytest.approx((probs.argmax(1) != truth).mean())


def test_equal_confidences_are_alike_in_any_order() -> None:
    """Sixty texts of 0.9, six wrong; forty of 0.5, thirty wrong: of the surest seventy, ten are as wrong as those forty."""
    confidence = np.repeat([0.9, 0.5], [60, 40])
    probs = np.stack([confidence, (1 - confidence) / 2, (1 - confidence) / 2], axis=1)
    truth = np.array([0] * 54 + [1] * 6 + [0] * 10 + [1] * 30)
    found = []
    for order in (np.arange(100), np.arange(100)[::-1], np.random.default_rng(3).permutation(100)):
        found.append([point.risk for point in risk_coverage(truth[order], probs[order])])
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])
    by_share = dict(zip(COVERAGES, found[0], strict=True))
    assert by_share[0.3] == pytest.approx(0.1)
    assert by_share[0.7] == pytest.approx((6 + 10 * 0.75) / 70)
    assert by_share[1.0] == pytest.approx(0.36)


def test_one_text() -> None:
    points = risk_coverage([2], [[0.2, 0.2, 0.6]])
    assert {(p.threshold, p.risk) for p in points} == {(0.6, 0.0)}
