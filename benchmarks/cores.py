"""What two processes gain over one on this machine at best: bare matrix products, one process pinned to each core.

Cores of a virtual machine may be two threads of one real core and share its vector units; then no scoring in two
processes doubles. Run: ``python -m benchmarks.cores``
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from benchmarks.measure import keep, ratio

PRODUCTS = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
import torch
torch.set_num_threads(1)
rows, inner, columns = map(int, sys.argv[2].split("x"))
left, right = torch.randn(rows, inner).bfloat16(), torch.randn(inner, columns).bfloat16()
for _ in range(20):
    left @ right
print("ready", flush=True)
sys.stdin.readline()
begin, done = time.perf_counter(), 0
while time.perf_counter() - begin < 2:
    left @ right
    done += 1
print(done / (time.perf_counter() - begin), flush=True)
"""
SHAPES = ("2048x2048x2048", "1024x256x1280", "4096x256x1280")


def rate(cores: list[int], shape: str) -> float:
    """Products a second, all processes together."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PRODUCTS, str(core), shape], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for core in cores
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in processes)


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    result: dict[str, Any] = {}
    for shape in SHAPES:
        found: dict[str, list[float]] = {"one": [], "two": []}
        for _ in range(5):
            found["one"].append(rate(cores[:1], shape))
            found["two"].append(rate(cores, shape))
        result[shape] = ratio(found["two"], found["one"])
        print(shape, {name: round(value, 2) for name, value in result[shape].items()}, flush=True)
    print(keep("cores", result))


if __name__ == "__main__":
    main()
