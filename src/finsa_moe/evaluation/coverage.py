"""What is gained by leaving the least sure texts unanswered: the risk–coverage curve (El-Yaniv and Wiener 2010).

True classes and probabilities go in, points of the curve come out. It knows nothing of texts or models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

COVERAGES = tuple(round(0.05 * step, 2) for step in range(1, 21))


@dataclass(frozen=True)
class Point:
    """What answering the surest texts alone comes to.

    Attributes:
        coverage: Share of texts answered, in (0, 1].
        threshold: Least confidence among them: the ``--abstain-below`` that gives this coverage.
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
    order = np.argsort(-confidence, kind="stable")
    wrong = (p.argmax(axis=1) != np.asarray(truth))[order].cumsum()
    points = []
    for share in COVERAGES:
        count = max(1, round(share * len(order)))
        points.append(Point(share, float(confidence[order[count - 1]]), float(wrong[count - 1] / count)))
    return tuple(points)


def area(points: tuple[Point, ...]) -> float:
    """Mean risk over all coverages (AURC); 0 would be never wrong."""
    return float(np.mean([point.risk for point in points]))
