"""Every baseline on real rows: trained on each domain's training file, judged on its dev file.

``python -m benchmarks.baselines [DATA] [--models SPEC…] [--seeds N…]``: one row in twenty of the training file is what
a model chooses by; the dev file is only judged on. Cells that stand in the results file are not measured again. Seconds
are of processor time, on one thread.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import RESULTS, need
from finsa_moe import shipped
from finsa_moe.evaluation.baselines import make
from finsa_moe.evaluation.baselines.rows import with_dev
from finsa_moe.evaluation.metrics import score
from finsa_moe.polarity import NAMES
from finsa_moe.training.contestants import contestants

MODELS = (
    "majority", "lexicon", "lexicon?softmax=fixed", "tfidf-lr", "tfidf-svm", "fasttext", "textcnn", "bilstm", "lora",
    "finetune",
)  # fmt: skip
WITHOUT_CHANCE = MODELS[:3]


def rows(file: Path) -> tuple[list[str], np.ndarray]:
    """Texts and class ids of a file."""
    with file.open(encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines))
    return [row["text"] for row in found], np.array([NAMES.index(row["label"]) for row in found])


def cell(spec: str, data: Path, domain: str, seed: int) -> dict[str, object]:
    """One model, trained and judged."""
    import torch

    torch.set_num_threads(1)
    texts, truth, dev = with_dev(*rows(data / domain / "train.csv"), None, seed)
    others, wanted = rows(data / domain / "dev.csv")
    model, began = make(spec, contestants(shipped.weights)), time.process_time()
    model.fit(texts, truth, seed=seed, dev=dev)
    trained = time.process_time()
    found = score(wanted, model.predict_proba(others))
    return {
        "model": spec, "domain": domain, "seed": seed, "rows": len(texts), "judged": len(others),
        "macro_f1": found.macro_f1, "accuracy": found.accuracy, "weighted_f1": found.weighted_f1, "ece": found.ece,
        "train_seconds": round(trained - began, 1), "answer_seconds": round(time.process_time() - trained, 2),
    }  # fmt: skip


def table(cells: list[dict]) -> str:
    """Mean and spread by model and domain."""
    lines = ["model                   domain  seeds  macro-F1        accuracy  ECE   train s"]
    for spec, domain in dict.fromkeys((c["model"], c["domain"]) for c in cells):
        own = [c for c in cells if (c["model"], c["domain"]) == (spec, domain)]
        f1 = 100 * np.array([c["macro_f1"] for c in own])
        spread = f" ± {f1.std(ddof=1):.1f}" if len(own) > 1 else ""
        mean = {name: float(np.mean([c[name] for c in own])) for name in ("accuracy", "ece", "train_seconds")}
        lines.append(
            f"{spec:23} {domain:7} {len(own):5}  {f1.mean():.1f}{spread:9}  {100 * mean['accuracy']:8.1f} "
            f"{100 * mean['ece']:5.1f} {mean['train_seconds']:8.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[13, 21, 42])
    parser.add_argument("--domains", nargs="*", default=["news", "forum"])
    parser.add_argument("--results", type=Path, default=RESULTS / "baselines.json")
    args = parser.parse_args()
    need(args.data)
    args.results.parent.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:  # outermost, so that a run which is stopped has judged every model
        for spec in args.models:
            for domain in args.domains:
                if spec in WITHOUT_CHANCE and seed != args.seeds[0]:
                    continue
                cells = json.loads(args.results.read_text()) if args.results.exists() else []
                if any((c["model"], c["domain"], c["seed"]) == (spec, domain, seed) for c in cells):
                    continue
                cells.append(cell(spec, args.data, domain, seed))
                part = args.results.with_suffix(".part")
                part.write_text(json.dumps(cells, indent=1) + "\n")
                part.replace(args.results)
                print(cells[-1], flush=True)
    print(table(json.loads(args.results.read_text())))


if __name__ == "__main__":
    main()
