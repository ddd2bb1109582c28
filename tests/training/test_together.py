"""Two processes train an expert and a mixture as one does: same batches, same gradients, same files."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from finsa_moe.config import ExpertConfig
from finsa_moe.errors import ConfigError
from finsa_moe.training import loop
from finsa_moe.training.processes import Processes
from tests.conftest import DOMAINS, EXPERT, JOINT, Trained
from tests.training.conftest import command

CONFIGS = Path(__file__).parents[2] / "configs" / "accelerate"
STILL = ("dropout=0.0", "head_dropout=0.0")  # masks drawn by two processes are others than those drawn by one


def accelerated(*words: str, python: str) -> list[str]:
    """Two processes, by the configuration that the docs name."""
    launch = ["-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / "cpu.yaml")]
    return [python, *launch, "--main_process_port", "0", "-m", "finsa_moe", *words]


def sets(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def apart(one: Path, two: Path) -> float:
    """Largest difference of any trained number in two folders."""
    worst = 0.0
    files = sorted(file.relative_to(one) for file in one.rglob("*.safetensors") if "checkpoint" not in str(file))
    assert len(files) >= 2
    for file in files:
        a, b = load_file(one / file), load_file(two / file)
        assert a.keys() == b.keys()
        worst = max(worst, *(float((a[name] - b[name]).abs().max()) for name in a))
    return worst


def test_a_batch_is_shared_equally_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes()
    assert processes.rows_each(7) == 7
    rows = torch.rand(3, 2, requires_grad=True)
    assert processes.gathered(rows) is rows
    processes.size = 4
    assert processes.rows_each(8) == 2
    with pytest.raises(ConfigError, match="batch_size is 6 and there are 4 processes"):
        processes.rows_each(6)


def test_the_configurations_of_accelerate_are_read() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    assert sorted(file.name for file in CONFIGS.iterdir()) == ["cpu.yaml", "gpus.yaml"]
    for file in CONFIGS.iterdir():
        assert load_config_from_file(str(file)).num_processes == 2


def test_sharding_by_accelerate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    settings = ExpertConfig(trackers=())
    with pytest.raises(ConfigError, match="shard_backbone=true"), loop.entered(tmp_path, settings, {}, resume=False):
        pass


@pytest.mark.slow
def test_two_processes_train_the_same_expert(
    prepared: Mapping[str, Path],
    backbone_of: Callable[[str], Path],
    tmp_path: Path,
    run: Callable[..., str],
    warm: Path,
) -> None:
    """And a run begun by one is ended by two, which accelerate starts.

    Two steps an epoch, the second of which the rows do not fill; what is resumed is inside the second epoch.
    """
    asked = ["max_steps=6", "eval_steps=3", "batch_size=10", "gradient_accumulation=2", *STILL]
    common = ["train-expert", "news", str(prepared["news"]), "--backbone", str(backbone_of("modernbert"))]
    common += ["--device", "cpu", *sets(*EXPERT, *asked)]
    one, two, both = (tmp_path / name for name in ("one", "two", "both"))
    run(1, *common, "--out", str(one))
    told = run(2, *common, "--out", str(two))
    assert told.count("6 steps on 24 rows") == 1
    assert apart(one, two) < 1e-4
    killed = (
        "import os, signal; from finsa_moe.training.trainer import Statistics\n"
        "def stop(self, args, state, control, **_):\n"
        "    if state.global_step == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Statistics.on_step_begin = stop\n"
        "import sys; from finsa_moe.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    asked = [warm / "python", "-c", killed, *common, "--out", str(both)]
    assert subprocess.run(asked, check=False, capture_output=True).returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert list((both / "run" / "checkpoints").glob("checkpoint-3"))
    run(2, *common, "--out", str(both), "--resume", by=accelerated)
    assert apart(one, both) < 1e-4


def merged(trained: Callable[[str], Trained], tmp_path: Path) -> Path:
    """A mixture to train, without dropout: what it draws would differ between one process and two."""
    from finsa_moe.config import MergeConfig
    from finsa_moe.training.merge import merge

    still = MergeConfig.load(None, ["router_dropout=0", "head_dropout=0", "expert_dropout=0"])
    start = tmp_path / "start"
    merge(trained("modernbert").experts, start, settings=still, device="cpu")
    return start


@pytest.mark.slow
def test_two_processes_train_the_same_mixture(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, run: Callable[..., str]
) -> None:
    """The balance of the experts' use is that of the whole batch, not of each process's half.

    And so they do where activations are computed again in the backward pass.
    """
    start = merged(trained, tmp_path)
    data = [word for domain in DOMAINS for word in ("--data", f"{domain}={prepared[domain]}")]
    common = ["train-joint", str(start), *data, "--device", "cpu", *sets(*JOINT, "balance_weight=5")]
    one, two, anew = (tmp_path / name for name in ("one", "two", "anew"))
    run(1, *common, "--out", str(one))
    run(2, *common, "--out", str(two))
    run(2, *common, "--set", "gradient_checkpointing=true", "--out", str(anew))
    for phase in ("router_warmup", "moe_joint"):
        assert apart(one / phase, two / phase) < 1e-4
        assert apart(one / phase, anew / phase) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("family", ["modernbert", "bert"])  # the second has a pooler, which no loss reaches
def test_two_processes_adapt_the_same_backbone(
    family: str,
    prepared: Mapping[str, Path],
    backbone_of: Callable[[str], Path],
    tmp_path: Path,
    run: Callable[..., str],
) -> None:
    """All of it, on two tasks, with activations computed again; dropout, which is BERT's own, as good as off."""
    tasks = [word for domain in DOMAINS for word in ("--task", f"{domain}={prepared[domain]}")]
    asked = ["max_steps=4", "eval_steps=2", "warmup_steps=1", "learning_rate=1e-3", "batch_size=8", "max_length=96"]
    common = ["adapt", str(backbone_of(family)), *tasks, "--device", "cpu"]
    common += sets(
        *asked, "trackers=none", "bf16=false", "gradient_checkpointing=true", "head_dropout=0", "dropout=1e-9"
    )
    one, two = tmp_path / "one", tmp_path / "two"
    run(1, *common, "--out", str(one))
    run(2, *common, "--out", str(two))
    assert apart(one, two) < 1e-4


