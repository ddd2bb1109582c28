"""Workers as processes: the same answers, a lost worker replaced, and signal 9 at random moments (slow)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from finsa_moe import shipped
from finsa_moe.errors import ModelError
from finsa_moe.scale import pool
from finsa_moe.scale.score import score
from tests.scale.texts import answers, frame, left_behind

ROOT = Path(__file__).parents[2]


def start(source: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """The command itself, in a session of its own, so that its workers can be told from others."""
    command = [sys.executable, "-m", "finsa_moe", "score", str(source), "--out", str(out), "--engine", "onnxruntime"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *more], cwd=ROOT, env=environment, stderr=subprocess.PIPE, start_new_session=True
    )


def children(pid: int) -> list[int]:
    """The processes that a process started, the tracker of multiprocessing left out."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:  # gone meanwhile
            continue
    return [child for child in found if b"spawn_main" in _line(child)]


def _line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_two_workers_answer_as_one_and_a_lost_one_is_replaced(tmp_path: Path) -> None:
    frame(3000).write_parquet(tmp_path / "a.parquet")
    score([tmp_path / "a.parquet"], tmp_path / "one", engine="onnxruntime", shard_rows=200)
    process = start(tmp_path / "a.parquet", tmp_path / "two", "--workers", "2", "--shard-rows", "200")
    deadline = time.monotonic() + 300
    while not list((tmp_path / "two").glob("scores/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    victims = children(process.pid)
    assert len(victims) == 2
    os.kill(victims[0], signal.SIGKILL)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told.decode()
    one, two = (answers(tmp_path / name).sort("key") for name in ("one", "two"))
    assert one.equals(two)
    assert left_behind(tmp_path / "two") == []


def test_workers_that_always_die_end_the_run_with_one_error(tmp_path: Path) -> None:
    """Each worker is shot as soon as it is there, as a machine without memory would do."""
    frame(50).write_parquet(tmp_path / "a.parquet")
    process = start(tmp_path / "a.parquet", tmp_path / "out", "--workers", "1")
    while process.poll() is None:
        for child in children(process.pid):
            with suppress(ProcessLookupError):  # shot a turn ago, and gone only now
                os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    _, told = process.communicate()
    assert process.returncode == 2
    assert told.decode().splitlines()[-1].startswith(f"finsa: {tmp_path / 'a.parquet'}, rows 1 to 50: its worker was")
    assert list((tmp_path / "out" / "scores").iterdir()) == []


def test_an_interrupt_leaves_what_is_done(tmp_path: Path) -> None:
    frame(20_000).write_parquet(tmp_path / "a.parquet")
    process = start(tmp_path / "a.parquet", tmp_path / "out", "--workers", "1", "--shard-rows", "50")
    while not list((tmp_path / "out").glob("scores/*")) and process.poll() is None:
        time.sleep(0.01)
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on from there" in told.decode()
    assert "Traceback" not in told.decode()
    assert left_behind(tmp_path / "out") == []
    assert not any(_line(pid) for pid in workers)


@pytest.mark.slow
def test_killed_at_random_every_row_comes_once(tmp_path: Path) -> None:
    """Driver or worker by turns; `python -m benchmarks.score --only kills` does it thirty times."""
    frame(2_000).write_parquet(tmp_path / "a.parquet", row_group_size=90)
    frame(2_000, 2_000).write_csv(tmp_path / "b.csv")
    rng = random.Random(7)
    kills = 0
    arguments = (tmp_path, tmp_path / "out", "--workers", "2", "--shard-rows", "100")
    for turn in range(8):
        process = start(*arguments)  # type: ignore[arg-type]
        time.sleep(0.8 + 2.0 * rng.random())
        victims = [process.pid] if turn % 2 else children(process.pid)[:1]
        if process.poll() is None and victims:
            os.kill(victims[0], signal.SIGKILL)
            kills += 1
        if turn % 2:
            process.communicate()
        else:
            time.sleep(0.5)
            process.kill()
            process.communicate()
    assert kills >= 4
    process = start(*arguments)  # type: ignore[arg-type]
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told.decode()
    assert sorted(answers(tmp_path / "out")["key"].cast(pl.Int64)) == list(range(4_000))
    assert left_behind(tmp_path / "out") == []


def test_workers_have_one_thread_each_and_the_caller_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two outcomes the caller goes on with its own work, in its own environment."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(pool, "_score", os.getenv)  # asked for a variable, and what it is where it is not set
    seen = pool.run("OMP_NUM_THREADS", iter(["unset"] * 3), 1)  # type: ignore[arg-type]
    for outcome in seen:
        assert outcome == "1"
        assert "OMP_NUM_THREADS" not in os.environ


def test_a_model_that_cannot_be_loaded_is_one_error(tmp_path: Path) -> None:
    shutil.copytree(shipped.model(), tmp_path / "model")
    (tmp_path / "model" / "novelty.onnx").write_bytes(b"x")
    frame(50).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(ModelError, match=r"novelty\.onnx: 1 bytes"):
        score([tmp_path / "a.parquet"], tmp_path / "out", model=tmp_path / "model", engine="onnxruntime")
