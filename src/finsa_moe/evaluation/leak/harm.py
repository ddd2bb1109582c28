"""What a leak does to a score: a look-up of leaked labels, and a common model on leaked against clean rows.

A `LeakReport` goes in, scores come out. The look-up has learnt nothing; whatever it scores above the majority class,
the leak gave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finsa_moe.data.duplicates.leakage import LeakReport
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
from finsa_moe.evaluation.metrics import cluster_counts, cluster_draws, confusion, macro_f1_of_draws, score
from finsa_moe.polarity import NAMES

FEWEST = 50
"""Labelled rows that a model of n-grams can learn anything from."""
MOST = 50_000
"""Rows TF-IDF learns from at most: so many of 75 characters took 15 s of one core and 0.7 GiB, and more take more."""


@dataclass(frozen=True)
class Judged:
    """One model on some rows.

    Attributes:
        rows: How many.
        accuracy: 0 to 1.
        macro_f1: 0 to 1.
        interval: 95 % bootstrap interval of macro-F1, drawing clusters of near texts: copies of one post are one
            observation.
        clusters: How many clusters it draws.
    """

    rows: int
    accuracy: float
    macro_f1: float
    interval: tuple[float, float]
    clusters: int


@dataclass(frozen=True)
class Harm:
    """Scores on one split of models that were given another; None where there is no such row or no such model.

    Attributes:
        train: The split learnt from.
        test: The split judged on.
        known: Labelled rows of the split learnt from.
        learnt: Those that TF-IDF was trained on, 0 where it was not.
        lookup_leaked: The training labels looked up, on the rows whose text stands there (normalised).
        lookup: The same on all rows; for the others the training split's most frequent class.
        majority: That class for every row.
        tfidf_leaked: Character TF-IDF on the rows whose text stands in training, equal or near.
        tfidf_clean: The same model on the others.
        tfidf_alike: The same, each class weighed as often as it occurs among the leaked rows: the one to compare with.
        tfidf: The same on all rows.
    """

    train: str
    test: str
    known: int
    learnt: int
    lookup_leaked: Judged | None
    lookup: Judged | None
    majority: Judged | None
    tfidf_leaked: Judged | None
    tfidf_clean: Judged | None
    tfidf_alike: Judged | None
    tfidf: Judged | None

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


def harms(
    report: LeakReport,
    *,
    tfidf: bool = True,
    most: int = MOST,
    progress: Callable[[int, int], None] | None = None,
) -> list[Harm]:
    """Measure what the leak of each pair of `judged_on` brings, one TF-IDF for each training split.

    Args:
        report: What `data.duplicates.leakage.audit` found.
        tfidf: Whether TF-IDF is trained, which takes seconds to a minute; of under 50 rows it is not.
        most: Most rows that TF-IDF learns from: of more, those whose text leaks come first, the others are drawn.
        progress: Called with the pairs done and the pairs in all.

    Returns:
        One entry a pair, but for a pair whose training split bears labels of fewer than two classes or whose other
        split bears none.
    """
    pairs = judged_on(report)
    found: list[Harm] = []
    done = 0
    for train in dict.fromkeys(source for source, _ in pairs):
        known = report.of(train).drop_nulls("label")
        if known["label"].n_unique() < 2:
            continue
        tests = {test: report.of(test).drop_nulls("label") for source, test in pairs if source == train}
        taught = _taught(known, pl.concat(tests.values()), most) if tfidf and known.height >= FEWEST else None
        model = None
        if taught is not None and taught["label"].n_unique() > 1:
            model = TfidfBaseline().fit(taught["text"].to_list(), taught["label"].to_list())
        for test, asked in tests.items():
            if asked.height:
                found.append(_judge(train, known, test, asked, model, 0 if taught is None else taught.height))
            if progress is not None:
                progress(done := done + 1, len(pairs))
    return found


def judged_on(report: LeakReport) -> list[tuple[str, str]]:
    """Every split with the one it is learnt from: its own folder's ``train``, else the first split."""
    pairs = []
    for split in report.splits:
        folder = split.rpartition("/")[0]
        own = f"{folder}/train"
        pairs.append((own if folder and own in report.splits else report.splits[0], split))
    return [(train, test) for train, test in pairs if train != test]


def _taught(known: pl.DataFrame, asked: pl.DataFrame, most: int) -> pl.DataFrame:
    """The rows TF-IDF learns from: all of them, or as many as may be, those that leak first."""
    if known.height <= most:
        return known
    leaks = pl.col("near").is_in(asked["near"].unique().implode())
    shuffled = known.sample(known.height, shuffle=True, seed=13)
    return shuffled.sort(leaks, descending=True, maintain_order=True).head(most)


