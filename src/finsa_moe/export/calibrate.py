"""Temperatures that make confidences mean what they say, one an expert, and the proof on rows they were not fitted on.

Temperature scaling after Guo et al. 2017, section 4.2. Logits and labels go in, a temperature and errors come out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.evaluation.reliability import calibration_error
from finsa_moe.runtime.engine import softmax

FEWEST = 50
"""Labelled rows of a domain under which nothing is fitted: a temperature from fewer says little."""
_LOW, _HIGH, _EDGE = np.log(0.05), np.log(20.0), 1e-3
Reals = NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """What scaling by a temperature did for one expert.

    Attributes:
        rows: Labelled held-out rows of its domain.
        temperature: Fitted on all of them; 1 when they are too few.
        ece_before: Expected calibration error without it.
        ece_after: With it, cross-fitted: every row is judged by a temperature fitted on the other folds.
    """

    rows: int
    temperature: float
    ece_before: float | None
    ece_after: float | None

    def as_dict(self) -> dict[str, object]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


def calibrate(logits: Reals, labels: NDArray[Any], folds: int = 5, seed: int = 13) -> Calibration:
    """Fit and cross-fit on logits (n, 3) and class ids (n,)."""
    if len(labels) < FEWEST:
        return Calibration(len(labels), 1.0, None, None)
    fold = np.random.default_rng(seed).permutation(len(labels)) % folds
    crossed = np.zeros_like(logits)
    for index in range(folds):
        inside = fold == index
        crossed[inside] = logits[inside] / fit_temperature(logits[~inside], labels[~inside])
    return Calibration(
        rows=len(labels),
        temperature=fit_temperature(logits, labels),
        ece_before=calibration_error(labels, softmax(logits)),
        ece_after=calibration_error(labels, softmax(crossed)),
    )


def fit_temperature(logits: Reals, labels: NDArray[Any]) -> float:
    """The temperature in 0.05..20 of least negative log-likelihood, found by golden section over its logarithm.

    1 where it would be ever lower: rows that are all right say nothing of doubt.
    """
    ratio = (np.sqrt(5) - 1) / 2
    low, high = float(_LOW), float(_HIGH)

    def loss(log_t: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_t)
        top = scaled.max(axis=1)
        return float(
            (np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top - scaled[np.arange(len(labels)), labels]).mean()
        )

    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    best = (low + high) / 2
    return 1.0 if best - _LOW < _EDGE else round(float(np.exp(best)), 4)
