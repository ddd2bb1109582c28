from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from finsa_moe.model.router import Router
from finsa_moe.training.widen import new_layers

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = 16


def cloud(at: int, count: int, seed: int, spread: float = 0.6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, SIZE, generator=generator) * spread + 3.0 * torch.eye(SIZE)[at]


@pytest.fixture(scope="module")
def old() -> Router:
    """A router that tells two clouds apart."""
    torch.manual_seed(0)
    router = Router(SIZE, 2, hidden=32)
    states, domains = torch.cat([cloud(0, 300, 1), cloud(1, 300, 2)]), torch.tensor([0] * 300 + [1] * 300)
    optimizer = torch.optim.Adam(router.parameters(), lr=1e-2)
    for _ in range(150):
        loss = nn.functional.cross_entropy(router(states), domains)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return router.eval()


def widen(old: Router, new: Tensor, taken: float = 0.01, seed: int = 13) -> Router:
    """The old router with the new layers beside it."""
    known = {"a": cloud(0, 400, 3), "b": cloud(1, 400, 4)}
    layers = new_layers(old, known, new, steps=200, learning_rate=5e-3, taken=taken, seed=seed)
    router = Router(SIZE, 3, hidden=32, grown=1)
    router.load_state_dict(
        {**old.state_dict(), **{f"grown.0.{name}": part for name, part in layers.state_dict().items()}}
    )
    return router.eval()


def chosen(router: Router, states: Tensor) -> Tensor:
    with torch.no_grad():
        return router(states).argmax(-1)


def test_a_domain_apart_is_found_and_the_old_stay(old: Router) -> None:
    before = {name: tensor.clone() for name, tensor in old.state_dict().items()}
    router = widen(old, cloud(2, 200, 5))
    for at in range(3):
        assert float((chosen(router, cloud(at, 500, 50 + at)) == at).float().mean()) > 0.97
    assert all(torch.equal(before[name], tensor) for name, tensor in old.state_dict().items())


@pytest.mark.parametrize("taken", [0.0, 0.02, 0.1])
def test_a_domain_like_an_old_one_takes_no_more_than_it_may(old: Router, taken: float) -> None:
    """The new texts are drawn from an old domain's own cloud: unchecked, the new output would win half of it."""
    router = widen(old, cloud(0, 400, 6), taken)
    parts = [cloud(0, 2000, 7), cloud(1, 2000, 8)]
    for part in parts:  # of each, not of all together: what leaves one alone may not be taken from the other
        share = float((chosen(router, part) == 2).float().mean())
        assert share <= taken + 0.04  # other states, and the bias was set by two hundred
    states = torch.cat(parts)
    where = chosen(old, states)
    kept = chosen(router, states) != 2
    assert torch.equal(chosen(router, states)[kept], where[kept])
    with torch.no_grad():
        assert torch.equal(router(states)[:, :2], old(states)), "an old domain's logit has moved"


def test_no_known_state_is_taken_where_none_may_be(old: Router) -> None:
    """A share of fewer than one state is none."""
    new, known = cloud(0, 400, 6), {"a": cloud(0, 400, 3), "b": cloud(1, 400, 4)}
    layers = new_layers(old, known, new, steps=200, learning_rate=5e-3, taken=1e-3, seed=13)
    told = torch.cat(list(known.values()))[::2]
    with torch.no_grad():
        assert int((layers(told)[:, 0] > old(told).max(-1).values).sum()) == 0


def test_the_same_seed_the_same_router(old: Router) -> None:
    one, two, other = (widen(old, cloud(2, 100, 9), seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
