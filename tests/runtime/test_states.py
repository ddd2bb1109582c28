"""Pooled states: in the caller's order, whatever the batches, and the same as the engine's own."""

from __future__ import annotations

import numpy as np
import pytest

from finsa_moe import load
from finsa_moe.errors import ModelError
from finsa_moe.runtime.states import pooled_states
from tests.conftest import Export
from tests.fakes import StateEngine, fake_finsa
from tests.families import made_rows


def test_each_text_has_its_own_whatever_the_batches() -> None:
    texts = ["涨跌" * n + "空跌" * (7 * n % 5) + "公告" for n in range(1, 20)]
    shown: list[tuple[int, int]] = []
    expected = [[t.count("涨"), t.count("跌") + t.count("空"), 2, 0] for t in texts]
    for budget in (8, 100, 4096):
        predictor = fake_finsa(StateEngine(), batch_tokens=budget).predictor
        found = pooled_states(predictor, texts, lambda done, of: shown.append((done, of)))
        np.testing.assert_array_equal(found, expected)
        assert shown[-1] == (19, 19)
    assert pooled_states(predictor, []).shape[0] == 0


def test_they_are_the_states_of_the_exported_graphs(exported: Export) -> None:
    finsa = load(exported.folder, dtype="float32", engine="onnxruntime")
    texts = [text for text, _ in made_rows("news", 12, seed=9)]
    engine = finsa.predictor.engine
    found = pooled_states(finsa.predictor, texts)
    for text, state in zip(texts, found, strict=True):
        ids = np.array([engine.encode([text])[0].ids], dtype=np.int64)
        np.testing.assert_allclose(engine.forward(ids, np.ones_like(ids)).states[0], state, atol=1e-5)  # type: ignore[attr-defined]


def test_a_model_without_states_says_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"runs on fake, which gives no states.*finsa export"):
        pooled_states(fake_finsa().predictor, ["涨"])
