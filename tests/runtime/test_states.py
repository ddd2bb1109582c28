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
    experts = np.arange(len(texts)) % 2
    counts = [[t.count("涨"), t.count("跌") + t.count("空"), 2, 0] for t in texts]
    expected = np.array(counts) + 100 * experts[:, None]
    for budget in (8, 100, 4096):
        predictor = fake_finsa(StateEngine(), batch_tokens=budget).predictor
        found = pooled_states(predictor, texts, experts, lambda done, of: shown.append((done, of)))
        np.testing.assert_array_equal(found, expected)
        assert shown[-1] == (19, 19)
    assert pooled_states(predictor, [], experts[:0]).shape[0] == 0


def test_they_are_the_states_of_the_exported_graphs(exported: Export) -> None:
    finsa = load(exported.folder, dtype="float32", engine="onnxruntime")
    texts = [text for text, _ in made_rows("news", 12, seed=9)]
    engine = finsa.predictor.engine
    found = [pooled_states(finsa.predictor, texts, np.full(12, expert)) for expert in (0, 1)]
    for at, text in enumerate(texts):
        ids = np.array([engine.encode([text])[0].ids], dtype=np.int64)
        for expert in (0, 1):
            own = engine.forward(ids, np.ones_like(ids), np.array([expert])).states[0]
            np.testing.assert_allclose(own, found[expert][at], atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_model_without_states_says_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"runs on fake, which gives no states.*finsa export"):
        pooled_states(fake_finsa().predictor, ["涨"], np.zeros(1, np.int64))
