"""The finance lexicon as a classifier: what a text's words count, then a softmax, fitted or fixed.

Texts in, probabilities out. Fitted, it learns nine numbers from training rows; fixed, none, and needs no rows. The
words and their weights are `finsa_moe.evaluation.baselines.word_scores`' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.errors import require
from finsa_moe.evaluation.baselines.rows import Dev, Labels, Reals, checked, unfitted
from finsa_moe.evaluation.baselines.word_scores import Lexicon
from finsa_moe.polarity import ENGLISH

SHARPNESS, NEUTRAL = 2.0, 1.5
"""The fixed softmax: logits are SHARPNESS times each side's strength, and NEUTRAL for the neutral class."""


class LexiconBaseline:
    """Log strength of a text's bullish and of its bearish words, then a softmax.

    Args:
        softmax: ``"fitted"``: three logits linear in the two strengths, by logistic regression on the training rows,
            classes weighted alike (unweighted it never answers 中性 to boards, where macro-F1 falls from 59 to 44);
            ``"fixed"``: the stated constants, whatever the rows.
    """

    def __init__(self, softmax: str = "fitted") -> None:
        if softmax == "fitted":
            require("sklearn", "train", "the fitted lexicon baseline")
        self.softmax = softmax
        self.lexicon = Lexicon.read()
        self._model: Any = None

    def fit(self, texts: Sequence[str], labels: Labels, *, seed: int = 13, dev: Dev | None = None) -> LexiconBaseline:
        """Fit the softmax, where it is to be fitted; seed and dev change nothing.

        Raises:
            DataError: For a label that is no class, or rows of fewer than two classes.
        """
        if self.softmax == "fitted":
            rows, truth = checked(texts, labels)
            linear = require("sklearn.linear_model", "train", "the fitted lexicon baseline")
            self._model = linear.LogisticRegression(C=100.0, class_weight="balanced", max_iter=1000)
            self._model.fit(self.strengths(rows), truth)
        return self

    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish; a class never trained on has 0."""
        found = self.strengths(texts)
        if self.softmax == "fixed":
            bearish, bullish = SHARPNESS * found.T
            weights = np.exp(np.stack([bearish, np.full(len(found), NEUTRAL), bullish], axis=1))
            return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
        if self._model is None:
            raise unfitted("lexicon")
        probs = np.zeros((len(found), len(ENGLISH)), dtype=np.float32)
        if len(found):
            probs[:, self._model.classes_] = self._model.predict_proba(found)
        return probs

    def strengths(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """log(1 + summed weight) of the bearish and of the bullish words, (n, 2), both at least 0."""
        sums = np.zeros((len(texts), 2))
        for row, text in enumerate(texts):
            for hit in self.lexicon.hits(text):
                sums[row, int(hit.weight > 0)] += abs(hit.weight)
        return np.log1p(sums)
