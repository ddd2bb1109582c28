from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.model.backbone import load_backbone
from finsa_moe.model.configuration import FinSAMoEConfig
from finsa_moe.model.moe import FinSAMoE
from finsa_moe.model.router import masked_mean
from tests.families import FAMILIES, batch_of, make_mixture

pytestmark = pytest.mark.usefixtures("one_thread")
Backbones = Callable[[str], Path]
IDS, MASK = batch_of([[2, 30, 41, 52, 3], [2, 99, 3], [2, 7, 8, 9, 100, 101, 3], [2, 250, 251, 3]], 0)


def gate_used(model: FinSAMoE, **kwargs: object) -> torch.Tensor:
    with torch.no_grad():
        model(IDS, MASK, **kwargs)
    assert model.bank.gate.weights is not None
    return model.bank.gate.weights


def force(experts: list[int]) -> torch.Tensor:
    return torch.tensor(experts)


@pytest.mark.parametrize("route_at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_routing_inside_the_pass_against_passes_one_after_another(
    family: str, route_at: float, backbone_of: Backbones
) -> None:
    """The router's input is read off the plain backbone, and the answer made by running each expert for all texts."""
    model = make_mixture(backbone_of(family), route_at=route_at)
    plain = load_backbone(str(backbone_of(family)), device="cpu")
    states = []
    layers = plain.get_submodule("encoder.layer" if family in ("bert", "roberta") else "layers")
    for layer in layers:  # type: ignore[union-attr]
        layer.register_forward_pre_hook(
            lambda _, args, kwargs: states.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
    with torch.no_grad():
        states.append(plain(input_ids=IDS, attention_mask=MASK).last_hidden_state)
        seen = masked_mean(states[{0.0: 0, 0.5: 1, 1.0: -1}[route_at]], MASK)
        soft = model.router(seen).softmax(-1)
        each = torch.stack([model(IDS, MASK, experts=torch.full((4,), e)).logits for e in (0, 1)], 1)
        out = model(IDS, MASK)
    torch.testing.assert_close(out.soft_gate, soft, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.logits, each[torch.arange(4), soft.argmax(-1)], atol=1e-5, rtol=1e-5)
    assert (each[:, 0] - each[:, 1]).abs().max() > 0.01


@pytest.mark.parametrize("route_at", [0.0, 0.5, 1.0])
def test_the_backbone_runs_once_but_twice_in_the_papers_form(route_at: float, backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("bert"), route_at=route_at)
    passes: list[int] = []
    model.backbone.encoder.layer[1].register_forward_hook(lambda *_: passes.append(1))
    gate_used(model)
    assert len(passes) == (2 if route_at == 1.0 else 1)


@pytest.mark.parametrize("domains", [("news",), ("news", "forum"), ("news", "forum", "公告")])
@pytest.mark.parametrize("shared_head", [False, True])
def test_any_number_of_domains(domains: tuple[str, ...], shared_head: bool, backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("modernbert"), domains, shared_head=shared_head)
    with torch.no_grad():
        out = model(IDS, MASK)
        assert out.logits.shape == (4, 3)
        assert out.soft_gate is not None
        assert out.soft_gate.shape == (4, len(domains))
        torch.testing.assert_close(out.soft_gate.sum(-1), torch.ones(4))
        answers = [model(IDS, MASK, experts=torch.full((4,), e)).logits for e in range(len(domains))]
    for e, answer in enumerate(answers):
        for other in answers[:e]:
            assert (answer - other).abs().max() > 1e-3


def test_hard_and_soft_gates_at_inference(backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("qwen3"))
    hard = gate_used(model)
    with torch.no_grad():
        out = model(IDS, MASK)
    assert sorted(set(hard.ravel().tolist())) == [0.0, 1.0]
    model.config.gate = "soft"
    soft = gate_used(model)
    torch.testing.assert_close(soft, out.soft_gate)
    assert soft.min() > 0
    with torch.no_grad():
        assert (model(IDS, MASK).logits - out.logits).abs().max() > 1e-3


def test_forced_experts_and_minus_one_side_by_side(backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("llama"), ("a", "b", "c"))
    routed = gate_used(model)
    mixed = gate_used(model, experts=force([2, -1, 0, -1]))
    assert mixed[0].tolist() == [0, 0, 1]
    assert mixed[2].tolist() == [1, 0, 0]
    assert torch.equal(mixed[[1, 3]], routed[[1, 3]])
    with torch.no_grad():
        free, forced = model(IDS, MASK), model(IDS, MASK, experts=force([2, -1, 0, -1]))
        torch.testing.assert_close(free.soft_gate, forced.soft_gate)  # the router reports all the same
        torch.testing.assert_close(free.logits[[1, 3]], forced.logits[[1, 3]])


def test_the_gate_hardens_when_told(backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("bert")).train()
    model.router.eval()  # its dropout would change the choice between the passes
    soft = gate_used(model)
    assert soft.min() > 0
    assert soft.max() < 1
    model.harden = True
    hard = gate_used(model)
    assert torch.equal(hard, torch.nn.functional.one_hot(soft.argmax(-1), 2).float())
    out = model(IDS, MASK)
    out.logits.sum().backward()
    grad = model.router.layers[0].weight.grad  # type: ignore[union-attr]
    assert grad is not None
    assert grad.abs().max() > 0, "the classification must reach the router through a hard gate"


def test_the_backbone_keeps_still_in_training(backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("bert"), head_dropout=0.0, router_dropout=0.0, expert_dropout=0.0).train()
    assert not model.backbone.training
    with torch.no_grad():
        assert torch.equal(model(IDS, MASK).logits, model(IDS, MASK).logits)
    model(IDS, MASK).logits.sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())


