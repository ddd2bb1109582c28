"""How many rows of a new domain `finsa add-domain` needs, beside character TF-IDF on the same rows.

``python runs/new_domain.py MIXTURE OUT [DATA] [--domains …] [--rows …] [--seeds …]``: each domain's rows are split
once (near texts on one side, up to 1,000 to judge by), then every cell draws its rows, adds the domain to MIXTURE and
scores the new expert, the old one it started from, TF-IDF (logistic regression and SVM, the better by the judged
rows: a favour to it), and how far the old domains' dev files moved, routed. A finished cell is a line of
``OUT/cells.jsonl`` and is not run again; of another MIXTURE or other files of DATA the run ends and says so.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from made_of import made_of

import finsa_moe
from finsa_moe.config import DomainConfig
from finsa_moe.data.preparing.prepare import prepare
from finsa_moe.evaluation.baselines.tfidf import TfidfBaseline
from finsa_moe.evaluation.metrics import score
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.polarity import NAMES, LabelMap
from finsa_moe.training.batches import Rows, read_split
from finsa_moe.training.domains import MOE, add_domain
from finsa_moe.training.probe import answers, encoder_of

SETS = {
    "announcements": "other/announcement_weak_binary.csv",
    "microblog": "other/weibo_risk_binary.csv",
    "investors": "forum/train_investors.csv",
    "headlines": "news/extra_xmu_binary.csv",
}
SPELT = "非利空=中性"  # of the microblog set
OLD = ("news", "forum")
JUDGED = 1000


@dataclass(frozen=True)
class Cell:
    """One draw of so many rows of a domain."""

    domain: str
    rows: int
    seed: int


def drawn(train: Rows, cell: Cell) -> tuple[list[str], list[str]]:
    """The cell's texts and labels, each class in its share."""
    rng = np.random.default_rng([cell.seed, cell.rows])
    labels = np.array(train.labels)
    chosen: list[int] = []
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        chosen += own[: max(2, round(cell.rows * len(own) / len(labels)))].tolist()
    order = rng.permutation(chosen).tolist()
    return [train.texts[at] for at in order], [NAMES[train.labels[at]] for at in order]


def judged(out: Path, data: Path, domain: str) -> tuple[Rows, Rows]:
    """A domain's rows to draw from, and up to 1,000 to judge by, near texts on one side; cut once, kept in `out`.

    Raises:
        SystemExit: If what is kept was cut from another file.
    """
    folder, source = out / "data" / domain, data / SETS[domain]
    made_of(folder, source)
    if not (folder / "report.json").is_file():
        prepare([source], domain=domain, out=folder, ratios=(50, 1, 49), labels=LabelMap.parse(SPELT))
    train, test = read_split(folder, "train"), read_split(folder, "test")
    at = np.linspace(0, len(test.texts) - 1, min(JUDGED, len(test.texts))).astype(int).tolist()
    return train, Rows(test.file, [test.texts[i] for i in at], [test.labels[i] for i in at])


def lines_of(kept: Path) -> list[dict[str, Any]]:
    """Finished cells."""
    return [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []


def write(folder: Path, texts: Sequence[str], labels: Sequence[str]) -> None:
    """A prepared folder: every tenth row is its validation."""
    folder.mkdir(parents=True)
    for split, some in (("train", [at for at in range(len(texts)) if at % 10]), ("valid", range(0, len(texts), 10))):
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "label"])
            writer.writerows([str(at), texts[at], labels[at]] for at in some)


def macro(truth: Sequence[int], found: Sequence[int]) -> float:
    """Macro-F1 in percent over the domain's own classes."""
    probs = np.eye(len(NAMES))[np.asarray(found)]
    return 100 * score(truth, probs, classes=sorted(set(truth)), resamples=1).macro_f1


def routed(mixture: Path, olds: Mapping[str, Rows]) -> dict[str, float]:
    """Macro-F1 of a mixture on the dev texts of its old domains, each text by the expert that the router picks."""
    finsa = finsa_moe.load(mixture)
    return {name: macro(rows.labels, finsa.predict_proba(rows.texts).argmax(1).tolist()) for name, rows in olds.items()}


def run(
    cell: Cell,
    mixture: Path,
    train: Rows,
    test: Rows,
    olds: Mapping[str, Rows],
    before: Mapping[str, float],
    work: Path,
) -> dict[str, Any]:
    """Score one cell."""
    shutil.rmtree(work, ignore_errors=True)
    texts, labels = drawn(train, cell)
    write(work / "data", texts, labels)
    began = time.perf_counter()
    facts = add_domain(
        mixture, cell.domain, work / "data", work / "out", device="cpu",
        settings=DomainConfig.load(None, ["trackers=none", f"seed={cell.seed}"]),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    model = load_mixture(work / "out" / MOE, device="cpu")
    encode = encoder_of(mixture, model)
    found = {"expert": macro(test.labels, answers(model, encode, test, len(model.config.domains) - 1))}
    start = facts["started_from"]
    if start in model.config.domains:
        found["start"] = macro(test.labels, answers(model, encode, test, model.config.domains.index(start)))
    for kind in ("lr", "svm"):
        probs = TfidfBaseline(kind).fit(texts, labels, seed=cell.seed).predict_proba(test.texts)
        found[f"tfidf-{kind}"] = macro(test.labels, probs.argmax(-1).tolist())
    after = routed(work / "out" / MOE, olds)
    moved = {f"moved-{name}": after[name] - before[name] for name in olds}
    shutil.rmtree(work)
    return {**vars(cell), "drawn": len(texts), "from": start, "seconds": round(seconds, 1), **found, **moved}


def table(cells: Sequence[dict[str, Any]]) -> str:
    """Means over seeds, and in how many seeds the expert is ahead of the better TF-IDF."""
    lines = [
        "| domain | rows | TF-IDF, the better | the expert it starts from | new expert | ahead | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for domain, rows in dict.fromkeys((c["domain"], c["rows"]) for c in cells):
        some = [c for c in cells if (c["domain"], c["rows"]) == (domain, rows)]
        best = [max(c["tfidf-lr"], c["tfidf-svm"]) for c in some]
        new, start = [c["expert"] for c in some], [c.get("start", float("nan")) for c in some]
        ahead = sum(a > b for a, b in zip(new, best, strict=True))
        lines.append(
            f"| {domain} | {rows:,} | {np.mean(best):.1f} ± {np.std(best):.1f} | {np.mean(start):.1f} | "
            f"**{np.mean(new):.1f}** ± {np.std(new):.1f} | {ahead} of {len(some)} | "
            f"{np.median([c['seconds'] for c in some]):.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--domains", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 300, 1000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[13, 21, 42, 87, 123])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "cells.jsonl"
    read = [*(f"{name}/dev.csv" for name in OLD), *SETS.values()]
    made_of(kept, args.mixture, *(args.data / name for name in read))
    done = lines_of(kept)
    finished = {(c["domain"], c["rows"], c["seed"]) for c in done}
    olds = {name: read_split(args.data / name, "dev") for name in OLD}
    before = routed(args.mixture, olds)
    for domain in args.domains:
        train, test = judged(args.out, args.data, domain)
        for cell in (Cell(domain, rows, seed) for rows in args.rows for seed in args.seeds):
            if (cell.domain, cell.rows, cell.seed) in finished or cell.rows > len(train.texts):
                continue
            row = run(cell, args.mixture, train, test, olds, before, args.out / "cell")
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
            done.append(row)
    print(table(done))


if __name__ == "__main__":
    main()
