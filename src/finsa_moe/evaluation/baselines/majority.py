"""The least there is: the classes' shares among the training rows, whatever the text says.

Labels in, the same probabilities for every text out; its prediction is always the commonest class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finsa_moe.evaluation.baselines.rows import Dev, Labels, Reals, checked, unfitted
from finsa_moe.polarity import ENGLISH


class Majority:
    """Answers every text with the class shares of the rows it was given; of equal classes the lower id."""

    def __init__(self) -> None:
        self._shares: Reals | None = None

    def fit(self, texts: Sequence[str], labels: Labels, *, seed: int = 13, dev: Dev | None = None) -> Majority:
        """Count the classes; seed and dev change nothing.

        Raises:
            DataError: For a label that is no class, or no row.
        """
        truth = checked(texts, labels, fewest=1)[1]
        self._shares = (np.bincount(truth, minlength=len(ENGLISH)) / len(truth)).astype(np.float32)
        return self

    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish; every row the same."""
        if self._shares is None:
            raise unfitted("majority")
        return np.tile(self._shares, (len(texts), 1))
