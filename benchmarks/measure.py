"""How every benchmark here measures: alternate the contestants in one run, report medians, spread and ratios.

Callables go in, a table of seconds comes out. Of what is measured it knows where the default model lies.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from finsa_moe import shipped

KEPT = Path(__file__).parent / "results"
RESULTS = Path(os.environ.get("FINSA_BENCH_RESULTS", KEPT))
"""Where results go: to the tracked ones, or, for all benchmarks at once, where these are not overwritten."""
PASSED_OVER = 77
"""Exit status of a benchmark that this machine lacks something for."""


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
        pass_over(f"{folder}: no such folder; this benchmark needs labelled rows of your own, see docs/data.md")


def pass_over(why: str) -> NoReturn:
    """End with a line that says what is lacking."""
    print(why, file=sys.stderr)
    raise SystemExit(PASSED_OVER)


def kept(name: str) -> dict[str, Any]:
    """A result to draw; ends with a line where it has not been measured."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        pass_over(f"{path}: no such file; run python -m benchmarks.{name} first")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def picture(path: Path) -> Path:
    """Where a picture goes: to its place in the documents, or beside results that are not the tracked ones."""
    return path if RESULTS == KEPT else RESULTS / path.name


def mark(folder: Path) -> str:
    """A fingerprint of a model: its configuration, which bears the hash of every graph, and its weights."""
    whole = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.rglob("*.safetensors")):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:12]


def resident() -> float:
    """Resident memory of this process now, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def keep(name: str, result: dict[str, Any]) -> Path:
    """Write a result with the facts of the machine beside it, and which state of the default model it is of."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "arch": platform.machine()}
    model, more = mark(shipped.model()), {key: part for key, part in result.items() if key not in ("machine", "model")}
    if "machine" in result and result.get("model") != model:  # some parts are new, the others as they were kept
        model = "of several states"
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, "model": model, **more}, indent=2) + "\n", encoding="utf-8")
    return path
