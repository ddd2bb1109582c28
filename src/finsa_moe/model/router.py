"""Pooling, router and heads: the small trained parts between hidden states and logits.

Hidden states and a mask go in, router logits or class logits come out. Nothing here knows the backbone or the bank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over real tokens: (batch, length, d) and (batch, length) to float32 (batch, d).

    Padded positions are replaced, not multiplied by zero: a fully masked row of attention may hold anything.
    """
    real = mask.bool().unsqueeze(-1)
    total = hidden.float().masked_fill(~real, 0.0).sum(1)
    return total / real.sum(1).clamp(min=1)


class Router(nn.Module):
    """Linear(d, hidden), LayerNorm, ReLU, Dropout, Linear(hidden, E), over a learnt temperature.

    Source: docs/method.md, stage 3.

    A domain that a finished mixture takes in later has layers of its own, ending in one logit: so the others' logits
    stay as they were, and without it the router is the one it was.

    Args:
        size: Size d of a state.
        experts: All experts, E.
        hidden: Inner size, the same for each.
        dropout: While training.
        grown: How many of the experts, the last ones, came later.
    """

    lowest_temperature = 0.1

    def __init__(self, size: int, experts: int, hidden: int = 64, dropout: float = 0.1, grown: int = 0) -> None:
        super().__init__()
        self.layers = self._layers(size, hidden, dropout, experts - grown)
        self.grown = nn.ModuleList(self._layers(size, hidden, dropout, 1) for _ in range(grown))
        self.temperature = nn.Parameter(torch.ones(()))

    @staticmethod
    def _layers(size: int, hidden: int, dropout: float, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(size, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Router logits (batch, E) of pooled states (batch, d)."""
        logits: Tensor = self.layers(pooled)
        if len(self.grown):
            logits = torch.cat([logits, *(layers(pooled) for layers in self.grown)], dim=-1)
        return logits / self.temperature.clamp(min=self.lowest_temperature)


def with_prior(logits: Tensor, prior: Tensor) -> Tensor:
    """Router logits (batch, E) with a prior of some domains added; NaN where it says nothing of a domain.

    The domains that the prior knows share anew what they had together: one that it does not know keeps its share.
    """
    known = ~prior.isnan()
    summed = torch.where(known, logits + prior.to(logits.dtype), -torch.inf)
    change = summed.logsumexp(-1) - logits.masked_fill(~known, -torch.inf).logsumexp(-1)
    return torch.where(known, summed - change.unsqueeze(-1), logits)


def straight_through(soft: Tensor) -> Tensor:
    """One-hot of the largest weight in the forward pass, the soft weights' gradient in the backward pass."""
    return one_hot(soft) + (soft - soft.detach())  # so bracketed, or rounding would leave 0.99999994 for 1


def one_hot(weights: Tensor) -> Tensor:
    """The largest weight of each row as 1, the others as 0, in the same dtype."""
    return nn.functional.one_hot(weights.argmax(-1), weights.shape[-1]).to(weights.dtype)


class ExpertHeads(nn.Module):
    """One linear head an expert, opened by the same gate: logits = Σ_e g_e (W_e h + b_e).

    With `shared` there is one head for all, the paper's form, and the gate does not matter here.
    """

    def __init__(self, size: int, experts: int, classes: int = 3, dropout: float = 0.1, shared: bool = False) -> None:
        super().__init__()
        self.shared = shared
        self.dropout = nn.Dropout(dropout)
        count = 1 if shared else experts
        self.weight = nn.Parameter(torch.empty(count, classes, size))
        self.bias = nn.Parameter(torch.zeros(count, classes))
        nn.init.normal_(self.weight, std=size**-0.5)

    @property
    def fresh(self) -> bool:
        """Whether one of them has learnt nothing yet: a bias of noughts is what they begin with."""
        return bool((self.bias == 0).all(dim=1).any())

    def forward(self, pooled: Tensor, gate: Tensor) -> Tensor:
        """Class logits (batch, 3) of pooled states (batch, d) under a gate (batch, E)."""
        pooled = self.dropout(pooled)
        each = torch.einsum("bd,ecd->bec", pooled, self.weight) + self.bias
        return each[:, 0] if self.shared else (gate.to(each.dtype).unsqueeze(-1) * each).sum(1)
