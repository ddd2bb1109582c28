"""The paper's 4-bit backbone, on the CPU by bitsandbytes: all three stages, saving, loading and prediction."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from safetensors.torch import load_file

from finsa_moe.config import ExpertConfig
from finsa_moe.model.backbone import expert_targets, fingerprint, load_backbone
from finsa_moe.model.checkpoint import load_mixture
from finsa_moe.model.replay import REPLAY
from finsa_moe.model.torch_engine import TorchEngine
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.training.expert import ExpertModel
from tests.conftest import Trained
from tests.families import batch_of, made_rows, make_backbone, mixture_over, shake

pytestmark = pytest.mark.usefixtures("one_thread")
SLOW = [pytest.param(family, marks=pytest.mark.slow) for family in ("internlm3", "gemma3_text")]
FAMILIES = ("llama", "qwen3", "glm4", "bert", *SLOW)
SLOWER = [pytest.param(*kind.values, "float32", marks=kind.marks) for kind in SLOW]
TEXTS = [text for text, _ in made_rows("news", 12, seed=5)]
IDS, MASK = batch_of([[2, 30, 41, 52, 60, 61], [2, 99, 7], [2, 7, 8, 9]], 0)


@pytest.fixture(scope="module")
def quantised(train: Callable[..., Trained], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trained]:
    results: dict[tuple[str, str], Trained] = {}
    root = tmp_path_factory.mktemp("quantised")

    def get(family: str, dtype: str = "float32") -> Trained:
        key = (family, dtype)
        if key not in results:
            backbone = make_backbone(family, root / "-".join(key), hidden=64)
            results[key] = train(backbone, expert=("quantisation=nf4", f"dtype={dtype}"))
        return results[key]

    return get


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_way_in_four_bits(family: str, quantised: Callable[..., Trained]) -> None:
    run = quantised(family)
    engine = TorchEngine(run.joint, device="cpu")
    kinds = {type(engine.model.backbone.get_submodule(t)).__name__ for t in engine.model.config.targets}
    assert kinds == {"Linear4bit"}
    weight = engine.model.backbone.get_submodule(engine.model.config.targets[0]).weight
    assert weight.dtype == torch.uint8
    assert weight.quant_state.quant_type == "nf4"
    assert weight.quant_state.nested, "double quantisation"
    answers = Predictor(engine).predict(TEXTS)
    assert len({round(a.confidence, 6) for a in answers}) > 3
    again = Predictor(TorchEngine(run.joint, device="cpu")).predict_proba(TEXTS)
    np.testing.assert_array_equal(again, Predictor(engine).predict_proba(TEXTS))


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_quantised_is_saved(family: str, quantised: Callable[..., Trained]) -> None:
    run = quantised(family)
    for folder in (run.start, run.out / "router_warmup", run.joint, *run.experts.values()):
        assert not (folder / "backbone").exists(), "the frozen network is named only"
        for file in folder.rglob("*.safetensors"):
            for name, tensor in load_file(file).items():
                kept = {torch.float16, torch.int32} if file.name == REPLAY else {torch.float32}  # sketches of states
                assert tensor.dtype in kept, (file, name)
                assert "base_layer" not in name
                assert "quant" not in name
    reference = json.loads((run.joint / "config.json").read_text())["backbone"]
    assert reference["quantisation"] == "nf4"
    assert reference["name"] == str(run.backbone)
    assert reference["fingerprint"] == fingerprint(load_backbone(str(run.backbone), device="cpu"))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_trained_has_moved(family: str, quantised: Callable[..., Trained]) -> None:
    run = quantised(family)
    for domain, folder in run.experts.items():
        first = load_file(folder / "adapter_model.safetensors")
        last = load_file(run.joint / "experts" / domain / "adapter_model.safetensors")
        assert all(tensor.abs().max() > 0 for tensor in first.values())
        assert first.keys() == last.keys()
        assert not any(torch.equal(first[name], last[name]) for name in first)


@pytest.mark.parametrize(("family", "dtype"), [*((f, "float32") for f in FAMILIES[:4]), ("llama", "bfloat16"), *SLOWER])
def test_right_after_merge_it_is_the_expert_still(family: str, dtype: str, quantised: Callable[..., Trained]) -> None:
    """The third promise on a backbone of four bits: the same quantised weights below, so to 1e-5 as well."""
    run = quantised(family, dtype)
    mixture = load_mixture(run.start, device="cpu")
    settings = ExpertConfig(rank=4, quantisation="nf4", dtype=dtype)
    for index, folder in enumerate(run.experts.values()):
        network = load_backbone(str(run.backbone), device="cpu", quantisation="nf4", dtype=dtype)
        held = {name: parameter.dtype for name, parameter in network.named_parameters()}
        expert = ExpertModel(network, settings).eval()
        for name, parameter in network.named_parameters():  # else stage 1 trains over another network than is run
            if "lora_" not in name:
                assert parameter.dtype == held[name.replace(".base_layer", "")], name
        named = dict(expert.named_parameters())
        state = {
            f"peft.{k.replace('.weight', '.default.weight')}": v
            for k, v in load_file(folder / "adapter_model.safetensors").items()
        }
        state |= {f"head.{k}": v for k, v in load_file(folder / "head.safetensors").items()}
        with torch.no_grad():
            for name, tensor in state.items():
                named[name].copy_(tensor)
            torch.testing.assert_close(
                mixture(IDS, MASK, experts=torch.full((3,), index)).logits, expert(IDS, MASK), atol=1e-5, rtol=1e-5
            )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_layers_in_either_precision(dtype: str, train: Callable[..., Trained], tmp_path: Path) -> None:
    backbone = make_backbone("llama", tmp_path / "b", hidden=64)
    run = train(backbone, ("news",), expert=("quantisation=nf4", f"dtype={dtype}", "gradient_checkpointing=true"),
                joint=("gradient_checkpointing=true",))  # fmt: skip
    mixture = load_mixture(run.joint, device="cpu")
    assert mixture.backbone.get_input_embeddings().weight.dtype == getattr(torch, dtype)
    assert {p.dtype for part in (mixture.bank, mixture.heads, mixture.router) for p in part.parameters()} == {
        torch.float32
    }
    assert np.isfinite(Predictor(TorchEngine(run.joint, device="cpu")).predict_proba(TEXTS)).all()


def test_four_bits_are_near_the_whole(quantised: Callable[..., Trained]) -> None:
    """Else the 4-bit path would be computing something else."""
    run = quantised("llama")
    four, whole = (load_backbone(str(run.backbone), device="cpu", quantisation=q) for q in ("nf4", "none"))
    assert expert_targets(four) == expert_targets(whole)
    with torch.no_grad():
        a, b = (m(input_ids=IDS, attention_mask=MASK).last_hidden_state[0].ravel() for m in (four, whole))
    assert torch.corrcoef(torch.stack([a, b]))[0, 1] > 0.9
    assert not torch.equal(a, b)


def gradients(model: torch.nn.Module, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    out = model(IDS, MASK, **inputs)
    (out if isinstance(out, torch.Tensor) else out.logits).square().sum().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["expert", "mixture"])
def test_gradients_pass_through_the_frozen_linears_also_after_an_evaluation(kind: str, tmp_path: Path) -> None:
    """bitsandbytes repacks weights for inference on some processors, and then lets no gradient through.

    Measured against a backbone of ordinary linears with the dequantised weights in them.
    """
    folder = make_backbone("llama", tmp_path / "b", hidden=64)
    found = []
    for quantised in (True, False):
        backbone = load_backbone(str(folder), device="cpu", quantisation="nf4")
        if not quantised:
            dense = load_backbone(str(folder), device="cpu")
            for name, linear in dense.named_modules():
                if isinstance(linear, torch.nn.Linear):
                    four = backbone.get_submodule(name).weight
                    linear.weight.data = dequantize_4bit(four.data, four.quant_state).float()
            backbone = dense
        torch.manual_seed(0)
        if kind == "expert":
            model: torch.nn.Module = ExpertModel(backbone, ExpertConfig(rank=4, dropout=0.0, head_dropout=0.0))
            forced = {}
        else:
            model = mixture_over(backbone, folder, router_dropout=0.0, head_dropout=0.0, expert_dropout=0.0)
            forced = {"experts": torch.zeros(3, dtype=torch.int64)}
        parts = torch.nn.ParameterDict({n.replace(".", "/"): p for n, p in model.named_parameters() if p.requires_grad})
        shake(parts, 1)
        before = gradients(model.train(), **forced)
        with torch.no_grad():
            model.eval()(IDS, MASK)
        after = gradients(model.train(), **forced)
        assert before.keys() == after.keys()
        for name, grad in before.items():
            torch.testing.assert_close(after[name], grad, rtol=0, atol=0, msg=name)
        found.append(after)
    assert found[0].keys() == found[1].keys()
    lower = [name for name in found[0] if "layers.0." in name or "layers/0/" in name]
    assert len(lower) >= 10
    for name in found[0]:
        ours, theirs = found[0][name].ravel(), found[1][name].ravel()
        if theirs.abs().max() > 1e-6:
            assert torch.cosine_similarity(ours, theirs, dim=0) > 0.98, name
