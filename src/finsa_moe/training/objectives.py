"""What pre-training asks of a backbone: to guess masked words, or to tell which tokens a small generator has replaced.

A masked batch goes in, this process's part of the losses comes out. Neither objective knows the corpus, the optimizer
or how batches are made; what is drawn at random comes in with the batch.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from transformers import ModernBertModel

from finsa_moe.config import PretrainConfig
from finsa_moe.training.corpus import SPECIAL
from finsa_moe.training.tied_loss import tied_cross_entropy


@dataclass(frozen=True)
class MaskedBatch:
    """One process's rows of a masked batch.

    Attributes:
        ids: int64 (rows, length), corrupted where chosen.
        chosen: bool (rows, length), the positions to predict.
        targets: int64 (chosen positions,), what stood there.
        uniform: float32 (chosen positions,), numbers from 0 to 1 that decide what a generator draws there.
        chosen_in_all: Chosen positions of the whole batch, all processes together.
        tokens_in_all: Tokens of the whole batch but special ones.
    """

    ids: Tensor
    chosen: Tensor
    targets: Tensor
    uniform: Tensor
    chosen_in_all: int
    tokens_in_all: int


class MaskedLM(nn.Module):
    """A backbone with a prediction head tied to its embedding, run at the masked positions only."""

    losses = ("masked",)

    def __init__(self, backbone: ModernBertModel) -> None:
        super().__init__()
        self.backbone = backbone
        size, vocab = backbone.config.hidden_size, backbone.config.vocab_size
        self.dense = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size)
        self.bias = nn.Parameter(torch.zeros(vocab))
        self.weights: tuple[float, ...] = (1.0,)

    def backbones(self) -> list[ModernBertModel]:
        """The networks in it, the one to keep first."""
        return [self.backbone]

    def forward(self, batch: MaskedBatch) -> Tensor:
        """This process's part of the mean cross-entropy in nats of the chosen positions, float32 (1,)."""
        return self.guess(batch, draw=False)[0].unsqueeze(0)

    def guess(self, batch: MaskedBatch, *, draw: bool = True) -> tuple[Tensor, Tensor]:
        """The part of the mean cross-entropy, and a token drawn from each prediction, int64 (chosen positions,).

        Without `draw` no tokens are drawn, and (0,) comes in their place.
        """
        hidden = self.backbone(input_ids=batch.ids).last_hidden_state[batch.chosen]
        hidden = self.norm(nn.functional.gelu(self.dense(hidden)))
        if torch.is_autocast_enabled(hidden.device.type):
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        table = self.backbone.get_input_embeddings().weight
        mean, drawn = tied_cross_entropy(hidden, table, self.bias, batch.targets, batch.uniform if draw else None)
        return mean * (len(batch.targets) / batch.chosen_in_all), drawn


class ReplacedTokens(nn.Module):
    """A backbone that tells replaced tokens from original ones, beside a generator that replaces them.

    The generator has the backbone's first layers (copied, then its own) and shares its embedding; it is trained as a
    masked language model, not to deceive. The backbone learns from every token, not only from the masked ones (Clark
    et al. 2020, ELECTRA, section 2).
    """

    losses = ("masked", "replaced")

    def __init__(self, backbone: ModernBertModel, layers: int, weight: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.generator = MaskedLM(_first_layers(backbone, layers))
        size = backbone.config.hidden_size
        self.dense, self.verdict = nn.Linear(size, size), nn.Linear(size, 1)
        self.weights = (1.0, weight)

    def backbones(self) -> list[ModernBertModel]:
        """The networks in it, the one to keep first."""
        return [self.backbone, self.generator.backbone]

    def forward(self, batch: MaskedBatch) -> Tensor:
        """This process's parts of two means in nats, float32 (2,): the generator's guesses, the verdicts on tokens."""
        guessed, drawn = self.generator.guess(batch)
        original = batch.ids.masked_scatter(batch.chosen, batch.targets)
        read = batch.ids.masked_scatter(batch.chosen, drawn)
        hidden = self.backbone(input_ids=read).last_hidden_state
        verdicts = self.verdict(nn.functional.gelu(self.dense(hidden))).squeeze(-1).float()
        wrong = nn.functional.binary_cross_entropy_with_logits(verdicts, (read != original).float(), reduction="none")
        detected = (wrong * (original >= len(SPECIAL))).sum() / batch.tokens_in_all
        return torch.stack([guessed, detected])


Objective: TypeAlias = MaskedLM | ReplacedTokens


def objective(backbone: ModernBertModel, settings: PretrainConfig) -> Objective:
    """What the settings ask of a backbone."""
    if settings.objective == "masked":
        return MaskedLM(backbone)
    return ReplacedTokens(backbone, settings.generator_layers, settings.detection_weight)


def _first_layers(backbone: ModernBertModel, layers: int) -> ModernBertModel:
    config = copy.deepcopy(backbone.config)
    config.layer_types = list(config.layer_types or [])[:layers]
    config.num_hidden_layers = len(config.layer_types)
    small = ModernBertModel(config)
    small.load_state_dict({name: backbone.state_dict()[name] for name in small.state_dict()})
    small.embeddings = backbone.embeddings
    return small
