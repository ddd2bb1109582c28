"""All benchmarks, one after another: ``python -m benchmarks``.

Each runs in a process of its own, for some pin themselves to a core or count their own memory. What one needs and this
machine lacks is said and passed over; the exit status is 1 if any failed.
"""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "train_step", "bulk", "chart", "one_core", "single", "strangers", "cores", "footprint", "prepare", "explain",
    "baselines", "score", "serve", "index", "active", "active_chart",
)  # fmt: skip


def main() -> int:
    """Run them all; how many failed."""
    failed = []
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
