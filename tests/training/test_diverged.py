"""Training that diverges ends with one line that says so, and leaves nothing that passes for a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer

from finsa_moe.config import DomainConfig, ExpertConfig, JointConfig
from finsa_moe.errors import ModelError
from finsa_moe.training import domains as growing
from finsa_moe.training.domains import add_domain
from finsa_moe.training.expert import train_expert
from finsa_moe.training.joint import train_joint
from finsa_moe.training.trainer import Stage, StageTrainer
from tests.conftest import DOMAINS, EXPERT, JOINT, Trained
from tests.training.test_domains import FAST

pytestmark = pytest.mark.usefixtures("one_thread")


def left(out: Path) -> None:
    """No model, no number that is none, and no checkpoint that cannot be gone on from."""
    assert not list(out.rglob("metrics.json"))
    for file in out.rglob("statistics.jsonl"):
        assert "NaN" not in file.read_text()
        assert "Infinity" not in file.read_text()
    for file in out.rglob("trained.safetensors"):
        assert all(bool(torch.isfinite(tensor).all()) for tensor in load_file(file).values())


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        (("log_steps=1", "eval_steps=4"), "(loss|grad_norm) is (nan|inf) at step [23]"),
        (("eval_steps=2",), "eval_loss is nan at step 2"),
        (("eval_steps=4",), "eval_loss is nan at step 4"),
        (("max_steps=2", "eval_steps=1", "log_steps=10"), "eval_loss is nan at step 2"),
    ],
)
def test_an_expert(
    overrides: tuple[str, ...], found: str, prepared: Mapping[str, Path], backbone_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    settings = ExpertConfig.load(None, [*EXPERT, "learning_rate=1e30", *overrides])
    out = tmp_path / "e"
    with pytest.raises(ModelError, match=rf"run: expert:news: {found}; lower learning_rate \(it is 1e\+30\) and name"):
        train_expert("news", prepared["news"], out, backbone=str(backbone_of("bert")), settings=settings, device="cpu")
    assert not (out / "expert.json").exists()
    left(out)


def test_a_loss_that_no_log_told_and_no_weight_shows(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer.training_step

    def spoilt(self: Trainer, *args: Any, **options: Any) -> torch.Tensor:
        loss = real(self, *args, **options)
        return loss * float("nan") if self.state.global_step == 3 else loss

    monkeypatch.setattr(Trainer, "training_step", spoilt)
    settings = ExpertConfig.load(None, EXPERT)
    with pytest.raises(ModelError, match="expert:news: train_loss is nan at step 4; lower learning_rate"):
        train_expert("news", prepared["news"], tmp_path / "e", backbone=str(backbone_of("bert")), settings=settings,
                     device="cpu")  # fmt: skip
    left(tmp_path / "e")


def test_weights_that_no_loss_shows(tmp_path: Path) -> None:
    class Bare(StageTrainer):
        def __init__(self, model: torch.nn.Module) -> None:
            self.stage = Stage("adapt", model, *[None] * 4, ExpertConfig(), tmp_path, 0)  # type: ignore[arg-type]
            self.state = type("State", (), {"global_step": 7})()

    model = torch.nn.Linear(2, 2)
    model.weight.data[0, 0] = float("inf")
    with pytest.raises(ModelError, match="adapt: a weight is not finite at step 7; lower learning_rate"):
        Bare(model)._save_checkpoint(model, None)


@pytest.mark.parametrize("phase", ["router_warmup", "moe_joint"])
def test_a_mixture(phase: str, trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path) -> None:
    key = "router_learning_rate" if phase == "router_warmup" else "learning_rate"
    settings = JointConfig.load(None, [*JOINT, f"{key}=1e30", "router_steps=3"])
    data = {domain: prepared[domain] for domain in DOMAINS}
    with pytest.raises(ModelError, match=rf"{phase}: .* at step \d; lower {key} \(it is 1e\+30\)"):
        train_joint(trained("bert").start, data, tmp_path / "j", settings=settings, device="cpu")
    assert not (tmp_path / "j" / phase).exists()
    left(tmp_path / "j" / "run")


def test_the_wider_router(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = growing.new_layers

    def spoilt(*args: object, **options: object) -> torch.nn.Sequential:
        layers = real(*args, **options)  # type: ignore[arg-type]
        layers[0].weight.data[0, 0] = float("nan")
        return layers

    monkeypatch.setattr(growing, "new_layers", spoilt)
    settings = DomainConfig.load(None, FAST)
    source, out = trained("bert").joint, tmp_path / "o"
    with pytest.raises(ModelError, match=r"router's layers for notices are not finite after 60 steps; lower router_"):
        add_domain(source, "notices", prepared["notices"], out, settings=settings, device="cpu")
    assert not (out / "moe").exists()


def test_every_number_of_a_good_run_is_one(trained: Callable[[str], Trained]) -> None:
    files = list(trained("bert").out.parent.rglob("metrics.json"))
    assert len(files) >= 4  # two experts, the router's warm-up, the mixture
    for file in files:
        json.loads(file.read_text(encoding="utf-8"), parse_constant=pytest.fail)
