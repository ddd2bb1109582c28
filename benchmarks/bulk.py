"""Bulk scoring: our runtime beside the published way, a pipeline, a plain classifier, and the machine's own limit.

All contestants score the same news and forum texts in turns; the published way, slow and of constant cost a text, gets
a sample of them. Run: ``python -m benchmarks.bulk``
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import subjects
from benchmarks.measure import alternate, keep, ratio
from finsa_moe import load
from finsa_moe.runtime.predictor import Predictor

ENGINES = ("onnxruntime", "openvino")
PRODUCTS = 20


def peak(dtype: torch.dtype, size: int = 2048) -> Callable[[], Any]:
    """Square matrix products, the most arithmetic this machine does in a second: `PRODUCTS` of them."""
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    return lambda: [left @ right for _ in range(PRODUCTS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1000, help="of each domain")
    parser.add_argument("--published", type=int, default=20, help="texts for the published way")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    subjects.WORK.mkdir(parents=True, exist_ok=True)
    folder, cores = subjects.exported(), len(os.sched_getaffinity(0))
    some = subjects.texts(args.texts)
    few = some[:: max(1, len(some) // args.published)][: args.published]
    published, piped = subjects.Published(subjects.mixture()), subjects.pipeline(subjects.mixture())
    contestants: dict[str, Callable[[], Any]] = {
        "published": lambda: published.score(few),
        "pipeline": lambda: piped(some[:: len(some) // 200]),
    }
    counts = {"published": len(few), "pipeline": len(some[:: len(some) // 200])}
    for engine in ENGINES:
        ours = load(folder, engine=engine)
        plain = Predictor(subjects.PlainEngine(subjects.mixture(), engine, ours.predictor.engine.precision, cores))  # type: ignore[attr-defined]
        contestants[engine] = lambda ours=ours: ours.predict_proba(some)  # type: ignore[misc]
        contestants[f"plain {engine}"] = lambda plain=plain: plain.predict_proba(some)  # type: ignore[misc]
        counts |= {engine: len(some), f"plain {engine}": len(some)}
    contestants["peak"] = peak(torch.bfloat16)
    seconds = alternate(contestants, runs=args.runs)
    rate = {name: [counts[name] / s for s in seconds[name]] for name in counts}
    work = subjects.operations(subjects.real_tokens(some, folder))
    best = 2 * 2048**3 * PRODUCTS / min(seconds["peak"])  # the best of all turns: a limit has no bad moments
    result: dict[str, Any] = {
        "setting": {
            **vars(args),
            "threads": cores,
            "engines": {e: load(folder, engine=e).predictor.engine.name for e in ENGINES},
        },
        "texts_per_second": {name: statistics.median(values) for name, values in rate.items()},
        "peak_bf16_gflops": best / 1e9,
        "ratios": {},
    }
    for engine in ENGINES:
        per_text = {name: [s / counts[name] for s in seconds[name]] for name in counts}
        share = sorted(work / s / best for s in seconds[engine])
        result["ratios"] |= {
            f"{engine} x published": ratio(per_text["published"], per_text[engine]),
            f"{engine} x pipeline": ratio(per_text["pipeline"], per_text[engine]),
            f"{engine} time / plain": ratio(per_text[engine], per_text[f"plain {engine}"]),
            f"{engine} share of bf16 peak": {"median": statistics.median(share), "low": share[0], "high": share[-1]},
        }
    for name, value in result["texts_per_second"].items():
        print(f"{name:22s} {value:9.1f} texts/s")
    for name, value in result["ratios"].items():
        print(f"{name:32s} {value['median']:8.2f} ({value['low']:.2f}-{value['high']:.2f})")
    print(keep("bulk", result))


if __name__ == "__main__":
    main()
