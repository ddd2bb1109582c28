"""Killed by signal 9 at several moments, each long command resumes to the same tensors (the seventh promise).

Real processes over the command line, on one thread; `test_resume` breaks off at chosen steps within a process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from finsa_moe.cli import entry
from tests.conftest import DOMAINS, EXPERT, JOINT, Trained
from tests.families import made_rows

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
LONG = ("max_steps=60", "eval_steps=5", "patience=0")
LOADED = (
    "finsa_moe.training.joint",
    "finsa_moe.training.domains",
    "finsa_moe.training.adapt",
    "finsa_moe.training.pretrain",
)


def command(arguments: Sequence[str], output: Path) -> None:
    """What a process does: the command, its words into a file."""
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    np.random.seed()  # as a fresh process: what is forked has its parent's state
    sys.argv = ["finsa", *arguments]
    entry()


@dataclass
class Processes:
    """Starts commands as processes of their own, forked from one that has imported what they need, to save the seconds."""

    output: Path
    started: list[BaseProcess] = field(default_factory=list)

    def start(self, arguments: Sequence[str]) -> BaseProcess:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *LOADED])
        process = context.Process(target=command, args=(list(arguments), self.output))
        process.start()
        self.started.append(process)
        return process

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")[-4000:]

    def alone(self, arguments: Sequence[str]) -> None:
        """In an interpreter of its own, whose sets stand in another order: what is resumed must not hang on that."""
        code = "import sys, torch; torch.set_num_threads(1); from finsa_moe.cli import entry; entry()"
        with self.output.open("ab") as file:
            done = subprocess.run(
                [sys.executable, "-c", code, *arguments], stdout=file, stderr=file, timeout=1200, check=False
            )
        assert done.returncode == 0, self.said()

    def finish(self, arguments: Sequence[str]) -> None:
        process = self.start(arguments)
        process.join(1200)
        assert process.exitcode == 0, self.said()

    def kill_when(self, arguments: Sequence[str], there: Callable[[], bool], later: float) -> bool:
        """Start, wait until `there` holds and a while longer, kill; False when the process was done before."""
        process = self.start(arguments)
        deadline = time.monotonic() + 600
        while process.is_alive() and not there() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(later)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), self.said()
        return process.exitcode != 0


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "output.txt")
    yield made
    for process in made.started:  # a failed test leaves none at work
        process.kill()
        process.join()


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{f.relative_to(folder)}:{k}": t
        for f in sorted(folder.rglob("*.safetensors"))
        for k, t in load_file(f).items()
    }


def same(ours: Path, theirs: Path) -> None:
    first, second = tensors(ours), tensors(theirs)
    assert first.keys() == second.keys()
    assert len(first) > 8
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def sets(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def checkpoints(folder: Path) -> Callable[[], bool]:
    """Holds once there are new checkpoints: at the beginning of a save, so that some kills fall within one."""
    before = set(folder.rglob("checkpoint-*"))

    def there() -> bool:
        try:
            return bool(set(folder.rglob("checkpoint-*")) - before)
        except FileNotFoundError:  # a folder was removed while it was looked through: the run clears up behind itself
            return False

    return there


def killed_again_and_again(
    processes: Processes, arguments: Sequence[str], folder: Path, done: Path, laters: Sequence[float]
) -> None:
    kills = 0
    for later in laters:
        if not done.exists():
            kills += processes.kill_when(arguments, checkpoints(folder), later)
    assert kills >= 2
    processes.finish(arguments)


def test_an_expert(
    processes: Processes, prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    common = ["--backbone", str(backbone_of("modernbert")), "--device", "cpu", *sets(*EXPERT, *LONG)]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    processes.alone(["train-expert", "news", str(prepared["news"]), "--out", str(whole), *common])
    again = ["train-expert", "news", str(prepared["news"]), "--out", str(cut), "--resume", *common]
    killed_again_and_again(processes, again, cut, cut / "expert.json", (0.0, 0.02, 0.2))
    same(cut, whole)
    assert not list(cut.rglob("checkpoint*"))


def test_joint_training(
    processes: Processes, trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    data = [word for domain in DOMAINS for word in ("--data", f"{domain}={prepared[domain]}")]
    common = [str(trained("modernbert").start), *data, "--device", "cpu", *sets(*JOINT, *LONG, "router_steps=20")]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    processes.alone(["train-joint", *common, "--out", str(whole)])
    again = ["train-joint", *common, "--out", str(cut), "--resume"]
    killed_again_and_again(processes, again, cut, cut / "moe_joint" / "metrics.json", (0.0, 0.7, 0.1, 0.02))
    for phase in ("router_warmup", "moe_joint"):
        same(cut / phase, whole / phase)


def test_adding_a_domain(
    processes: Processes, trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path
) -> None:
    """Killed while the expert trains, when it is done, and while the new mixture is written: the old one stays to the
    byte, and the same command ends as if nothing had been."""
    source = trained("modernbert").joint

    def files() -> dict[str, bytes]:
        return {str(path.relative_to(source)): path.read_bytes() for path in source.rglob("*") if path.is_file()}

    before = files()
    settings = (
        *LONG,
        "fewest_valid=4",
        "batch_size=4",
        "warmup_steps=1",
        "router_steps=60",
        "bf16=false",
        "trackers=none",
    )
    common = [
        "add-domain",
        str(source),
        "notices",
        str(prepared["notices"]),
        "--device",
        "cpu",
        "--no-export",
        *sets(*settings),
    ]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    processes.alone([*common, "--out", str(whole)])
    again, kills = [*common, "--out", str(cut), "--resume"], 0
    moments: tuple[tuple[Callable[[], bool], float], ...] = (
        (checkpoints(cut), 0.0),
        ((cut / "expert" / "expert.json").exists, 0.0),
        (lambda: any(cut.glob(".moe.tmp*")), 0.0),
    )
    for there, later in moments:
        if not (cut / "moe").exists():
            kills += processes.kill_when(again, there, later)
            assert files() == before
    assert kills >= 2
    processes.finish(again)
    assert files() == before
    same(cut / "moe", whole / "moe")
    assert not list(cut.glob(".moe.tmp*")), "what a killed process left is cleared away"


def test_adapting_a_backbone(
    processes: Processes, prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:  # fmt: skip
    tasks = [word for domain in DOMAINS for word in ("--task", f"{domain}={prepared[domain]}")]
    common = [str(backbone_of("modernbert")), *tasks, "--device", "cpu",
              *sets(*LONG, "batch_size=8", "warmup_steps=2", "trackers=none", "bf16=false")]  # fmt: skip
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    processes.alone(["adapt", *common, "--out", str(whole)])
    again = ["adapt", *common, "--out", str(cut), "--resume"]
    killed_again_and_again(processes, again, cut, cut / "adapt.json", (0.0, 0.02, 0.2))
    same(cut, whole)


def test_pretraining(processes: Processes, tmp_path: Path) -> None:
    source = tmp_path / "t.txt"
    source.write_text("\n".join(text for d in DOMAINS for text, _ in made_rows(d, 400)), encoding="utf-8")
    common = [str(source), "--device", "cpu", *sets(
        "vocab_size=320", "hidden_size=32", "layers=2", "heads=2", "intermediate_size=48", "longest=24", "batch_tokens=256",
        "warmup_steps=5", "max_steps=150", "log_steps=10", "save_minutes=0.0", "bf16=false")]  # fmt: skip
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    processes.alone(["pretrain", *common, "--out", str(whole)])
    again, kills = ["pretrain", *common, "--out", str(cut), "--resume"], 0
    for moment, later in (
        ("config.yaml", 0.0),
        ("tokenizer.json", 0.0),
        ("corpus", 0.0),
        ("state", 0.1),
        (".state.tmp", 0.0),
    ):
        if not (cut / "pretrain.json").exists():
            kills += processes.kill_when(again, lambda name=moment: bool(list((cut / "run").glob(f"{name}*"))), later)  # type: ignore[misc]
    assert kills >= 3
    processes.finish(again)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
