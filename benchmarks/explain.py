"""How long explaining takes: 100 dev texts at 500 evaluations each, on the default model, by either engine.

Half news, half boards, spread over the dev files. Beside the time: how far the values of 500 evaluations lie from those
of 2,000 with another seed. Run: ``python -m benchmarks.explain``
"""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import keep, need
from finsa_moe import FinSA, load
from finsa_moe.explain.explain import ExplainSettings, explain

DATA = Path("../shared/data")
TEXTS, EVALUATIONS, MANY = 100, 500, 2000


def texts() -> list[str]:
    """As many texts of each dev file, evenly spread."""
    found: list[str] = []
    for file in (DATA / "news" / "dev.csv", DATA / "forum" / "dev.csv"):
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [row["text"] for row in csv.DictReader(lines)]
        found += [rows[at * len(rows) // (TEXTS // 2)] for at in range(TEXTS // 2)]
    return found


def timed(model: FinSA, asked: list[str]) -> dict[str, Any]:
    """One run, after a warm-up that opens the engines and the libraries."""
    began = time.perf_counter()
    explain(model, asked[:1], settings=ExplainSettings(evaluations=EVALUATIONS))
    ready = time.perf_counter()
    found = explain(model, asked, settings=ExplainSettings(evaluations=EVALUATIONS))
    seconds, total = time.perf_counter() - ready, sum(e.evaluations for e in found)
    return {
        "engine": model.predictor.engine_for(EVALUATIONS).name,
        "texts": len(found),
        "words of a text": float(np.mean([len(e.words) for e in found])),
        "exact": sum(e.exact for e in found),
        "seconds to start": ready - began,
        "seconds": seconds,
        "evaluations": total,
        "evaluations a second": total / seconds,
    }


def main() -> None:
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # as `finsa explain` does
    need(DATA)
    asked = texts()
    result: dict[str, Any] = {"runs": [timed(load(engine="onnxruntime"), asked), timed(load(), asked)]}
    model, longer = load(), [text for text in asked if len(text) > 40][::8][:4]
    few = explain(model, longer, settings=ExplainSettings(evaluations=EVALUATIONS))
    many = explain(model, longer, settings=ExplainSettings(evaluations=MANY, seed=14))
    pairs = [(a.values, b.values) for a, b in zip(few, many, strict=True)]
    result[f"{EVALUATIONS} beside {MANY} evaluations"] = {
        "texts": len(longer),
        "mean difference": float(np.mean([np.abs(a - b).mean() for a, b in pairs])),
        "mean absolute value": float(np.mean([np.abs(b).mean() for _, b in pairs])),
        "rank correlation": float(np.mean([ranked(a, b) for a, b in pairs])),
    }
    print(json.dumps(result, indent=1))
    keep("explain", result)


def ranked(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's correlation of the words' values for the class that moves most."""
    column = int(np.abs(b).sum(axis=0).argmax())
    ranks = [x[:, column].argsort().argsort() for x in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main()
