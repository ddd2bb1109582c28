"""One text: the default model's answer beside a bare call of a plain classifier on its ids; the command from cold.

Run: ``python -m benchmarks.single``
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import subjects
from benchmarks.measure import alternate, keep, ratio
from finsa_moe import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--runs", type=int, default=9, help="of the command from cold")
    args = parser.parse_args()
    subjects.WORK.mkdir(parents=True, exist_ok=True)
    finsa = load(engine="onnxruntime")
    engine: Any = finsa.predictor.engine
    plain = subjects.PlainEngine(subjects.mixture(), "onnxruntime", engine.precision, 1)
    some = subjects.texts()[:: 2000 // args.texts]
    ours: list[float] = []
    bare: list[float] = []
    inputs = [np.array([engine.encode([text])[0].ids]) for text in some]
    calls = {
        "ours": (ours, finsa.predict, some),
        "bare": (bare, lambda ids: plain.session(ids, np.ones_like(ids)), inputs),
    }
    for turn in range(7):  # each form in turns of its own: text by text they would empty each other's caches
        for seconds, call, given in calls.values():
            for one in given:
                start = time.perf_counter()
                call(one)
                if turn:
                    seconds.append(time.perf_counter() - start)
    each = [
        statistics.median(ours[at :: len(some)]) / statistics.median(bare[at :: len(some)]) for at in range(len(some))
    ]
    overall = statistics.median(ours) / statistics.median(bare)
    command = [str(Path(sys.executable).parent / "finsa"), "predict", "主力今天又跑了"]
    cold = alternate(
        {
            "import": lambda: subprocess.run([sys.executable, "-c", "import onnxruntime"], check=True),
            "predict": lambda: subprocess.run(command, check=True, capture_output=True),
        },
        runs=args.runs,
    )
    result: dict[str, Any] = {
        "setting": {**vars(args), "texts_of": subjects.source()},
        "p50_ms": {"ours": 1000 * statistics.median(ours), "bare": 1000 * statistics.median(bare)},
        "p50_over_bare": overall,
        "each_text_over_bare": {f"q{q:02d}": float(np.quantile(each, q / 100)) for q in (5, 50, 95)},
        "cold_seconds": {name: statistics.median(values) for name, values in cold.items()},
        "cold_over_import": ratio(cold["predict"], cold["import"]),
    }
    for name in ("p50_ms", "each_text_over_bare", "cold_seconds", "cold_over_import"):
        print(name, {key: round(value, 3) for key, value in result[name].items()})
    print("p50_over_bare", round(overall, 3))
    print(keep("single", result))


if __name__ == "__main__":
    main()
