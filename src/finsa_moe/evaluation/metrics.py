"""The numbers of an evaluation from true classes and predicted probabilities, in numpy alone.

Accuracy, precision, recall and F1 by class, macro and weighted; confusion; calibration error; a bootstrap interval.
It knows nothing of texts, domains or models.

Two rules, both scikit-learn's: a ratio with a zero denominator is 0 (``zero_division=0``), and macro averages run over
the classes that stand in the truth or among the predictions. ``classes=(0, 1, 2)`` averages over all three regardless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from finsa_moe.errors import DataError
from finsa_moe.evaluation.coverage import Point, risk_coverage
from finsa_moe.evaluation.reliability import Bin, calibration_error, reliability
from finsa_moe.polarity import ENGLISH

Counts = NDArray[np.int64]
Reals = NDArray[np.float64]
CLASSES = len(ENGLISH)
DIGITS = 4
"""Digits of a classification report after the point."""


@dataclass(frozen=True)
class ClassScores:
    """One class against the rest; counts are of texts."""

    precision: float
    recall: float
    f1: float
    support: int
    tp: int
    fp: int
    fn: int
    tn: int


@dataclass(frozen=True)
class Scores:
    """Every number of one evaluation; fractions are in [0, 1].

    Attributes:
        n: Texts scored.
        per_class: By class name: bearish, neutral, bullish.
        classes: The class ids the macro averages run over.
        confusion: Rows are true classes, columns predicted ones.
        ece: Expected calibration error of the top class.
        macro_f1_interval: 95 % bootstrap interval of `macro_f1`.
        clusters: Clusters of near texts that the interval draws; None where it draws texts.
        coverage: The risk–coverage curve: what answering the surest texts alone comes to.
        reliability: How often answers of a confidence are right.
    """

    n: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    weighted_f1: float
    ece: float
    macro_f1_interval: tuple[float, float]
    per_class: dict[str, ClassScores]
    classes: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]
    coverage: tuple[Point, ...] = ()
    reliability: tuple[Bin, ...] = ()
    clusters: int | None = None

    def as_dict(self) -> dict[str, object]:
        """Plain dicts, lists and numbers, ready for JSON."""
        return asdict(self)

    def report(self) -> str:
        """The classification report: precision, recall, F1 and support a class, then the averages."""
        width = len("weighted avg")
        head = ("precision", "recall", "f1-score", "support")
        lines = [" " * width + " " + "".join(f" {name:>9}" for name in head), ""]

        def line(name: str, numbers: Sequence[float | None], support: int) -> str:
            cells = "".join(" " * 10 if x is None else f" {x:>9.{DIGITS}f}" for x in numbers)
            return f"{name:>{width}} {cells} {support:>9}"

        rows = [self.per_class[ENGLISH[c]] for c in self.classes]
        for c, row in zip(self.classes, rows, strict=True):
            lines.append(line(ENGLISH[c], (row.precision, row.recall, row.f1), row.support))
        weights = [row.support / max(1, self.n) for row in rows]
        weighted = [
            sum(w * getattr(row, name) for w, row in zip(weights, rows, strict=True))
            for name in ("precision", "recall", "f1")
        ]
        lines += [
            "",
            line("accuracy", (None, None, self.accuracy), self.n),
            line("macro avg", (self.macro_precision, self.macro_recall, self.macro_f1), self.n),
            line("weighted avg", weighted, self.n),
            "",
        ]
        return "\n".join(lines)


def score(
    truth: ArrayLike,
    probs: ArrayLike,
    *,
    classes: Sequence[int] | None = None,
    clusters: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 13,
) -> Scores:
    """Score predicted probabilities against true classes.

    Args:
        truth: Class ids 0, 1, 2, shape (n,), n ≥ 1.
        probs: Probabilities, shape (n, 3); the predicted class is the highest (the lowest id of equals).
        classes: Class ids the macro averages run over; None takes those in the truth or among the predictions.
        clusters: A number for each text, equal for texts that stand or fall together, shape (n,): the interval then
            draws clusters, since copies of one post drawn apart would make it too narrow.
        resamples: Bootstrap samples of the interval.
        seed: Seed of the bootstrap.

    Raises:
        DataError: If there is no row, the shapes do not fit, a class id is not 0, 1 or 2, or a probability is NaN.
    """
    true, p = _checked(truth, probs)
    predicted = p.argmax(axis=1)
    matrix = confusion(true, predicted)
    used = tuple(present(matrix) if classes is None else classes)
    precision, recall, f1 = (values[list(used)] for values in ratios(matrix))
    support = matrix.sum(axis=1)
    every = ratios(matrix)
    tp = np.diag(matrix)
    if clusters is None:
        ends, drawn = bootstrap_macro_f1(matrix, used, resamples, seed), None
    else:
        brought = cluster_counts(true, predicted, clusters)
        ends, drawn = cluster_bootstrap_macro_f1(brought, used, resamples, seed), len(brought)
    rows = {
        name: ClassScores(
            precision=float(every[0][c]),
            recall=float(every[1][c]),
            f1=float(every[2][c]),
            support=int(support[c]),
            tp=int(tp[c]),
            fp=int(matrix[:, c].sum() - tp[c]),
            fn=int(support[c] - tp[c]),
            tn=int(matrix.sum() - matrix[:, c].sum() - support[c] + tp[c]),
        )
        for c, name in enumerate(ENGLISH)
    }
    return Scores(
        n=len(true),
        accuracy=float(tp.sum() / len(true)),
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1=float(f1.mean()),
        weighted_f1=float((every[2] * support).sum() / len(true)),
        ece=calibration_error(true, p),
        macro_f1_interval=ends,
        per_class=rows,
        classes=used,
        confusion=tuple(tuple(int(x) for x in row) for row in matrix),
        coverage=risk_coverage(true, p),
        reliability=reliability(true, p),
        clusters=drawn,
    )


def confusion(truth: ArrayLike, predicted: ArrayLike, rows: int = CLASSES, columns: int | None = None) -> Counts:
    """Counts (rows, columns) of each pair of true (row) and predicted (column) ids; square if `columns` is None."""
    columns = rows if columns is None else columns
    flat = np.asarray(truth, dtype=np.int64) * columns + np.asarray(predicted, dtype=np.int64)
    return np.bincount(flat, minlength=rows * columns).reshape(rows, columns).astype(np.int64)


def present(matrix: Counts) -> tuple[int, ...]:
    """Ids of the classes that occur in the truth or among the predictions."""
    return tuple(int(c) for c in np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1)))


def ratios(matrix: Counts) -> tuple[Reals, Reals, Reals]:
    """Precision, recall and F1 of each class, each (…, C), from confusion counts (…, C, C); 0 where 0/0."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    said, true = matrix.sum(axis=-2), matrix.sum(axis=-1)
    return _ratio(hits, said), _ratio(hits, true), _ratio(2 * hits, said + true)


