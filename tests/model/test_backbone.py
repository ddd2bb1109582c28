from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from finsa_moe.errors import MissingExtra, ModelError
from finsa_moe.model.backbone import (
    expert_targets,
    fingerprint,
    first_expert_layer,
    is_causal,
    layer_stack,
    load_backbone,
    load_tokenizer,
    position_ids,
    route_layer,
)
from finsa_moe.model.device import best_device
from tests.families import DECODERS, FAMILIES, make_backbone

pytestmark = pytest.mark.usefixtures("one_thread")
Backbones = Callable[[str], Path]

GATED = ["self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
BERT = ["attention.self.query", "attention.self.value", "attention.output.dense", "intermediate.dense", "output.dense"]
LAYER = {  # the method: q, v, o and the feed-forward projections, fused or not; where q, k and v are one, that one
    "glm4": (
        "layers",
        ["self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"],
    ),
    "qwen3": ("layers", GATED),
    "llama": ("layers", GATED),
    "bert": ("encoder.layer", BERT),
    "roberta": ("encoder.layer", BERT),
    "modernbert": ("layers", ["attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"]),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_targets_by_name(family: str, backbone_of: Backbones) -> None:
    backbone = load_backbone(str(backbone_of(family)), device="cpu")
    path, names = LAYER[family]
    lower, upper = ([f"{path}.{i}.{name}" for name in names] for i in (0, 1))
    assert sorted(expert_targets(backbone)) == sorted(lower + upper)
    assert sorted(expert_targets(backbone, 0.5)) == sorted(upper)
    assert sorted(expert_targets(backbone, 1.0)) == sorted(lower + upper)  # the paper's form: every layer
    assert layer_stack(backbone)[0] == path
    assert is_causal(backbone) == (family in DECODERS)
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not backbone.training


@pytest.mark.parametrize(
    ("depth", "route_at", "layer"),
    [
        (4, 0.0, 0),
        (4, 0.25, 1),
        (4, 0.5, 2),
        (4, 0.75, 3),
        (4, 0.99, 3),
        (6, 0.5, 3),
        (6, 0.1, 1),
        (40, 0.25, 10),
        (1, 0.9, 0),
    ],
)
def test_route_layer_by_hand(depth: int, route_at: float, layer: int, tmp_path: Path) -> None:
    backbone = load_backbone(str(make_backbone("llama", tmp_path / "b", hidden=4, layers=depth)), device="cpu")
    assert route_layer(backbone, route_at) == layer
    assert first_expert_layer(backbone, route_at) == layer
    assert first_expert_layer(backbone, 1.0) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_fingerprint_is_the_same_in_bf16_and_tells_weights_apart(
    family: str, backbone_of: Backbones, tmp_path: Path
) -> None:
    folder = backbone_of(family)
    backbone = load_backbone(str(folder), device="cpu")
    whole = fingerprint(backbone)
    assert fingerprint(load_backbone(str(folder), device="cpu")) == whole
    assert fingerprint(load_backbone(str(folder), device="cpu", dtype="bfloat16")) == whole
    assert fingerprint(load_backbone(str(make_backbone(family, tmp_path / "other", seed=1)), device="cpu")) != whole
    with torch.no_grad():
        backbone.get_input_embeddings().weight[0, 0] += 0.5
    assert fingerprint(backbone) != whole


@pytest.mark.parametrize("family", ["llama", "qwen3", "bert"])
def test_fingerprint_is_the_same_in_four_bits(family: str, tmp_path: Path) -> None:
    folder = str(make_backbone(family, tmp_path / "b", hidden=64))
    plain = load_backbone(folder, device="cpu")
    for dtype in ("float32", "bfloat16"):
        quantised = load_backbone(folder, device="cpu", quantisation="nf4", dtype=dtype)
        kinds = {type(quantised.get_submodule(t)).__name__ for t in expert_targets(quantised)}
        assert kinds == {"Linear4bit"}
        assert expert_targets(quantised) == expert_targets(plain)
        assert fingerprint(quantised) == fingerprint(plain)


def test_four_bits_without_their_extra_say_which(backbone_of: Backbones, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtra, match=r"a 4-bit backbone needs bitsandbytes, .*'\.\[qlora\]'"):
        load_backbone(str(backbone_of("bert")), quantisation="nf4", device="cpu")


def test_positions_count_real_tokens(backbone_of: Backbones) -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]])
    for family in ("llama", "bert", "modernbert"):
        ids = position_ids(load_backbone(str(backbone_of(family)), device="cpu"), mask)["position_ids"]
        assert ids[0, 2:].tolist() == ids[1, :3].tolist() == [0, 1, 2]
    # RoBERTa counts from its padding index, here 1, and leaves that index itself to padding
    ids = position_ids(load_backbone(str(backbone_of("roberta")), device="cpu"), mask)["position_ids"]
    assert ids.tolist() == [[1, 1, 2, 3, 4], [2, 3, 4, 1, 1]]


def copy(source: Path, target: Path, without: str | None = None) -> Path:
    shutil.copytree(source, target)
    if without:
        (target / without).unlink()
    return target


def broken(kind: str, source: Path, folder: Path) -> Path:
    if kind == "no folder":
        return folder
    if kind == "no config":
        return copy(source, folder, "config.json")
    if kind == "no weights":
        return copy(source, folder, "model.safetensors")
    copy(source, folder)
    if kind == "weights cut short":
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif kind == "weights empty":
        (folder / "model.safetensors").write_bytes(b"")
    elif kind == "config no JSON":
        (folder / "config.json").write_text("{")
    elif kind == "unknown family":
        (folder / "config.json").write_text('{"model_type": "never-heard-of"}')
    return folder


@pytest.mark.parametrize(
    "kind",
    ["no folder", "no config", "no weights", "weights cut short", "weights empty", "config no JSON", "unknown family"],
)
def test_a_backbone_that_cannot_be_loaded_is_one_line(kind: str, backbone_of: Backbones, tmp_path: Path) -> None:
    folder = broken(kind, backbone_of("bert"), tmp_path / "broken")
    with pytest.raises(ModelError, match="restore what is missing") as caught:
        load_backbone(str(folder), device="cpu")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["no folder", "no tokenizer", "tokenizer no JSON"])
def test_a_tokenizer_that_cannot_be_loaded_is_one_line(kind: str, backbone_of: Backbones, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    if kind != "no folder":
        copy(backbone_of("llama"), folder)
        for file in folder.glob("tokenizer*"):
            file.unlink()
    if kind == "tokenizer no JSON":
        (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="tokenizer") as caught:
        load_tokenizer(str(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hub_name_without_a_network_says_what_to_give(one_thread: None) -> None:
    with pytest.raises(ModelError, match="give a local folder, or a hub name while the hub can be reached") as caught:
        load_backbone("nobody/none-such", device="cpu")
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_padding_pads_with_its_end(backbone_of: Backbones, tmp_path: Path) -> None:
    import json

    folder = copy(backbone_of("llama"), tmp_path / "b")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    settings["eos_token"] = "[SEP]"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert load_tokenizer(folder).pad_token_id == 3


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert best_device() == "cuda"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert best_device() == "cuda", "one process alone"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert best_device() == "cuda:1"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert best_device() == "cpu"
