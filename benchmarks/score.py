"""Scoring files at scale: two workers against one, Ray against the pool, cost beside the bare runtime, memory, kills.

Texts are the benchmark's own, over and over, through the default model. Run: ``python -m benchmarks.score``
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import subjects
from benchmarks.measure import RESULTS, keep, ratio
from finsa_moe.files import whole_path
from finsa_moe.runtime.predictor import WINDOW
from finsa_moe.scale.job import make_job
from finsa_moe.scale.worker import Worker

PARTS = ("two_workers", "overhead", "ray", "memory", "kills")


def write(folder: Path, rows: int) -> Path:
    """A Parquet file of so many texts, in row groups of 10,000."""
    path = folder / f"{rows}.{subjects.source().partition(' ')[0]}.parquet"
    some = subjects.texts()
    if not path.is_file():
        texts = subjects.so_many(some, rows)
        with whole_path(path) as part:
            pl.DataFrame({"key": range(rows), "text": texts}).write_parquet(part, row_group_size=10_000)
    return path


def run(source: Path, workers: int, backend: str = "pool") -> float:
    """Seconds of one command into a fresh folder, which is thrown away."""
    with tempfile.TemporaryDirectory(dir=source.parent) as out:
        command = [sys.executable, "-m", "finsa_moe", "score", str(source), "--out", f"{out}/out"]
        began = time.perf_counter()
        subprocess.run([*command, "--workers", str(workers), "--backend", backend], check=True, capture_output=True)
        return time.perf_counter() - began


def two_workers(folder: Path, rows: int, turns: int) -> dict[str, Any]:
    """Times of one worker over those of two, start-up apart and included: a run of a few rows is start-up."""
    source, few = write(folder, rows), write(folder, 200)
    whole: dict[int, list[float]] = {1: [], 2: []}
    start = {workers: statistics.median(run(few, workers) for _ in range(3)) for workers in whole}
    for _ in range(turns):
        for workers, times in whole.items():
            times.append(run(source, workers))
    seconds = {workers: [s - start[workers] for s in some] for workers, some in whole.items()}
    return {
        "rows": rows, "start_seconds": start,
        "rows_per_second": {w: rows / statistics.median(s) for w, s in seconds.items()},
        "x": ratio(seconds[1], seconds[2]), "x_with_start": ratio(whole[1], whole[2]),
    }  # fmt: skip


def overhead(folder: Path, rows: int, turns: int) -> dict[str, Any]:
    """Time of one loaded worker that reads, answers and writes, over that of its predictor on the same texts alone."""
    from finsa_moe.scale.pieces import parquet_groups, parquet_pieces
    from finsa_moe.scale.stores import find_sources

    source = write(folder, rows)
    texts = pl.read_parquet(source)["text"].to_list()
    job = make_job(folder / "overhead")
    worker, (found, *_), seconds = Worker(job), find_sources([str(source)], job.out)[0], {"bare": [], "score": []}  # type: ignore[var-annotated]
    pieces = list(parquet_pieces(found, parquet_groups(found, None, None), 2_500))
    for part in (job.scores, job.rejects, job.temporary):
        part.mkdir(parents=True, exist_ok=True)
    for turn in range(turns + 1):
        begin = time.perf_counter()
        for piece in pieces:  # the same calls, so that windows and batches are the same
            part_of = texts[piece.first : piece.first + piece.rows]
            for start in range(0, len(part_of), WINDOW):
                worker.predictor.attempt(part_of[start : start + WINDOW], bulk=True)
        middle = time.perf_counter()
        for piece in pieces:
            outcome = worker.score(piece)
            assert outcome.error is None, outcome.error
        end = time.perf_counter()
        if turn:  # the first turn makes OpenVINO's kernels
            seconds["bare"].append(middle - begin)
            seconds["score"].append(end - middle)
    shutil.rmtree(job.out)
    bare = statistics.median(seconds["bare"])
    return {"rows": rows, "bare_rows_per_second": rows / bare, "time": ratio(seconds["score"], seconds["bare"])}


def on_ray(folder: Path, rows: int, turns: int) -> dict[str, Any]:
    """Time of two actors of Ray over that of two processes; start-up apart, as Ray's own grows with the cluster."""
    source, cores = write(folder, rows), len(os.sched_getaffinity(0))
    seconds: dict[str, list[float]] = {"ray": [], "pool": []}
    whole: dict[str, list[float]] = {"ray": [], "pool": []}
    # a run of a few rows is start-up and little else
    few = write(folder, 200)
    start = {name: run(few, cores, name) for name in seconds}
    for _ in range(turns):
        for name in seconds:
            whole[name].append(run(source, cores, name))
            seconds[name].append(whole[name][-1] - start[name])
    return {
        "rows": rows, "start_seconds": start, "seconds": whole, "time": ratio(seconds["ray"], seconds["pool"]),
        "time_with_start": ratio(whole["ray"], whole["pool"]),
    }  # fmt: skip


