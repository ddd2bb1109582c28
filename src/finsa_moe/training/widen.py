"""The router learns one domain more from pooled states alone, and the new expert takes little of the old domains' text.

States by domain and the old router go in; layers that give the new domain's logit come out. The old logits are not
touched. It knows no text and no expert.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import set_seed

from finsa_moe.model.router import Router

BATCH = 512


def new_layers(
    old: Router, states: Mapping[str, Tensor], new: Tensor, *, steps: int, learning_rate: float, taken: float, seed: int
) -> nn.Sequential:
    """Train the layers that give one domain more its logit.

    On old states they are taught to leave the old router's weights as they are, on new ones to win; batches are half
    and half. Then their bias is lowered until the new domain wins at most the share `taken` of each old domain's
    states, counted on every second one, which was not trained on.

    Args:
        old: The router of E domains; it is not trained.
        states: float32 (n, d) of each old domain.
        new: float32 (m, d) of the new one.
        steps: Steps of 512 states.
        learning_rate: Of Adam, falling to nothing along a cosine.
        taken: Share of any old domain's states that the new expert may win.
        seed: Seed of weights, order and dropout.

    Returns:
        Layers for ``Router.grown``, in evaluation mode.
    """
    set_seed(seed)
    old.eval()
    known = torch.cat(list(states.values()))
    domains = torch.repeat_interleave(torch.arange(len(states)), torch.tensor([len(part) for part in states.values()]))
    order = torch.randperm(len(known))
    known, domains = known[order], domains[order]
    with torch.no_grad():
        temperature = old.temperature.clamp(min=old.lowest_temperature)
        before, theirs = old(known), old(new)  # logits over the temperature
    first = old.layers[0]
    assert isinstance(first, nn.Linear)
    layers = Router(first.in_features, 1, first.out_features).layers
    taught = torch.arange(1, len(known), 2)
    wanted = nn.functional.pad(before.softmax(-1), (0, 1))
    mine = nn.functional.one_hot(torch.full((len(new),), before.shape[1]), before.shape[1] + 1).float()
    optimizer = torch.optim.Adam(layers.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    layers.train()
    for _ in range(steps):
        one = taught[torch.randint(len(taught), (min(BATCH // 2, 4 * len(taught)),))]
        other = torch.randint(len(new), (min(BATCH // 2, 4 * len(new)),))
        own = layers(torch.cat([known[one], new[other]])) / temperature
        logits = torch.cat([torch.cat([before[one], theirs[other]]), own], dim=1)
        loss = nn.functional.cross_entropy(logits, torch.cat([wanted[one], mine[other]]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    layers.eval()
    _hold_back(layers, known[::2], before[::2] * temperature, domains[::2], taken)
    return layers


@torch.no_grad()
def _hold_back(layers: nn.Sequential, known: Tensor, logits: Tensor, domains: Tensor, taken: float) -> None:
    """Lower the bias until the new logit wins at most that share of each domain's known states.

    Of all domains together it would not do: headlines look like posts' titles, and took 0.6 % of the posts and no news.
    """
    ahead = layers(known)[:, 0] - logits.max(-1).values
    over = max(
        float(torch.quantile(ahead[domains == at], 1.0 - taken, interpolation="higher")) for at in set(domains.tolist())
    )
    if over > 0:
        last = layers[4]
        assert isinstance(last, nn.Linear)
        last.bias.sub_(over + 1e-4)
