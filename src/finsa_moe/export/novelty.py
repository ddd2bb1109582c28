"""The reference of the novelty score: what a text must differ from to count as unlike every known domain.

Three measures, each against the nearest domain. How surprising the text's tokens are under the domain's training texts;
how much likelier they are in a background of other text, where one is given; and how far its pooled state lies from the
domain's mean state (Mahalanobis distance under a shared covariance; Lee et al. 2018, section 2.2). States alone ranked
weather and verse no higher than news (EXPERIMENTS.md). Token ids and states go in, a graph comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finsa_moe.export.known import Known

Reals = NDArray[np.float32]
SHRINKAGE = 0.1
"""Part of the covariance that is replaced by its mean variance, so that rarely used directions do not decide alone."""
WEIGHT = 2000
"""Tokens' worth of the overall frequencies that are mixed into each domain's."""
DAMPING = 3
"""Tokens of no evidence added to every text in the second measure, so that few tokens do not say much."""
_KNOTS = 512


class Reference(nn.Module):
    """What a text is held against.

    Args:
        counts: How often each token occurs in each domain's training texts, (E, V).
        background: The same in text of other kinds, (V,); None leaves the second measure out.
        means: Mean state of each domain's training texts, (E, d).
        whitening: (d, d); a state times this has unit covariance over the training texts.
    """

    def __init__(self, counts: Reals, background: Reals | None, means: Reals, whitening: Reals) -> None:
        super().__init__()
        overall = (counts.sum(0) if background is None else background) + 1.0
        overall = overall / overall.sum()
        known = (counts + WEIGHT * overall) / (counts.sum(1, keepdims=True) + WEIGHT)
        self.surprise = _fixed(-np.log(known).T)
        self.excess = _fixed((np.log(overall) - np.log(known)).T)
        self.whitening = _fixed(whitening)
        self.centres = _fixed((means @ whitening)[None])
        self.middle, self.spread = _fixed(np.zeros(3)), _fixed(np.ones(3))
        self.weights = _fixed(np.array([1.0, 0.0 if background is None else 1.0, 1.0]))
        self.knots = _fixed(np.zeros(2))

    def measures(self, ids: Tensor, mask: Tensor, states: Tensor) -> Tensor:
        """The three measures (b, 3) of ids and mask, int64 (b, t), and states (b, d)."""
        real = mask.unsqueeze(-1).float()
        count = real.sum(1)
        surprise = ((self.surprise[ids] * real).sum(1) / count).amin(1)
        excess = ((self.excess[ids] * real).sum(1) / (count + DAMPING)).amin(1)
        gaps = (states @ self.whitening).unsqueeze(1) - self.centres
        return torch.stack([surprise, excess, gaps.square().sum(-1).amin(1).sqrt()], 1)

    def forward(self, ids: Tensor, mask: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """One distance a text (b,): what is above the known texts' mean in each measure, squared and summed; the knots.

        The knots (k,) are the rising quantiles of held-out known texts' distances, evenly spaced in probability.
        """
        above = ((self.measures(ids, mask, states) - self.middle) / self.spread).relu()
        return (above.square() * self.weights).sum(1), self.knots * 1.0


def fit(
    known: Known, held_out: Sequence[Sequence[int]], held_out_states: Reals, whose: Sequence[int]
) -> tuple[Reference, Known]:
    """Fit the reference.

    Args:
        known: Sums over the training texts of every domain, and what held-out texts measured before.
        held_out: Token ids of further known texts that were not trained on.
        held_out_states: Their pooled states, (m, d).
        whose: The place in `known.domains` of the domain of each, (m,).

    Returns:
        The reference, and `known` with the measures of these texts beside those it had.
    """
    covariance = known.covariance
    shared = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh((1 - SHRINKAGE) * covariance + SHRINKAGE * shared)
    reference = Reference(known.counts, known.background, known.means, vectors / np.sqrt(values))
    with torch.no_grad():
        pairs = zip(held_out, held_out_states, strict=True)
        found = [_measured(reference, row, state).numpy() for row, state in pairs]
        known = replace(
            known, measures=np.concatenate([known.measures, *found]),
            whose=np.concatenate([known.whose, np.array(whose, dtype=np.int64)]),
        )  # fmt: skip
        measures = torch.from_numpy(known.measures)
        reference.middle.copy_(measures.mean(0))
        reference.spread.copy_(measures.std(0).clamp(min=1e-6))
        above = ((measures - reference.middle) / reference.spread).relu()
        distances = (above.square() * reference.weights).sum(1)
    reference.knots = _fixed(np.quantile(distances.numpy(), np.linspace(0.0, 1.0, _KNOTS)))
    return reference, known


def _measured(reference: Reference, row: Sequence[int], state: Reals) -> Tensor:
    ids = torch.tensor([row])
    return reference.measures(ids, torch.ones_like(ids), torch.from_numpy(state)[None])


def _fixed(values: NDArray[Any]) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)), requires_grad=False)
