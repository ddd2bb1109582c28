"""Character TF-IDF on the rows the default model learnt from, judged on the dev files: what the model has to beat.

``python runs/tfidf.py OUT [DATA]``: OUT is the folder of a run of ``runs/default_model.sh``, whose OUT/data holds the
labelled rows. For each dev file logistic regression and a linear SVM are trained on the rows of its own source and on
those of all posts together, C chosen on the source's validation rows; of these the one that scores best on the dev file
is kept, which favours TF-IDF. The result, ``docs/results/tfidf.json``, is what ``runs/dev.py`` and the card print.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from finsa_moe.data.read import read_frame
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
from finsa_moe.evaluation.metrics import score
from finsa_moe.files import write
from finsa_moe.polarity import NAMES

RESULT = Path("docs/results/tfidf.json")
POSTS = ("boards", "investors", "finfe")
SOURCES = {"news/dev": "news", "forum/dev": "boards", "forum/dev_investors": "investors", "forum/dev_finfe": "finfe"}

Rows = tuple[list[str], list[str]]


def rows(file: Path) -> Rows:
    """Texts and labels of a file."""
    frame = read_frame(file)
    return frame["text"].to_list(), frame["label"].to_list()


def joined(folders: list[Path], split: str) -> Rows:
    """Texts and labels of a split of several folders."""
    parts = [rows(folder / f"{split}.csv") for folder in folders]
    return [text for texts, _ in parts for text in texts], [label for _, labels in parts for label in labels]


def main() -> None:
    """Train, judge, keep the best of each file."""
    out, data = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "../shared/data")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SOURCES}
    for sources in (("news",), *((source,) for source in POSTS), POSTS):
        train = joined([out / "data" / source for source in sources], "train")
        valid = joined([out / "data" / source for source in sources], "valid")
        for kind in ("lr", "svm"):
            model = TfidfBaseline(kind).fit(*train, dev=valid)
            for name, source in SOURCES.items():
                if source not in sources:
                    continue
                texts, labels = rows(data / f"{name}.csv")
                truth = np.array([NAMES.index(label) for label in labels])
                one = {
                    "macro_f1": round(100 * score(truth, model.predict_proba(texts)).macro_f1, 2),
                    "model": f"tfidf-{kind}", "C": model.c, "rows": {"sources": sources, "n": len(train[0])},
                }  # fmt: skip
                found[name].append(one)
                print(name, json.dumps(one), flush=True)
    best = {name: max(tried, key=lambda one: float(one["macro_f1"])) for name, tried in found.items()}
    write(RESULT, json.dumps(best, indent=1) + "\n")


if __name__ == "__main__":
    main()
