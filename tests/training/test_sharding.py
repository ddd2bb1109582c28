"""A frozen backbone spread over two processes: less of it in each, and the same numbers come out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from finsa_moe.errors import ConfigError
from finsa_moe.training import sharding
from tests.conftest import DOMAINS, JOINT, Trained
from tests.training.test_together import apart, sets

PROBE = """
import json, sys, torch
from pathlib import Path
from torch.distributed.tensor import DTensor
from finsa_moe.config import ExpertConfig
from finsa_moe.model.backbone import load_backbone, ready_to_train
from finsa_moe.training.expert import ExpertModel
from finsa_moe.training.sharding import shard_backbone, whole_state
from finsa_moe.training.processes import Processes

processes = Processes()
model = ExpertModel(ready_to_train(load_backbone(sys.argv[1], device="cpu")), ExpertConfig())
plain = {n: t.detach().clone() for n, t in model.backbone.state_dict().items()}
ids = torch.arange(1, 13).reshape(2, 6)
logits = lambda: model.eval()(ids, torch.ones_like(ids))
before = logits()
shard_backbone(model)
shard_backbone(model)
cut = {n: p for n, p in model.named_parameters() if isinstance(p, DTensor)}
after = logits()
after.sum().backward()
told = {
    "cut": sum(p.numel() for p in cut.values()),
    "here": sum(p.to_local().numel() for p in cut.values()),
    "trained_cut": sorted(n for n, p in cut.items() if p.requires_grad),
    "apart": float((after - before).abs().max()),
    "gradients": sum(p.grad is not None and p.requires_grad for p in model.parameters()),
    "trained": sum(p.requires_grad for p in model.parameters()),
}
state = whole_state(model, at_most=10**9)
told["whole"] = all(torch.equal(state[n], plain[n]) for n in plain) and state.keys() == plain.keys()
told["too_large"] = whole_state(model, at_most=10)
Path(sys.argv[2], f"{processes.rank}.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
def test_each_process_holds_half_and_answers_alike(
    backbone_of: Callable[[str], Path], tmp_path: Path, warm: Path
) -> None:
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", "--standalone"]
    done = subprocess.run(
        [warm / "python", *launch, str(script), str(backbone_of("qwen3")), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHON_EXEC": str(warm / "python")},
        capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert sum(t["here"] for t in told) == told[0]["cut"] > 0
    for one in told:
        assert one["here"] <= 0.6 * one["cut"]
        assert one["trained_cut"] == []
        assert one["apart"] < 1e-6
        assert one["gradients"] == one["trained"] > 0
        assert one["whole"]
        assert one["too_large"] is None


@pytest.mark.slow
def test_two_sharded_processes_train_what_one_trains(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, run: Callable[..., str]
) -> None:
    """Both phases of the mixture's training; the backbone that travels along is whole."""
    from finsa_moe.config import MergeConfig
    from finsa_moe.model.checkpoint import load_mixture
    from finsa_moe.training.merge import merge

    start, one, two = (tmp_path / name for name in ("start", "one", "two"))
    still = MergeConfig.load(None, ["router_dropout=0", "head_dropout=0", "expert_dropout=0"])
    merge(trained("modernbert").experts, start, settings=still, device="cpu")
    data = [word for domain in DOMAINS for word in ("--data", f"{domain}={prepared[domain]}")]
    words = ["train-joint", str(start), *data, "--device", "cpu", *sets(*JOINT, "balance_weight=5")]
    run(1, *words, "--out", str(one))
    run(2, *words, "--out", str(two), *sets("shard_backbone=true"))
    for phase in ("router_warmup", "moe_joint"):
        assert apart(one / phase, two / phase) < 1e-4
    load_mixture(two / "moe_joint")  # refuses a backbone that is not the one it was trained on


def test_a_run_that_trains_every_layer_has_none_to_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    model = nn.Module()
    model.backbone = nn.Module()
    monkeypatch.setattr(sharding, "layer_stack", lambda _: ("layers", [nn.Linear(2, 2)]))
    monkeypatch.setattr(sharding.Processes, "__init__", lambda self: setattr(self, "size", 2))
    with pytest.raises(ConfigError, match="this run trains them all; leave it out"):
        sharding.shard_backbone(model)


def test_a_backbone_in_four_bits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torch import nn

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4, dtype=torch.uint8), requires_grad=False)

    model = nn.Module()
    model.backbone = nn.Module()
    monkeypatch.setattr(sharding, "layer_stack", lambda _: ("layers", [Packed()]))
    monkeypatch.setattr(sharding.Processes, "__init__", lambda self: setattr(self, "size", 2))
    with pytest.raises(ConfigError, match="4 bits cannot be cut"):
        sharding.shard_backbone(model)
