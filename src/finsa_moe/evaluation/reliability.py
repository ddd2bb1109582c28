"""How often answers of a confidence are right: the bins of a reliability diagram, and the error.

True classes and probabilities go in, bins (DeGroot and Fienberg 1983) or the calibration error come out. It knows
nothing of texts or models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15
"""Bins of equal width over (0, 1]."""


@dataclass(frozen=True)
class Bin:
    """Answers of like confidence.

    Attributes:
        n: How many, at least one.
        confidence: Their mean confidence.
        accuracy: Share of them that is right.
    """

    n: int
    confidence: float
    accuracy: float


def reliability(truth: ArrayLike, probs: ArrayLike) -> tuple[Bin, ...]:
    """The bins that hold an answer, those of `calibration_error`.

    Args:
        truth: Class ids, (n,).
        probs: Probabilities, (n, 3); the confidence of a text is its highest.
    """
    confidence, hit, at = _binned(truth, probs)
    counts = np.bincount(at, minlength=BINS)
    sums = (np.bincount(at, weights=values, minlength=BINS) for values in (confidence, hit))
    return tuple(
        Bin(int(n), float(sure / n), float(right / n)) for n, sure, right in zip(counts, *sums, strict=True) if n
    )


def calibration_error(truth: ArrayLike, probs: ArrayLike) -> float:
    """Expected calibration error of the top class (Guo et al. 2017, eq. 3).

    Confidences fall into `BINS` bins of equal width, (k/BINS, (k+1)/BINS]; the error is the mean over texts of the gap
    between accuracy and mean confidence of the text's bin.
    """
    confidence, hit, at = _binned(truth, probs)
    gaps = np.bincount(at, weights=hit - confidence, minlength=BINS)  # n_bin · (accuracy − confidence)
    return float(np.abs(gaps).sum() / len(confidence))


def _binned(truth: ArrayLike, probs: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Confidence of each text, whether its answer is right, and its bin."""
    p = np.asarray(probs, dtype=np.float64)
    confidence = p.max(axis=1)
    hit = p.argmax(axis=1) == np.asarray(truth)
    return confidence, hit, np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
