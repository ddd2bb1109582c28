"""The default model's novelty: how well texts of other kinds are told from dev texts, and which share is warned of.

The foreign texts are our own (tests/runtime/foreign.csv), and so are the short financial headlines, of which the share
warned of alone is told (tests/runtime/headlines.txt). Run: ``python -m benchmarks.strangers``
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks import subjects
from benchmarks.measure import keep
from finsa_moe import load
from finsa_moe.runtime.prediction import STRANGE

FOREIGN = Path("tests/runtime/foreign.csv")
HEADLINES = Path("tests/runtime/headlines.txt")
NAMED = ("weather", "code", "english", "poem")


def main() -> None:
    finsa = load(engine="onnxruntime")
    rows = list(csv.DictReader(FOREIGN.open(encoding="utf-8")))
    kinds = np.array([row["kind"] for row in rows])
    known, foreign = (
        [p.novelty for p in finsa.predict(some)] for some in (subjects.texts(), [r["text"] for r in rows])
    )
    near, far = np.array(known, dtype=float), np.array(foreign, dtype=float)
    short = [p.strange for p in finsa.predict(HEADLINES.read_text(encoding="utf-8").splitlines())]

    def auroc(which: np.ndarray) -> float:
        return float(roc_auc_score([1] * int(which.sum()) + [0] * len(near), np.concatenate([far[which], near])))

    result = {
        "texts": {"known": len(near), "foreign": len(far), "known_of": subjects.source()},
        "auroc": {kind: auroc(kinds == kind) for kind in sorted(set(kinds.tolist()))}
        | {"+".join(NAMED): auroc(np.isin(kinds, NAMED)), "all": auroc(kinds != "")},
        "warned": {
            "known": float((near >= STRANGE).mean()),
            "foreign": float((far >= STRANGE).mean()),
            "headlines": sum(short) / len(short),
        }
        | {kind: float((far[kinds == kind] >= STRANGE).mean()) for kind in sorted(set(kinds.tolist()))},
    }
    for part in ("auroc", "warned"):
        print(part, {name: round(value, 3) for name, value in result[part].items()})
    print(keep("strangers", result))


if __name__ == "__main__":
    main()
