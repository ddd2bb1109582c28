"""A table of n-grams from rows: a linear support vector machine, and of its n-grams those that say most.

Texts and class ids in, a `data.ngrams.NGrams` out: an expert's, of the three polarities, or a router's, of the domains.
It knows no network; it needs scikit-learn (extra ``train``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from finsa_moe.data.ngrams import PART, Keys, NGrams, found, text_keys, weighed
from finsa_moe.errors import require
from finsa_moe.polarity import NAMES

FEWEST_TEXTS = 3
"""Texts in which an n-gram must stand to be looked at."""
ROUTER_WEIGHT = 4.0
"""What a router's table counts beside its logits; 2, or no logits at all, are nearly as good (EXPERIMENTS.md)."""


def fit(
    texts: Sequence[str], labels: Sequence[int], most: int, *, classes: int = len(NAMES), cost: float = 1.0,
    weight: float = 1.0, seed: int = 13,
) -> NGrams | None:  # fmt: skip
    """Fit on rows; one class against the rest, squared hinge, classes weighted alike.

    Args:
        texts: Raw texts, (n,).
        labels: Class ids, (n,), of all classes.
        most: N-grams to keep, those of the largest weight times idf times texts: rare ones mostly know a text by heart.
        classes: How many there are; two or more.
        cost: Inverse strength of regularisation (the C of Fan et al. 2008, eq. 1).
        weight: What the table's values are multiplied by.
        seed: Of the solver.

    Returns:
        The table; None where a class has no row or no n-gram stands in `FEWEST_TEXTS` texts.
    """
    svm = require("sklearn.svm", "train", "a table of n-grams")
    pools = require("threadpoolctl", "train", "a table of n-grams")
    keys, texts_with = np.unique(np.concatenate([_each_once(part) for part in _parts(texts)]), return_counts=True)
    often = texts_with >= FEWEST_TEXTS
    keys, texts_with = keys[often], texts_with[often]
    if not len(keys) or len(set(labels)) < classes:
        return None
    idf = (np.log((1 + len(texts)) / (1 + texts_with)) + 1).astype(np.float32)
    model = svm.LinearSVC(C=cost, class_weight="balanced", random_state=seed)
    with pools.threadpool_limits(1):
        model.fit(_features(keys, idf, texts), np.asarray(labels))
    weights, bias = model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32)
    if classes == 2:  # the solver gives the second class's alone
        weights, bias = np.concatenate([-weights, weights], axis=1), np.concatenate([-bias, bias])
    said = np.abs(weights).max(axis=1) * idf * texts_with
    kept = np.sort(np.argsort(-said, kind="stable")[:most])
    return NGrams.rounded(keys[kept], idf[kept], weights[kept], bias).scaled(weight)


def fit_router(
    texts: Sequence[str], domains: Sequence[int], most: int, *, experts: int, seed: int = 13
) -> NGrams | None:
    """A table that tells domains, to be added to a router's logits; arguments and result as of `fit`, None for one."""
    return fit(texts, domains, most, classes=experts, weight=ROUTER_WEIGHT, seed=seed) if experts > 1 else None


def lacking(labels: Sequence[int], names: Sequence[str]) -> str:
    """Why `fit` or `fit_router` made no table, in a few words.

    Args:
        labels: Class ids of the rows.
        names: What the classes are called.
    """
    if missing := [name for at, name in enumerate(names) if at not in set(labels)]:
        return f"no table of n-grams: no training row is {' or '.join(missing)}"
    if len(names) < 2:
        return f"no table of n-grams: there is nothing but {names[0]} to tell from"
    return f"no table of n-grams: none stands in {FEWEST_TEXTS} training texts or more"


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + PART] for start in range(0, max(1, len(texts)), PART))


def _each_once(texts: Sequence[str]) -> Keys:
    """The keys of each text, once a text."""
    keys, of = text_keys(texts)
    order = np.lexsort((keys, of))
    keys, of = keys[order], of[order]
    first = np.ones(len(keys), dtype=bool)
    first[1:] = (keys[1:] != keys[:-1]) | (of[1:] != of[:-1])
    return keys[first]


def _features(keys: Keys, idf: NDArray[np.float32], texts: Sequence[str]) -> object:
    """TF-IDF of the texts, sparse (n, m)."""
    sparse = require("scipy.sparse", "train", "a table of n-grams")
    made = []
    for part in _parts(texts):
        of, places, counts = found(keys, part)
        values = weighed(of, counts, idf[places], len(part))
        made.append(sparse.csr_matrix((values, (of, places)), shape=(len(part), len(keys))))
    return sparse.vstack(made, format="csr")
