"""Intervals of macro-F1 by drawing clusters of texts, not single texts, and of differences between two models.

Truth, predictions and a cluster a text go in, intervals come out. Copies of one post are one observation: drawn apart
they would make every interval too narrow. It knows no model and no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from finsa_moe.evaluation.metrics import CLASSES, Counts, Reals, macro_f1_of_draws

RESAMPLES = 2000
_AT_ONCE = 256  # draws whose counts are in memory together


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its 95 % interval; fractions."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """A difference between two models on the same texts.

    Attributes:
        p: Two-sided p-value of no difference: twice the share of draws on the other side of 0, at least 1 / draws.
    """

    p: float

    @property
    def sure(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


class Draws:
    """Which clusters each bootstrap draw holds: the same for every model that is compared on these texts.

    Args:
        clusters: A number for each text, equal for texts that stand or fall together, (n,).
        resamples: How many draws.
        seed: Random seed for the draws.
    """

    def __init__(self, clusters: ArrayLike, resamples: int = RESAMPLES, seed: int = 13) -> None:
        self.of = np.unique(np.asarray(clusters), return_inverse=True)[1]
        count = int(self.of.max()) + 1
        rng = np.random.default_rng(seed)
        even = np.full(count, 1 / count)
        parts = [min(_AT_ONCE, resamples - start) for start in range(0, resamples, _AT_ONCE)]
        # a cluster is drawn once on average and never 255 times; whole numbers of 8 bits take an eighth of the memory
        self.weights = np.concatenate([rng.multinomial(count, even, size=part).astype(np.uint8) for part in parts])

    def macro_f1(self, truth: ArrayLike, predicted: ArrayLike, classes: Sequence[int]) -> tuple[float, Reals]:
        """Macro-F1 of the texts and of every draw, (resamples,), over fixed classes (`metrics.macro_f1_of_draws`)."""
        cells = np.asarray(truth, dtype=np.int64) * CLASSES + np.asarray(predicted, dtype=np.int64)
        counts = np.zeros((self.weights.shape[1], CLASSES * CLASSES), dtype=np.float32)
        np.add.at(counts, (self.of, cells), 1)
        whole = _matrices(counts.sum(axis=0))
        parts = [
            macro_f1_of_draws(_matrices(weights.astype(np.float32) @ counts), classes, whole[0])
            for weights in (self.weights[at : at + _AT_ONCE] for at in range(0, len(self.weights), _AT_ONCE))
        ]
        return float(macro_f1_of_draws(whole, classes, whole[0])[0]), np.concatenate(parts)


def interval(value: float, draws: Reals) -> Interval:
    """The percentile interval of a value that every draw gave anew."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def difference(value: float, draws: Reals) -> Difference:
    """The percentile interval and p-value of a difference that every draw gave anew."""
    low, high = np.quantile(draws, (0.025, 0.975))
    below, above = float((draws <= 0).mean()), float((draws >= 0).mean())
    return Difference(value, float(low), float(high), min(1.0, max(2 * min(below, above), 1 / len(draws))))


def _matrices(counts: NDArray[np.float32]) -> Counts:
    """Confusion counts (draws, 3, 3) from a row of cells each."""
    return np.rint(counts).astype(np.int64).reshape(-1, CLASSES, CLASSES)
