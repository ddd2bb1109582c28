from __future__ import annotations

import numpy as np
import pytest

from finsa_moe.evaluation.reliability import calibration_error
from finsa_moe.export.calibrate import FEWEST, calibrate, fit_temperature
from finsa_moe.runtime.engine import softmax


def drawn(rows: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from softmax(z), and logits z times `sharpness`: the right temperature is `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, 3)).astype(np.float32) * 2
    labels = np.array([rng.choice(3, p=row) for row in softmax(logits.astype(np.float64))])
    return logits * np.float32(sharpness), labels


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_finds_the_temperature_the_labels_were_drawn_with(sharpness: float) -> None:
    logits, labels = drawn(20_000, sharpness)
    assert fit_temperature(logits, labels) == pytest.approx(sharpness, rel=0.05)


def test_is_the_best_of_a_fine_grid() -> None:
    logits, labels = drawn(300, 2.0, seed=1)

    def loss(temperature: float) -> float:
        return float(-np.log(softmax(logits.astype(np.float64) / temperature)[np.arange(300), labels]).mean())

    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 4001))
    assert loss(fit_temperature(logits, labels)) <= min(map(loss, grid)) + 1e-7


def test_cross_fitting_judges_no_row_by_itself() -> None:
    logits, labels = drawn(2_000, 3.0, seed=2)
    found = calibrate(logits, labels)
    assert found.ece_before is not None
    assert found.ece_after is not None
    assert found.ece_before > 0.1 > 0.05 > found.ece_after
    assert found.temperature == fit_temperature(logits, labels)


def test_the_error_after_is_that_of_temperatures_fitted_elsewhere() -> None:
    logits, labels = drawn(FEWEST, 1.0, seed=3)
    fold = np.random.default_rng(13).permutation(FEWEST) % 5
    scaled = logits.copy()
    for index in range(5):
        scaled[fold == index] /= fit_temperature(logits[fold != index], labels[fold != index])
    found = calibrate(logits, labels)
    assert found.ece_after == calibration_error(labels, softmax(scaled))
    assert found.ece_after != calibration_error(labels, softmax(logits / np.float32(found.temperature)))


def test_too_few_rows_are_not_fitted() -> None:
    found = calibrate(*drawn(FEWEST - 1, 3.0))
    assert (found.temperature, found.ece_before, found.ece_after) == (1.0, None, None)


def test_rows_that_are_all_right_say_nothing_of_doubt() -> None:
    """Their likelihood grows with ever lower temperatures; that of rows all wrong with higher ones, which is no claim."""
    labels = np.arange(FEWEST) % 3
    logits = (4 * np.eye(3)[labels]).astype(np.float32)
    assert fit_temperature(logits, labels) == 1.0
    found = calibrate(logits, labels)
    assert (found.temperature, found.ece_after) == (1.0, found.ece_before)
    assert fit_temperature(logits, (labels + 1) % 3) == 20.0
