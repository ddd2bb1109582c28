"""The default model and character TF-IDF on texts whose label neither has learnt from these readings.

``python runs/untouched.py [DATA] [--model FOLDER]``: 900 wire lines, board posts and investors' posts each, and 524
lines of news unlike the wire's (sentences of a set of event types, company news, reports' titles), drawn at random and
read under the rubric (``*.valid.csv`` of ``runs/readings/fresh``). None is near to one of the training files, and none
of these readings was learnt; yet the model that ships has met a part of the texts. 30 wire lines stand in the set of
announcements, whose editors' tags were a task of its student. Teachers answered all of StockSentCN (315 of the board
posts) and a part of the unlabelled lines, and students learnt the answers; the router learnt of which domain such lines
are. The last pass and the tables have learnt other texts of these readers; checkpoints, and the tables' weight, were
chosen with an eye on these texts. Most lines are of the kinds that the model was pre-trained on.

So each model is scored a second time (``apart``) without the texts that stand in a labelled file of DATA, whatever its
labels, or in a pool as ``runs/default_model.sh`` draws it; and a third time (``far``) without those that the first
round's teachers may have answered either. Which 32,000 of a kind the second round took was not kept, so that 70,000 and
32,000 of each are left out: nearly all posts.

TF-IDF learns the training files as they are given, and with them the readings that the default model learnt from, in
the mix, form and C that serve it best on the dev files (``runs/tfidf.py``). The result is
``docs/results/untouched.json``; differences are paired, intervals draw clusters of near texts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pool
from dev import TFIDF, check_data
from numpy.typing import NDArray
from readings import READINGS, joined, labels, mark, texts
from tfidf import GIVEN, LAST, Rows, rows
from tfidf import joined as all_of

from finsa_moe import load
from finsa_moe.data.duplicates.clusters import near_clusters
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.reading.read import read_texts
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
from finsa_moe.evaluation.comparison.clustered import Draws, difference
from finsa_moe.evaluation.metrics import score
from finsa_moe.files import write
from finsa_moe.polarity import NAMES

TARGET = Path("docs/results/untouched.json")
KINDS = {"news": "news/dev", "boards": "forum/dev", "investors": "forum/dev_investors", "other": "news/dev"}
FRESH = READINGS / "fresh"
POOLS = {"news": 32_000, "boards": 32_000, "investors": 32_000, "wire": 20_000}
"""Texts that a run draws for teachers and router."""
EARLIER = {"news": 70_000, "investors": 70_000}
"""Texts that the teachers of the round before answered."""


def read(data: Path) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Texts and labels by kind: the readings the model learnt from, none near to one to judge by; and the latter."""
    known = {f"learnt {file.stem}": labels(file) for file in READINGS.glob("*.csv")}
    known |= {f"fresh {name}": labels(FRESH / f"{name}.csv") for names in LAST.values() for name in names}
    known |= {f"judge {kind}": labels(FRESH / f"{kind}.valid.csv") for kind in KINDS}
    found: dict[str, Rows] = {
        name: ([text for text, _ in pairs.values()], [label for _, label in pairs.values()])
        for name, pairs in joined(texts(data), known).items()
    }
    judge = {kind: found[f"judge {kind}"] for kind in KINDS}
    apart = HeldOut([text for asked, _ in judge.values() for text in asked])

    def further(name: str) -> Rows:
        kept = [(text, label) for text, label in zip(*found[name], strict=True) if apart.match(text) is None]
        return [text for text, _ in kept], [label for _, label in kept]

    learnt = {
        kind: all_of([found[f"learnt {kind}"], *(further(f"fresh {name}") for name in LAST[kind])]) for kind in LAST
    }
    return learnt, judge


def met(data: Path) -> dict[str, set[str]]:
    """Hashes of the texts that a second score leaves out, and a third."""
    files = [file for place in ("news", "forum", "other") for file in sorted((data / place).glob("*.csv"))]
    near = {mark(text) for file in files if not file.stem.startswith("dev") for text in read_texts([file])}
    far = set[str]()
    for kind, most in POOLS.items():
        found = [mark(text) for text in pool.drawn(data, kind, most + EARLIER.get(kind, 0))[0]]
        near.update(found[:most])
        far.update(found)
    return {"apart": near, "far": near | far}


def baseline(kept: dict[str, Any], sources: dict[str, Rows]) -> TfidfBaseline:
    """TF-IDF in the form that served best on a dev file, trained on all rows of its sources."""
    train = all_of([sources[name] for name in kept["rows"]["sources"]])
    return TfidfBaseline(kept["model"].removeprefix("tfidf-"), grid=[kept["C"]]).fit(*train)


def main() -> None:
    """Train the baselines, answer, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    check_data(parser, args.data, GIVEN.values())
    learnt, judge = read(args.data)
    given = {source: rows(args.data / f"{name}.csv") for source, name in GIVEN.items()}
    both = {source: all_of([part, learnt[source]]) if source in learnt else part for source, part in given.items()}
    left_out = met(args.data)
    kept, finsa, results = json.loads(TFIDF.read_text(encoding="utf-8")), load(args.model), {}
    fitted: dict[tuple[str, str], TfidfBaseline] = {}
    for kind, dev in KINDS.items():
        asked, named = judge[kind]
        truth = np.array([NAMES.index(label) for label in named])
        shares = {"finsa": finsa.predict_proba(asked)}
        for which, sources in (("given", given), ("learnt", both)):
            if (dev, which) not in fitted:  # both kinds of news ask the same
                fitted[dev, which] = baseline(kept[dev][which], sources)
            shares[f"tfidf {which}"] = fitted[dev, which].predict_proba(asked)
        results[kind] = compared(truth, shares, near_clusters(asked).ids)
        for name, known in left_out.items():
            rest = np.array([mark(text) not in known for text in asked])
            more = compared(
                truth[rest], {model: probs[rest] for model, probs in shares.items()},
                near_clusters([text for text, stays in zip(asked, rest, strict=True) if stays]).ids,
            )  # fmt: skip
            for model, scores in more.items():
                results[kind][model][name] = scores
        print(kind, json.dumps(results[kind]), flush=True)
    write(TARGET, json.dumps(results, indent=1) + "\n")


def percent(share: float) -> float:
    """In percent, to a hundredth."""
    return round(100 * share, 2)


def compared(truth: NDArray[np.int64], shares: dict[str, Any], clusters: NDArray[np.int64]) -> dict[str, Any]:
    """Macro-F1 in percent of each model, with its interval, and how far the first is ahead of each other."""
    draws, found = Draws(clusters), {}
    ours = draws.macro_f1(truth, shares["finsa"].argmax(1), range(len(NAMES)))
    for name, probs in shares.items():
        scores = score(truth, probs, clusters=clusters)
        found[name] = {
            "n": scores.n, "macro_f1": percent(scores.macro_f1), "interval": [*map(percent, scores.macro_f1_interval)],
            "accuracy": percent(scores.accuracy), "ece": percent(scores.ece),
        }  # fmt: skip
        theirs = draws.macro_f1(truth, probs.argmax(1), range(len(NAMES)))
        gap = difference(ours[0] - theirs[0], ours[1] - theirs[1])
        found[name]["behind"] = [*map(percent, (gap.value, gap.low, gap.high))]
    return found


if __name__ == "__main__":
    main()
