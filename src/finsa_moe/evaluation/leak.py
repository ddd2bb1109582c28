"""What a leak does to a score: a look-up of leaked labels, and a common model on leaked against clean rows.

A `LeakReport` goes in, scores come out. The look-up has learnt nothing; whatever it scores above the majority class,
the leak gave.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finsa_moe.data.leakage import LeakReport
from finsa_moe.evaluation.metrics import score
from finsa_moe.evaluation.tfidf import TfidfBaseline
from finsa_moe.polarity import NAMES

_FEWEST = 50  # rows that a model of n-grams can learn anything from


@dataclass(frozen=True)
class Judged:
    """One model on some rows.

    Attributes:
        rows: How many.
        accuracy: 0 to 1.
        macro_f1: 0 to 1.
        interval: 95 % bootstrap interval of macro-F1.
    """

    rows: int
    accuracy: float
    macro_f1: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Harm:
    """Scores on one split of models that were given another; None where there is no such row or it was not asked for.

    Attributes:
        train: The split learnt from.
        test: The split judged on.
        lookup_leaked: The training labels looked up, on the rows whose text stands there (normalised).
        lookup: The same on all rows; for the others the training split's most frequent class.
        majority: That class for every row.
        tfidf_leaked: Character TF-IDF on the rows whose text stands in training, equal or near.
        tfidf_clean: The same model on the others.
        tfidf: The same on all rows.
    """

    train: str
    test: str
    lookup_leaked: Judged | None
    lookup: Judged | None
    majority: Judged | None
    tfidf_leaked: Judged | None
    tfidf_clean: Judged | None
    tfidf: Judged | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


def harm(report: LeakReport, train: str, test: str, *, tfidf: bool = True) -> Harm | None:
    """Measure what a split's leak brings; None when either split has no labels of two classes.

    Args:
        report: What `data.leakage.audit` found.
        train: The split learnt from.
        test: The split judged on.
        tfidf: Whether TF-IDF is trained, which takes seconds to minutes; of under 50 rows it is not.
    """
    known, asked = (report.of(name).drop_nulls("label") for name in (train, test))
    if known["label"].n_unique() < 2 or not asked.height:
        return None
    truth = _ids(asked["label"])
    majority = known["label"].value_counts(sort=True)["label"][0]
    answers = known.group_by("normalised").agg(pl.col("label").mode().sort().first().alias("answer"))
    found = asked.join(answers, on="normalised", how="left", maintain_order="left")["answer"]
    leaked = found.is_not_null().to_numpy()
    looked = _ids(found.fill_null(majority))
    near = asked["near"].is_in(known["near"].unique().implode()).to_numpy()
    shares = None
    if tfidf and known.height >= _FEWEST:
        model = TfidfBaseline().fit(known["text"].to_list(), known["label"].to_list())
        shares = np.asarray(model.predict_proba(asked["text"].to_list()))
    every = np.ones(len(truth), dtype=np.bool_)

    def judged(kept: NDArray[np.bool_], given: NDArray[Any]) -> Judged | None:
        if not kept.any():
            return None
        scores = score(truth[kept], given[kept])
        return Judged(int(kept.sum()), scores.accuracy, scores.macro_f1, scores.macro_f1_interval)

    one_class = np.full(len(truth), NAMES.index(majority))
    tfidfs = [None if shares is None else judged(kept, shares) for kept in (near, ~near, every)]
    return Harm(
        train, test, judged(leaked, _certain(looked)), judged(every, _certain(looked)),
        judged(every, _certain(one_class)), *tfidfs,
    )  # fmt: skip


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
}
"""The fields of `Harm` that hold a `Judged`, in reading order, and what each is called."""


def lines(harm: Harm) -> list[tuple[str, Judged]]:
    """Name and scores of each model that was judged."""
    found = [(name, getattr(harm, field)) for field, name in MODELS.items()]
    return [(name, judged) for name, judged in found if judged is not None]
