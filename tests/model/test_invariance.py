"""Padding side, padding length, batch mates and order never change a prediction (the second promise of the design)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finsa_moe.model.moe import FinSAMoE
from tests.families import WIDER, batch_of, made_rows, make_mixture, tokenizer_for

pytestmark = pytest.mark.usefixtures("one_thread")
ROUTES = (0.0, 0.5, 1.0)


def tokens(family: str, count: int = 6) -> list[list[int]]:
    """Token lists of unlike lengths, from two tokens to about sixty."""
    tokenizer = tokenizer_for(family)
    texts = [text * (1 + 2 * (i % 3)) for i, (text, _) in enumerate(made_rows("forum", count))]
    return [tokenizer(text)["input_ids"] for text in texts] + [[2, 40]]


def answers(model: FinSAMoE, texts: Sequence[list[int]], pad: int, **shape: object) -> tuple[np.ndarray, np.ndarray]:
    ids, mask = batch_of(texts, pad, **shape)  # type: ignore[arg-type]
    with torch.inference_mode():
        out = model(ids, mask)
    assert out.soft_gate is not None
    assert torch.isfinite(out.logits).all()
    return out.logits.numpy(), out.soft_gate.numpy()


@pytest.mark.parametrize("route_at", ROUTES)
@pytest.mark.parametrize("family", WIDER)
def test_nothing_round_a_text_changes_its_answer(
    family: str, route_at: float, backbone_of: Callable[[str], Path]
) -> None:
    model = make_mixture(backbone_of(family), route_at=route_at)
    pad, texts = model.backbone.config.pad_token_id, tokens(family)
    alone = [answers(model, [text], pad) for text in texts]
    logits, gates = (np.concatenate(part) for part in zip(*alone, strict=True))
    assert logits.std(axis=0).min() > 0.05, "the texts must differ, or the test shows nothing"
    longest = max(map(len, texts))
    for shape in ({}, {"left": True}, {"width": longest + 17}, {"width": longest + 17, "left": True}):
        for order in (list(range(len(texts))), [3, 1, 6, 0, 5, 2, 4]):
            batched, routed = answers(model, [texts[i] for i in order], pad, **shape)
            np.testing.assert_allclose(batched, logits[order], atol=2e-5)
            np.testing.assert_allclose(routed, gates[order], atol=2e-5)
    whatever = 7  # a masked token's own value never matters either
    batched, _ = answers(model, texts, whatever, width=longest + 5)
    np.testing.assert_allclose(batched, logits, atol=2e-5)


@pytest.mark.parametrize("family", ["roberta", "glm4"])
def test_pad_tokens_inside_a_text_are_read_like_any_other(family: str, backbone_of: Callable[[str], Path]) -> None:
    """A real token may carry the padding id; the mask alone says what is padding."""
    model = make_mixture(backbone_of(family))
    pad = model.backbone.config.pad_token_id
    text = [2, 40, pad, 50, 60]
    alone, _ = answers(model, [text], pad)
    for left in (False, True):
        batched, _ = answers(model, [text, [2, 9, 9]], pad, width=12, left=left)
        np.testing.assert_allclose(batched[0], alone[0], atol=2e-5)


@pytest.fixture(scope="module")
def by_route(backbone_of: Callable[[str], Path]) -> Callable[[float], FinSAMoE]:
    return cache(lambda route_at: make_mixture(backbone_of("qwen3"), route_at=route_at))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    texts=st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=40), min_size=1, max_size=6),
    more=st.integers(0, 20), left=st.booleans(), route_at=st.sampled_from(ROUTES), data=st.data(),
)  # fmt: skip
def test_any_batch_gives_each_text_its_own_answer(
    texts: list[list[int]], more: int, left: bool, route_at: float, data: st.DataObject,
    by_route: Callable[[float], FinSAMoE],
) -> None:  # fmt: skip
    model = by_route(route_at)
    at = data.draw(st.integers(0, len(texts) - 1))
    batched, gates = answers(model, texts, 0, width=max(map(len, texts)) + more, left=left)
    alone, gate = answers(model, [texts[at]], 0)
    if abs(gate[0, 0] - 0.5) < 1e-4:  # a tie of the router: either expert may answer
        return
    np.testing.assert_allclose(gates[at], gate[0], atol=3e-5)
    np.testing.assert_allclose(batched[at], alone[0], atol=3e-5)
