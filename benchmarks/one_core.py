"""The default model on one core: texts a second in bulk, news and forum half and half, beside a bare BERT of 6 x 256.

Both run in the same engine and precision, on the same ids in the same batches, in turns, one thread tied to one core;
so does the model without its tables of n-grams.
Run: ``python -m benchmarks.one_core``
"""

from __future__ import annotations

import argparse
import os
import statistics
from typing import Any

from benchmarks import subjects
from benchmarks.measure import alternate, keep, ratio
from finsa_moe import load
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.shipped import weights

ENGINES = ("onnxruntime", "openvino")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=500, help="of each domain")
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    subjects.WORK.mkdir(parents=True, exist_ok=True)
    some = subjects.texts(args.texts)
    contestants: dict[str, Any] = {}
    for engine in ENGINES:
        ours = load(engine=engine, threads=1)
        precision = ours.predictor.engine.precision  # type: ignore[attr-defined]
        bert = Predictor(subjects.PlainEngine(weights().parent, engine, precision, 1, bert=True))
        contestants[engine] = lambda ours=ours: ours.predict_proba(some)
        contestants[f"bert {engine}"] = lambda bert=bert: bert.predict_proba(some)
        network = load(engine=engine, threads=1)
        network.predictor.engine.ngrams, network.predictor.engine.router_ngrams = (), None  # type: ignore[attr-defined]
        contestants[f"network {engine}"] = lambda network=network: network.predict_proba(some)
    seconds = alternate(contestants, runs=args.runs)
    result: dict[str, Any] = {
        "setting": {**vars(args), "texts_of": subjects.source()},
        "texts_per_second": {},
        "ratios": {},
    }
    for name, turns in seconds.items():
        rates = sorted(len(some) / s for s in turns)
        result["texts_per_second"][name] = {"median": statistics.median(rates), "low": rates[0], "high": rates[-1]}
        print(f"{name:20s} {statistics.median(rates):7.0f} texts/s ({rates[0]:.0f}-{rates[-1]:.0f})")
    for engine in ENGINES:
        for other in ("bert", "network"):
            found = ratio(seconds[f"{other} {engine}"], seconds[engine])
            result["ratios"][f"{engine} x {other}"] = found
            print(f"{engine} x {other}: {found['median']:.2f} ({found['low']:.2f}-{found['high']:.2f})")
    print(keep("one_core", result))


if __name__ == "__main__":
    main()
