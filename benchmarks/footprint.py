"""What the default model takes of a machine: memory of a long file beside a short one, two processes beside one, disk.

Run: ``python -m benchmarks.footprint``
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from benchmarks import subjects, wheel
from benchmarks.measure import RESULTS, keep, ratio
from finsa_moe import shipped

PARTS = ("two_processes", "peak_mib", "disk_mb")
CHILD = """
import json, os, sys
from pathlib import Path
folder, source, target, cores = sys.argv[1:]
os.sched_setaffinity(0, set(json.loads(cores)))
from finsa_moe import load
from finsa_moe.runtime.bulk import predict_file
finsa = load(folder)
finsa.predict(["公司公告：净利润同比增长", "又跌了，主力跑了"] * 300)  # graphs loaded, kernels made
print("ready", flush=True)
sys.stdin.readline()
predict_file(finsa.predictor, Path(source), Path(target))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(int(peak.split()[1]) / 1024), flush=True)
"""


def write(path: Path, rows: int, first: int = 0, step: int = 1) -> Path:
    """A CSV of so many texts, the benchmark's own over and over, numbered; every `step`-th from the `first` on."""
    some = subjects.texts()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        places = (first + at * step for at in range(rows))
        writer.writerows([at, f"{some[place % len(some)]} {place}"] for at, place in enumerate(places))
    return path


def start(folder: Path, source: Path, cores: list[int]) -> subprocess.Popen[str]:
    """A process that may use these cores, loaded, warm and waiting for a line to score a file."""
    target = source.with_suffix(".out.csv")
    command = [sys.executable, "-c", CHILD, str(folder), str(source), str(target), json.dumps(cores)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def peak(folder: Path, source: Path) -> float:
    """Highest resident memory of scoring a file with every core, MiB."""
    process = start(folder, source, sorted(os.sched_getaffinity(0)))
    return float(json.loads(process.communicate("go\n")[0]))


def score(processes: list[subprocess.Popen[str]]) -> None:
    """Let waiting processes go, all at once, and wait for the last."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0


def side_by_side(folder: Path, whole: Path, parts: list[Path], runs: int) -> dict[str, Any]:
    """Time of one process on one core over that of a process a core, each with its part of the texts."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < len(parts):
        raise SystemExit(f"footprint: {len(parts)} processes want {len(parts)} cores; this machine has {len(cores)}")
    seconds: dict[str, list[float]] = {"one": [], "two": []}
    for _ in range(runs):
        for name, sources in (("one", [whole]), ("two", parts)):
            waiting = [start(folder, source, [core]) for source, core in zip(sources, cores, strict=False)]
            begin = time.perf_counter()
            score(waiting)
            seconds[name].append(time.perf_counter() - begin)
    return ratio(seconds["one"], seconds["two"])


def disk() -> dict[str, float]:
    """MB of a clean environment with the base installation, and of the parts over 5 MB."""
    with tempfile.TemporaryDirectory() as place:
        home, built = Path(place) / "venv", wheel.build(Path(place))
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", built], check=True)
        site = next(home.glob("lib/python*/site-packages"))
        sizes = {part.name: _size(part) for part in site.iterdir()}
        return {"total": _size(home), **{name: mb for name, mb in sorted(sizes.items()) if mb > 5}}


def _size(path: Path) -> float:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file() and not p.is_symlink()]
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", type=int, default=10_000)
    parser.add_argument("--long", type=int, default=300_000)
    parser.add_argument("--rows", type=int, default=4_000, help="for each of the two processes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=PARTS, help="one part anew, the others as they were kept")
    args = parser.parse_args()
    subjects.WORK.mkdir(parents=True, exist_ok=True)
    folder = shipped.model()
    kept = RESULTS / "footprint.json"
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if args.only and kept.is_file() else {}
    result["setting"] = {name: value for name, value in vars(args).items() if name != "only"}
    result["setting"]["texts_of"] = subjects.source()
    wanted = (args.only,) if args.only else PARTS
    if "two_processes" in wanted:
        parts = [write(subjects.WORK / f"part{at}.csv", args.rows, at, 2) for at in range(2)]
        whole = write(subjects.WORK / "whole.csv", 2 * args.rows)
        result["two_processes"] = side_by_side(folder, whole, parts, args.runs)
    if "peak_mib" in wanted:
        memory = {
            name: peak(folder, write(subjects.WORK / f"{name}.csv", rows))
            for name, rows in (("short", args.short), ("long", args.long))
        }
        result["peak_mib"] = memory | {"ratio": memory["long"] / memory["short"]}
    if "disk_mb" in wanted:
        result["disk_mb"] = disk()
    for part in wanted:
        print(part, result[part], flush=True)
    print(keep("footprint", result))


if __name__ == "__main__":
    main()
