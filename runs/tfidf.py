"""Character TF-IDF, judged on the dev files: what the default model has to beat.

``python runs/tfidf.py OUT [DATA]``: once on the training files of DATA as they are given, once on the labelled rows the
default model learnt from, which stand in OUT/data and OUT/fresh, OUT being the folder of a run of
``runs/default_model.sh`` or ``runs/tables.sh``. For each dev file logistic regression and a linear SVM are trained on
the rows of its own source and on those of several together; C is chosen on a twentieth of the rows that is set aside.
Of all these the one that scores best on the dev file is kept, which favours TF-IDF. The result, ``OUT/tfidf.json``,
is put in ``docs/results`` when the run is published, for ``runs/dev.py`` and the card to print. One model a core.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from dev import TFIDF
from joblib import Parallel, delayed

from finsa_moe.data.reading.read import read_frame
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
from finsa_moe.evaluation.metrics import score
from finsa_moe.files import write
from finsa_moe.polarity import NAMES
from finsa_moe.runtime import cores

POSTS = ("boards", "investors", "finfe")
SOURCES = {"news/dev": "news", "forum/dev": "boards", "forum/dev_investors": "investors", "forum/dev_finfe": "finfe"}
MIXES = (
    *((source,) for source in ("news", *POSTS)),
    ("boards", "finfe"),
    ("news", "boards", "finfe"),
    POSTS,
    ("news", *POSTS),
)
GIVEN = {
    "news": "news/train",
    "boards": "forum/train",
    "investors": "forum/train_investors",
    "finfe": "forum/extra_finfe",
}
LAST = {"news": ("news", "other"), "boards": ("boards",), "investors": ("investors",)}  # later readings

Rows = tuple[list[str], list[str]]


def rows(file: Path) -> Rows:
    """Texts and labels of a file."""
    frame = read_frame(file)
    return frame["text"].to_list(), frame["label"].to_list()


def joined(parts: list[Rows]) -> Rows:
    """The rows of several sources as those of one."""
    return [text for texts, _ in parts for text in texts], [label for _, labels in parts for label in labels]


def given(data: Path, source: str) -> tuple[Rows, Rows]:
    """A training file as it is given: rows to learn from, and every twentieth, to choose by."""
    texts, labels = rows(data / f"{GIVEN[source]}.csv")
    learn = [at for at in range(len(texts)) if at % 20]
    return ([texts[at] for at in learn], [labels[at] for at in learn]), (texts[::20], labels[::20])


def learnt(out: Path, source: str) -> tuple[Rows, Rows]:
    """What the default model learnt from, and the rows its run chose by."""
    folder, last = out / "data" / source, [out / "fresh" / f"{name}.csv" for name in LAST.get(source, ())]
    return joined([rows(file) for file in (folder / "train.csv", *last) if file.is_file()]), rows(folder / "valid.csv")


def tried(
    which: str, sources: tuple[str, ...], kind: str, train: Rows, valid: Rows, tests: dict[str, Rows]
) -> dict[str, dict[str, Any]]:
    """What one model that learns a mix scores on the dev files of its sources."""
    model = TfidfBaseline(kind).fit(*train, dev=valid)
    found = {}
    for name, (texts, labels) in tests.items():
        if SOURCES[name] in sources:
            truth = np.array([NAMES.index(label) for label in labels])
            found[name] = {
                "macro_f1": round(100 * score(truth, model.predict_proba(texts)).macro_f1, 2),
                "model": f"tfidf-{kind}", "C": model.c, "rows": {"sources": sources, "n": len(train[0])},
            }  # fmt: skip
            print(which, name, json.dumps(found[name]), flush=True)
    return found


def main() -> None:
    """Train, judge, keep the best of each file."""
    out, data = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "../shared/data")
    tests = {name: rows(data / f"{name}.csv") for name in SOURCES}
    sets = {
        "given": {source: given(data, source) for source in GIVEN},
        "learnt": {source: learnt(out, source) for source in GIVEN},
    }
    asked = [(which, sources, kind) for which in sets for sources in MIXES for kind in ("lr", "svm")]
    found = Parallel(n_jobs=cores())(
        delayed(tried)(
            which, sources, kind, *(joined([sets[which][one][side] for one in sources]) for side in (0, 1)), tests
        )
        for which, sources, kind in asked
    )
    best: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in SOURCES}
    for (which, _, _), scores in zip(asked, found, strict=True):
        for name, one in scores.items():
            if which not in best[name] or one["macro_f1"] > best[name][which]["macro_f1"]:
                best[name][which] = one
    write(out / TFIDF.name, json.dumps(best, indent=1) + "\n")


if __name__ == "__main__":
    main()
