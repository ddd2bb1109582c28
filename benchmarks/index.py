"""The daily index of scored rows that would take days to score: made-up answers of 5,000 tickers over 250 days.

Each run is a process of its own, whose highest resident memory is taken. Run: ``python -m benchmarks.index``
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measure import keep
from finsa_moe.files import whole_path
from finsa_moe.polarity import NAMES

WORK = Path("work/bench/index")
PART = 1_000_000


def write(rows: int) -> Path:
    """Answers to so many texts, a file a million: date and time as text, probabilities in float32."""
    folder = WORK / str(rows)
    folder.mkdir(parents=True, exist_ok=True)
    first = datetime.datetime(2026, 1, 1, 9, 30)
    days = [(first + datetime.timedelta(days=day, minutes=day)).isoformat(" ") for day in range(250)]
    for start in range(0, rows, PART):
        path, count = folder / f"{start}.parquet", min(PART, rows - start)
        if path.is_file():
            continue
        rng = np.random.default_rng(start)
        probs = rng.dirichlet([1, 1, 1], count).astype(np.float32)
        tickers = np.char.zfill(np.arange(1, 5001).astype(str), 6)
        frame = pl.DataFrame(
            {
                "ticker": tickers[rng.integers(0, 5000, count)], "date": np.array(days)[rng.integers(0, 250, count)],
                "sentiment": np.array(NAMES)[probs.argmax(1)], "confidence": probs.max(1), "bearish": probs[:, 0],
                "neutral": probs[:, 1], "bullish": probs[:, 2],
                "expert": np.array(["news", "forum"])[rng.integers(0, 2, count)],
            }
        )  # fmt: skip
        with whole_path(path) as part:
            frame.write_parquet(part)
    return folder


def measure(folder: Path) -> tuple[float, float]:
    """Seconds of the whole command, and its highest resident memory in GiB."""
    command = [sys.executable, "-m", "finsa_moe", "index", str(folder), "--by", "ticker", "--date", "date"]
    begin = time.perf_counter()
    process = subprocess.Popen([*command, "--out", str(WORK / "index.parquet")], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    return time.perf_counter() - begin, used.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 20_000_000, 100_000_000])
    args = parser.parse_args()
    result = {}
    for rows in args.rows:
        seconds, memory = measure(write(rows))
        result[str(rows)] = {"seconds": seconds, "peak_gib": memory}
        print(f"{rows:>12,} rows  {seconds:7.1f} s  {memory:5.2f} GiB", flush=True)
    print(keep("index", {"rows": result}))


if __name__ == "__main__":
    main()
