"""An expert's table of n-grams from its rows: a linear support vector machine, its weights in bytes.

Texts and class ids in, a `data.ngrams.NGrams` out. It knows no network; it needs scikit-learn (extra ``train``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.ngrams import NGrams, found, text_keys, weighed
from finsa_moe.errors import require
from finsa_moe.polarity import NAMES

FEWEST_TEXTS = 3
"""Texts in which an n-gram must stand to be looked at."""


def fit(texts: Sequence[str], labels: Sequence[int], most: int, *, cost: float = 1.0, seed: int = 13) -> NGrams | None:
    """Fit on rows; one class against the rest, squared hinge, classes weighted alike.

    Args:
        texts: Raw texts, (n,).
        labels: Class ids, (n,), of all three classes.
        most: N-grams to keep, those of the largest weights.
        cost: Inverse strength of regularisation (the C of Fan et al. 2008, eq. 1).
        seed: Of the solver.

    Returns:
        The table; None where a class has no row or no n-gram stands in `FEWEST_TEXTS` texts.
    """
    svm = require("sklearn.svm", "train", "a table of n-grams")
    pools = require("threadpoolctl", "train", "a table of n-grams")
    keys, texts_with = np.unique(np.concatenate([text_keys(text)[0] for text in texts]), return_counts=True)
    often = texts_with >= FEWEST_TEXTS
    keys, texts_with = keys[often], texts_with[often]
    if not len(keys) or len(set(labels)) < len(NAMES):
        return None
    idf = (np.log((1 + len(texts)) / (1 + texts_with)) + 1).astype(np.float32)
    model = svm.LinearSVC(C=cost, class_weight="balanced", random_state=seed)
    with pools.threadpool_limits(1):
        model.fit(_features(keys, idf, texts), np.asarray(labels))
    weights = model.coef_.T.astype(np.float32)
    kept = np.sort(np.argsort(-np.abs(weights).max(axis=1), kind="stable")[:most])
    scale = max(float(np.abs(weights[kept]).max()), 1e-9) / 127
    return NGrams(
        keys[kept], idf[kept], np.round(weights[kept] / scale).astype(np.int8), np.array([scale], dtype=np.float32),
        model.intercept_.astype(np.float32),
    )  # fmt: skip


def _features(keys: NDArray[np.uint64], idf: NDArray[np.float32], texts: Sequence[str]) -> object:
    """TF-IDF of the texts, sparse (n, m)."""
    sparse = require("scipy.sparse", "train", "a table of n-grams")
    places, values, ends = [], [], [0]
    for text in texts:
        own, counts = found(keys, text)
        places.append(own)
        values.append(weighed(counts, idf[own]) if len(own) else np.zeros(0, dtype=np.float32))
        ends.append(ends[-1] + len(own))
    return sparse.csr_matrix((np.concatenate(values), np.concatenate(places), ends), shape=(len(texts), len(keys)))
