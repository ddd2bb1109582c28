"""All benchmarks, one after another: ``python -m benchmarks``."""

from __future__ import annotations

import runpy
import sys

NAMES = (
    "train_step", "bulk", "chart", "one_core", "single", "strangers", "cores", "footprint", "prepare", "explain",
    "baselines", "score", "index", "active", "active_chart",
)  # fmt: skip

if __name__ == "__main__":
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        sys.argv = [name]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