def macro_f1_of_draws(draws: NDArray[Any], classes: Sequence[int], whole: NDArray[Any]) -> Reals:
    """Macro-F1 of bootstrap draws, (draws,), from their confusion counts (draws, 3, 3) and those of the sample, (3, 3).

    A class that a draw holds neither in the truth nor among the predictions keeps its F1 of the sample there, since the
    draw says nothing of it. As 0 it would be an error that no model made: of a class of three texts one draw in twenty
    has none, and a model without an error got an interval of 67 to 100. Left out of the average it would be an error
    forgiven: a model that never names a rare class would be perfect in such draws.
    """
    f1 = np.where(_held(draws), ratios(draws)[2], ratios(whole)[2])
    found: Reals = f1[:, list(classes)].mean(axis=1)
    return found


def bootstrap_macro_f1(
    matrix: Counts, classes: Sequence[int], resamples: int = 1000, seed: int = 13
) -> tuple[float, float]:
    """95 % percentile interval of macro-F1 over resampled texts.

    F1 depends on the texts only through the confusion counts, and drawing n texts with replacement draws those counts
    from a multinomial over the matrix's cells: the same distribution, without touching the texts.
    """
    one = np.eye(matrix.size, dtype=np.int64)
    return _interval(_draws(one, matrix.ravel(), resamples, seed), classes, matrix)


