"""What scoring takes of a machine: memory of a long file against a short one, two processes against one, disk.

Run: ``python -m benchmarks.footprint``
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from benchmarks import subjects
from benchmarks.measure import alternate, keep, ratio

CHILD = """
import json, sys
from pathlib import Path
from finsa_moe import load
from finsa_moe.runtime.bulk import predict_file
finsa = load(sys.argv[1], threads=int(sys.argv[4]))
predict_file(finsa.predictor, Path(sys.argv[2]), Path(sys.argv[3]))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(int(peak.split()[1]) / 1024))
"""


def write(path: Path, rows: int) -> Path:
    """A CSV of so many texts, the benchmark's own over and over."""
    some = subjects.texts()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([at, some[at % len(some)]] for at in range(rows))
    return path


def start(folder: Path, source: Path, threads: int) -> subprocess.Popen[str]:
    target = source.with_suffix(f".{threads}.out.csv")
    command = [sys.executable, "-c", CHILD, str(folder), str(source), str(target), str(threads)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def peak(folder: Path, source: Path) -> float:
    """Highest resident memory of scoring a file with both threads, MiB."""
    return float(json.loads(start(folder, source, 2).communicate()[0].splitlines()[-1]))


def side_by_side(folder: Path, sources: list[Path]) -> None:
    """Score each file in a process of its own, one thread each, all at once."""
    for process in [start(folder, source, 1) for source in sources]:
        process.communicate()
        assert process.returncode == 0


def disk() -> dict[str, float]:
    """MB of a clean environment with the base installation, and of the parts over 5 MB."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "venv"
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", "."], check=True)
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
    args = parser.parse_args()
    subjects.WORK.mkdir(parents=True, exist_ok=True)
    folder = subjects.exported()
    result: dict[str, Any] = {"setting": vars(args)}
    parts = [write(subjects.WORK / f"part{at}.csv", args.rows) for at in range(2)]
    whole = write(subjects.WORK / "whole.csv", 2 * args.rows)
    seconds = alternate(
        {"one": lambda: side_by_side(folder, [whole]), "two": lambda: side_by_side(folder, parts)}, runs=args.runs
    )
    result["two_processes"] = ratio(seconds["one"], seconds["two"])
    print("two processes against one", result["two_processes"], flush=True)
    memory = {
        name: peak(folder, write(subjects.WORK / f"{name}.csv", rows))
        for name, rows in (("short", args.short), ("long", args.long))
    }
    result["peak_mib"] = memory | {"ratio": memory["long"] / memory["short"]}
    print("peak memory, MiB", result["peak_mib"], flush=True)
    result["disk_mb"] = disk()
    print("base installation, MB", result["disk_mb"])
    print(keep("footprint", result))


if __name__ == "__main__":
    main()
