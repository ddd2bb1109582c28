"""Whether an expert more was worth it: its answers to held-out rows beside an old expert's and those of TF-IDF.

A grown mixture, labelled rows and the rows it learnt from go in, scores come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finsa_moe.judging.grown import Checked
    from finsa_moe.training.batches import Rows

MOST = 500
"""Rows that are answered: every expert reads each."""


@dataclass(frozen=True)
class Beside:
    """Macro-F1 in percent by who answered, the classes being those of the rows, and how many of the rows there are."""

    by: Mapping[str, float]
    rows: int
    of: int


def beside(folder: Path, new: str, judged: Checked, learnt: Rows, device: str | None) -> Beside:
    """The new expert, the old one that does best, and TF-IDF with a linear SVM, each on all the rows or `MOST` of them.

    Args:
        folder: The grown mixture.
        new: The new domain.
        judged: Its held-out rows.
        learnt: Its training rows.
        device: Torch device name.
    """
    import numpy as np

    from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
    from finsa_moe.evaluation.metrics import score
    from finsa_moe.face import load
    from finsa_moe.polarity import NAMES

    at = np.linspace(0, len(judged.texts) - 1, min(MOST, len(judged.texts))).astype(int).tolist()
    texts, truth = [judged.texts[i] for i in at], [NAMES.index(judged.labels[i]) for i in at]
    model = load(folder, device=device)
    probs = {domain: model.predict_proba(texts, domain=domain) for domain in model.domains}
    probs["TF-IDF"] = TfidfBaseline("svm").fit(learnt.texts, learnt.labels).predict_proba(texts)
    classes = sorted(set(truth))
    found = {who: 100 * score(truth, said, classes=classes, resamples=1).macro_f1 for who, said in probs.items()}
    old = max((domain for domain in model.domains if domain != new), key=lambda domain: found[domain])
    by = {
        f"the new expert, {new}": found[new],
        f"the best old expert, {old}": found[old],
        f"TF-IDF (SVM) of the same {len(learnt.texts):,} training rows": found["TF-IDF"],
    }
    return Beside(by, len(texts), len(judged.texts))
