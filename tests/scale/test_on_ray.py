"""Ray Data on this machine gives the pool's answers, goes on where a run stopped, and tells errors as one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray.data", reason="the extra ray is not installed")

from finsa_moe import shipped
from finsa_moe.scale.score import score
from tests.scale.texts import answers, frame, left_behind

ROOT = Path(__file__).parents[2]


def on_ray(*words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: Ray leaves threads behind."""
    command = [sys.executable, "-m", "finsa_moe", "score", *words, "--backend", "ray", "--engine", "onnxruntime"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_ray_answers_as_the_pool_and_does_only_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    frame(300).write_parquet(tmp_path / "in" / "a.parquet", row_group_size=100)
    frame(100, 300).write_csv(tmp_path / "in" / "b.csv")
    pool, ray = tmp_path / "pool", tmp_path / "ray"
    score([tmp_path / "in"], pool, engine="onnxruntime", shard_rows=50)
    shutil.copytree(pool, ray)
    gone = sorted((ray / "scores").iterdir())[::2]
    for shard in gone:
        shard.unlink()
    done = on_ray(str(tmp_path / "in"), "--out", str(ray), "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert f"{8 - len(gone)} shards were there already" in done.stderr
    assert f"400 of 400 rows answered in 8 shards; this run {50 * len(gone)} rows" in done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") <= 4
    by = ["id"]
    assert answers(ray).sort(by).equals(answers(pool).sort(by))
    assert left_behind(ray) == []


@pytest.mark.slow
def test_a_damaged_model_is_one_error(tmp_path: Path) -> None:
    shutil.copytree(shipped.model(), tmp_path / "model")
    (tmp_path / "model" / "novelty.onnx").write_bytes(b"x")
    frame(50).write_parquet(tmp_path / "a.parquet")
    out = str(tmp_path / "out")
    done = on_ray(str(tmp_path / "a.parquet"), "--out", out, "--model", str(tmp_path / "model"), "--workers", "1")
    assert done.returncode == 2
    assert "novelty.onnx: 1 bytes" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "out" / "scores").iterdir()) == []
