"""A sketch draws states like those it was made of, and holds none of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from finsa_moe.model.sketch import CLUSTERS, FEWEST, Sketch

pytestmark = pytest.mark.usefixtures("one_thread")


def clouds(count: int, size: int = 16, seed: int = 3) -> Tensor:
    """Two clouds, a quarter of the states in the second, of which every fourth lies three times as far out."""
    chance = torch.Generator().manual_seed(seed)
    shape = torch.randn(size, size, generator=chance) * 0.3
    states = torch.randn(count, size, generator=chance) @ shape
    states[::4] = 3 * states[::4]
    states[: count // 4] += 6.0
    return states


def test_what_is_drawn_is_like_what_was_seen() -> None:
    states = clouds(4000)
    drawn = Sketch.of(states).draw(8000)
    assert drawn.shape == (8000, 16)
    torch.testing.assert_close(drawn.mean(0), states.mean(0), atol=0.15, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(states.T), atol=0.6, rtol=0.15)
    assert float((drawn.mean(1) > 3).float().mean()) == pytest.approx(0.25, abs=0.02)
    out = [(part[part.mean(1) < 3] ** 2).mean(1) for part in (states, drawn)]
    for share in (0.5, 0.9, 0.98):  # near and far states alike, which one covariance would not give
        seen, made = (float(torch.quantile(part, share)) for part in out)
        assert made == pytest.approx(seen, rel=0.25), share


def test_a_seed_draws_the_same_again() -> None:
    one, two = (Sketch.of(clouds(300), seed=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(two).values(), strict=True))
    assert torch.equal(one.draw(50, seed=1), two.draw(50, seed=1))
    assert not torch.equal(one.draw(50, seed=1), one.draw(50, seed=2))


@pytest.mark.parametrize("count", [1, 2, 39, 79, 80, 400, 5000])
def test_no_mean_stands_for_few_states(count: int) -> None:
    sketch = Sketch.of(clouds(max(4, count))[:count])
    assert int(sketch.counts.sum()) == count
    assert int(sketch.counts.min()) >= min(FEWEST, count)
    assert len(sketch.counts) <= CLUSTERS
    assert sketch.draw(20).isfinite().all()


def test_the_words_of_a_text_cannot_be_read_back() -> None:
    """Means of word vectors can be taken apart into the words by a greedy search; what a sketch holds cannot."""
    chance = torch.Generator().manual_seed(7)
    words = torch.randn(600, 96, generator=chance)
    texts = [torch.randperm(600, generator=chance)[:6].tolist() for _ in range(400)]
    states = torch.stack([words[text].mean(0) for text in texts])
    assert all(_taken_apart(state, words) == set(text) for state, text in zip(states[:40], texts[:40], strict=True))
    held = [set(text) for text in texts]
    sketch = Sketch.of(states)
    for row in (*sketch.means.float(), *sketch.spread.float().T, *sketch.draw(60)):
        found = _taken_apart(row, words)
        assert max(len(found & text) for text in held) < 5


def _taken_apart(state: Tensor, words: Tensor, count: int = 6) -> set[int]:
    """The words whose mean is nearest, chosen one by one (orthogonal matching pursuit)."""
    chosen: list[int] = []
    rest = state
    for _ in range(count):
        scores = words @ rest / words.norm(dim=1)
        scores[chosen] = -torch.inf
        chosen.append(int(scores.argmax()))
        basis = words[chosen].T
        rest = state - basis @ torch.linalg.lstsq(basis, state[:, None]).solution[:, 0]
    return set(chosen)
