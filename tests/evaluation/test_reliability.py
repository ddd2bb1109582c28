from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from finsa_moe.evaluation.reliability import calibration_error, reliability

RNG = np.random.default_rng(2)
PROBS = RNG.dirichlet((1, 1, 1), 500)
TRUTH = RNG.integers(0, 3, 500)


def test_against_scikit_learn() -> None:
    hit = PROBS.argmax(1) == TRUTH
    right, sure = calibration_curve(hit, PROBS.max(1), n_bins=15)
    found = reliability(TRUTH, PROBS)
    assert [b.accuracy for b in found] == pytest.approx(right)
    assert [b.confidence for b in found] == pytest.approx(sure)
    assert sum(b.n for b in found) == 500


def test_the_calibration_error_is_the_mean_gap() -> None:
    gaps = sum(b.n * abs(b.accuracy - b.confidence) for b in reliability(TRUTH, PROBS)) / 500
    assert gaps == pytest.approx(calibration_error(TRUTH, PROBS))
