"""The service on loopback beside the bare runtime: many texts, single ones, half the load, three times it, reloads.

The load comes from a process of its own and shares the cores with the service, as does the bare runtime with nobody.
Run: ``python -m benchmarks.serve``
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import finsa_moe
from benchmarks import subjects
from benchmarks.measure import RESULTS, keep, ratio

PARTS = ("many", "single", "overload", "reload")
TOKEN = "0123456789abcdef0123456789abcdef"
DEADLINE = 2.0


@contextmanager
def served(*options: str) -> Iterator[tuple[int, int]]:
    """Port and process of a service that is ready."""
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "token"
        secret.write_text(TOKEN)
        command = [sys.executable, "-m", "finsa_moe", "serve", "--port", "0", "--token-file", str(secret)]
        command += ["--per-client", "100000", *options]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert running.stderr
        found = re.match(r"http://127\.0\.0\.1:(\d+)", running.stderr.readline())
        assert found
        threading.Thread(target=running.stderr.read, daemon=True).start()
        try:
            _wait(int(found[1]))
            yield int(found[1]), running.pid
        finally:
            running.terminate()
            running.wait(60)


def _wait(port: int) -> None:
    """Until it is ready."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError):
            urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).read()
            return
        time.sleep(0.1)
    raise TimeoutError("the service did not become ready")


def load(port: int, texts: list[str], size: int, **how: float) -> dict[str, Any]:
    """What `benchmarks.load` met."""
    asked = json.dumps({"port": port, "token": TOKEN, "texts": texts, "size": size, **how}, ensure_ascii=False)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"], input=asked + "\n", capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def resident(pid: int) -> float:
    """Memory of a process, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 2**10


def many(texts: list[str], turns: int) -> dict[str, Any]:
    """Texts a second in requests of 64, eight at a time, over those of `predict` on all of them at once."""
    model, seconds = finsa_moe.load(), {"bare": list[float](), "service": list[float]()}
    with served() as (port, _):
        for turn in range(turns + 1):
            began = time.perf_counter()
            model.predict(texts)
            bare = time.perf_counter() - began
            found = load(port, texts, 64, clients=8)
            assert set(found["status"]) == {"200"}, found
            if turn:
                seconds["bare"].append(bare)
                seconds["service"].append(found["seconds"])
    rates = {name: len(texts) / statistics.median(some) for name, some in seconds.items()}
    return {"texts_per_second": rates, "x": ratio(seconds["bare"], seconds["service"])}


def single(texts: list[str], turns: int) -> dict[str, Any]:
    """Requests of one text by 32 clients over a loop of `predict`; at half that load, p99 over a bare call's p50."""
    model, some = finsa_moe.load(), texts[:600]
    seconds, calls = {"bare": list[float](), "service": list[float]()}, list[float]()
    half = []
    with served() as (port, _):
        for turn in range(turns + 1):
            own = []
            for text in some:
                began = time.perf_counter()
                model.predict(text)
                own.append(time.perf_counter() - began)
            found = load(port, some, 1, clients=32)
            assert set(found["status"]) == {"200"}, found
            if turn:
                calls += own
                seconds["bare"].append(sum(own))
                seconds["service"].append(found["seconds"])
        rate = len(some) / statistics.median(seconds["service"])
        for turn in range(turns):
            half.append(load(port, some, 1, rate=rate / 2, seconds=10, seed=turn))
            assert set(half[-1]["status"]) == {"200"}, half[-1]
    p50 = statistics.median(calls)
    p99 = [found["times"]["200"]["p99"] for found in half]
    return {
        "requests_per_second": {name: len(some) / statistics.median(s) for name, s in seconds.items()},
        "x": ratio(seconds["bare"], seconds["service"]),
        "bare_p50_ms": 1000 * p50, "half_load_p99_ms": [1000 * value for value in p99],
        "p99_over_p50": {"median": statistics.median(p99) / p50, "low": min(p99) / p50, "high": max(p99) / p50},
    }  # fmt: skip


def overload(texts: list[str], seconds: float) -> dict[str, Any]:
    """Three times what 32 clients got answered, for a minute."""
    some = texts[:600]
    with served("--deadline", str(DEADLINE)) as (port, pid):
        load(port, some, 1, clients=32)
        rate = len(some) / load(port, some, 1, clients=32)["seconds"]
        load(port, some, 1, rate=3 * rate, seconds=5)
        before = resident(pid)
        found = load(port, some, 1, rate=3 * rate, seconds=seconds)
        after = resident(pid)
    return {
        "rate_it_takes": rate, "asked_a_second": found["sent_a_second"], "status": found["status"],
        "accepted_p99_over_deadline": found["times"]["200"]["p99"] / DEADLINE,
        "refused_p50_ms": 1000 * found["times"].get("503", {}).get("p50", float("nan")),
        "refused_p99_ms": 1000 * found["times"].get("503", {}).get("p99", float("nan")),
        "memory_mb": {"before": before, "after": after},
    }  # fmt: skip


def reload(texts: list[str], times: int) -> dict[str, Any]:
    """The model changed so often while 16 clients ask."""
    some, found, took = texts[:600], list[dict[str, Any]](), list[float]()
    with served() as (port, _):
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                found.append(load(port, some, 1, clients=16))

        asking = threading.Thread(target=ask)
        asking.start()
        for _ in range(times):
            began = time.perf_counter()
            request = Request(f"http://127.0.0.1:{port}/v1/reload", b"", {"Authorization": f"Bearer {TOKEN}"})
            assert urlopen(request, timeout=60).status == 200
            took.append(time.perf_counter() - began)
        ended.set()
        asking.join()
    statuses: dict[str, int] = {}
    for one in found:
        for status, count in one["status"].items():
            statuses[status] = statuses.get(status, 0) + count
    return {"reloads": times, "seconds_of_a_reload": statistics.median(took), "status": statuses}


def beside(before: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """What is measured now with the other parts of an earlier result; with these its model and machine."""
    if not (old := {name: before[name] for name in PARTS if name in before and name not in result}):
        return result
    return {key: before[key] for key in ("machine", "model") if key in before} | old | result


def main() -> None:
    """Measure what is asked for, print and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    args = parser.parse_args()
    texts = subjects.texts()
    path = RESULTS / "serve.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    result: dict[str, Any] = {}
    for name in args.only:
        if name == "overload":
            result[name] = overload(texts, args.seconds)
        elif name == "reload":
            result[name] = reload(texts, 20)
        else:
            result[name] = {"many": many, "single": single}[name](texts, args.turns)
        result[name]["texts_of"] = subjects.source()
        print(name, json.dumps(result[name], indent=1), flush=True)
        keep("serve", beside(before, result))


if __name__ == "__main__":
    main()
