"""The baseline to beat: character n-gram TF-IDF and logistic regression, behind the same ``predict_proba``.

Texts and labels in, probabilities out. It needs scikit-learn (extra `train`), imported when a baseline is made, and
knows nothing of mixtures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.text import normalise
from finsa_moe.errors import DataError, require
from finsa_moe.evaluation.evaluate import class_ids
from finsa_moe.evaluation.metrics import confusion, present, ratios
from finsa_moe.polarity import ENGLISH

GRID = (1.0, 4.0, 16.0)
Labels = Iterable[object]


class TfidfBaseline:
    """TF-IDF over 1- to 4-grams of characters (in two texts at least, sublinear counts), then logistic regression.

    Args:
        grid: Inverse regularisation strengths C to choose from, on the validation rows, by macro-F1 (the smaller C of
            equals); without such rows the middle one is taken.
        seed: Seed of the solver.
    """

    def __init__(self, grid: Sequence[float] = GRID, seed: int = 13) -> None:
        require("sklearn", "train", "the TF-IDF baseline")
        self.grid = tuple(grid)
        self.seed = seed
        self.c: float | None = None
        self._vectorizer: Any = None
        self._model: Any = None

    def fit(
        self, texts: Sequence[str], labels: Labels, valid: tuple[Sequence[str], Labels] | None = None
    ) -> TfidfBaseline:
        """Train on rows; `valid`, a pair of texts and labels, chooses C and is not trained on.

        Args:
            texts: Raw texts, (n,).
            labels: A class word or a class id (0, 1, 2) each.
            valid: Texts and labels to choose C on.

        Raises:
            DataError: For a label that is no class, or rows of fewer than two classes.
        """
        text = require("sklearn.feature_extraction.text", "train", "the TF-IDF baseline")
        linear = require("sklearn.linear_model", "train", "the TF-IDF baseline")
        pools = require("threadpoolctl", "train", "the TF-IDF baseline")
        truth = class_ids(labels, ids=True)
        if len(np.unique(truth)) < 2:
            raise DataError(f"the baseline was given rows of {len(np.unique(truth))} class(es); it needs two or more")
        self._vectorizer = text.TfidfVectorizer(
            analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True, dtype=np.float32
        )
        features = self._vectorizer.fit_transform(map(normalise, texts))
        grid = self.grid if valid else (self.grid[len(self.grid) // 2],)
        best = -1.0
        for c in sorted(grid):
            model = linear.LogisticRegression(C=c, max_iter=1000, random_state=self.seed)
            # LBFGS's small matrix products are up to twenty times slower on several BLAS threads than on one (measured)
            with pools.threadpool_limits(1):
                model.fit(features, truth)
            reached = self._macro_f1(model, *valid) if valid else 0.0
            if reached > best:
                best, self.c, self._model = reached, c, model
        return self

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities (n, 3), columns bearish, neutral, bullish; a class never trained on has 0."""
        if self._model is None:
            raise DataError("the baseline is not trained; call fit(texts, labels) first")
        return self._proba(self._model, texts)

    def _proba(self, model: Any, texts: Sequence[str]) -> NDArray[np.float64]:
        probs = np.zeros((len(texts), len(ENGLISH)))
        if len(texts):
            probs[:, model.classes_] = model.predict_proba(self._vectorizer.transform(map(normalise, texts)))
        return probs

    def _macro_f1(self, model: Any, texts: Sequence[str], labels: Labels) -> float:
        matrix = confusion(class_ids(labels, ids=True), self._proba(model, texts).argmax(axis=1))
        return float(ratios(matrix)[2][list(present(matrix))].mean())