@pytest.mark.parametrize("route_at", [0.0, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_changes_no_gradient(family: str, route_at: float, backbone_of: Backbones) -> None:
    """Also where the backbone's config has dropout of its own: that is off for a frozen backbone."""
    options = {"route_at": route_at, "head_dropout": 0.0, "router_dropout": 0.0, "expert_dropout": 0.0}
    grads = []
    for recompute in (False, True):
        model = make_mixture(backbone_of(family), **options).train()
        calls: list[int] = []
        if recompute:
            model.gradient_checkpointing_enable()
            model.train()
            first = model.backbone.get_submodule(model.config.targets[0])
            first.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        loss = model(IDS, MASK).logits.square().sum()
        before = len(calls)
        loss.backward()
        assert not recompute or len(calls) > before, "nothing was recomputed"
        grads.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-5, atol=1e-6, msg=name)


def test_checkpointing_leaves_attention_dropout_off(tmp_path: Path) -> None:
    """Some families keep dropout as a number in the attention, not as a module."""
    from tests.families import make_backbone

    folder = make_backbone("llama", tmp_path / "b", attention_dropout=0.5)
    model = make_mixture(folder, head_dropout=0.0, router_dropout=0.0, expert_dropout=0.0)
    with torch.no_grad():
        expected = model.train()(IDS, MASK).logits
        model.gradient_checkpointing_enable()
        torch.testing.assert_close(model.train()(IDS, MASK).logits, expected)


def test_a_configuration_alone_is_no_mixture(backbone_of: Backbones) -> None:
    from transformers import AutoModel

    with pytest.raises(ModelError, match=r"^a mixture's configuration alone holds no backbone; use from_pretrained"):
        AutoModel.from_config(make_mixture(backbone_of("bert")).config)


def test_labels_add_a_plain_cross_entropy(backbone_of: Backbones) -> None:
    model, labels = make_mixture(backbone_of("bert")), torch.tensor([0, 2, 1, 1])
    with torch.no_grad():
        out = model(IDS, MASK, labels=labels)
    expected = -out.logits.log_softmax(-1)[torch.arange(4), labels].mean()
    torch.testing.assert_close(out.loss, expected)


def test_no_mask_means_no_padding(backbone_of: Backbones) -> None:
    for family in ("roberta", "glm4"):
        model = make_mixture(backbone_of(family))
        ids = torch.tensor([[2, 30, 41, 52, 3]])
        with torch.no_grad():
            torch.testing.assert_close(model(ids).logits, model(ids, torch.ones_like(ids)).logits)


def test_a_failed_pass_leaves_nothing_behind(backbone_of: Backbones) -> None:
    model = make_mixture(backbone_of("bert"))
    with torch.no_grad():
        expected = model(IDS, MASK).logits
        with pytest.raises(IndexError):
            model(torch.full((1, 4), 10**6), torch.ones(1, 4))
        assert torch.equal(model(IDS, MASK).logits, expected)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "x" * 65, "news.v2"])
def test_domain_names_are_folder_names(name: str) -> None:
    with pytest.raises(ConfigError, match="1 to 64 letters"):
        FinSAMoEConfig(domains=[name])
    with pytest.raises(ModelError, match="stands twice"):
        FinSAMoEConfig(domains=["news", "news"])
