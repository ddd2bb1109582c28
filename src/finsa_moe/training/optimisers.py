"""How pre-training moves the weights: the learning rate over a run, and the optimizers by kind of weight.

Settings and a module in, numbers and torch optimizers out. Nothing here knows a corpus or a loss.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from finsa_moe.config import PretrainConfig


def learning_rate(settings: PretrainConfig, step: int, share: float) -> float:
    """Warm-up, a plateau, then a decay by 1 - sqrt over the last `decay` of the run (Hägele et al. 2024, WSD).

    A plateau lets a run be prolonged over several sittings without knowing its end beforehand.
    """
    rate = settings.learning_rate * min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    left = 1.0 - share
    if settings.decay and left < settings.decay:
        rate *= 1.0 - math.sqrt(1.0 - max(left, 0.0) / settings.decay)
    return rate


def optimizers(model: nn.Module, layers: nn.Module, settings: PretrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW for all; or Muon for the matrices of the layers and AdamW for the rest (Jordan et al. 2024).

    Muon's updates are scaled to the size of AdamW's (Liu et al. 2025, section 2.2), so one learning rate serves both.
    Norms and biases do not decay.

    Args:
        model: All that is trained.
        layers: The part of it whose matrices Muon takes; embeddings and output layers are not for it.
        settings: Learning rate, decay and which optimizer.
    """
    inside = {id(p) for p in layers.parameters() if p.ndim == 2 and settings.optimizer == "muon"}
    decayed = [p for p in model.parameters() if p.ndim > 1 and id(p) not in inside]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), eps=1e-6, fused=True)
    ]
    if inside:
        matrices = [p for p in layers.parameters() if id(p) in inside]
        found.append(
            torch.optim.Muon(
                matrices, lr=settings.learning_rate, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw"
            )
        )
    return found
