from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finsa_moe.model.losses import AdaptiveBalancedLoss, balance_loss, class_weights, routing_loss

NEWS, FORUM = [215_034, 635_353, 775_905], [3_854, 889, 3_532]  # FinNF's training rows, bearish, neutral, bullish


@pytest.mark.parametrize("counts", [NEWS, FORUM])
def test_balancing_is_inert_at_the_papers_sizes_and_beta(counts: list[int]) -> None:
    assert [f"{w:.3f}" for w in class_weights(counts, 0.99).tolist()] == ["1.000"] * 3


def test_balancing_acts_near_one_minus_one_over_n() -> None:
    """By hand, with 1 - β^n in exact form: β = 0.9999, n = 3854, 889, 3532."""
    raw = [0.0001 / (1 - 0.9999**n) for n in FORUM]
    expected = [3 * w / sum(raw) for w in raw]
    np.testing.assert_allclose(class_weights(FORUM, 0.9999).numpy(), expected, rtol=1e-5)
    assert expected[1] > 2 * expected[0]


def test_beta_nought_is_no_balancing_and_beta_one_is_inverse_frequency() -> None:
    np.testing.assert_allclose(class_weights([5, 10, 85], 0.0).numpy(), [1, 1, 1], rtol=1e-6)
    inverse = np.array([1 / 5, 1 / 10, 1 / 85])
    np.testing.assert_allclose(class_weights([5, 10, 85], 1.0).numpy(), 3 * inverse / inverse.sum(), rtol=1e-6)
    near = class_weights([5, 10, 85], 1 - 1e-12).numpy()  # β^n must not lose itself to rounding on the way there
    np.testing.assert_allclose(near, 3 * inverse / inverse.sum(), rtol=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.99, 1.0])
def test_a_class_without_rows_gets_no_weight(beta: float) -> None:
    weights = class_weights([0, 7, 7], beta)
    assert weights.tolist() == pytest.approx([0, 1, 1], abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10**7), min_size=2, max_size=5), st.floats(0, 0.999999))
def test_weights_have_mean_one_and_favour_the_rare(counts: list[int], beta: float) -> None:
    weights = class_weights(counts, beta).double().numpy()
    assert weights.mean() == pytest.approx(1, abs=1e-4)
    order = np.argsort(counts)
    assert (np.diff(weights[order]) <= 1e-5).all()


def by_hand(logits: list[list[float]], labels: list[int], weights: list[float], eps: float, gamma: float) -> float:
    """The loss written out in plain Python from the page's formula (docs/method.md)."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        norm = math.log(sum(math.exp(z) for z in row))
        target = [(1 - eps if c == label else 0) + eps / len(row) for c in range(len(row))]
        entropy = -sum(t * (z - norm) for t, z in zip(target, row, strict=True))
        total += weights[label] * (1 - math.exp(-entropy)) ** gamma * entropy
    return total / len(labels)


def test_adaptive_balanced_loss_of_two_rows() -> None:
    """Row 1: log-softmax of (2, 0, 0) is (-0.2395, -2.2395, -2.2395), so the smoothed entropy is
    0.93333 * 0.2395 + 2 * 0.03333 * 2.2395 = 0.37287; p = 0.68875, (1-p)^2 = 0.09688. Row 2 is uniform: entropy ln 3,
    (1 - 1/3)^2 = 4/9. With equal weights the mean is (0.09688 * 0.37287 + 0.44444 * 1.09861) / 2 = 0.26220."""
    loss = AdaptiveBalancedLoss([10, 10, 10])(torch.tensor([[2.0, 0, 0], [0.5, 0.5, 0.5]]), torch.tensor([0, 2]))
    assert float(loss) == pytest.approx(0.26220, abs=2e-5)


@pytest.mark.parametrize(
    ("beta", "eps", "gamma"), [(0.99, 0.1, 2.0), (0.9, 0.0, 0.0), (0.999, 0.3, 1.5), (1.0, 0.1, 5.0)]
)
def test_adaptive_balanced_loss_follows_its_formula(beta: float, eps: float, gamma: float) -> None:
    counts, labels = [3, 40, 9], [0, 1, 2, 2, 1]
    logits = (torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 3).tolist()
    expected = by_hand(logits, labels, class_weights(counts, beta).tolist(), eps, gamma)
    loss = AdaptiveBalancedLoss(counts, beta, eps, gamma)(torch.tensor(logits), torch.tensor(labels))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_without_focus_smoothing_and_balance_it_is_cross_entropy() -> None:
    logits, labels = torch.tensor([[1.0, -1, 0], [0.2, 3, 1]]), torch.tensor([1, 1])
    loss = AdaptiveBalancedLoss([4, 4, 4], 0.0, 0.0, 0.0)(logits, labels)
    log_p = np.array([-1 - math.log(math.e + 1 / math.e + 1), 3 - math.log(math.exp(0.2) + math.exp(3) + math.e)])
    assert float(loss) == pytest.approx(-log_p.mean(), rel=1e-6)


def test_a_certain_row_gives_finite_loss_and_gradient() -> None:
    logits = torch.tensor([[200.0, -200, -200], [-200, 200.0, -200]], requires_grad=True)
    loss = AdaptiveBalancedLoss([1, 1, 1], smoothing=0.0)(logits, torch.tensor([0, 0]))
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]


def test_routing_loss_against_scikit_learn() -> None:
    from sklearn.metrics import log_loss

    logits = torch.randn(7, 3, generator=torch.Generator().manual_seed(1)) * 2
    domains = torch.tensor([0, 1, 2, 2, 0, 1, 1])
    proba = np.exp(logits.double().numpy())
    expected = log_loss(domains.numpy(), proba / proba.sum(1, keepdims=True), labels=[0, 1, 2])
    assert float(routing_loss(logits, domains)) == pytest.approx(expected, rel=1e-5)


def test_balance_is_nought_when_the_batch_uses_all_experts_alike() -> None:
    assert float(balance_loss(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))) == pytest.approx(0, abs=1e-7)
    assert float(balance_loss(torch.full((3, 4), 0.25))) == pytest.approx(0, abs=1e-7)
    assert float(balance_loss(torch.ones(5, 1))) == pytest.approx(0, abs=1e-7)


def test_balance_by_hand() -> None:
    """Mean gate (0.75, 0.25): KL(uniform ‖ mean) = 0.5 ln(0.5/0.75) + 0.5 ln(0.5/0.25) = 0.143841; over E = 2: 0.0719205."""
    assert float(balance_loss(torch.tensor([[0.9, 0.1], [0.6, 0.4]]))) == pytest.approx(0.0719205, abs=1e-6)
    from scipy.stats import entropy

    mean = np.array([0.7, 0.2, 0.1])
    expected = entropy(np.full(3, 1 / 3), mean) / 3
    assert float(balance_loss(torch.tensor(mean).repeat(4, 1))) == pytest.approx(expected, rel=1e-5)


def test_balance_of_an_unused_expert_is_large_but_finite() -> None:
    gate = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = balance_loss(gate)
    loss.backward()
    assert 1 < loss.item() < 100
    assert torch.isfinite(gate.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_a_row_learnt_to_the_last_bit_has_a_finite_gradient(gamma: float) -> None:
    """Without smoothing its cross-entropy is exactly 0 in float32, where (1 - p)^γ has no finite slope for γ below 1."""
    logits = torch.tensor([[20.0, 0.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    loss = AdaptiveBalancedLoss([1, 1, 1], smoothing=0.0, gamma=gamma)(logits, torch.tensor([0, 1]))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].abs().max() > 0
