from __future__ import annotations

import numpy as np
import pytest
import torch

from finsa_moe.model.router import ExpertHeads, Router, masked_mean, one_hot, straight_through


def test_masked_mean_ignores_whatever_stands_at_padding() -> None:
    hidden = torch.tensor(
        [[[1.0, 2.0], [3.0, 6.0], [float("nan"), float("inf")]], [[float("nan")] * 2, [5.0, 7.0], [1.0, 1.0]]]
    )
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    assert masked_mean(hidden, mask).tolist() == [[2.0, 4.0], [3.0, 4.0]]


def test_masked_mean_sums_in_float32_and_survives_an_empty_row() -> None:
    hidden = torch.full((1, 4096, 1), 0.1, dtype=torch.bfloat16)  # a bf16 sum would stop growing at 32
    assert float(masked_mean(hidden, torch.ones(1, 4096))) == pytest.approx(
        float(torch.tensor(0.1).bfloat16()), rel=1e-5
    )
    assert masked_mean(torch.full((1, 2, 3), float("nan")), torch.zeros(1, 2)).tolist() == [[0.0, 0.0, 0.0]]


def test_router_against_numpy() -> None:
    torch.manual_seed(3)
    router = Router(6, 3, hidden=5).eval()
    with torch.no_grad():
        for parameter in router.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
        router.temperature.fill_(0.5)
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    w = {name: tensor.double().numpy() for name, tensor in router.state_dict().items()}
    hidden = x @ w["layers.0.weight"].T + w["layers.0.bias"]
    centred = hidden - hidden.mean(1, keepdims=True)
    normed = centred / np.sqrt(centred.var(1, keepdims=True) + 1e-5) * w["layers.1.weight"] + w["layers.1.bias"]
    logits = (np.maximum(normed, 0) @ w["layers.4.weight"].T + w["layers.4.bias"]) / 0.5
    np.testing.assert_allclose(router(torch.from_numpy(x)).detach().numpy(), logits, atol=1e-5)


@pytest.mark.parametrize("learnt", [0.1, 0.05, 0.0, -3.0])
def test_temperature_has_a_floor(learnt: float) -> None:
    torch.manual_seed(0)
    router = Router(4, 2).eval()
    x = torch.randn(3, 4)
    at_one = router(x)
    with torch.no_grad():
        router.temperature.fill_(learnt)
    torch.testing.assert_close(router(x), at_one * 10)


def test_temperature_starts_at_one_and_is_learnt() -> None:
    router = Router(4, 2)
    assert float(router.temperature) == 1.0
    router(torch.randn(3, 4)).square().sum().backward()
    assert router.temperature.grad is not None
    assert float(router.temperature.grad) != 0


def test_straight_through_is_one_hot_forward_and_soft_backward() -> None:
    logits = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    back = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    grads = []
    for gate in (straight_through, lambda soft: soft):
        leaf = logits.clone().requires_grad_()
        out = gate(leaf.softmax(-1))
        (out * back).sum().backward()
        grads.append(leaf.grad)
        if gate is straight_through:
            assert sorted(set(out.detach().ravel().tolist())) == [0.0, 1.0]  # exactly: what is trained is what is run
            assert (out.argmax(-1) == logits.argmax(-1)).all()
            assert (out.sum(-1) == 1).all()
    torch.testing.assert_close(grads[0], grads[1], rtol=0, atol=0)


def test_one_hot_breaks_ties_and_keeps_the_dtype() -> None:
    out = one_hot(torch.tensor([[0.5, 0.5], [0.2, 0.8]], dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16
    assert out.tolist() in ([[1, 0], [0, 1]], [[0, 1], [0, 1]])


def test_heads_are_opened_by_the_gate() -> None:
    torch.manual_seed(0)
    heads = ExpertHeads(5, 3).eval()
    with torch.no_grad():
        heads.bias.normal_()
    pooled, gate = torch.randn(4, 5), torch.rand(4, 3)
    w, b = heads.weight.detach().numpy(), heads.bias.detach().numpy()
    expected = np.stack(
        [sum(gate[i, e].item() * (w[e] @ pooled[i].numpy() + b[e]) for e in range(3)) for i in range(4)]
    )
    np.testing.assert_allclose(heads(pooled, gate).detach().numpy(), expected, atol=1e-5)
    for e in range(3):
        alone = heads(pooled, torch.eye(3)[e].expand(4, 3)).detach()
        torch.testing.assert_close(alone, pooled @ heads.weight[e].T.detach() + heads.bias[e].detach())


def test_a_shared_head_does_not_mind_the_gate() -> None:
    torch.manual_seed(0)
    heads = ExpertHeads(5, 3, shared=True).eval()
    pooled = torch.randn(4, 5)
    assert heads.weight.shape == (1, 3, 5)
    out = heads(pooled, torch.rand(4, 3))
    torch.testing.assert_close(out, heads(pooled, torch.zeros(4, 3)), rtol=0, atol=0)
    torch.testing.assert_close(out, pooled @ heads.weight[0].T + heads.bias[0])
