"""What is gained by leaving the least sure texts unanswered: the risk–coverage curve (El-Yaniv and Wiener 2010).

True classes and probabilities go in, points of the curve come out. It knows nothing of texts or models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

COVERAGES = tuple(round(0.05 * step, 2) for step in range(1, 21))


@dataclass(frozen=True)
class Point:
    """What answering the surest texts alone comes to.

    Attributes:
        coverage: Share of texts answered, in (0, 1].
        threshold: Least confidence among them: the ``--abstain-below`` that gives this coverage, or more where several
            texts have just this confidence.
        risk: Share of the answers that are wrong.
    """

    coverage: float
    threshold: float
    risk: float


def risk_coverage(truth: ArrayLike, probs: ArrayLike) -> tuple[Point, ...]:
    """The curve at every twentieth of the texts, from the surest on.

    Args:
        truth: Class ids, (n,), n ≥ 1.
        probs: Probabilities, (n, 3); the confidence of a text is its highest.
    """
    p = np.asarray(probs, dtype=np.float64)
    confidence = p.max(axis=1)
    wrong = p.argmax(axis=1) != np.asarray(truth)
    points = []
    for share in COVERAGES:
        threshold, risk = surest(confidence, wrong, share)
        points.append(Point(share, threshold, risk))
    return tuple(points)


def surest(confidence: NDArray[np.float64], wrong: NDArray[np.bool_], share: float) -> tuple[float, float]:
    """Least confidence and risk of a share of the texts, the surest ones.

    Texts of equal confidence are equally likely to be among them, so that the order of rows does not matter: of those
    at the threshold, as many as there is room for count, each as wrong as they are on average.
    """
    count = max(1, round(share * len(confidence)))
    threshold = np.partition(confidence, len(confidence) - count)[len(confidence) - count]
    above, at = confidence > threshold, confidence == threshold
    errors = wrong[above].sum() + (count - above.sum()) * wrong[at].mean()
    return float(threshold), float(errors / count)


def area(points: tuple[Point, ...]) -> float:
    """Mean risk over all coverages (AURC); 0 would be never wrong."""
    return float(np.mean([point.risk for point in points]))