def cluster_counts(truth: ArrayLike, predicted: ArrayLike, clusters: ArrayLike) -> Counts:
    """What each cluster brings to the confusion counts, (clusters, 9): a pair of true and predicted ids a column."""
    names, of = np.unique(np.asarray(clusters), return_inverse=True)
    cells = np.asarray(truth, dtype=np.int64) * CLASSES + np.asarray(predicted, dtype=np.int64)
    return confusion(of, cells, len(names), CLASSES * CLASSES)


def cluster_bootstrap_macro_f1(
    brought: Counts, classes: Sequence[int], resamples: int = 1000, seed: int = 13
) -> tuple[float, float]:
    """95 % percentile interval of macro-F1 over resampled clusters, from what `cluster_counts` gives."""
    whole = brought.sum(axis=0).reshape(CLASSES, CLASSES)
    return _interval(cluster_draws(brought, resamples, seed), classes, whole)


def cluster_draws(brought: Counts, resamples: int = 1000, seed: int = 13) -> Counts:
    """Confusion counts of resampled clusters, (resamples, 3, 3), from what `cluster_counts` gives.

    Clusters that bring the same counts stand for one another, so how often each such kind is drawn is multinomial: the
    same distribution as drawing the clusters, for the memory of a few kinds however many clusters there are.
    """
    kinds, times = np.unique(brought, axis=0, return_counts=True)
    return _draws(kinds, times, resamples, seed)


def _draws(kinds: Counts, times: Counts, resamples: int, seed: int) -> Counts:
    """Confusion counts drawn where units that bring `kinds` (k, 9) are there so many `times` (k,)."""
    units = int(times.sum())
    draws: Counts = np.random.default_rng(seed).multinomial(units, times / units, size=resamples) @ kinds
    return draws.reshape(resamples, CLASSES, CLASSES)


def _interval(draws: Counts, classes: Sequence[int], whole: Counts) -> tuple[float, float]:
    low, high = np.quantile(macro_f1_of_draws(draws, classes, whole), (0.025, 0.975))
    return float(low), float(high)


def _held(matrix: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each class occurs in the truth or among the predictions, (…, C), from confusion counts (…, C, C)."""
    found: NDArray[np.bool_] = matrix.sum(axis=-1) + matrix.sum(axis=-2) > 0
    return found


def _ratio(top: Reals, bottom: Counts) -> Reals:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)


def _checked(truth: ArrayLike, probs: ArrayLike) -> tuple[Counts, Reals]:
    true, p = np.asarray(truth, dtype=np.int64), np.asarray(probs, dtype=np.float64)
    if true.ndim != 1 or p.shape != (len(true), CLASSES) or not len(true):
        raise DataError(
            f"truth has shape {true.shape} and probabilities {p.shape}; scoring needs (n,) and (n, {CLASSES}), n ≥ 1"
        )
    if true.min() < 0 or true.max() >= CLASSES:
        bad = int(np.flatnonzero((true < 0) | (true >= CLASSES))[0])
        raise DataError(f"row {bad}: class id {true[bad]} is none of 0 (利空), 1 (中性), 2 (利好)")
    if not np.isfinite(p).all():
        bad = int(np.flatnonzero(~np.isfinite(p).all(axis=1))[0])
        raise DataError(f"row {bad}: the model gave probabilities {p[bad].tolist()}; the model is damaged or overflows")
    return true, p
