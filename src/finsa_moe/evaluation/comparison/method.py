"""The numbers by which the paper's method judges a model, under one order and one name everywhere.

`Scores` go in, fractions come out: the five of the paper's tables, then the recall of each class.
"""

from __future__ import annotations

from collections.abc import Iterable

from finsa_moe.evaluation.metrics import Scores
from finsa_moe.polarity import ENGLISH, NAMES

PAPER = ("accuracy", "macro-P", "macro-R", "macro-F1", "weighted F1")
"""What the paper's two tables have."""
NUMBERS = (*PAPER, *(f"recall {name}" for name in NAMES))


def numbers(scores: Scores) -> dict[str, float]:
    """Fractions under `NUMBERS`."""
    recalls = [scores.per_class[name].recall for name in ENGLISH]
    values = (scores.accuracy, scores.macro_precision, scores.macro_recall, scores.macro_f1, scores.weighted_f1)
    return dict(zip(NUMBERS, (*values, *recalls), strict=True))


def by_seed(scores: Iterable[Scores]) -> dict[str, tuple[float, ...]]:
    """Under `NUMBERS`, the fractions of every seed."""
    found = [numbers(one) for one in scores]
    return {name: tuple(one[name] for one in found) for name in NUMBERS}
