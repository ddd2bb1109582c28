"""The router learns one domain more from pooled states alone, and the new expert takes little of the old domains' text.

States by domain and the old router go in; a wider router comes out. It knows no text and no expert.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import set_seed

from finsa_moe.model.router import Router

BATCH = 512


def widened_router(old: Router, states: Mapping[str, Tensor], new: Tensor, *, steps: int, learning_rate: float,
                   taken: float, seed: int) -> Router:  # fmt: skip
    """Train a router with one output more.

    On old states it is taught what the old router says of them (soft weights, nothing for the new domain), on new ones
    the new domain; batches are half and half. Then the new output's bias is lowered until it wins at most the share
    `taken` of every second old state, which were not trained on.

    Args:
        old: The router of E domains.
        states: float32 (n, d) of each old domain.
        new: float32 (m, d) of the new one.
        steps: Steps of 512 states.
        learning_rate: Of Adam, falling to nothing along a cosine.
        taken: Share of the old domains' states that the new expert may win.
        seed: Seed of weights, order and dropout.

    Returns:
        The router of E + 1 domains, in evaluation mode.
    """
    set_seed(seed)
    first, last = _linear(old, 0), _linear(old, 4)
    experts = last.out_features
    known = torch.cat(list(states.values()))
    known = known[torch.randperm(len(known))]
    held, taught = known[::2], known[1::2]
    router = Router(first.in_features, experts + 1, first.out_features)
    router.load_state_dict(_with_one_more(old, router))
    old.eval()
    with torch.no_grad():
        wanted = nn.functional.pad(old(taught).softmax(-1), (0, 1))
    mine = nn.functional.one_hot(torch.full((len(new),), experts), experts + 1).float()
    optimizer = torch.optim.Adam(router.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    router.train()
    for _ in range(steps):
        one, other = (torch.randint(len(part), (min(BATCH // 2, 4 * len(part)),)) for part in (taught, new))
        targets = torch.cat([wanted[one], mine[other]])
        loss = nn.functional.cross_entropy(router(torch.cat([taught[one], new[other]])), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    router.eval()
    _hold_back(router, held, taken)
    return router


def _with_one_more(old: Router, router: Router) -> dict[str, Tensor]:
    """The old router's weights where it has them; the new row says nothing yet."""
    state = {name: tensor.clone() for name, tensor in old.state_dict().items()}
    fresh = router.state_dict()
    for name in ("layers.4.weight", "layers.4.bias"):
        state[name] = torch.cat([state[name].to(fresh[name]), torch.zeros_like(fresh[name][-1:])])
    return state


def _linear(router: Router, at: int) -> nn.Linear:
    layer = router.layers[at]
    assert isinstance(layer, nn.Linear)
    return layer


@torch.no_grad()
def _hold_back(router: Router, known: Tensor, taken: float) -> None:
    """Lower the new output's bias until it wins at most that share of known states."""
    logits = router(known)
    margin = logits[:, -1] - logits[:, :-1].max(-1).values
    over = float(torch.quantile(margin, 1.0 - taken))
    if over > 0:
        temperature = router.temperature.clamp(min=router.lowest_temperature)
        _linear(router, 4).bias[-1] -= over * temperature + 1e-4
