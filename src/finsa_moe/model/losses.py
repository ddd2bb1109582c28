"""The losses of docs/method.md: adaptive balanced classification, routing, and balance of the experts' use.

Logits and targets go in, a scalar comes out; nothing here knows the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def class_weights(counts: Sequence[int], beta: float = 0.99) -> Tensor:
    """Weights from the effective number of samples, (1 - β) / (1 - β^n), scaled to mean 1 (Cui et al. 2019, eq. 2).

    A class without rows has no weight to estimate and gets 0; the mean is over the classes that have rows.
    """
    n = torch.tensor(counts, dtype=torch.float64)
    effective = -torch.expm1(n * torch.log(torch.tensor(beta, dtype=torch.float64))) if beta > 0 else (n > 0).double()
    # At β = 1 the limit of (1 - β) / (1 - β^n) is 1 / n
    weights = 1.0 / n if beta == 1.0 else (1.0 - beta) / effective
    weights = torch.where(n > 0, weights, torch.zeros_like(weights))
    return (weights * (n > 0).sum() / weights.sum()).float()


class AdaptiveBalancedLoss(nn.Module):
    """Smoothed cross-entropy times the focal factor times the label's class weight, mean over the batch.

    Targets are 1 - ε on the label plus ε / C everywhere; the focal factor is (1 - p)^γ with p = exp(-cross-entropy)
    (Lin et al. 2017); the weights are those of `class_weights`. As in the method, p is of the smoothed cross-entropy.
    """

    def __init__(self, counts: Sequence[int], beta: float = 0.99, smoothing: float = 0.1, gamma: float = 2.0) -> None:
        super().__init__()
        self.smoothing, self.gamma = smoothing, gamma
        self.register_buffer("weights", class_weights(counts, beta))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits (batch, C) against int64 labels (batch,)."""
        weights: Tensor = self.weights  # type: ignore[assignment]
        entropy = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=self.smoothing, reduction="none")
        # an entropy of exactly 0 has, at γ below 1, an infinite slope here, which times 0 is no number
        focal = (1.0 - torch.exp(-entropy)).clamp(min=1e-12) ** self.gamma
        return (weights.to(entropy.device)[labels] * focal * entropy).mean()


def routing_loss(router_logits: Tensor, domains: Tensor) -> Tensor:
    """Cross-entropy of router logits (batch, E) against int64 domain ids (batch,)."""
    return nn.functional.cross_entropy(router_logits.float(), domains)


def balance_loss(gate: Tensor) -> Tensor:
    """KL(uniform ‖ the batch's mean gate) / E, for soft gates (batch, E)."""
    mean = gate.float().mean(0).clamp(min=1e-9)
    experts = gate.shape[1]
    uniform = 1.0 / experts
    return (uniform * (torch.log(torch.tensor(uniform, device=gate.device)) - mean.log())).sum() / experts
