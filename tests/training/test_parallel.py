"""Two processes train what one trains: the shares cover a batch, and the sums of gradients are those of the whole."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from finsa_moe.training.processes import Processes
from tests.families import made_rows

SETTINGS = (
    "max_steps=6", "warmup_steps=1", "learning_rate=1e-2", "vocab_size=400", "hidden_size=32", "layers=2", "heads=2",
    "intermediate_size=48", "batch_tokens=512", "longest=24", "max_length=64", "bf16=false", "log_steps=2",
)  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("rows", [0, 1, 4, 7])
def test_shares_cover_a_batch_once(size: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    for rank in range(size):
        processes = Processes()
        processes.rank, processes.size = rank, size
        found += list(range(rows))[processes.share(rows)]
    assert found == list(range(rows))


def test_alone_nothing_is_done() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    processes = Processes()
    assert (processes.rank, processes.size, processes.first) == (0, 1, True)
    assert processes.sum([weight], 3.0) == 3.0
    assert weight.grad is None
    assert processes.device("cuda") == "cuda"


@pytest.mark.parametrize(
    ("gpus", "nccl", "asked"), [(True, True, "cpu:gloo,cuda:nccl"), (True, False, "gloo"), (False, True, "gloo")]
)
def test_what_lies_on_gpus_goes_not_through_the_hosts_memory(
    gpus: bool, nccl: bool, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what lies on the CPU can still be summed; Windows has no NCCL."""
    begun: list[str] = []
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus)
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: nccl)
    monkeypatch.setattr("torch.distributed.init_process_group", lambda backend, **_: begun.append(backend))
    monkeypatch.setattr("atexit.register", lambda _: None)
    assert Processes().size == 2
    assert begun == [asked]


@pytest.mark.slow
def test_two_processes_end_at_the_same_weights(tmp_path: Path, warm: Path) -> None:
    """To the rounding of a sum taken in another order."""
    source = tmp_path / "texts.txt"
    source.write_text("\n".join(text for text, _ in made_rows("news", 300)), encoding="utf-8")
    asked = [part for setting in SETTINGS for part in ("--set", setting)]
    one, two = tmp_path / "one", tmp_path / "two"
    python = str(warm / "python")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHON_EXEC": python}  # what the launcher starts
    alone = [python, "-m", "finsa_moe", "pretrain", str(source), "--device", "cpu", *asked, "--out"]
    launch = ["--nproc-per-node", "2", "--master-port", "0", "--standalone"]  # another run may have the usual port
    together = [python, "-m", "torch.distributed.run", *launch, "-m", *alone[2:]]
    for command in ([*alone, str(one)], [*together, str(two)]):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    expected, found = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert expected.keys() == found.keys()
    assert max(float((expected[name] - found[name]).abs().max()) for name in expected) < 1e-4
