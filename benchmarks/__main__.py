"""All benchmarks, one after another: ``python -m benchmarks``.

Each runs in a process of its own, for some pin themselves to a core or count their own memory. What one needs and this
machine lacks is said and passed over; the exit status is 1 if any failed. Results and pictures go to
``work/bench/results``: those that are tracked, which pages and card quote, are written by one benchmark run by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import PASSED_OVER

RESULTS = Path("work/bench/results")
NAMES = (
    "train_step", "bulk", "chart", "one_core", "single", "strangers", "cores", "footprint", "prepare", "explain",
    "baselines", "score", "serve", "index", "active", "active_chart",
)  # fmt: skip


def main() -> int:
    """Run them all; how many failed."""
    environment, failed, passed_over = {**os.environ, "FINSA_BENCH_RESULTS": str(RESULTS)}, [], []
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env=environment, check=False)
        if done.returncode:
            (passed_over if done.returncode == PASSED_OVER else failed).append(name)
    print(f"\nresults: {RESULTS}")
    if passed_over:
        print(f"passed over: {', '.join(passed_over)}")
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