@pytest.mark.slow
def test_a_lost_process_ends_all_with_one_error_and_the_run_resumes(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path, run: Callable[..., str]
) -> None:
    common = ["train-expert", "news", str(prepared["news"]), "--backbone", str(backbone_of("modernbert"))]
    out = tmp_path / "out"
    common += ["--device", "cpu", "--out", str(out), "--resume", *sets(*EXPERT, "max_steps=40", "eval_steps=2")]
    process = subprocess.Popen(
        command(2, *common), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline, kept = time.monotonic() + 600, out / "run" / "checkpoints"
    while not list(kept.glob("checkpoint-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    victim = next(pid for pid in workers if b"RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    os.kill(int(victim), signal.SIGKILL)
    _, told = process.communicate(timeout=600)
    assert process.returncode != 0
    said = [line for line in told.decode().splitlines() if line.startswith("finsa: ")]
    assert len(said) == 1
    assert "another process of the run was lost" in said[0]
    run(1, *common)
    assert (out / "expert.json").is_file()


@pytest.mark.slow
def test_a_process_whose_rows_have_no_class_trains_along(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, run: Callable[..., str]
) -> None:
    """Two rows a step, half of all rows unlabelled: every other step one of the two processes has no class at all."""
    start = merged(trained, tmp_path)
    words = ["train-joint", str(start), "--device", "cpu", *sets(*JOINT, "batch_size=2", "max_steps=8")]
    for domain in DOMAINS:
        more = tmp_path / f"{domain}.txt"
        more.write_text("\n".join(f"{domain}第{at}条消息" for at in range(24)), encoding="utf-8")
        words += ["--data", f"{domain}={prepared[domain]}", "--unlabelled", f"{domain}={more}"]
    one, two = tmp_path / "one", tmp_path / "two"
    run(1, *words, "--out", str(one))
    run(2, *words, "--out", str(two))
    assert apart(one / "moe_joint", two / "moe_joint") < 1e-4
