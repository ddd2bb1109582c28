from __future__ import annotations

import numpy as np
import pytest

from finsa_moe.export.novelty import fit
from finsa_moe.runtime.novelty import Novelty


def fitted() -> Novelty:
    return Novelty(fit(TRAIN, WHOSE, HELD_OUT).graph().SerializeToString())


RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(6, 6)).astype(np.float32)
TRAIN = np.concatenate([RNG.normal(size=(400, 6)) @ MIX, RNG.normal(size=(300, 6)) @ MIX + 9]).astype(np.float32)
WHOSE = np.repeat([0, 1], [400, 300])
HELD_OUT = np.concatenate([RNG.normal(size=(200, 6)) @ MIX, RNG.normal(size=(200, 6)) @ MIX + 9]).astype(np.float32)


def naive(state: np.ndarray) -> float:
    """Least Mahalanobis distance, from the definition."""
    means = [TRAIN[d == WHOSE].mean(0) for d in (0, 1)]
    centred = np.concatenate([TRAIN[d == WHOSE] - means[d] for d in (0, 1)]).astype(np.float64)
    covariance = centred.T @ centred / (len(TRAIN) - 2)
    covariance = 0.9 * covariance + 0.1 * np.trace(covariance) / 6 * np.eye(6)
    inverse = np.linalg.inv(covariance)
    return min(float(np.sqrt((state - m) @ inverse @ (state - m))) for m in means)


def test_distances_are_mahalanobis_to_the_nearest_domain() -> None:
    novelty = fitted()
    some = np.concatenate([HELD_OUT[:5], HELD_OUT[-5:], np.full((1, 6), 40)]).astype(np.float32)
    np.testing.assert_allclose(novelty.distances(some), [naive(s) for s in some], rtol=1e-3)


def test_novelty_is_the_share_of_held_out_texts_that_lie_nearer() -> None:
    novelty = fitted()
    known = novelty.distances(HELD_OUT)
    for state in HELD_OUT[::40]:
        share = (known < novelty.distances(state[None])[0]).mean()
        assert novelty(state[None])[0] == pytest.approx(share, abs=0.01)
    far = np.full((1, 6), 300, dtype=np.float32)
    middle = TRAIN[:400].mean(0, keepdims=True)
    assert novelty(far)[0] == 1.0
    assert novelty(middle)[0] < 0.02


def test_the_second_domain_is_no_stranger() -> None:
    """It would be, were one mean fitted to both."""
    novelty = fitted()
    between = (TRAIN[:400].mean(0) + TRAIN[400:].mean(0))[None] / 2
    assert novelty(TRAIN[400:].mean(0, keepdims=True))[0] < 0.02
    assert novelty(between)[0] > 0.5
