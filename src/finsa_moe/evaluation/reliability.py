"""How often answers of a confidence are right: the bins of a reliability diagram (DeGroot and Fienberg 1983).

True classes and probabilities go in, bins come out. It knows nothing of texts or models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


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


def reliability(truth: ArrayLike, probs: ArrayLike, bins: int = 15) -> tuple[Bin, ...]:
    """The bins that hold an answer, of equal width as in `metrics.calibration_error`.

    Args:
        truth: Class ids, (n,).
        probs: Probabilities, (n, 3); the confidence of a text is its highest.
        bins: How many of equal width over (0, 1].
    """
    p = np.asarray(probs, dtype=np.float64)
    confidence = p.max(axis=1)
    hit = p.argmax(axis=1) == np.asarray(truth)
    at = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(at, minlength=bins)
    sums = (np.bincount(at, weights=values, minlength=bins) for values in (confidence, hit))
    return tuple(
        Bin(int(n), float(sure / n), float(right / n)) for n, sure, right in zip(counts, *sums, strict=True) if n
    )
