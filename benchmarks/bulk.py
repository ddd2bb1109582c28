"""Bulk scoring: the default model beside the published way, a pipeline, a plain classifier, and the machine's limit.

Ours as it ships, in 8 bits, by both engines, and exported in bfloat16; a plain classifier (the same backbone, one
expert merged in) in the same engine, precision and batches; `transformers.pipeline` as its documentation has it, and at
its best (bfloat16, texts sorted by length). All score the same news and forum texts in turns; the published way, slow
and of constant cost a text, gets a sample of them. Run: ``python -m benchmarks.bulk``
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
from finsa_moe import load, shipped
from finsa_moe.runtime.predictor import Predictor

OURS = {"onnxruntime": ("onnxruntime", "int8"), "openvino": ("openvino", "int8"), "openvino bf16": ("openvino", "bf16")}
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
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)  # of the pipeline and the published way too, whatever OMP_NUM_THREADS says
    some = subjects.texts(args.texts)
    few = some[:: max(1, len(some) // args.published)][: args.published]
    sorted_texts = sorted(some, key=len)
    published = subjects.Published(subjects.mixture())
    piped, piped_bf16 = (subjects.pipeline(subjects.mixture(), dtype) for dtype in ("float32", "bfloat16"))
    contestants: dict[str, Callable[[], Any]] = {
        "published": lambda: published.score(few),
        "pipeline": lambda: piped(some),
        "pipeline, sorted, bf16": lambda: piped_bf16(sorted_texts),
    }
    for name, (engine, precision) in OURS.items():
        ours = load(shipped.model() if precision == "int8" else subjects.exported(precision), engine=engine)
        if ours.predictor.engine.name != f"{engine} {precision}":
            raise SystemExit(f"bulk: {name} ran as {ours.predictor.engine.name}")
        plain = Predictor(subjects.PlainEngine(subjects.mixture(), engine, precision, cores))
        contestants[name] = lambda ours=ours: ours.predict_proba(some)  # type: ignore[misc]
        contestants[f"plain {name}"] = lambda plain=plain: plain.predict_proba(some)  # type: ignore[misc]
    counts = dict.fromkeys(contestants, len(some)) | {"published": len(few)}
    contestants["peak"] = peak(torch.bfloat16)
    seconds = alternate(contestants, runs=args.runs)
    rate = {name: [counts[name] / s for s in seconds[name]] for name in counts}
    work = subjects.operations(subjects.real_tokens(some))
    best = 2 * 2048**3 * PRODUCTS / min(seconds["peak"])  # the best of all turns: a limit has no bad moments
    result: dict[str, Any] = {
        "setting": {**vars(args), "threads": cores, "texts_of": subjects.source()},
        "texts_per_second": {name: statistics.median(values) for name, values in rate.items()},
        "peak_bf16_gflops": best / 1e9,
        "ratios": {},
    }
    per_text = {name: [s / counts[name] for s in seconds[name]] for name in counts}
    for name in OURS:
        result["ratios"] |= {
            f"{name} x published": ratio(per_text["published"], per_text[name]),
            f"{name} x pipeline": ratio(per_text["pipeline"], per_text[name]),
            f"{name} x pipeline, sorted, bf16": ratio(per_text["pipeline, sorted, bf16"], per_text[name]),
            f"{name} time / plain": ratio(per_text[name], per_text[f"plain {name}"]),
        }
    share = sorted(work / s / best for s in seconds["openvino bf16"])
    result["share_of_bf16_peak"] = {"median": statistics.median(share), "low": share[0], "high": share[-1]}
    for name, value in result["texts_per_second"].items():
        print(f"{name:24s} {value:9.1f} texts/s")
    for name, value in (*result["ratios"].items(), ("share of bf16 peak", result["share_of_bf16_peak"])):
        print(f"{name:40s} {value['median']:8.2f} ({value['low']:.2f}-{value['high']:.2f})")
    print(keep("bulk", result))


if __name__ == "__main__":
    main()
