"""The estimate beside a run: what is trained and how often to the number; bytes and seconds as measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from finsa_moe.cli import main
from finsa_moe.config import ExpertConfig
from finsa_moe.errors import ModelError
from finsa_moe.model.backbone import load_backbone
from finsa_moe.training import estimate
from finsa_moe.training.estimate import NF4_BYTES, estimate_expert
from finsa_moe.training.expert import ExpertModel, train_expert
from tests.conftest import EXPERT
from tests.families import make_backbone

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("family", ["modernbert", "qwen3", "gemma3_text"])
def test_what_is_trained_is_counted_to_the_number(
    family: str, prepared: Mapping[str, Path], tmp_path: Path, backbone_of: Callable[[str], Path]
) -> None:
    settings = ExpertConfig.load(None, [*EXPERT, "max_steps=2", "eval_steps=2"])
    backbone = str(backbone_of(family))
    found = estimate_expert(prepared["news"], backbone=backbone, settings=settings, device="cpu")
    facts = train_expert("news", prepared["news"], tmp_path / "e", backbone=backbone, settings=settings, device="cpu")
    assert found.trained == facts["trained_parameters"]
    assert found.steps == facts["steps"]
    whole = load_backbone(backbone, device="cpu")
    assert found.parameters == sum(p.numel() for p in whole.parameters())
    assert found.weight_bytes == 4 * (found.parameters + found.trained)
    assert found.optimizer_bytes == 3 * 4 * found.trained


def test_epochs_become_steps(prepared: Mapping[str, Path], backbone_of: Callable[[str], Path]) -> None:
    settings = ExpertConfig.load(None, ["batch_size=4", "gradient_accumulation=2", "epochs=5", "max_length=96"])
    found = estimate_expert(prepared["news"], backbone=str(backbone_of("qwen3")), settings=settings, device="cpu")
    assert found.steps == 5 * 24 // 8
    assert found.hours * 3600 == pytest.approx(5 * found.tokens / found.tokens_per_second)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_four_bits_weigh_what_bitsandbytes_gives_them(dtype: str, prepared: Mapping[str, Path], tmp_path: Path) -> None:
    """Wide enough that scales of scales are not most of it; what is not packed has the dtype asked for."""
    folder = make_backbone("llama", tmp_path / "b", hidden=256)
    asked = ["quantisation=nf4", "max_length=96", "batch_size=4", f"dtype={dtype}"]
    settings = ExpertConfig.load(None, asked)
    found = estimate_expert(prepared["news"], backbone=str(folder), settings=settings, device="cpu")
    loaded = load_backbone(str(folder), quantisation="nf4", dtype=dtype, device="cpu")
    size = 0
    for parameter in loaded.parameters():
        size += parameter.numel() * parameter.element_size()
        if (state := getattr(parameter, "quant_state", None)) is not None:
            size += state.absmax.numel() * state.absmax.element_size() + 4 * state.state2.absmax.numel()
    assert pytest.approx(0.516, abs=1e-3) == NF4_BYTES
    assert found.weight_bytes - 4 * found.trained == pytest.approx(size, rel=0.02)


def test_recomputing_layers_keeps_less(prepared: Mapping[str, Path], tmp_path: Path) -> None:
    folder = str(make_backbone("llama", tmp_path / "b", hidden=64, layers=6))
    kept = {
        again: estimate_expert(
            prepared["news"], backbone=folder, device="cpu",
            settings=ExpertConfig.load(None, [f"gradient_checkpointing={again}", "max_length=96", "batch_size=8"]),
        ).activation_bytes
        for again in ("true", "false")
    }  # fmt: skip
    assert kept["true"] < 0.5 * kept["false"]


def kept_by(folder: str, data: Path, settings: ExpertConfig) -> float:
    """Bytes that a step of the whole network keeps, by the same hooks, on a batch of the widest rows."""
    model = ExpertModel(load_backbone(folder, device="cpu"), settings).train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or name.startswith("head."))
    width = int(estimate._widths(estimate.read_split(data, "train"), folder, model.backbone, settings)[-1])
    ids = torch.randint(4, 300, (settings.batch_size, width))
    return estimate._kept(lambda: model(ids, torch.ones_like(ids)).sum().backward(), model)


@pytest.mark.parametrize("route_at", [0.5, 0.8, 1.0])
def test_layers_below_the_route_keep_nothing(route_at: float, prepared: Mapping[str, Path], tmp_path: Path) -> None:
    folder = str(make_backbone("llama", tmp_path / "b", hidden=64, layers=6))
    settings = ExpertConfig.load(None, [*EXPERT, "batch_size=8", f"route_at={route_at}"])
    found = estimate_expert(prepared["news"], backbone=folder, settings=settings, device="cpu")
    assert found.activation_bytes == pytest.approx(kept_by(folder, prepared["news"], settings), rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("route_at", [0.0, 0.5])
def test_bytes_and_seconds_are_those_of_a_run(route_at: float, prepared: Mapping[str, Path], tmp_path: Path) -> None:
    """Activations of a step of the whole network, and the time of real training steps, above a route too."""
    folder = str(make_backbone("llama", tmp_path / "b", hidden=256, layers=6))
    asked = [*EXPERT, "max_steps=30", "eval_steps=30", "batch_size=8", f"route_at={route_at}"]
    settings = ExpertConfig.load(None, asked)
    found = estimate_expert(prepared["news"], backbone=folder, settings=settings, device="cpu")
    assert found.activation_bytes == pytest.approx(kept_by(folder, prepared["news"], settings), rel=0.25)

    def near(turn: int) -> bool:
        told = estimate_expert(prepared["news"], backbone=folder, settings=settings, device="cpu").hours * 3600
        out = tmp_path / f"e{turn}"
        facts = train_expert("news", prepared["news"], out, backbone=folder, settings=settings, device="cpu")
        return bool(facts["wall_seconds"] / 4 < told < 2 * facts["wall_seconds"])

    assert any(near(turn) for turn in range(5))  # other work may slow down one of the two


def test_the_verb_prints_and_writes_nothing(
    prepared: Mapping[str, Path], backbone_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train-expert", "news", str(prepared["news"]), "--backbone", str(backbone_of("qwen3")), "--device", "cpu"]
    assert main([*words, "--estimate", "--set", "max_length=96", "--set", "batch_size=4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["parameters", "memory", "speed", "time"]
    assert main(words) == 2
    assert "needs --out DIR" in capsys.readouterr().err


def test_a_backbone_without_a_config(prepared: Mapping[str, Path], tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(ModelError, match=r"no readable config\.json"):
        estimate_expert(prepared["news"], backbone=str(tmp_path / "b"), settings=ExpertConfig(), device="cpu")
