"""The baselines to beat: TF-IDF of character n-grams, then logistic regression or a linear support vector machine.

Texts and labels in, probabilities out. It needs scikit-learn (extra `train`), imported when a baseline is made, and
knows nothing of mixtures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.text import normalise
from finsa_moe.errors import DataError, require
from finsa_moe.evaluation.baselines.rows import Dev, Labels, Reals, checked, macro_f1, unfitted
from finsa_moe.polarity import ENGLISH

GRIDS = {"lr": (1.0, 4.0, 16.0), "svm": (0.1, 0.3, 1.0, 3.0)}
MIDDLE = {"lr": 4.0, "svm": 0.3}
"""The C taken where no rows to choose by are given."""
AT_ONCE = 20_000  # texts whose n-grams are held: some 5 KB each


class TfidfBaseline:
    """TF-IDF over 1- to 4-grams of characters (in two texts at least, sublinear counts), then a linear model.

    The support vector machine's margins become probabilities by a softmax whose scale is fitted on the rows to choose
    by (one number, least log loss), 1 without them; the class it predicts is the margin's own.

    Args:
        kind: ``"lr"`` for logistic regression, ``"svm"`` for the linear support vector machine (one class against the
            rest, squared hinge, classes weighted alike: half a point better on both domains than unweighted).
        grid: Inverse regularisation strengths C to choose from, on the rows to choose by, by macro-F1 (the smaller C
            of equals); without such rows the middle one is taken. None is the kind's own grid.
    """

    def __init__(self, kind: str = "lr", grid: Sequence[float] | None = None) -> None:
        require("sklearn", "train", "the TF-IDF baseline")
        self.kind = kind
        self.grid = tuple(GRIDS[kind] if grid is None else grid)
        self.c: float | None = None
        self._vectorizer: Any = None
        self._model: Any = None
        self._scale = 1.0

    def fit(self, texts: Sequence[str], labels: Labels, *, seed: int = 13, dev: Dev | None = None) -> TfidfBaseline:
        """Train on rows; `dev`, a pair of texts and labels, chooses C and is not trained on.

        Args:
            texts: Raw texts, (n,).
            labels: A class word or a class id (0, 1, 2) each.
            seed: Seed of the solver.
            dev: Texts and labels to choose C on.

        Raises:
            DataError: For a label that is no class, or rows of fewer than two classes.
        """
        text = require("sklearn.feature_extraction.text", "train", "the TF-IDF baseline")
        pools = require("threadpoolctl", "train", "the TF-IDF baseline")
        rows, truth = checked(texts, labels)
        chosen_by = checked(*dev, fewest=1) if dev is not None and len(dev[0]) else None
        kept = [normalise(row) for row in rows]
        for least in (2, 1):  # of a handful of texts no two may share a character
            self._vectorizer = text.TfidfVectorizer(
                analyzer="char", ngram_range=(1, 4), min_df=least, sublinear_tf=True, dtype=np.float32
            )
            try:
                features = self._vectorizer.fit_transform(kept)
                break
            except ValueError as error:  # it found no n-gram
                if least == 1:
                    raise DataError(f"TF-IDF has nothing to learn from: {len(kept)} texts, all empty") from error
        judged = self._vectorizer.transform(map(normalise, chosen_by[0])) if chosen_by else None
        grid = self.grid if chosen_by else (_middle(self.kind, self.grid),)
        best, self._scale = -1.0, 1.0
        for c in sorted(grid):
            model = _linear(self.kind, c, seed)
            # LBFGS's small matrix products are up to twenty times slower on several BLAS threads than on one (measured)
            with pools.threadpool_limits(1):
                model.fit(features, truth)
            reached = macro_f1(chosen_by[1], _logits(model, judged)) if chosen_by else 0.0
            if reached > best:
                best, self.c, self._model = reached, c, model
        if chosen_by and self.kind == "svm":
            self._scale = _fitted_scale(_logits(self._model, judged), chosen_by[1])
        return self

    def predict_proba(self, texts: Sequence[str]) -> Reals:
        """Probabilities (n, 3) float32, columns bearish, neutral, bullish; a class never trained on has 0."""
        if self._model is None:
            raise unfitted(f"tfidf-{self.kind}")
        parts = [self._probabilities(texts[start : start + AT_ONCE]) for start in range(0, len(texts), AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros((0, len(ENGLISH)), dtype=np.float32)

    def _probabilities(self, texts: Sequence[str]) -> Reals:
        features = self._vectorizer.transform(map(normalise, texts))
        if self.kind == "lr":
            return _spread(self._model, self._model.predict_proba(features), 0.0).astype(np.float32)
        return _softmax(self._scale * _logits(self._model, features)).astype(np.float32)


def _middle(kind: str, grid: tuple[float, ...]) -> float:
    return MIDDLE[kind] if MIDDLE[kind] in grid else sorted(grid)[len(grid) // 2]


def _linear(kind: str, c: float, seed: int) -> Any:
    if kind == "svm":
        return require("sklearn.svm", "train", "the TF-IDF baseline").LinearSVC(
            C=c, class_weight="balanced", random_state=seed
        )
    linear = require("sklearn.linear_model", "train", "the TF-IDF baseline")
    return linear.LogisticRegression(C=c, max_iter=1000, random_state=seed)


def _logits(model: Any, features: Any) -> NDArray[np.float64]:
    """Margins (n, 3), -inf for a class not trained on; of two classes scikit-learn gives but one column."""
    margins = np.asarray(model.decision_function(features), dtype=np.float64)
    both = margins if margins.ndim == 2 else np.stack([-margins, margins], axis=1)
    return _spread(model, both, -np.inf)


def _spread(model: Any, values: NDArray[np.float64], missing: float) -> NDArray[np.float64]:
    """The classes' columns at their places among the three, `missing` where a class was not trained on."""
    spread = np.full((len(values), len(ENGLISH)), missing)
    spread[:, model.classes_] = values
    return spread


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _fitted_scale(margins: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The scale of least log loss among eighty steps from 0.2 to 20, even in logarithm."""

    def loss(scale: float) -> float:
        return -float(np.log(_softmax(scale * margins)[np.arange(len(truth)), truth] + 1e-9).mean())

    return float(min(np.geomspace(0.2, 20, 80), key=loss))
