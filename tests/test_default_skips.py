"""What the run of the default model skips and what it refuses, by stand-ins that leave what a stage's end is known by."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAND_IN = """#!/bin/bash
made() {{ mkdir -p "$1"; for name in {{report,adapt,pretrain}}.json {{train,valid}}.csv; do echo "$2" >"$1/$name"; done; }}
case "${{0##*/}} $1" in
  "python runs/made_of.py") exec {python} "$@" ;;
  "python -c") echo 1 ;;
  "python runs/readings.py")
    mkdir -p "$3"
    for kind in boards investors news other; do echo id,text,label | tee "$3/$kind.csv" >"$3/$kind.valid.csv"; done
    ;;
  "python runs/skills.py") touch "$2" "$3" ;;
  "python runs/expert_rows.py") made "$2" rows ;;
  "python runs/pool.py") echo pool >"$5" ;;
  "python runs/teach.py") echo answers >"$3" ;;
  "finsa prepare" | "finsa adapt" | torchrun*)
    while [ "$1" != --out ]; do shift; done
    made "$2" "made"
    ;;
  *) exit 3 ;;
esac
"""
CONFIG = "pretrain: {max_steps: 20}\nadapt: {max_steps: 6}\njoint: {max_steps: 4}\n"
Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow


def write(file: Path, content: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
    return file


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The run as far as the teachers' answers, on files made here: by a setting, its OUT and whether it goes through."""
    for name in ("python", "finsa", "torchrun"):
        write(tmp_path / "bin" / name, STAND_IN.format(python=sys.executable)).chmod(0o755)
    for name in (
        "news/train",
        "news/dev",
        "forum/train",
        "forum/dev",
        "forum/train_investors",
        "forum/extra_stocksentcn",
    ):
        write(tmp_path / "data" / f"{name}.csv", f"id,text,label\n1,{name},中性\n")
    write(tmp_path / "data" / "other" / "event_types.csv", "id,text,label\n")
    for name in ("finance", "finance2", "forum"):
        write(tmp_path / "data" / "unlabelled" / f"{name}.txt.xz", name)
    for name in ("news", "fresh/other.valid"):
        write(tmp_path / "readings" / f"{name}.csv", "blake2b,label\n")
    write(tmp_path / "earlier" / "model.safetensors", "weights")
    settings = {
        "CONFIG": str(write(tmp_path / "sizes.yaml", CONFIG)), "READINGS": str(tmp_path / "readings"), "START": "none",
        "BIN": str(tmp_path / "bin"), "TEACHERS": "13", "UNTIL": "answers", "MORE_NEWS": f"{tmp_path / 'earlier'}:news",
    }  # fmt: skip

    def go(out: str = "out", *, data: str = "data", **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "runs/default_model.sh", str(tmp_path / data), str(tmp_path / out)],
            cwd=ROOT, env={"PATH": os.environ["PATH"], **settings, **changed}, capture_output=True, text=True,
        )  # fmt: skip

    done = go()
    assert done.returncode == 0, done.stderr
    return go


def test_another_joint_training_and_a_comment_change_no_stage_before_it(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "sizes.yaml", "# a comment\n" + CONFIG.replace("max_steps: 4", "max_steps: 5"))
    assert run().returncode == 0
    write(tmp_path / "sizes.yaml", CONFIG.replace("max_steps: 20", "max_steps: 30"))
    done = run()
    assert done.returncode == 1
    assert f"{tmp_path / 'out' / 'backbone'}: was made of pretrain.max_steps=20, and is asked for of" in done.stderr


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ("readings/news.csv", "readings"),
        ("readings/fresh/other.valid.csv", "fresh"),
        ("data/news/train.csv", "readings"),
        ("data/unlabelled/finance.txt.xz", "readings"),
        ("earlier/model.safetensors", "answers/news.csv"),
    ],
)
def test_other_files_are_refused(changed: str, refused: str, run: Run, tmp_path: Path) -> None:
    write(tmp_path / changed, "id,text,label\nanother\n")
    done = run()
    assert done.returncode == 1
    assert f"{tmp_path / 'out' / refused}: was made of" in done.stderr


def test_rows_that_were_split_from_other_files_are_refused(run: Run, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "data", tmp_path / "others")
    assert run(data="others").returncode == 0  # wherever they lie
    write(tmp_path / "others" / "forum" / "dev.csv", "id,text,label\nanother\n")
    for name in ("readings", "fresh"):
        shutil.rmtree(tmp_path / "out" / name)
    done = run(data="others")
    assert done.returncode == 1
    assert f"{tmp_path / 'out' / 'data' / 'news'}: was made of dev.csv " in done.stderr


def test_answers_of_teachers_elsewhere_are_taken_as_they_are(run: Run, tmp_path: Path) -> None:
    for file in (tmp_path / "out" / "answers").glob("*.csv"):
        write(tmp_path / "another" / "answers" / file.name, "brought")
    config = write(tmp_path / "small.yaml", CONFIG.replace("max_steps: 20", "max_steps: 30"))
    done = run("another", CONFIG=str(config), TEACHERS="21")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "another" / "answers" / "news.csv").read_text() == "brought"