def peak(source: Path, workers: int) -> dict[str, float]:
    """Highest resident memory of the driver and of its largest worker while a file is scored, MiB."""
    with tempfile.TemporaryDirectory(dir=source.parent) as out:
        command = [sys.executable, "-m", "finsa_moe", "score", str(source), "--out", f"{out}/out"]
        process = subprocess.Popen([*command, "--workers", str(workers)], stderr=subprocess.DEVNULL)
        highest = {"driver": 0.0, "worker": 0.0}
        while process.poll() is None:
            for pid in _family(process.pid):
                role = "driver" if pid == process.pid else "worker"
                highest[role] = max(highest[role], _high(pid))
            time.sleep(0.1)
        assert process.returncode == 0
    return highest


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def _high(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), default=0.0)


def kills(folder: Path, rows: int, times: int, seed: int = 13) -> dict[str, Any]:
    """Kill the driver or a worker by signal 9 at random moments; after every third, finish and count the rows."""
    source, out, rng = write(folder, rows), folder / "killed", random.Random(seed)
    command = [sys.executable, "-m", "finsa_moe", "score", str(source), "--out", str(out), "--shard-rows", "100"]
    told = {"driver": 0, "worker": 0, "after_its_end": 0, "checked": 0}
    for turn in range(times):
        process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 5.0))
        victim = rng.choice(["driver", "worker"])
        pids = [process.pid] if victim == "driver" else _family(process.pid)[2:]  # the first child is a tracker
        if process.poll() is not None or not pids:
            told["after_its_end"] += 1
        else:
            os.kill(rng.choice(pids), signal.SIGKILL)
            told[victim] += 1
        if victim == "worker":  # the driver replaces it; it is killed as well, a little later
            threading.Event().wait(rng.uniform(0.2, 2.0))
            process.kill()
        process.wait()
        if turn % 3 == 2:
            subprocess.run([*command, "--workers", "2"], check=True, stderr=subprocess.DEVNULL)
            keys = pl.read_parquet(out / "scores" / "*.parquet")["key"].sort().to_list()
            assert keys == list(range(rows)), f"{len(keys)} rows, {len(set(keys))} different"
            told["checked"] += 1
            shutil.rmtree(out)
    return {"rows": rows, **told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="one part anew, the others as they were kept")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--long", type=int, default=300_000, help="rows of the longer run whose memory is taken")
    parser.add_argument("--ray-rows", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=30)
    args = parser.parse_args()
    folder = (subjects.WORK / "score").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    kept = RESULTS / "score.json"
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if args.only and kept.is_file() else {}
    job = make_job(folder)
    result["setting"] = {**vars(args), "engine": job.engine, "precision": job.precision, "texts_of": subjects.source()}
    for part in (args.only,) if args.only else PARTS:
        if part == "two_workers":
            result[part] = two_workers(folder, args.rows, args.turns)
        elif part == "overhead":
            result[part] = overhead(folder, args.rows, args.turns)
        elif part == "ray":
            result[part] = on_ray(folder, args.ray_rows, args.turns)
        elif part == "memory":
            high = {name: peak(write(folder, rows), 2) for name, rows in (("short", args.rows), ("long", args.long))}
            result[part] = high | {"ratio": {role: high["long"][role] / high["short"][role] for role in high["short"]}}
        else:
            result[part] = kills(folder, 2_000, args.kills)
        print(part, result[part], flush=True)
        print(keep("score", result))


if __name__ == "__main__":
    main()