def _judge(
    train: str, known: pl.DataFrame, test: str, asked: pl.DataFrame, model: TfidfBaseline | None, learnt: int
) -> Harm:
    truth = _ids(asked["label"])
    majority = known["label"].mode().sort()[0]
    answers = known.group_by("normalised").agg(pl.col("label").mode().sort().first().alias("answer"))
    found = asked.join(answers, on="normalised", how="left", maintain_order="left")["answer"]
    leaked = found.is_not_null().to_numpy()
    looked = _certain(_ids(found.fill_null(majority)))
    clusters = asked["near"].to_numpy()
    near = asked["near"].is_in(known["near"].unique().implode()).to_numpy()
    every = np.ones(len(truth), dtype=np.bool_)
    shares = None if model is None else np.asarray(model.predict_proba(asked["text"].to_list()))

    def judged(kept: NDArray[np.bool_], given: NDArray[Any] | None) -> Judged | None:
        if given is None or not kept.any():
            return None
        over = np.unique(truth[kept]).tolist()  # of the labels: what a model answers besides adds no class
        scores = score(truth[kept], given[kept], clusters=clusters[kept], classes=over)
        return Judged(scores.n, scores.accuracy, scores.macro_f1, scores.macro_f1_interval, scores.clusters or 0)

    return Harm(
        train=train,
        test=test,
        known=known.height,
        learnt=0 if model is None else learnt,
        lookup_leaked=judged(leaked, looked),
        lookup=judged(every, looked),
        majority=judged(every, _certain(np.full(len(truth), NAMES.index(majority)))),
        tfidf_leaked=judged(near, shares),
        tfidf_clean=judged(~near, shares),
        tfidf_alike=None if shares is None else _alike(truth, shares.argmax(axis=1), near, clusters),
        tfidf=judged(every, shares),
    )


def _alike(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], leaked: NDArray[np.bool_], clusters: NDArray[Any]
) -> Judged | None:
    """Scores on the rows that do not leak, as if each class were as frequent there as among those that do.

    How often a class occurs moves macro-F1, whatever the model: FinFE's clean rows are 63 % bullish, its leaked ones
    28 %; 80.3 on the leaked stand against 66.7 as the clean are, 61.7 with like classes. None where a class of the
    leaked rows has no other row.
    """
    wanted = np.bincount(truth[leaked], minlength=len(NAMES))
    matrix = confusion(truth[~leaked], predicted[~leaked])
    if not wanted.any() or (matrix.sum(axis=1) == 0)[wanted > 0].any():
        return None
    brought = cluster_counts(truth[~leaked], predicted[~leaked], clusters[~leaked])
    every = np.concatenate([matrix[None], cluster_draws(brought)])
    held = every.sum(axis=2, keepdims=True)
    weighed = np.divide(every * wanted[:, None], held, out=np.zeros(every.shape), where=held != 0)
    over = np.flatnonzero(wanted).tolist()  # of the leaked rows' labels, as their own score has it
    f1 = macro_f1_of_draws(weighed, over, weighed[0])
    low, high = np.quantile(f1[1:], (0.025, 0.975))
    accuracy = float(np.trace(weighed[0]) / wanted.sum())
    return Judged(int(matrix.sum()), accuracy, float(f1[0]), (float(low), float(high)), len(brought))


def _ids(labels: pl.Series) -> NDArray[np.int64]:
    return np.array([NAMES.index(label) for label in labels], dtype=np.int64)


def _certain(answers: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.eye(len(NAMES))[answers]


MODELS = {
    "majority": "majority class",
    "lookup": "look-up of training labels, all rows",
    "lookup_leaked": "look-up, leaked rows",
    "tfidf": "TF-IDF, all rows",
    "tfidf_leaked": "TF-IDF, leaked rows (equal or near)",
    "tfidf_clean": "TF-IDF, clean rows",
    "tfidf_alike": "TF-IDF, clean rows, like classes",
}
"""The fields of `Harm` that hold a `Judged`, in reading order, and what each is called."""


def lines(harm: Harm) -> list[tuple[str, Judged]]:
    """Name and scores of each model that was judged."""
    found = [(name, getattr(harm, field)) for field, name in MODELS.items()]
    return [(name, judged) for name, judged in found if judged is not None]
