"""Cross-entropy of an output layer tied to the embedding, its gradient computed along with it, a few rows at a time.

The plain form holds logits of (rows, vocabulary) three times over and walks through them five times; on a CPU that was
a fifth of a pre-training step (EXPERIMENTS.md). Here no more than `ROWS` rows of logits ever exist.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS = 512


class _TiedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, uniform: Tensor
    ) -> tuple[Tensor, Tensor]:
        low = weight.to(hidden.dtype)
        to_hidden, to_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32)
        to_bias, loss = torch.zeros_like(bias, dtype=torch.float32), hidden.new_zeros((), dtype=torch.float32)
        drawn = torch.empty_like(targets[: len(uniform)])
        for start in range(0, len(targets), ROWS):
            part, wanted = hidden[start : start + ROWS], targets[start : start + ROWS].unsqueeze(1)
            logits = torch.addmm(bias.to(hidden.dtype), part, low.T).float()
            total = logits.logsumexp(1, keepdim=True)
            loss += (total - logits.gather(1, wanted)).sum()
            slope = logits.sub_(total).exp_()  # softmax - one-hot, over the rows in all
            if len(uniform):
                up_to = slope.cumsum(1)
                found = torch.searchsorted(up_to, uniform[start : start + ROWS].unsqueeze(1) * up_to[:, -1:])
                drawn[start : start + ROWS] = found.squeeze(1).clamp_(max=len(weight) - 1)
            slope.scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=slope.dtype))
            slope.div_(len(targets))
            short = slope.to(hidden.dtype)
            torch.mm(short, low, out=to_hidden[start : start + ROWS])
            to_weight += short.T @ part
            to_bias += slope.sum(0)
        ctx.save_for_backward(to_hidden, to_weight.to(weight.dtype), to_bias.to(bias.dtype))
        ctx.mark_non_differentiable(drawn)
        return loss / max(len(targets), 1), drawn

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        to_hidden, to_weight, to_bias = ctx.saved_tensors
        return to_hidden * slope.to(to_hidden.dtype), to_weight * slope, to_bias * slope, None, None


def tied_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, uniform: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of ``softmax(hidden @ weight.T + bias)``, and draws from it.

    Args:
        hidden: (n, d); its dtype is that of the products.
        weight: (v, d), the embedding.
        bias: (v,).
        targets: int64 (n,).
        uniform: float32 (n,) from 0 to 1: where on the cumulative distribution each row is drawn; None draws nothing.

    Returns:
        The mean in nats, float32, 0 of no row; and the classes drawn, int64 (n,), or (0,).
    """
    points = hidden.new_empty(0, dtype=torch.float32) if uniform is None else uniform
    result: tuple[Tensor, Tensor] = _TiedCrossEntropy.apply(hidden, weight, bias, targets, points)  # type: ignore[no-untyped-call]
    return result
