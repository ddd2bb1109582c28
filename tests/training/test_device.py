"""Where a supervised stage trains: what the Trainer honours, or a refusal before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from finsa_moe.config import AdaptConfig, DomainConfig, ExpertConfig, JointConfig, PretrainConfig
from finsa_moe.errors import ConfigError
from finsa_moe.model.backbone import load_backbone
from finsa_moe.training.adapt import adapt
from finsa_moe.training.compact import pretrain
from finsa_moe.training.device import training_device
from finsa_moe.training.domains import add_domain
from finsa_moe.training.estimate import estimate_expert
from finsa_moe.training.expert import train_expert
from finsa_moe.training.joint import train_joint


@pytest.mark.parametrize(
    ("gpu", "local", "asked", "found"),
    [
        (False, None, None, "cpu"), (False, None, "cpu", "cpu"), (True, None, "cpu", "cpu"), (True, None, None, "cuda"),
        (True, None, "cuda", "cuda"), (True, None, "cuda:0", "cuda"), (True, "1", None, "cuda:1"),
        (True, "1", "cuda", "cuda:1"), (True, "1", "cuda:1", "cuda:1"), (True, "1", "cpu", "cpu"),
        (True, None, "cuda:1", None), (True, "1", "cuda:0", None), (True, None, "mps", None), (False, None, "mps", None),
        (False, None, "cuda", None), (False, None, "no such", None),
    ],
)  # fmt: skip
def test_what_the_trainer_honours(
    gpu: bool, local: str | None, asked: str | None, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first GPU that is seen, or under torchrun the process's own."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    if local is not None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("LOCAL_RANK", local)
    if found is not None:
        assert training_device(asked) == found
        return
    with pytest.raises(ConfigError, match=f"--device {asked}: training runs on .*CUDA_VISIBLE_DEVICES") as caught:
        training_device(asked)
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """One line, and no run that a second try would have to resume."""
    (tmp_path / "t.txt").write_text("公司公告\n" * 50, encoding="utf-8")
    backbone, device = str(backbone_of("bert")), "cuda:7"
    stages = {
        "load": lambda: load_backbone(backbone, device=device),
        "estimate": lambda: estimate_expert(
            prepared["news"], backbone=backbone, settings=ExpertConfig(), device=device
        ),
        "pretrain": lambda: pretrain([tmp_path / "t.txt"], tmp_path / "out", PretrainConfig(), device=device),
    }  # fmt: skip
    for name, stage in stages.items():
        with pytest.raises(ConfigError, match=r"--device cuda:7: cannot be used \(.*\); name one that is there"):
            stage()
        assert not (tmp_path / "out").exists(), name


def test_no_stage_begins_on_another_device(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path
) -> None:
    data, backbone, out = prepared["news"], str(backbone_of("bert")), tmp_path / "out"
    stages = {
        "train-expert": lambda: train_expert("news", data, out, backbone=backbone, settings=ExpertConfig(), device="mps"),
        "adapt": lambda: adapt(backbone, out, tasks={"news": data}, soft={}, settings=AdaptConfig(), device="mps"),
        "train-joint": lambda: train_joint(Path(backbone), {}, out, settings=JointConfig(), device="mps"),
        "add-domain": lambda: add_domain(
            Path(backbone), "more", data, out, settings=DomainConfig(), device="mps"
        ),
    }  # fmt: skip
    for name, stage in stages.items():
        with pytest.raises(ConfigError, match="--device mps: training runs on"):
            stage()
        assert not out.exists(), name
