"""`finsa prepare` on a folder of FinNF's size: seconds and memory, near texts or not, beside row-by-row pandas.

Each run is a process of its own; on a tenth of the folder ours and pandas take turns, at full size each runs once. Then
how many planted near copies share a cluster, and whether every pair found is near. The folder is made on first use.
Seconds of processor are kept beside those of the clock, which other work on the machine lengthens.
Run: ``python -m benchmarks.prepare``, and ``--large 10000000`` for that alone, added to the results kept.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks import finnf
from benchmarks.measure import RESULTS, keep, ratio

WORK = Path("work/finnf_bench")
WAYS = ("exact", "near", "pandas")


def by_rows(folder: Path, out: Path) -> int:
    """The way it is often done: every file by pandas, row after row into lists by label, shuffled, cut."""
    import pandas as pd

    by_label: dict[str, list[dict[str, str]]] = {}
    for path in sorted(folder.iterdir()):
        for encoding in ("utf-8-sig", "gb18030", "utf-16"):
            try:
                with path.open(encoding=encoding) as file:
                    separator = max(",\t;", key=file.readline().count)
                frame = pd.read_csv(path, encoding=encoding, sep=separator, dtype=str, on_bad_lines="skip")
                break
            except (UnicodeError, ValueError):
                continue
        for _, row in frame.iterrows():
            if isinstance(row["text"], str) and isinstance(row["label"], str):
                by_label.setdefault(row["label"], []).append(
                    {"id": row["id"], "text": row["text"], "label": row["label"]}
                )
    parts: dict[str, list[dict[str, str]]] = {"train": [], "valid": [], "test": []}
    for rows in by_label.values():
        random.Random(13).shuffle(rows)
        held = len(rows) // 100
        parts["test"] += rows[:held]
        parts["valid"] += rows[held : 2 * held]
        parts["train"] += rows[2 * held :]
    out.mkdir(parents=True)
    for name, part in parts.items():
        pd.DataFrame(part).to_csv(out / f"{name}.csv", index=False)
    return sum(map(len, parts.values()))


def one(way: str, folder: Path, out: Path) -> None:
    """One run, in this process; prints seconds, MiB and rows kept as JSON."""
    start = time.perf_counter()
    with Peak() as peak:
        if way == "pandas":
            kept = by_rows(folder, out)
        else:
            from finsa_moe.data.preparing.prepare import prepare

            processes = len(os.sched_getaffinity(0))
            kept = prepare([folder], domain="news", out=out, by=way, processes=processes).rows["kept"]
    print(json.dumps({"seconds": time.perf_counter() - start, "mib": peak.mib, "kept": kept}))


class Peak:
    """The most memory that this process and its children held together, MiB, looked at ten times a second.

    A page that several share is counted in each; the kernel's own highest mark of this process is a lower bound.
    """

    def __init__(self) -> None:
        self.mib = 0.0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()
        self.mib = max(self.mib, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    def _look(self) -> None:
        while not self._over.wait(0.1):
            own = os.getpid()
            family = [own, *(pid for task in Path(f"/proc/{own}/task").iterdir() for pid in _children(task))]
            self.mib = max(self.mib, sum(map(_resident, family)))


def _children(task: Path) -> list[int]:
    with contextlib.suppress(OSError):  # the thread ended meanwhile
        return [int(pid) for pid in (task / "children").read_text().split()]
    return []


def _resident(pid: int) -> float:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def run(way: str, folder: Path) -> dict[str, Any]:
    """One run in a fresh process."""
    out = WORK / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.prepare", "--one", way, str(folder), str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["processor_seconds"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found["load"] = os.getloadavg()[0]
    print(f"{folder.name:8s} {way:7s} {found['seconds']:7.1f} s {found['mib']:7.0f} MiB", flush=True)
    return found


def folder(name: str, files: int, rows: int) -> Path:
    """The folder of that size, made when it is not there."""
    path = WORK / name
    if not path.with_name(f"{name}.truth.json").is_file():
        shutil.rmtree(path, ignore_errors=True)
        finnf.make(path, files, rows, seed=13)
    return path


def found_pairs(path: Path) -> dict[str, Any]:
    """Recall of the planted pairs at Jaccard 0.8 and more, and the share of near pairs that are near by the strings."""
    from finsa_moe.data.duplicates.clusters import CLUSTER_THRESHOLD, near_clusters
    from finsa_moe.data.duplicates.held_out import jaccard, ngrams
    from finsa_moe.data.reading.read import read_texts

    truth = json.loads(path.with_name(f"{path.name}.truth.json").read_text(encoding="utf-8"))
    texts = read_texts([path])
    clusters = near_clusters(texts)
    place = {text: at for at, text in enumerate(texts)}
    planted = [
        (place[a], place[b]) for a, b, similarity in truth["near"] if similarity >= 0.8 and {a, b} <= place.keys()
    ]
    together = sum(bool(clusters.ids[a] == clusters.ids[b]) for a, b in planted)
    chosen = random.Random(0).sample(range(len(clusters.left)), min(20_000, len(clusters.left)))
    least = CLUSTER_THRESHOLD - 1e-6
    right = [
        jaccard(ngrams(texts[int(clusters.left[at])]), ngrams(texts[int(clusters.right[at])])) >= least for at in chosen
    ]
    return {
        "planted": len(planted), "recall": together / len(planted), "pairs": len(clusters.left),
        "pairs_checked": len(right), "precision": sum(right) / len(right), "largest_cluster": clusters.largest,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=3, metavar=("WAY", "FOLDER", "OUT"), help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--large", type=int, help="rows of a folder to measure instead, to show that memory suffices")
    parser.add_argument(
        "--parts", default="tenth,full,pairs", help="some of tenth,full,pairs; the others' results stay"
    )
    args = parser.parse_args()
    if args.one:
        one(args.one[0], Path(args.one[1]), Path(args.one[2]))
        return
    WORK.mkdir(parents=True, exist_ok=True)
    path, parts = RESULTS / "prepare.json", args.parts.split(",")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if args.large:
        result["large"] = {"rows": args.large, **run("near", folder("large", 20_000, args.large))}
        parts = []
    if "tenth" in parts:
        turns: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(args.runs):
            for way in WAYS:
                turns[way].append(run(way, folder("tenth", 520, 166_000))["seconds"])
        result["tenth"] = {"rows": 166_000, "seconds": turns, "pandas / exact": ratio(turns["pandas"], turns["exact"])}
    if "full" in parts:
        result["full"] = {"rows": 1_660_000, **{way: run(way, folder("full", 5200, 1_660_000)) for way in WAYS}}
        result["full"]["pandas / exact"] = result["full"]["pandas"]["seconds"] / result["full"]["exact"]["seconds"]
    if "pairs" in parts:
        result["pairs"] = found_pairs(folder("full", 5200, 1_660_000))
    print(json.dumps(result, indent=1))
    print(keep("prepare", {name: each for name, each in result.items() if name != "machine"}))


if __name__ == "__main__":
    main()
