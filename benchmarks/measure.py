"""How every benchmark here measures: alternate the contestants in one run, report medians, spread and ratios.

Callables go in, a table of seconds comes out. It knows nothing of what is measured.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def alternate(contestants: Mapping[str, Callable[[], Any]], *, runs: int = 7, warm: int = 1) -> dict[str, list[float]]:
    """Seconds of each contestant's runs, taken in turn so that a slow moment of the machine meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(warm + runs):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if turn >= warm:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(baseline: list[float], contestant: list[float]) -> dict[str, float]:
    """How many times faster the contestant is: the median of the turns' ratios, with the lowest and highest."""
    each = [a / b for a, b in zip(baseline, contestant, strict=True)]
    return {"median": statistics.median(each), "low": min(each), "high": max(each)}


def need(folder: Path) -> None:
    """End with a line where the data (docs/data.md) are not there."""
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such folder; this benchmark needs labelled rows of your own, see docs/data.md")


def resident() -> float:
    """Resident memory of this process now, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def keep(name: str, result: dict[str, Any]) -> Path:
    """Write a result with the facts of the machine beside it."""
    RESULTS.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "arch": platform.machine()}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **result}, indent=2) + "\n", encoding="utf-8")
    return path
