"""What a cloud of states looks like, without any one of them: enough to draw states like them.

States at the first layer are means of token embeddings, from which the words of a text of up to forty tokens can be
read back without a mistake (EXPERIMENTS.md). So none is stored: means over forty and more, one covariance, and
quantiles of the distances. Tensors go in and come out; nothing here knows a model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CLUSTERS, FEWEST = 64, 40
"""Most means kept, and the fewest states that one stands for where there are as many."""
QUANTILES = 17
_ROUNDS = 30


@dataclass(frozen=True)
class Sketch:
    """A mixture of clouds of one shape.

    Attributes:
        means: Of each cluster, half precision (k, d).
        counts: States in each, int32 (k,).
        radii: Quantiles of the squared distance from the mean, over d, in the metric of the covariance, half
            precision (k, 17): short texts lie further out than long ones.
        spread: Lower Cholesky factor of the covariance within clusters, half precision (d, d).
    """

    means: Tensor
    counts: Tensor
    radii: Tensor
    spread: Tensor

    @classmethod
    def of(cls, states: Tensor, seed: int = 13) -> Sketch:
        """The sketch of states (n, d), n > 0."""
        states = states.float()
        place = _clusters(states, torch.Generator().manual_seed(seed))
        counts = torch.bincount(place)
        means = torch.zeros(len(counts), states.shape[1]).index_add_(0, place, states) / counts[:, None]
        offsets = states - means[place]
        factor = torch.linalg.cholesky(_covariance(offsets))
        distances = torch.linalg.solve_triangular(factor, offsets.T, upper=False).square().mean(0)
        steps = torch.linspace(0.02, 0.98, QUANTILES)
        radii = torch.stack([torch.quantile(distances[place == at], steps) for at in range(len(counts))])
        return cls(means.half(), counts.int(), radii.half(), factor.half())

    def draw(self, count: int, seed: int = 13) -> Tensor:
        """So many states like those it was made of, float32 (count, d)."""
        chance = torch.Generator().manual_seed(seed)
        cluster = torch.multinomial(self.counts.float(), count, replacement=True, generator=chance)
        at = torch.rand(count, generator=chance) * (QUANTILES - 1)
        low = at.floor().long().clamp(max=QUANTILES - 2)
        below, above = (self.radii.float()[cluster, step] for step in (low, low + 1))
        radius = (below + (at - low) * (above - below)).clamp(min=0).sqrt()
        size = self.means.shape[1]
        ways = torch.nn.functional.normalize(torch.randn(count, size, generator=chance)) * size**0.5
        drawn: Tensor = self.means.float()[cluster] + radius[:, None] * (ways @ self.spread.float().T)
        return drawn


def _clusters(states: Tensor, chance: torch.Generator) -> Tensor:
    """The cluster of each state (n,), by k-means over standardised states; those under `FEWEST` are dissolved."""
    scaled = (states - states.mean(0)) / (states.std(0, correction=0) + 1e-6)
    most = max(1, min(CLUSTERS, len(states) // FEWEST))
    centres = scaled[torch.randperm(len(scaled), generator=chance)[:most]]
    for _ in range(_ROUNDS):
        place = torch.cdist(scaled, centres).argmin(1)
        counts = torch.bincount(place, minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, place, scaled)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
    while True:
        place = torch.cdist(scaled, centres).argmin(1)
        counts = torch.bincount(place, minlength=len(centres))
        if len(centres) == 1 or counts.min() >= FEWEST:
            return place
        centres = centres[torch.arange(len(centres)) != counts.argmin()]


def _covariance(offsets: Tensor) -> Tensor:
    """Covariance (d, d), drawn towards its diagonal as if d states had said it; never singular."""
    count, size = offsets.shape
    found = offsets.T @ offsets / count
    own = torch.diag(found.diagonal())
    found = (count * found + size * own) / (count + size)
    return found + 1e-6 * max(float(own.mean()) * size, 1e-6) * torch.eye(size)
