"""What every baseline does with the rows it is given: check them, set some aside to choose by, and score a choice.

Texts and labels in, the same checked out. It knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from finsa_moe.errors import DataError
from finsa_moe.evaluation.evaluate import class_ids
from finsa_moe.evaluation.metrics import confusion, present, ratios

Ids = NDArray[np.int64]
Reals = NDArray[np.float32]
Labels = Iterable[object]
Dev = tuple[Sequence[str], Labels]
ASIDE = 0.05
"""Share of the training rows by which a model that must choose does so, where no rows to choose by were given."""


def checked(texts: Sequence[str], labels: Labels, *, fewest: int = 2) -> tuple[list[str], Ids]:
    """Texts as a list and class ids (n,) int64 of class words or ids.

    Args:
        texts: Raw texts, (n,).
        labels: A class word or a class id (0, 1, 2) each.
        fewest: Classes that must stand among them.

    Raises:
        DataError: For a label that is no class, as many labels as texts are not, or too few classes.
    """
    rows, truth = list(texts), class_ids(labels, ids=True)
    if len(rows) != len(truth):
        raise DataError(f"the baseline was given {len(rows)} texts and {len(truth)} labels; give one label a text")
    if (classes := len(np.unique(truth))) < fewest:
        raise DataError(f"the baseline was given rows of {classes} class(es); it needs {fewest} or more")
    return rows, truth


def with_dev(
    texts: Sequence[str], truth: Ids, dev: Dev | None, seed: int
) -> tuple[list[str], Ids, tuple[list[str], Ids]]:
    """Rows to learn from and rows to choose by; without `dev` one in twenty of each class is set aside.

    Args:
        texts: Training texts, (n,).
        truth: Their class ids.
        dev: Rows given to choose by; all of `texts` are then learnt from.
        seed: Chooses the rows set aside.

    Returns:
        Texts and class ids to learn from, and a pair of texts and class ids to choose by, which share no row.
    """
    rows = list(texts)
    if dev is not None and len(dev[0]):
        return rows, truth, checked(*dev, fewest=1)
    rng = np.random.default_rng(seed)
    aside = np.zeros(len(rows), dtype=bool)
    for kind in np.unique(truth):
        own = rng.permutation(np.flatnonzero(truth == kind))
        aside[own[: min(max(1, round(ASIDE * len(own))), len(own) - 1)]] = True  # one row of a class stays to learn
    if not aside.any():  # a row a class: there is nothing to choose by but what is learnt
        return rows, truth, (rows, truth)
    kept, left = np.flatnonzero(~aside), np.flatnonzero(aside)
    return [rows[i] for i in kept], truth[kept], ([rows[i] for i in left], truth[left])


def macro_f1(truth: Ids, probs: NDArray[np.floating]) -> float:
    """Macro-F1 of probabilities (n, 3) against class ids (n,), as `finsa_moe.evaluation.metrics` counts it."""
    matrix = confusion(truth, probs.argmax(axis=1))
    return float(ratios(matrix)[2][list(present(matrix))].mean())


def unfitted(name: str) -> DataError:
    """The error of a baseline that is asked before it was trained."""
    return DataError(f"the baseline {name} is not trained; call fit(texts, labels) first")
