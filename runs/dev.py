"""A model on every dev file: macro-F1, routed and by the true domain's expert, routing, calibration.

``python runs/dev.py MODEL [DATA] [--json FILE] [--tfidf FILE]``: a mixture's folder, trained or exported, goes in; a
table comes out, beside character TF-IDF on the training rows as they are given, and on the rows the default model
learnt from (``runs/tfidf.py``). Intervals draw clusters of near texts.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from finsa_moe import load
from finsa_moe.data.duplicates.clusters import near_clusters
from finsa_moe.evaluation.metrics import score
from finsa_moe.polarity import NAMES

FILES = {  # the expert of each file's domain, and the goal
    "news/dev": ("news", 86.0),
    "forum/dev": ("forum", 78.0),
    "forum/dev_investors": ("forum", 70.0),
    "forum/dev_finfe": ("forum", 70.0),
}
TFIDF = Path(__file__).parents[1] / "docs" / "results" / "tfidf.json"


def tfidf(file: Path = TFIDF) -> dict[str, tuple[float, float]]:
    """Macro-F1 of TF-IDF in percent, by dev file: on the training files as given, on the default model's own rows."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    return {name: (float(one["given"]["macro_f1"]), float(one["learnt"]["macro_f1"])) for name, one in kept.items()}


def check_data(parser: argparse.ArgumentParser, data: Path, names: Iterable[str]) -> None:
    """End with one line where a file is missing that is judged on."""
    for name in names:
        if not (data / f"{name}.csv").is_file():
            parser.error(f"{data}: no {name}.csv; name the folder that holds news/ and forum/ (docs/data.md)")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tfidf", type=Path, default=TFIDF, help="what runs/tfidf.py found")
    args = parser.parse_args()
    check_data(parser, args.data, FILES)
    finsa, found, baseline = load(args.model), {}, tfidf(args.tfidf)
    print("file                    rows clusters TF-IDF same rows  goal routed      95 %   true right way  ECE")
    for name, (domain, goal) in FILES.items():
        given, same = baseline[name]
        with (args.data / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        texts, truth = [row["text"] for row in rows], np.array([NAMES.index(row["label"]) for row in rows])
        answers = finsa.predict(texts)
        probs = np.array([list(answer.scores.values()) for answer in answers])
        near = near_clusters(texts).ids
        routed, own = (score(truth, p, clusters=near) for p in (probs, finsa.predict_proba(texts, domain=domain)))
        right = float(np.mean([answer.expert == domain for answer in answers]))
        low, high = (100 * bound for bound in routed.macro_f1_interval)
        print(
            f"{name:22s} {len(rows):5d} {routed.clusters:8d} {given:6.1f} {same:9.1f} {goal:5.1f} "
            f"{100 * routed.macro_f1:6.1f} {low:5.1f}–{high:4.1f} "
            f"{100 * own.macro_f1:5.1f} {100 * right:9.1f} {100 * routed.ece:5.1f}"
        )
        entry: dict[str, Any] = {"routed": routed.as_dict(), "own": own.as_dict(), "routing": right}
        found[name] = entry
    if args.json:
        args.json.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
