from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from finsa_moe.errors import ModelError
from finsa_moe.model.backbone import load_backbone
from finsa_moe.model.experts import ExpertBank
from tests.families import batch_of, make_mixture, shake

pytestmark = pytest.mark.usefixtures("one_thread")
SCALING = [1.0, 2.5, 0.25]


class TwoLinears(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"up": nn.Linear(6, 10), "down": nn.Linear(10, 4, bias=False)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        down: torch.Tensor = self.inner["down"](torch.tanh(self.inner["up"](x)))
        return down


def bank_over(net: nn.Module, rank: int = 3, dropout: float = 0.0) -> ExpertBank:
    bank = ExpertBank(net, ["inner.up", "inner.down"], SCALING, rank, dropout)
    shake(bank, 1, 0.3)
    return bank


def naive(net: TwoLinears, bank: ExpertBank, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """One text, one expert and one linear at a time."""
    out = []
    for text, weights in zip(x, gate, strict=True):
        state = text
        for target in ("up", "down"):
            linear = net.inner[target]
            assert isinstance(linear, nn.Linear)
            result = state @ linear.weight.T + (0 if linear.bias is None else linear.bias)
            for expert, weight in enumerate(weights):
                adapter = bank.adapter(expert)
                a = adapter[f"base_model.model.inner.{target}.lora_A.weight"]
                b = adapter[f"base_model.model.inner.{target}.lora_B.weight"]
                result = result + weight * SCALING[expert] * ((state @ a.T) @ b.T)
            state = torch.tanh(result) if target == "up" else result
        out.append(state)
    return torch.stack(out)


@pytest.mark.parametrize("shape", [(5, 7, 6), (5, 2, 3, 6), (5, 6)])
def test_soft_gates_against_one_expert_at_a_time(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = TwoLinears()
    bank = bank_over(net)
    x, gate = torch.randn(shape), torch.rand(5, 3)
    expected = naive(net, bank, x, gate)
    bank.gate.weights = gate
    torch.testing.assert_close(net(x), expected, rtol=1e-5, atol=1e-5)
    assert (net(x) - naive(net, bank, x, gate.flip(1))).abs().max() > 0.01  # the order of the gate matters


def test_a_closed_gate_is_the_backbone_to_the_bit() -> None:
    torch.manual_seed(0)
    net = TwoLinears()
    x = torch.randn(4, 9, 6)
    plain = net(x)
    bank = bank_over(net)
    assert torch.equal(net(x), plain)
    bank.gate.weights = torch.rand(4, 3)
    assert not torch.equal(net(x), plain)
    bank.gate.close()
    assert torch.equal(net(x), plain)


@pytest.mark.parametrize("family", ["glm4", "modernbert"])
def test_a_mixtures_closed_gate_is_the_real_backbone_to_the_bit(
    family: str, backbone_of: Callable[[str], Path]
) -> None:
    model = make_mixture(backbone_of(family))
    plain = load_backbone(str(backbone_of(family)), device="cpu")
    ids, mask = batch_of([[2, 9, 30, 31, 3], [2, 77, 3]], 0)
    with torch.no_grad():
        model(ids, mask)
        model.bank.gate.close()
        ours = model.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        assert torch.equal(ours, plain(input_ids=ids, attention_mask=mask).last_hidden_state)


def test_gradients_reach_the_open_experts_only() -> None:
    torch.manual_seed(0)
    net = TwoLinears()
    bank = bank_over(net)
    net.requires_grad_(False)
    bank.gate.weights = torch.tensor([[0.0, 1, 0], [0, 1, 0]])
    net(torch.randn(2, 5, 6)).square().sum().backward()
    for module in bank.linears.values():
        for grad in (module.lora_a.grad, module.lora_b.grad):
            assert grad is not None
            assert grad[1].abs().max() > 0
            assert grad[[0, 2]].abs().max() == 0
    assert all(p.grad is None for p in net.parameters())


def test_adapters_go_out_and_in_again() -> None:
    torch.manual_seed(0)
    ours, theirs = bank_over(TwoLinears()), ExpertBank(TwoLinears(), ["inner.up", "inner.down"], SCALING, 3)
    for expert in range(3):
        state = ours.adapter(expert)
        assert {k: tuple(v.shape) for k, v in state.items()} == {
            "base_model.model.inner.up.lora_A.weight": (3, 6), "base_model.model.inner.up.lora_B.weight": (10, 3),
            "base_model.model.inner.down.lora_A.weight": (3, 10), "base_model.model.inner.down.lora_B.weight": (4, 3),
        }  # fmt: skip
        theirs.load_adapter(2 - expert, state)
    for expert in range(3):
        for key, tensor in ours.adapter(expert).items():
            assert torch.equal(tensor, theirs.adapter(2 - expert)[key])


def test_an_adapter_given_out_is_a_copy() -> None:
    bank = bank_over(TwoLinears())
    state = bank.adapter(0)
    before = {k: v.clone() for k, v in state.items()}
    shake(bank, 5)
    assert all(torch.equal(before[k], v) and v.is_contiguous() and not v.requires_grad for k, v in state.items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("base_model.model.inner.up.lora_B.weight"), "lacks .*inner.up.lora_B.weight"),
        (lambda s: s.update({"base_model.model.inner.side.lora_A.weight": torch.zeros(3, 6)}), "unknown tensor .*side"),
        (lambda s: s.update({"base_model.model.inner.up.lora_A.weight": torch.zeros(4, 6)}), r"inner.up: shape \(4, 6\), expected \(3, 6\)"),
        (lambda s: s.update({"base_model.model.inner.down.lora_B.weight": torch.zeros(3, 4)}), "inner.down: shape"),
    ],
)  # fmt: skip
def test_an_adapter_that_does_not_fit(change: Callable[[dict[str, torch.Tensor]], object], says: str) -> None:
    bank = bank_over(TwoLinears())
    state = bank.adapter(1)
    change(state)
    with pytest.raises(ModelError, match=says) as caught:
        bank.load_adapter(0, state)
    assert "\n" not in str(caught.value)


def test_only_linears_carry_experts() -> None:
    net = nn.Sequential(nn.LayerNorm(3))
    with pytest.raises(ModelError, match="0: an expert needs a linear layer, found LayerNorm"):
        ExpertBank(net, ["0"], [1.0], 2)


def test_dropout_acts_in_training_alone() -> None:
    torch.manual_seed(0)
    net = TwoLinears()
    bank = bank_over(net, dropout=0.5)
    x = torch.randn(2, 5, 6)
    bank.gate.weights = torch.ones(2, 3)
    bank.train()
    assert not torch.equal(net(x), net(x))
    bank.eval()
    assert torch.equal(net(x), net(x))
